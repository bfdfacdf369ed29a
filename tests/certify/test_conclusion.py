"""What a certificate comes to, user by user: by hand, and in the words of a study."""

from fractions import Fraction

import numpy as np
import pytest

from pluraljax._certify import _conclusion
from pluraljax._certify._claims import Bound, Certificate, Claim, Question, Section
from pluraljax._certify._market import exact_market
from pluraljax._certify._words import Names
from pluraljax._served import SERVED, ZERO
from pluraljax._study import _sentences


class Arrays:
    """Four users who get 1/2 in silence and 1 from an aligned model, but for the last, who gets 1 anyway."""

    prior = np.broadcast_to(np.eye(2) / 2, (4, 1, 2, 2))
    user_value = np.array([np.eye(2)] * 3 + [np.ones((2, 2))])
    provider_value = np.ones((2, 4, 2, 2))
    mass = np.ones(4)


def claim(key, *, lower=None, upper=None):
    bounds = []
    if lower is not None:
        bounds.append(Bound("lower", Fraction(lower), lower, Fraction(0), ["by hand"]))
    if upper is not None:
        bounds.append(Bound("upper", Fraction(upper), upper, Fraction(0), ["by hand"]))
    return Claim(key, key, bounds, Fraction(1))


def silence(regime, word):
    return Question(f"silence/{regime}", f"silence is {word} delta-equilibrium, {regime}", "PROVED", "", [])


CLAIMS = [
    claim("guarantee/personalized/user 0", lower=1.0, upper=1.0),
    claim("guarantee/anonymous/user 0", lower=0.25, upper=0.25),
    claim("theorem/anonymous/user 0", lower=0.75),
    claim("worst/user 1", lower=0.625, upper=0.6250001),
    claim("guarantee/anonymous/user 1", lower=0.999),
    claim("worst/user 2", lower=0.75, upper=0.875),
    silence("personalized", "no"),
]


def sentences(claims, regimes=("personalized", "anonymous"), names=None):
    words = _conclusion.conclusion(exact_market(Arrays, Names(names)), regimes, claims).words
    assert max(map(len, words)) <= 107
    return "\n".join(words).replace("\n  ", " ").splitlines()[:4]


def test_every_user_gets_a_sentence_by_what_is_proved_of_her():
    assert sentences(CLAIMS) == [
        "User 0 is served if policies are personalized; if they are anonymous, that is not known "
        "(worst: 100 % personalized, 50 to 100 % anonymous).",
        "User 1 is served only if policies are anonymous (worst: 25 % personalized, 99.8 to 100 % anonymous).",
        "User 2 is not served if policies are personalized; if they are anonymous, that is not known "
        "(worst: 50 to 75 % personalized, 0 to 100 % anonymous).",
        "User 3 is served whatever happens: nothing that she could be told is worth anything to her.",
    ]


def test_what_is_open_is_counted_apart_from_what_is_proved():
    words = _conclusion.conclusion(exact_market(Arrays), ("personalized", "anonymous"), CLAIMS).words
    assert "2 of 8 questions are open: who is served, by policies of each kind." in words
    outlooks = {"personalized": ("No search.", ""), "anonymous": ("A longer one is worth it:", "pluraljax certify x")}
    told = _conclusion.conclusion(exact_market(Arrays), ("personalized", "anonymous"), CLAIMS, outlooks).words
    assert "No search." not in told
    assert told.index("  pluraljax certify x") == told.index("A longer one is worth it:") + 1
    alone = _conclusion.conclusion(exact_market(Arrays), ["personalized"], CLAIMS[:3], outlooks).words
    assert "No search." in alone
    assert "A longer one is worth it:" not in alone
    decided = _conclusion.conclusion(
        exact_market(Arrays), ["personalized"], [*CLAIMS, silence("personalized", "a")]
    ).words
    assert not any("open" in word for word in decided)


def test_worst_equilibria_of_users_who_share_decide_what_the_guarantee_does_not():
    searched = [claim("worst/anonymous/user 0", lower=0.995, upper=1.0)]
    searched += [claim("worst/anonymous/user 2", lower=0.5, upper=0.75)]
    found = sentences([*CLAIMS, *searched])
    assert found[0] == ("User 0 is served either way (worst: 100 % personalized, 99 to 100 % anonymous).")
    assert found[2] == "User 2 is served neither way (worst: 50 to 75 % personalized, 0 to 50 % anonymous)."
    # They say nothing of other segments.
    assert sentences([*CLAIMS, claim("worst/segmented/user 0", lower=1.0)])[0] == sentences(CLAIMS)[0]


def test_silence_that_is_an_equilibrium_serves_nobody():
    found = sentences([*CLAIMS, silence("anonymous", "a")], names=["Ann", "Bo", "Cy", "Di"])
    assert found[2] == "Cy is served neither way (worst: 50 to 75 % personalized, 0 % anonymous)."


def test_segments_have_words_of_their_own():
    found = sentences([claim("guarantee/segmented/user 0", lower=1.0)], ["segmented"])
    assert found[0] == "User 0 is served with these segments (worst: 100 % segmented)."
    open_one = "User 1 may be served or not with these segments: that is not known (worst: 0 to 100 % segmented)."
    assert found[1] == open_one


def test_words_and_levels_are_those_of_a_study():
    """The checker imports nothing of what it checks, so that it says the same again."""
    assert (float(_conclusion.SERVED), float(_conclusion.ZERO)) == (SERVED, ZERO)
    decided = (_sentences._EITHER, _sentences._PERSONALIZED, _sentences._ANONYMOUS, _sentences._NEITHER)
    said = {each.one for each in decided} | set(_sentences._HALF.values())
    assert set(_conclusion._BOTH.values()) == said


@pytest.mark.parametrize("counted", ["2 claims: 2 PROVED."])
def test_a_certificate_begins_with_it(counted):
    end = _conclusion.conclusion(exact_market(Arrays), ["personalized"], CLAIMS)
    proof = Section("Proof", [], [claim("one", lower=0.0), claim("two", upper=1.0)])
    lines = str(Certificate("market", ["words"], [end, proof])).splitlines()
    assert lines[:4] == ["market", "", "Conclusion", f"   {end.words[0]}"]
    assert lines.index(f"   {counted}") < lines.index("words") < lines.index("1. Proof")
    assert lines[-1] == counted


def test_what_is_marked_is_what_is_counted():
    """A question's parts have no verdicts, and reasons do not repeat them; what is brief leaves out what is proved."""
    wide = claim("one", lower=0.0, upper=1.0)
    question = Question("two", "silence is no delta-equilibrium, anonymous", "PROVED", "somebody gains", [wide])
    end = _conclusion.conclusion(exact_market(Arrays), ["personalized"], [*CLAIMS, silence("personalized", "a")])
    certificate = Certificate("market", [], [end, Section("Proof", [], [wide, question])])
    text, brief = str(certificate), certificate.brief()
    for shown, proved in ((text, 1), (brief, 0)):
        lines = shown.splitlines()
        assert "   2 claims: 1 PROVED, 1 OPEN." in lines
        assert sum(line.endswith(" OPEN") for line in lines) == 1
        assert sum(line.endswith(" PROVED") for line in lines) == proved
        assert "     why: both ends hold, but are 1 apart (needed: at most 1e-06)" in lines
    assert text.count("by hand") == 4
    assert "by hand" not in brief
    assert not certificate.is_proved


def test_a_conclusion_does_not_rest_on_what_is_open():
    told = [claim(f"guarantee/personalized/user {user}", lower=1.0) for user in range(3)]
    for claims, wanted in ((told, False), ([*told, claim("one", lower=0.0, upper=1.0)], True), (told[1:], False)):
        words = _conclusion.conclusion(exact_market(Arrays), ["personalized"], claims).words
        assert (_conclusion._APART in words) is wanted


def test_names_are_those_of_a_list():
    names = Names(["Ann", "Bo", "Cy\n"], ["Zoe", "Max"], ["tea", "coffee"])
    assert (names.user(0), names.provider(1), names.action(1)) == ("Ann", "Max", "coffee")
    assert names.several([0, 2]) == "Ann and Cy\\n"
    assert names.either([0, 1]) == "Zoe or Max"
    assert Names().several([0, 1, 2]) == "users 0-2"
    assert Names(["x"] * 10).several(list(range(10))).endswith("x and 3 others")
