import jax
import jax.random as jr
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lp_oracle import alignment_error, half_range
from scipy import stats
from scipy.optimize import linprog

import pluraljax as plx

SEEDS = st.integers(0, 2**31 - 1)


def draw(family, seed):
    return jax.tree.map(np.asarray, family(jr.key(seed)))


def scales(market):
    """Reads s_ij off the payoffs."""
    return market.provider_value[..., 0, 0] / market.user_value[..., None, :, 0, 0]


def test_scales_have_their_law():
    family = plx.families.opposed(providers=3, users=2, positive=0.3, log_spread=0.5)
    market = jax.tree.map(np.asarray, jax.vmap(family)(jr.split(jr.key(0), 2_000)))
    drawn = scales(market)
    np.testing.assert_allclose(
        market.provider_value, drawn[..., None, None] * market.user_value[:, None], rtol=1e-12, atol=1e-15
    )
    assert stats.binomtest(int((drawn > 0).sum()), drawn.size, 0.3).pvalue > 1e-4
    assert stats.kstest(np.log(np.abs(drawn)).ravel() / 0.5, "norm").pvalue > 1e-4
    assert stats.kstest(market.user_value.ravel(), "norm").pvalue > 1e-4


@pytest.mark.parametrize(("positive", "sign"), [(0.0, -1), (1.0, 1)])
def test_certain_signs(positive, sign):
    family = plx.families.opposed(positive=positive, log_spread=0.0)
    np.testing.assert_allclose(scales(draw(family, 1)), sign, rtol=1e-15)


def test_a_common_decision_is_the_same_for_all():
    common = draw(plx.families.opposed(users=3, common_decision=True, prior="dirichlet"), 2)
    for leaf in (common.user_value, common.prior):
        np.testing.assert_array_equal(leaf, np.broadcast_to(leaf[0], leaf.shape))
    own = draw(plx.families.opposed(users=3, prior="dirichlet"), 2)
    assert (own.user_value[0] != own.user_value[1]).all()
    assert (own.prior[0] != own.prior[1]).any()


@settings(max_examples=25)
@given(SEEDS)
def test_errors_in_closed_form(seed):
    market = draw(plx.families.opposed(providers=3, users=2, positive=0.35), seed)
    s = scales(market)
    height = [half_range(value) for value in market.user_value]
    for j in range(2):
        fit = market.user_value[[j]], market.provider_value[:, [j]]
        cone = 0.0 if s[:, j].max() > 0 else height[j]
        hull = height[j] * max(s[:, j].min() - 1, 1 - s[:, j].max(), 0.0)
        assert alignment_error(*fit) == pytest.approx(cone, abs=1e-8)
        assert alignment_error(*fit, hull=True) == pytest.approx(hull, abs=1e-8)
    # Strong: min over w >= 0 of max_j height_j |sum_i w_i s_ij - 1|, a programme in the scales alone.
    rows = np.hstack([(s * height).T, -np.ones((2, 1))])
    small = linprog(
        [0, 0, 0, 1],
        A_ub=np.vstack([rows, rows * [-1, -1, -1, 1]]),
        b_ub=np.r_[height, np.negative(height)],
        bounds=[(0, None)] * 4,
    )
    assert alignment_error(market.user_value, market.provider_value) == pytest.approx(small.fun, abs=1e-8)


@pytest.mark.parametrize("K", [0.5, 1.0, 1.5, 4.0])
def test_the_pair_of_the_documentation(K):
    market = draw(plx.families.opposed(scales=[[1, -K], [-K, 1]], common_decision=True), 3)
    np.testing.assert_array_equal(market.user_value[0], market.user_value[1])
    np.testing.assert_array_equal(market.provider_value[0, 0], market.user_value[0])
    np.testing.assert_array_equal(market.provider_value[0, 1], -K * market.user_value[1])
    height = half_range(market.user_value)
    for j in range(2):
        fit = market.user_value[[j]], market.provider_value[:, [j]]
        assert alignment_error(*fit) == pytest.approx(0.0, abs=1e-10)
        assert alignment_error(*fit, hull=True) == pytest.approx(0.0, abs=1e-10)
    both = market.user_value, market.provider_value
    assert alignment_error(*both) == pytest.approx(height if K >= 1 else 0.0, abs=1e-9)
    assert alignment_error(*both, hull=True) == pytest.approx(height * (1 + K) / 2, abs=1e-9)
    by_state = max(half_range(market.user_value[0][:, y]) for y in range(3))
    assert alignment_error(*both, state_offset=True) == pytest.approx(by_state if K >= 1 else 0.0, abs=1e-9)


@pytest.mark.parametrize("K", [1.0, 2.0])
def test_scaling_utilities_up_does_not_help_the_pair(K):
    """With beta_j >= 1 free, error / beta <= t means |w_j - K w_other - beta_j| height <= t beta_j for both users."""

    def reachable(share):
        # Variables w_1, w_2, beta_1, beta_2; `share` is t / height.
        rows = [[1, -K, -1 - share, 0], [-1, K, 1 - share, 0], [-K, 1, 0, -1 - share], [K, -1, 0, 1 - share]]
        return linprog(np.zeros(4), A_ub=rows, b_ub=np.zeros(4), bounds=[(0, None)] * 2 + [(1, None)] * 2).status == 0

    assert reachable(1.0)
    assert not reachable(1.0 - 1e-3)
