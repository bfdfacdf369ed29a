"""The exact checker against HiGHS: right numbers for good candidates, wider ones for changed ones, never wrong ones."""

from fractions import Fraction
from functools import cache

import equinox as eqx
import jax
import numpy as np
import oracles
import pytest
from frontier_oracle import FrontierOracle

import pluraljax as plx
from pluraljax import _proposals
from pluraljax._certify._alignment._claims import check_alignment, theorem_claims
from pluraljax._certify._alignment._errors import allowed_weights, error_below, errors_at, lay_out
from pluraljax._certify._frontier._claims import monopoly_claim, worst_claim
from pluraljax._certify._frontier._curves import Frontiers, chain, equilibrium_at
from pluraljax._certify._guarantee._claims import guarantee_claim
from pluraljax._certify._guarantee._ends import guarantee_above, guarantee_below, segment_of
from pluraljax._certify._market import exact_market
from pluraljax._certify._outcomes import is_compatible
from pluraljax._certify._rational import candidate, exact

# HiGHS stops at 1e-10, in units of payoffs of order one.
CLOSE = 1e-8
DELTA = 0.02
CONDITION = {"hull": False, "offset": "constant", "free_scale": False}


def draw(seed, providers=2, users=6, types=1, states=3, actions=3):
    """Normal payoffs; providers see the state, and with several types users see something of it."""
    generator = np.random.default_rng(seed)
    prior = generator.dirichlet(np.ones(types * states), size=users).reshape(users, types, states, 1) * np.eye(states)
    user = generator.normal(size=(users, actions, states))
    provider = 0.4 * user + generator.normal(size=(providers, users, actions, states))
    return plx.Market(prior, user, provider, generator.uniform(0.5, 2.0, size=users))


def personalized(market):
    return tuple(range(market.num_users))


@cache
def setting():
    """One market with everything that is proposed for it."""
    market = draw(0)
    proposals = {
        "fits": _proposals.propose_fits(market, personalized(market)),
        "guarantees": _proposals.propose_guarantees(market, personalized(market), DELTA),
        "persuasion": _proposals.propose_persuasion(market),
        "frontiers": _proposals.propose_frontiers(market, DELTA),
    }
    return market, exact_market(market), proposals


def fit_claim(market, proposal):
    return check_alignment(market, proposal, "weak", **CONDITION).claim


def ends(claim):
    return {bound.side: float(bound.value) for bound in claim.bounds}


def contains(claim, value, slack=CLOSE):
    found = ends(claim)
    return found["lower"] - slack <= value <= found["upper"] + slack and found["upper"] - found["lower"] < 1e-6


def frontier_oracle(market, user):
    stakes = plx.stakes(market)
    return FrontierOracle(np.asarray(stakes.user)[user], np.asarray(stakes.provider)[:, user])


def patience_of(market, user, delta):
    values = np.asarray(market.provider_value)[:, user]
    spread = np.ptp(values, axis=1).max(axis=1)
    return np.maximum(delta / np.asarray(market.mass)[user], 1e-9 * spread)


def check_worst(market, claim, user, delta):
    """At the upper end the oracle finds an equilibrium, at levels below the lower end none."""
    oracle, slack = frontier_oracle(market, user), patience_of(market, user, delta)
    span, found = oracle.aligned - oracle.silent, ends(claim)
    assert claim.verdict == "PROVED", claim.reason
    assert oracle.silent - 1e-9 <= found["lower"] <= found["upper"] <= oracle.aligned + 1e-9
    assert found["upper"] >= oracle.aligned - 1e-6 * span or oracle.has_equilibrium(found["upper"], slack + 1e-8)
    for level in np.linspace(oracle.silent, found["lower"] - 1e-5 * span, 6):
        assert found["lower"] <= oracle.silent + 1e-5 * span + 1e-12 or not oracle.has_equilibrium(level, slack - 2e-9)


@pytest.mark.slow
def test_conditions_guarantees_and_theorems_agree_with_highs():
    market, exactly, proposals = setting()
    errors = oracles.alignment_errors(market, personalized(market))
    guarantees = oracles.guarantees(market, personalized(market), DELTA)
    for user in range(market.num_users):
        found = check_alignment(exactly, proposals["fits"][user], "weak", **CONDITION)
        promised = guarantee_claim(exactly, proposals["guarantees"][user], "personalized", Fraction(DELTA))
        (theorem,) = theorem_claims(exactly, found, "personalized", Fraction(DELTA))
        assert {found.claim.verdict, promised.verdict, theorem.verdict} == {"PROVED"}
        assert contains(found.claim, errors[user])
        assert contains(promised, guarantees[user])
        # The guarantee is at least as good as what its theorem promises.
        assert theorem.bounds[0].value <= promised.bounds[1].value


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param((1, 1, 2, 4), marks=pytest.mark.slow),
        pytest.param((4, 1, 4, 2), marks=pytest.mark.slow),
        pytest.param((2, 2, 2, 3), marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_frontiers_agree_with_highs(shape):
    providers, types, states, actions = shape
    market = draw(1, providers, 6, types, states, actions)
    exactly = exact_market(market)
    for delta in (0.0, DELTA):
        for user, proposal in enumerate(_proposals.propose_frontiers(market, delta)):
            check_worst(market, worst_claim(exactly, user, proposal, Fraction(delta)), user, delta)


@pytest.mark.slow
def test_persuasion_agrees_with_highs():
    market, exactly, proposals = setting()
    for user, proposal in enumerate(proposals["persuasion"]):
        best = frontier_oracle(market, user)._phi(-np.inf)
        for provider in range(2):
            claim = monopoly_claim(exactly, provider, user, proposal)
            assert claim.verdict == "PROVED", claim.reason
            assert contains(claim, best[provider])


def test_frontiers_of_two_providers_agree_with_highs():
    market, exactly, proposals = setting()
    for user, proposal in enumerate(proposals["frontiers"]):
        check_worst(market, worst_claim(exactly, user, proposal, Fraction(DELTA)), user, DELTA)


def noisy(generator, size, tree):
    """Adds noise to every float of a tree, and flips nothing else."""

    def change(leaf):
        leaf = np.asarray(leaf)
        return leaf + size * generator.normal(size=leaf.shape) if leaf.dtype.kind == "f" else leaf

    return jax.tree.map(change, tree)


@pytest.mark.parametrize("size", [1e-3, 1.0])
def test_changed_weights_and_multipliers_still_bound(size):
    market, exactly, proposals = setting()
    errors = oracles.alignment_errors(market, personalized(market))
    guarantees = oracles.guarantees(market, personalized(market), DELTA)
    generator = np.random.default_rng(3)
    for user in range(market.num_users):
        fit = proposals["fits"][user]
        rows = lay_out(exactly, [user], "constant")
        weights = allowed_weights(rows, noisy(generator, size, fit.weights), hull=False)
        assert float(errors_at(rows, weights, exact([1.0]))[0]) >= errors[user] - CLOSE
        below = error_below(rows, noisy(generator, size, fit.direction), hull=False, free_scale=False)
        assert float(below.bound) <= errors[user] + CLOSE
        proposal = proposals["guarantees"][user]
        segment = segment_of(exactly, [user], Fraction(DELTA))
        dual = guarantee_below(segment, 0, noisy(generator, size, proposal.multipliers))
        above, outcome = guarantee_above(segment, 0, noisy(generator, size, proposal.outcome))
        assert float(dual.bound) <= guarantees[user] + CLOSE
        assert float(above) >= guarantees[user] - CLOSE
        assert all(sum(row) == 1 and min(row) >= 0 for row in outcome.reshape(-1, outcome.shape[-1]).tolist())


@pytest.mark.parametrize("size", [1e-3, 1.0])
def test_changed_chains_outcomes_and_lines_still_bound(size):
    market, exactly, proposals = setting()
    generator = np.random.default_rng(4)
    for user, proposal in enumerate(proposals["frontiers"]):
        changed = noisy(generator, size, proposal)
        hers = exactly.outcomes_of(user)
        slack = [exactly.slack_of(i, user, Fraction(DELTA)) for i in range(2)]
        oracle = frontier_oracle(market, user)
        for points, links in ((proposal.points, changed.links), (changed.points, proposal.links)):
            frontiers = Frontiers(hers, slack, points)
            reached, _ = chain(frontiers, links)
            assert float(reached) <= proposal.upper + CLOSE
            found = equilibrium_at(frontiers, changed.outcome)
            assert is_compatible(hers.stakes, found.outcome)
            for provider in range(2):
                line = found.lines[provider]
                for level in np.linspace(oracle.silent, oracle.aligned, 4)[:-1]:
                    best = oracle._phi(level)[provider]
                    assert float(line.at(Fraction(level))) >= best - CLOSE
                    # Points lie below the curve: at their level nothing gives the provider more than the curve.
                for place in np.flatnonzero(points.known[:, provider]):
                    point = frontiers.point(provider, int(place))
                    level = min(float(point.level), oracle.aligned - 1e-9)
                    assert float(point.value) <= oracle._phi(level)[provider] + 1e-6


def planted():
    """Wrong claims: what is changed in a proposal, and which end must be found wanting."""
    silent = lambda p: np.zeros_like(p.outcome) + np.eye(p.outcome.shape[-1])[0]
    return {
        "a higher error": ("fits", "lower", lambda p: p._replace(lower=p.lower + 1e-6)),
        "a lower error": ("fits", "upper", lambda p: p._replace(upper=p.upper - 1e-6)),
        "other weights": ("fits", "upper", lambda p: p._replace(weights=p.weights + 0.1)),
        "no direction": ("fits", "lower", lambda p: p._replace(direction=0 * p.direction)),
        "a higher guarantee": ("guarantees", "lower", lambda p: p._replace(lower=p.lower + 1e-6)),
        "a lower guarantee": ("guarantees", "upper", lambda p: p._replace(upper=p.upper - 1e-6)),
        "no multipliers": ("guarantees", "lower", lambda p: p._replace(multipliers=0 * p.multipliers)),
        "an outcome that misses floors": ("guarantees", "upper", lambda p: p._replace(outcome=silent(p))),
        "a higher worst case": ("frontiers", "lower", lambda p: p._replace(lower=p.lower + 1e-6)),
        "a lower worst case": ("frontiers", "upper", lambda p: p._replace(upper=p.upper - 1e-6)),
        "an outcome that is no equilibrium": ("frontiers", "upper", lambda p: p._replace(outcome=silent(p))),
        "a chain without a link": ("frontiers", "lower", lambda p: p._replace(links=without(p.links, 0))),
        "no chain": ("frontiers", "lower", lambda p: p._replace(links=without(p.links, slice(None)))),
        "no lines": ("frontiers", "upper", lambda p: p._replace(points=without_prices(p.points))),
    }


# After these changes what is left may still be proof enough for some users.
SOMETIMES_ENOUGH = ("a chain without a link", "no lines")


def without(links, place):
    known = np.array(links.known)
    known[np.flatnonzero(known)[place]] = False
    return eqx.tree_at(lambda tree: tree.known, links, known)


def without_prices(points):
    return eqx.tree_at(lambda tree: tree.prices, points, jax.tree.map(np.zeros_like, points.prices))


def the_claim(exactly, kind, user, proposal):
    if kind == "fits":
        return fit_claim(exactly, proposal)
    if kind == "guarantees":
        return guarantee_claim(exactly, proposal, "personalized", Fraction(DELTA))
    return worst_claim(exactly, user, proposal, Fraction(DELTA))


@pytest.mark.parametrize("name", planted())
def test_a_planted_wrong_claim_is_left_open(name):
    _, exactly, proposals = setting()
    kind, side, change = planted()[name]
    opened = 0
    for user, proposal in enumerate(proposals[kind]):
        claim = the_claim(exactly, kind, user, proposal)
        assert claim.verdict == "PROVED"
        # A change shows where the proof has something to say: not where silence, or telling everything, is the answer.
        if kind == "frontiers" and not (claim.bounds[0].data["links"] and "lines" in claim.bounds[1].data):
            continue
        wrong = the_claim(exactly, kind, user, change(proposal))
        if wrong.verdict == "OPEN":
            opened += 1
            assert f"the {side} end" in wrong.reason
        assert wrong.verdict == "OPEN" or name in SOMETIMES_ENOUGH
        # What is shown is still true: only the float64 number is not covered any more.
        assert ends(wrong)["lower"] <= ends(claim)["upper"]
        assert ends(wrong)["upper"] >= ends(claim)["lower"]
    assert opened >= 2


def test_the_lower_end_of_an_error_needs_no_cap_or_says_so():
    """Directions are repaired until no weights escape them; where that fails, the cap is part of the claim."""
    _, exactly, proposals = setting()
    rows = lay_out(exactly, [0], "constant")
    good = error_below(rows, proposals["fits"][0].direction, hull=False, free_scale=False)
    assert good.caps is None
    assert max(good.slopes) <= 0
    assert sum(good.values.ravel().tolist()) == 0
    assert sum(abs(good.values).ravel().tolist()) == 1
    tilted = exact(np.array([1.0, -1.0] + [0.0] * 7)).reshape(1, 1, 9)
    bad = error_below(rows, tilted.astype(float), hull=False, free_scale=False)
    assert (bad.caps is None) == (max(bad.slopes) <= 0)
    assert candidate([1.0])[0] == 1
