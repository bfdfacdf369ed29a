"""Markets whose users nearly tie, of any size and with any constant: what is proved of them is true, to the last digit.

The judge is an independent twin in rational arithmetic. Whether a claim is proved or open depends on what float64
proposes; what it says does not.
"""

import re
from fractions import Fraction

import near_ties
import numpy as np
import pytest
import rational_oracle as oracle

import pluraljax as plx
from pluraljax._certify import _run
from pluraljax._certify._market import exact_market
from pluraljax._status import Status

QUICK, DRAWN = 4, 50


def near_tie(seed, users=1, providers=2):
    """Small integers, some moved by up to 1e-6 of their range, plus a constant, times a scale."""
    generator = np.random.default_rng(seed)
    user = generator.integers(-1, 2, size=(users, 3, 2)).astype(float)
    provider = generator.integers(-2, 3, size=(providers, users, 3, 2)).astype(float)
    gap = generator.choice([0.0, 10.0 ** generator.uniform(-18, -6), 2.0 ** -generator.integers(20, 53)])
    user += gap * generator.integers(-1, 2, size=user.shape)
    provider += generator.choice([0.0, gap]) * generator.integers(-1, 2, size=provider.shape)
    constant = generator.choice([0.0, 1.0, 1e3, 1e6, 1e9, 1e12], size=2) * generator.choice([-1.0, 1.0], size=2)
    scale = 10.0 ** generator.choice([0.0, -300.0, -150.0, 150.0, 290.0], size=2, p=[0.6, 0.1, 0.1, 0.1, 0.1])
    prior = generator.choice(np.array([0.5, 0.25, 0.3, 1e-3, 1e-9]))
    return plx.observed_market(
        (user + constant[0]) * scale[0], (provider + constant[1]) * scale[1], prior=np.array([1 - prior, prior])
    )


def ends(claim):
    return {bound.side: bound.value for bound in claim.bounds}


def judge(market, delta=Fraction(0)):
    """Certifies a market, and holds every sentence against the twin; returns the verdicts."""
    certificate = plx.certify(market, delta=float(delta))
    users, providers = market.num_users, market.num_providers
    everybody = list(range(users))
    for claim in certificate.claims:
        kind, *rest = re.sub(r"(user|users|provider) ", "", claim.key).split("/")
        if kind in ("weak", "strong"):
            error = oracle.alignment_error(market, everybody if kind == "strong" else [int(rest[0])])
            found = ends(claim)
            # Weights up to a cap may do worse than all of them, never better.
            assert error <= found["upper"]
            assert found["lower"] <= error or "for weights up to" in claim.statement
        elif kind in ("guarantee", "theorem"):
            regime, user = rest[0], int(rest[1])
            value = oracle.guarantee(market, [user] if regime == "personalized" else everybody, user, delta)
            assert ends(claim)["lower"] <= value <= ends(claim).get("upper", value)
        elif kind == "most":
            stakes = oracle.stakes_of(market, int(rest[1]))
            most = stakes.most(stakes.provider[int(rest[0])], stakes.silent)
            assert most is not None
            assert ends(claim)["lower"] <= most <= ends(claim)["upper"]
        elif kind == "worst" and rest[0] != "anonymous":
            judge_worst(market, int(rest[0]), claim, delta)
        elif kind == "worst":
            judge_shared(market, int(rest[1]), claim, certificate)
        elif rest[0] == "personalized":
            judge_silence(market, claim, delta, everybody, range(providers))
    return certificate


def slack_of(market, user, delta, least):
    """What providers may leave with a user; never less than the share `least` of their ranges."""
    values = np.vectorize(Fraction, otypes=[object])(np.asarray(market.provider_value)[:, user])
    spread = [max(max(state) - min(state) for state in rows.T.tolist()) for rows in values]
    return [max(delta / Fraction(float(market.mass[user])), least * s) for s in spread]


def judge_worst(market, user, claim, delta):
    stakes, found = oracle.stakes_of(market, user), ends(claim)
    read = Fraction(1e-9) if "counting as 1e-9" in claim.statement else Fraction(0)
    assert stakes.silent <= found["lower"]
    assert found["upper"] == stakes.aligned or stakes.has_equilibrium(
        found["upper"], slack_of(market, user, delta, read)
    )
    for share in (Fraction(0), Fraction(1, 2), 1 - Fraction(1, 10**9)):
        level = stakes.silent + share * (found["lower"] - stakes.silent)
        if stakes.silent <= level < found["lower"]:
            assert not stakes.has_equilibrium(level, slack_of(market, user, delta, read))


def judge_shared(market, user, claim, certificate):
    """Nobody gets less than in silence or more than there is, and no equilibrium is below what another claim proves."""
    stakes, found = oracle.stakes_of(market, user), ends(claim)
    assert stakes.silent <= found["lower"] <= stakes.aligned
    assert found["lower"] <= found["upper"] <= stakes.aligned
    assert found["upper"] >= ends(certificate.claim(f"guarantee/anonymous/user {user}"))["lower"]
    silence = certificate.claim("silence/anonymous")
    if silence.verdict == "PROVED" and "silence is a " in silence.statement and "delta >=" not in silence.statement:
        assert found["lower"] == stakes.silent


def judge_silence(market, question, delta, users, providers):
    gains = {i: sum(oracle.silence_gain(market, j, i) for j in users) for i in providers}
    for claim in question.claims:
        provider = int(claim.key.rsplit(" ", 1)[1])
        assert ends(claim)["lower"] <= gains[provider] <= ends(claim)["upper"]
    if question.verdict != "PROVED":
        return
    if "is no delta" in question.statement:
        assert max(gains.values()) > delta
    else:
        stated = re.search(r"delta >= ([0-9.e+-]+)", question.statement)
        assert max(gains.values()) <= (Fraction(stated.group(1).rstrip(".")) if stated else delta)


@pytest.mark.parametrize("seeds", [range(QUICK), pytest.param(range(QUICK, DRAWN), marks=pytest.mark.slow)], ids=str)
def test_nothing_false_is_proved_of_near_ties(seeds):
    for seed in seeds:
        judge(near_tie(seed), delta=Fraction(0) if seed % 3 else Fraction(1, 128))


def test_exact_arithmetic_decides_what_float64_is_in_doubt_about():
    """Whether two actions tie hangs on what a sum was rounded to; the numbers that are stored say that they do not."""
    rng = np.random.default_rng(0)
    clear, *_, market = [near_ties.draw(rng)[0] for _ in range(118)]
    found = plx.guarantee(market, plx.personalized(2))
    assert Status(int(found.status[1])) == Status.IN_DOUBT
    assert "IN_DOUBT] (plx.certify may decide it)" in repr(found)
    assert "(plx.certify" not in repr(plx.guarantee(clear, plx.personalized(2)))
    section = _run._promise_section(market, exact_market(market), "personalized", (0, 1), [], Fraction(0))
    claim = section.claims[1]
    assert (claim.key, claim.verdict) == ("guarantee/personalized/user 1", "PROVED")
    value = oracle.guarantee(market, [1], 1, Fraction(0))
    assert ends(claim)["lower"] <= value <= ends(claim)["upper"]
    assert ends(claim)["upper"] < float(found.upper[1]) - 1e-7


@pytest.mark.slow
def test_nothing_false_is_proved_of_users_who_share():
    for seed in range(5):
        judge(near_tie(seed, users=2))


@pytest.mark.slow
def test_a_floor_is_that_of_her_only_best_action():
    """The first action is better by 5e-7 of 1e6: nothing else is optimal, and the provider's floor keeps her there."""
    user = np.array([[[1, 0], [1 - 5e-7, 0], [0, 1.0]]]) + 1e6
    market = plx.observed_market(user, np.array([[[[10, 0], [0, 0], [0, 0.0]]]]))
    claim = judge(market).claim("guarantee/personalized/user 0")
    assert ends(claim)["lower"] == oracle.guarantee(market, [0], 0, Fraction(0)) == 10**6 + Fraction(1, 2)


@pytest.mark.slow
def test_an_upper_end_is_no_lower_for_a_near_tie():
    user, provider = [[1 + 2**-41, 0], [1, 0], [0, 1]], [[1, 0], [-9, 0], [0, 1]]
    market = plx.observed_market(np.array([user], float), np.array([[provider]], float))
    exact = oracle.guarantee(market, [0], 0, Fraction(0))
    assert exact > Fraction(99, 100)
    assert ends(judge(market).claim("guarantee/personalized/user 0"))["upper"] >= exact
