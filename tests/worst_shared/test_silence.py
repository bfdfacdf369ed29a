"""Silence decided by corners of cells: as HiGHS says of few users, and for many."""

import cases
import deviation_oracle
import numpy as np
import pytest

import pluraljax as plx
from pluraljax._worst_shared import silence_by_cells

SHAPE = cases.Shape(providers=2, users=2)


@pytest.mark.parametrize("labels", [(0, 0), (0, 1)])
@pytest.mark.parametrize("providers", [1, 2])
def test_it_agrees_with_highs_over_all_profiles(labels, providers):
    """The oracle counts policies that only just do not win; the lower end asks for a little more."""
    for seed, name in enumerate(["gaussian", "observed", "twin_users", "opposed_pair", "constant_user", "grid"]):
        market = cases.build(name, seed, SHAPE._replace(providers=providers))
        exact = deviation_oracle.best_gains(market, labels, deviation_oracle.silent_standing(market))
        found = silence_by_cells(cases.as_market(market), np.array(labels))
        unit = np.ptp(market.provider_value, axis=(2, 3)) @ market.mass
        assert (np.abs(found.upper - exact) <= 1e-6 * unit).all(), name
        assert (found.lower <= exact + 1e-6 * unit).all(), name
        if name in ("gaussian", "observed"):
            assert (found.lower >= exact - 1e-5 * unit).all(), name
        assert not (found.is_equilibrium and found.is_refuted)


def market_of_eight(seed):
    """8 users, 2 states, 4 actions: 65,536 profiles."""
    generator = np.random.default_rng(seed)
    user, noise = generator.normal(size=(8, 4, 2)), generator.normal(size=(3, 8, 4, 2))
    return plx.observed_market(user, noise - (seed % 2) * 3 * user, mass=np.ones(8))


def test_eight_users_of_four_actions_are_decided():
    decided = [silence_by_cells(market_of_eight(seed), np.zeros(8, int)) for seed in range(4)]
    for found in decided:
        np.testing.assert_allclose(found.lower, found.upper, atol=1e-5)
        assert found.is_equilibrium != found.is_refuted


def test_what_cannot_be_asked_is_refused():
    with pytest.raises(ValueError, match="types"):
        silence_by_cells(cases.as_market(cases.build("gaussian", 0, SHAPE._replace(types=2))), np.zeros(2, int))
    broken = cases.build("gaussian", 0, SHAPE)
    broken.user_value[0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="NOT_FINITE"):
        silence_by_cells(cases.as_market(broken), np.zeros(2, int))
