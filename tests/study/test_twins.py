"""A study's numbers against the questions that have names of their own, and exits against what is left."""

import jax
import numpy as np
import pytest

import pluraljax as plx

DELTA = 0.01


@pytest.fixture(scope="module")
def market():
    """Two users of unequal mass, one of whom depends on a provider."""
    draw = plx.families.gaussian(providers=2, users=2, actions=2, states=2)(jax.random.key(2))
    return plx.observed_market(draw.user_value, draw.provider_value, np.array([0.4, 0.6]), np.array([1.0, 3.0]))


@pytest.fixture(scope="module")
def found(market):
    return plx.study(market, delta=DELTA)


@pytest.mark.slow
def test_the_numbers_are_those_of_the_questions(market, found):
    close = lambda one, other: np.testing.assert_allclose(one, np.asarray(other), atol=2e-6)
    marks = plx.benchmarks(market)
    close([user.silent for user in found.users], marks.silent)
    close([user.aligned for user in found.users], marks.aligned)
    weak = plx.weak_alignment(market)
    close([user.weak_error for user in found.users], np.stack([weak.value.lower, weak.value.upper], axis=1))
    strong = plx.strong_alignment(market)
    close(found.strong_error, [strong.value.lower, strong.value.upper])
    close(found.personalized.guarantee, plx.guarantee(market, plx.personalized(2), DELTA).lower)
    close(found.anonymous.guarantee, plx.guarantee(market, plx.anonymous(2), DELTA).lower)
    worst = plx.worst_equilibrium(market, plx.personalized(2), DELTA).value
    close(found.personalized.lower, worst.lower)
    close(found.personalized.upper, worst.upper)
    # Both brackets hold the same number.
    shared = plx.worst_equilibrium(market, plx.anonymous(2), DELTA).value
    assert (np.asarray(shared.lower) <= found.anonymous.upper + 1e-9).all()
    assert (found.anonymous.lower <= np.asarray(shared.upper) + 1e-9).all()
    for scheme, segments in ((found.personalized, plx.personalized(2)), (found.anonymous, plx.anonymous(2))):
        assert scheme.silence == bool(plx.silence(market, segments, DELTA).is_equilibrium)


@pytest.mark.slow
def test_exits_are_those_of_the_market_that_is_left(market, found):
    """One provider is left each time, alone: nobody competes with it."""
    for place, exit in enumerate(found.interventions["exits"]):
        left = np.delete(np.asarray(market.provider_value), place, axis=0)
        without = plx.Market(market.prior, market.user_value, left, market.mass)
        worst = plx.worst_equilibrium(without, plx.personalized(2), DELTA).value
        np.testing.assert_allclose(exit["personalized_worst"][:, 0], worst.lower, atol=2e-6)
        np.testing.assert_allclose(exit["personalized_worst"][:, 1], worst.upper, atol=2e-6)
        sure = plx.guarantee(without, plx.anonymous(2), DELTA).lower
        np.testing.assert_allclose(exit["anonymous_guarantee"], sure, atol=2e-6)
