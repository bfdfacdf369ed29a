import jax
import jax.random as jr
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from lp_oracle import alignment_error, half_range
from scipy import stats

import pluraljax as plx


def test_moments():
    family = plx.families.gaussian(
        providers=2, users=2, actions=2, states=2, alignment=-0.5, shared=0.8, idiosyncratic=0.6
    )
    market = jax.tree.map(np.asarray, jax.vmap(family)(jr.split(jr.key(0), 5_000)))
    user, (first, second) = market.user_value, np.moveaxis(market.provider_value, 1, 0)
    assert stats.kstest(user.ravel(), "norm").pvalue > 1e-4
    variance = 0.5**2 + 0.8**2 + 0.6**2
    assert stats.kstest(first.ravel() / np.sqrt(variance), "norm").pvalue > 1e-4

    def covariance(x, y):
        return np.mean(x * y)

    # Standard errors are at most 1.3 / sqrt(40,000).
    assert abs(covariance(user, first) - (-0.5)) < 0.035
    assert abs(covariance(first, second) - (0.5**2 + 0.8**2)) < 0.035
    assert abs(covariance(first[:, 0], second[:, 1])) < 0.05
    assert abs(covariance(user[:, 0], user[:, 1])) < 0.05


def test_biases_vanish_exactly():
    family = plx.families.gaussian(providers=2, alignment=2.0, idiosyncratic=0.0)
    market = jax.tree.map(np.asarray, family(jr.key(1)))
    np.testing.assert_array_equal(market.provider_value, np.broadcast_to(2 * market.user_value, (2, 2, 3, 3)))


@settings(max_examples=15)
@given(st.integers(0, 2**31 - 1))
def test_equal_weights_bound_the_error(seed):
    family = plx.families.gaussian(providers=3, users=2, alignment=1.5, shared=0.3, idiosyncratic=0.5)
    market = jax.tree.map(np.asarray, family(jr.key(seed)))
    residual = market.provider_value.sum(axis=0) / (3 * 1.5) - market.user_value
    bound = max(half_range(user) for user in residual)
    strong = alignment_error(market.user_value, market.provider_value)
    # Three providers cannot span nine payoffs, so no user is aligned exactly.
    weak = [alignment_error(market.user_value[[j]], market.provider_value[:, [j]]) for j in range(2)]
    assert min(weak) > 1e-9
    assert max(weak) <= strong + 1e-9
    assert strong <= bound + 1e-9
