"""Studies of markets whose answer is known by hand: two users, two providers, two actions, two states.

The users want to be right about the state: silence is worth 1/2 and all the evidence 1. `v_ij = s_ij u` for a matrix s.
"""

import ast
import io
import json
import re
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

import pluraljax as plx
from pluraljax._calls import asked_again
from pluraljax._cli._parser import build_parser
from pluraljax._study._sentences import sentence_of_halves
from pluraljax._worst_shared._outlook import Ran, outlook_of

RIGHT = np.eye(2)
SILENT, ALIGNED = 0.5, 1.0
NAMES = {"users": ["Ann", "Bo"], "providers": ["Zoe", "Max"]}
SHOP = Path(__file__).parents[2] / "docs/examples/shop.csv"

ALIKE = [[1, 1], [1, 1]]
# Each user has a friend and a foe who cares more (docs/mathematics.md, section 8).
OPPOSED = [[1, -2], [-2, 1]]
# Any policy is worth the same to both, and the second user counts for more (section 11).
PROTECTED = [[-1, 2], [-1, 2]]
FOES = [[-1, -1], [-1, -1]]


def market(factors, user=RIGHT):
    factors = np.array(factors, float)
    return plx.observed_market(np.stack([user] * 2), factors[:, :, None, None] * RIGHT)


@pytest.fixture(scope="module")
def answers():
    cases = {"alike": ALIKE, "opposed": OPPOSED, "protected": PROTECTED, "foes": FOES}
    return {name: plx.study(market(factors), NAMES) for name, factors in cases.items()}


def worst(scheme):
    return np.stack([scheme.lower, scheme.upper])


def test_everybody_is_served_by_aligned_providers(answers):
    found = answers["alike"]
    assert found.sentence == "Everyone is served either way."
    assert [user.sentence for user in found.users] == ["Ann is served either way.", "Bo is served either way."]
    assert re.fullmatch(
        r"Strong alignment holds: (Zoe|Max) wants what every user wants, with .* for all\.", *found.reasons
    )
    np.testing.assert_allclose(worst(found.personalized), ALIGNED, atol=1e-6)
    np.testing.assert_allclose(worst(found.anonymous), ALIGNED, atol=1e-6)
    assert found.is_decided
    assert found.changes == (
        "If policies are personalized, either one of Zoe and Max (not both) could leave without a change in who is "
        "served.",
    )


def test_opposed_providers_need_personalization(answers):
    found = answers["opposed"]
    assert found.sentence == "Everyone is served only if policies are personalized."
    assert found.users[0].sentence == "Ann is served only if policies are personalized."
    np.testing.assert_allclose(worst(found.personalized), ALIGNED, atol=1e-6)
    np.testing.assert_allclose(worst(found.anonymous), SILENT, atol=1e-3)
    assert found.users[0].weak_weights == pytest.approx({"Zoe": 1.0, "Max": 0.0}, abs=1e-6)
    assert found.users[1].weak_weights == pytest.approx({"Zoe": 0.0, "Max": 1.0}, abs=1e-6)
    assert found.users[0].reasons[0] == "Personalized: Zoe wants what she wants."
    assert found.users[1].reasons[0] == "Personalized: Max wants what she wants."
    assert found.users[0].reasons[1].startswith("Anonymous: an equilibrium gives her no more than silence: ")
    # Half the range of u: section 8.
    assert found.strong_error == pytest.approx((0.5, 0.5), abs=1e-6)
    assert found.reasons[1] == "Strong alignment does not hold: one mixture for all misses somebody by 0.5 or more."
    # The other one is her foe.
    assert "Without Zoe, Ann would no longer be served if policies are personalized." in found.changes
    assert "Without Max, Bo would no longer be served if policies are personalized." in found.changes
    # In a public silence nobody gains; alone with Ann, Zoe does by telling her everything.
    assert (found.personalized.silence, found.anonymous.silence) == (False, True)


def test_anonymity_protects(answers):
    found = answers["protected"]
    assert found.sentence == "Ann is served only if policies are anonymous; Bo is served either way."
    np.testing.assert_allclose(worst(found.personalized), [[SILENT, ALIGNED]] * 2, atol=1e-6)
    np.testing.assert_allclose(worst(found.anonymous), ALIGNED, atol=1e-3)
    assert (found.personalized.everybody, found.anonymous.everybody) == (False, True)
    assert found.reasons[0] == "Weak alignment holds for Bo, and not for Ann."
    # The best fit of nothing but foes is no weight at all: half the range.
    assert found.users[0].weak_error == pytest.approx((0.5, 0.5), abs=1e-6)


def test_nobody_is_served_by_foes(answers):
    found = answers["foes"]
    assert found.sentence == "Nobody is served, whether policies are personalized or anonymous."
    assert found.users[1].sentence == "Bo is served neither way."
    np.testing.assert_allclose(worst(found.personalized), SILENT, atol=1e-6)
    np.testing.assert_allclose(worst(found.anonymous), SILENT, atol=1e-3)
    assert (found.personalized.silence, found.anonymous.silence) == (True, True)
    assert found.is_decided


def test_payments_that_align_are_certified(answers):
    """With them the alignment error is 0: asked of the question itself."""
    found = answers["foes"].interventions["payments"]["anonymous"]
    paid = plx.tuning.least_subsidy(market(FOES), plx.anonymous(2))
    assert found["served"]
    assert found["cost"] == pytest.approx(float(paid.cost), rel=1e-6)
    most = found["largest"]
    assert abs(most["payment"]) == pytest.approx(float(np.abs(np.asarray(paid.payment)).max()), rel=1e-6)
    place = [list(getattr(answers["foes"].names, f"{axis}s")).index(most[axis]) for axis in ("user", "action", "state")]
    assert most["payment"] == pytest.approx(float(np.asarray(paid.payment)[tuple(place)]), abs=1e-6)
    assert answers["foes"].changes[1].endswith("Then everyone is served for sure; less may be enough for that.")
    # The least that alignment weights of 100 allow: nobody is paid for more than that.
    assert found["beta"] == pytest.approx(0.01, rel=1e-3)


def test_whoever_cannot_gain_by_conversation_is_served():
    """Her best action is the same in both states; the other user is as before."""
    both = np.stack([[[2.0, 1.0], [0.0, 0.0]], RIGHT])
    given = plx.observed_market(both, np.stack([-both] * 2))
    found = plx.study(given, NAMES)
    assert found.sentence == "Ann is served either way; Bo is served neither way."
    assert found.users[0].reasons == ("Nothing that she could be told is worth anything to her.",)
    assert np.isnan(found.users[0].personalized_share).all()
    assert found.as_data()["users"][0]["personalized_share"] == [None, None]
    assert "Ann   yes     -         -      yes     -         -" in str(found)
    text = " ".join(str(found).split())
    assert "Signs: - nothing that she could be told is worth anything to her. Expected payoffs" in text
    assert "Signs: - nothing that" in found._repr_html_()


def test_what_is_known_leads_where_no_search_decides():
    found = plx.study(market(PROTECTED), NAMES, budget=0)
    assert found.users[0].sentence == (
        "Ann is not served if policies are personalized; if they are anonymous, that is not known."
    )
    assert found.sentence == "Personalized: Bo is served; Ann is not. Anonymous: not known for anybody."
    assert found.users[0].reasons[1] == (
        "Anonymous: undecided, her worst equilibrium gives her between 0 % and 100 % of the way."
    )
    (outlook,) = found.outlooks
    assert outlook.sentence.endswith("No search was asked for; one of 500 parts may settle it:")
    assert "\n  plx.study(market, names=names, budget=500)\n" in str(found)
    assert "<code>plx.study(market, names=names, budget=500)</code>" in found._repr_html_()
    assert found.as_data()["outlooks"] == [{"sentence": outlook.sentence, "budget": 500}]
    assert not found.is_decided
    assert found.users[0].anonymous_served is None


@pytest.mark.parametrize(
    ("apart", "together", "wanted"),
    [
        (
            (1, 1, 1),
            (1, -1, 0),
            "Personalized: everyone is served. Anonymous: Ann is served; Cy is not; not known for Bo.",
        ),
        ((-1, -1, 1), (0, 0, 0), "Anonymous: nobody is served. Personalized: Cy is served; not known for Ann and Bo."),
        (
            (0, 1, 1),
            (0, 0, -1),
            "Personalized: Bo and Cy are served; Ann is not. Anonymous: Ann and Bo are not served; not known for Cy.",
        ),
        (
            (1, -1, -1),
            (1, 1, -1),
            "Personalized: Ann is served; not known for Bo and Cy. Anonymous: Ann and Bo are served; not known for Cy.",
        ),
    ],
)
def test_each_half_has_its_sentence_and_the_known_one_comes_first(apart, together, wanted):
    assert sentence_of_halves(("Ann", "Bo", "Cy"), np.array(apart), np.array(together)) == wanted


HARDLY = "A longer search is hardly worth it: the last half of 5,000 parts told next to nothing more"
WORTH = "A longer search is worth it: the last half of"


@pytest.mark.parametrize(
    ("providers", "ran", "budget", "wanted"),
    [
        (3, Ran(0, False, False, False, 0.0), 500, "No search was asked for; one of 500 parts may settle it:"),
        (
            3,
            Ran(48, True, True, False, 0.48),
            500,
            "Only 48 parts were looked at; 500 (about 5 seconds) may settle it:",
        ),
        (
            3,
            Ran(500, True, True, True, 2.0),
            2000,
            f"{WORTH} 500 parts still told more, and 2,000 (about 8 seconds) may settle it:",
        ),
        (3, Ran(5152, True, True, True, 60.0), 30000, "5,152 parts still told more, and 30,000 (about 6 minutes) may"),
        (2, Ran(40000, True, True, True, 1600.0), 200000, "and 200,000 (about 3 hours) may settle it:"),
        (2, Ran(500, True, True, True, 0.05), 2000, "and 2,000 (about a second) may settle it:"),
        (
            3,
            Ran(5000, True, True, False, 100.0),
            20000,
            f"{HARDLY}, which with several providers is often so, whatever the budget. All the same, this asks for "
            "20,000 (about 7 minutes):",
        ),
        (1, Ran(5000, True, True, False, 10.0), 20000, f"{HARDLY}. All the same, this asks for 20,000"),
        (3, Ran(5000, True, False, True, 1.0), None, "The search came to its end, and no larger budget tells more."),
        (
            3,
            Ran(500, False, False, False, 0.1),
            None,
            "Near-ties, or too many signals, rule a search out, and no budget",
        ),
    ],
)
def test_whether_a_longer_search_is_worth_it_is_said_with_its_time(providers, ran, budget, wanted):
    asked = market([OPPOSED[0]] * providers)
    said = outlook_of(asked, (0, 0), ran)
    assert wanted in said.sentence
    assert said.sentence.startswith("Where something is not known, both ends of the bracket hold all the same.")
    assert said.sentence.endswith(":") is (said.budget is not None)
    assert said.budget == budget


def test_a_market_may_be_too_large_for_any_search():
    many = plx.observed_market(np.stack([RIGHT] * 9), np.ones((2, 9, 2, 2)))
    for segments, wanted in (((0,) * 9, "The market is too large"), (tuple(range(9)), "The search came to its end")):
        assert wanted in outlook_of(many, segments, Ran(500, True, False, False, 0.1)).sentence


@pytest.mark.parametrize(
    ("file", "options", "wanted"),
    [
        ("shop.csv", {}, "pluraljax certify shop.csv"),
        ("my shop's.csv", {"delta": 1e-07}, """pluraljax certify 'my shop'"'"'s.csv' --delta 1e-07"""),
        ("-shop.csv", {"budget": 700, "delta": None}, "pluraljax certify ./-shop.csv --budget 700"),
        (
            "a/b.csv",
            {"segments": (0, 0, 1), "weights": "hull"},
            "pluraljax certify a/b.csv --segments 0,0,1 --weights hull",
        ),
        (None, {"budget": 700}, "plx.certify(market, names=names, budget=700)"),
        (
            None,
            {"segments": (0, 1), "weights": "hull"},
            "plx.certify(market, names=names, segments=[0, 1], weights='hull')",
        ),
    ],
)
def test_commands_and_calls_can_be_copied(file, options, wanted):
    said = asked_again("certify", file, options, has_names=True)
    assert said == wanted
    if file is None:
        assert "names" not in asked_again("certify", file, options)
        ast.parse(said)
    else:
        parsed = build_parser().parse_args(shlex.split(said)[1:])
        assert parsed.market.removeprefix("./") == file


def test_conditions_that_nobody_needs_are_no_bad_news(answers):
    """Everybody is served without one mixture for both; the other half goes by weak alignment, and not everybody is."""
    assert answers["protected"].reasons[1] == (
        "Strong alignment is not needed here: anonymous policies serve everyone, though one mixture for all misses "
        "somebody by 0.5 or more."
    )
    assert answers["protected"].personalized.everybody is False


def test_the_columns_and_the_way_to_a_proof_are_said(answers):
    text = str(answers["opposed"])
    assert "At least: a bound that needs no search. Worst: what the worst equilibrium gives" in text
    assert text.endswith("To prove it again in exact arithmetic:\n  plx.certify(market, names=names)")
    patient = plx.study(market(PROTECTED), NAMES, budget=700, delta=0.001)
    assert patient.parts == 700
    assert str(patient).endswith("plx.certify(market, names=names, delta=0.001, budget=700)")
    filed = plx.study(market(PROTECTED), budget=700, delta=0.001, file="my shop.csv")
    assert str(filed).endswith("\n  pluraljax certify 'my shop.csv' --delta 0.001 --budget 700")


def test_signs_are_explained_where_they_occur(answers):
    plain = " ".join(str(answers["opposed"]).split())
    assert "Signs:" not in plain + answers["opposed"]._repr_html_()
    assert ("Cost: half the sum" in plain) is ("the least payments for what" in plain)
    assert "Cost: half the sum" not in str(answers["alike"])
    found = plx.study(market(PROTECTED), NAMES, budget=0)
    unknown = "Signs: ? not known; both ends of her worst equilibrium are proved all the same"
    idle = replace(found.users[0], personalized_share=(np.nan, np.nan), anonymous_share=(np.nan, np.nan))
    both = replace(found, users=(idle, found.users[1]))
    also = "; - nothing that she could be told is worth anything to her"
    for answer, wanted in ((found, f"{unknown}."), (both, f"{unknown}{also}.")):
        assert wanted in " ".join(str(answer).split())
        assert f"<p>{wanted}</p>" in answer._repr_html_()
    assert "Cost: half the sum of the squared payments" in str(answers["foes"])
    assert "Cost: half the sum of the squared payments" in answers["foes"]._repr_html_()
    assert max(map(len, str(found).splitlines())) <= 80


def test_units_and_constants_do_not_matter(answers):
    """Positive scales of users and providers, and what is the same for all actions in a state."""
    for name, factors in (("opposed", OPPOSED), ("protected", PROTECTED), ("foes", FOES)):
        before = market(factors)
        user = np.asarray(before.user_value) * np.array([3.0, 0.25])[:, None, None] + np.array([7.0, -2.0])
        provider = np.asarray(before.provider_value) * np.array([5.0, 0.5])[:, None, None, None] + np.array([-4.0, 1.0])
        after = plx.study(plx.observed_market(user, provider), NAMES)
        assert after.sentence == answers[name].sentence
        assert [each.sentence for each in after.users] == [each.sentence for each in answers[name].users]
        for one, other in zip(after.users, answers[name].users, strict=True):
            assert one.personalized_share == pytest.approx(other.personalized_share, abs=1e-5)
            assert one.anonymous_share == pytest.approx(other.anonymous_share, abs=1e-3)


def test_order_does_not_matter(answers):
    factors = np.array(PROTECTED)[::-1, ::-1]
    after = plx.study(market(factors), {"users": ["Bo", "Ann"], "providers": ["Max", "Zoe"]})
    assert after.sentence == "Bo is served either way; Ann is served only if policies are anonymous."
    before = {user.name: (user.sentence, user.anonymous_share) for user in answers["protected"].users}
    for user in after.users:
        assert user.sentence == before[user.name][0]
        assert user.anonymous_share == pytest.approx(before[user.name][1], abs=1e-3)


@pytest.mark.slow  # compiles for a single provider
def test_a_copy_may_compete_with_the_only_provider():
    """Two copies who offer the same have nothing to gain from each other's users (mathematics.md, section 9)."""
    found = plx.study(plx.observed_market(RIGHT[None], np.stack([-RIGHT])[None]), {"providers": ["Zoe"]})
    assert found.changes[-1] == (
        "A copy of Zoe to compete with it would change nothing in who is served if policies are personalized."
    )
    # The prosecutor leaves the judge what silence is worth: Kamenica and Gentzkow's example.
    convict = np.zeros((1, 1, 2, 2))
    convict[:, :, 1] = 1.0
    found = plx.study(plx.observed_market(RIGHT[None], convict, np.array([0.7, 0.3])), {"users": ["judge"]})
    assert found.sentence == "judge is served neither way."
    assert found.users[0].personalized_worst == pytest.approx((0.7, 0.7), abs=1e-6)


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ({"market": 3}, "market must be a Market"),
        ({"delta": -1.0}, "delta must be >= 0, got -1"),
        ({"delta": float("inf")}, "delta must be finite"),
        ({"budget": -1}, "budget must be a number of parts >= 0, got -1"),
        ({"seconds": -1}, "seconds must be a finite number of seconds >= 0, got -1"),
        ({"market": "shop.csv"}, "got the path 'shop.csv': plx.files.load_named_market reads market and names"),
        ({"budget": True}, "budget must be a number of parts >= 0, got True"),
        ({"names": 3}, "names must be a MarketNames, or a mapping with lists of names, got 3"),
        ({"names": {"user": ["Ann", "Bo"]}}, "names has the key 'user'. Did you mean 'users'?"),
        ({"names": {"users": "AB"}}, "names of users must be a list of texts, got 'AB'"),
        ({"names": {"users": ["Ann"]}}, "names of users must be 2, as many as the market has, got 1"),
        ({"names": {"users": ["Ann", "Ann"]}}, "names of users must differ, got 'Ann' twice"),
    ],
)
def test_wrong_arguments_are_named(arguments, wanted):
    with pytest.raises(ValueError, match=re.escape(wanted)):
        plx.study(**{"market": market(ALIKE)} | arguments)


def test_markets_that_make_no_sense_are_named():
    bad = np.stack([RIGHT] * 2)
    bad[0, 0, 0] = np.nan
    with pytest.raises(ValueError, match=r"NOT_FINITE \(user_value\): An array holds NaN"):
        plx.study(plx.observed_market(bad, np.zeros((2, 2, 2, 2))))
    with pytest.raises(ValueError, match="PRIOR_NOT_NORMALISED: A user's prior"):
        plx.study(plx.observed_market(np.stack([RIGHT] * 2), np.zeros((2, 2, 2, 2)), np.array([0.5, 0.4])))
    batch = jax.tree.map(lambda leaf: leaf[None], market(ALIKE))
    with pytest.raises(ValueError, match="market must be one market"):
        plx.study(batch)
    with pytest.raises(ValueError, match="study works on one market with concrete arrays"):
        jax.jit(lambda given: plx.study(given).personalized.lower)(market(ALIKE))


def test_names_do_nothing_where_they_are_shown():
    evil = "\x1b[31mAnn\x1b[0m\nBo is served <b>"
    found = plx.study(market(PROTECTED), {"users": [evil, "B" * 300], "providers": ["<script>", "Max"]})
    text, page = str(found), found._repr_html_()
    assert "\x1b" not in text + page
    assert r"\x1b[31mAnn" in text
    assert "<script>" not in page
    assert "<b>B" not in page
    assert "&lt;" in page
    assert max(map(len, text.splitlines())) <= 80


def test_tables_are_narrow_whatever_is_in_them():
    scale = np.array([1e30, 1e-30])[:, None, None]
    given = plx.observed_market(-1.23456789 * scale * np.stack([RIGHT[::-1]] * 2), market(OPPOSED).provider_value)
    text = str(plx.study(given, {"users": ["A rather long name of a user", "Another one, longer by far than that"]}))
    assert max(map(len, text.splitlines())) <= 80


def test_everything_is_plain_data(answers):
    for found in answers.values():
        text = json.dumps(found.as_data(), allow_nan=False)
        back = json.loads(text)
        assert back["sentence"] == found.sentence
        assert [user["name"] for user in back["users"]] == ["Ann", "Bo"]
    assert back["anonymous"] == {"everybody_served": False, "silence_is_an_equilibrium": True}
    assert repr(found) == str(found)


def test_rows_become_a_data_frame(answers):
    pytest.importorskip("pandas")
    frame = answers["opposed"].to_pandas()
    assert list(frame.index) == ["Ann", "Bo"]
    assert frame.loc["Ann", "weak_weights of Zoe"] == pytest.approx(1.0)
    assert frame.loc["Bo", "personalized_share_lower"] == pytest.approx(1.0, abs=1e-5)
    frame.to_csv(io.StringIO())


def test_without_pandas_there_is_no_data_frame(answers, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="to_pandas needs pandas, which is not installed"):
        answers["foes"].to_pandas()


def test_what_a_file_without_a_prior_stands_for_is_said(answers, tmp_path):
    assert "states (equally likely)" in str(answers["opposed"]).partition("\n")[0]
    assert "All states are equally likely." in answers["opposed"]._repr_html_()
    assert answers["opposed"].as_data()["equally_likely"] is True
    shop, names = plx.files.load_named_market(SHOP)
    found = plx.study(shop, names, budget=0)
    assert str(found).startswith("A market of 5 users, 3 providers, 4 actions, 3 states\n")
    assert found.as_data()["equally_likely"] is False


def test_the_payment_that_is_said_is_that_of_tuning():
    """`docs/study.md` shows the call."""
    shop, names = plx.files.load_named_market(SHOP)
    dev, payment = names.users.index("Dev"), plx.study(shop, names, budget=0).interventions["payments"]["personalized"]
    found = plx.tuning.least_subsidy(shop, plx.personalized(5))
    assert payment["users"] == ["Dev"]
    assert payment["cost"] == pytest.approx(
        0.5 * float(shop.mass[dev]) * np.sum(np.asarray(found.payment[dev]) ** 2), rel=1e-6
    )
