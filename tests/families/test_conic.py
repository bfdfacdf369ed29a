import jax
import jax.random as jr
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lp_oracle import alignment_error, half_range
from scipy import stats

import pluraljax as plx

SEEDS = st.integers(0, 2**31 - 1)


def draw(seed, **parameters):
    return jax.tree.map(np.asarray, plx.families.conic(**parameters)(jr.key(seed)))


def weak_errors(market, **options):
    return [
        alignment_error(market.user_value[[j]], market.provider_value[:, [j]], **options)
        for j in range(len(market.user_value))
    ]


def planted_weights(unperturbed, users):
    """Solves for w and c of u_j = sum_i w_i v_ij + c on a market without perturbation."""
    found = []
    for j in range(users):
        values = unperturbed.provider_value[:, j].reshape(len(unperturbed.provider_value), -1)
        columns = np.vstack([values, np.ones(values.shape[1])]).T
        found.append(np.linalg.lstsq(columns, unperturbed.user_value[j].ravel())[0])
    return np.array(found)


def test_without_perturbation_users_are_cone_combinations():
    market = draw(0, weight_sum=2.5)
    solution = planted_weights(market, 2)
    weights, offset = solution[:, :-1], solution[:, -1]
    rebuilt = np.einsum("ji,ijay->jay", weights, market.provider_value) + offset[:, None, None]
    np.testing.assert_allclose(rebuilt, market.user_value, atol=1e-12)
    assert (weights > 0).all()
    np.testing.assert_allclose(weights.sum(axis=1), 2.5, rtol=1e-12)
    assert np.abs(weights[0] - weights[1]).max() > 1e-3
    assert max(weak_errors(market)) < 1e-9
    common = planted_weights(draw(0, weights="common"), 2)
    np.testing.assert_allclose(common[0, :-1], common[1, :-1], rtol=1e-10)
    assert abs(common[0, -1] - common[1, -1]) > 1e-3


@pytest.mark.parametrize("residual", ["uniform", "extremal"])
def test_the_residual_has_exactly_the_range_asked_for(residual):
    # The same key makes the same providers, weights and offsets, so the difference is the perturbation.
    plain, perturbed = draw(1, weight_sum=2.5), draw(1, weight_sum=2.5, perturbation=0.25, residual=residual)
    np.testing.assert_array_equal(plain.provider_value, perturbed.provider_value)
    added = (perturbed.user_value - plain.user_value) / 0.25
    np.testing.assert_allclose(added.max(axis=(1, 2)), 1.0, atol=1e-14)
    np.testing.assert_allclose(added.min(axis=(1, 2)), -1.0, atol=1e-14)
    assert np.allclose(np.abs(added), 1.0) == (residual == "extremal")
    assert half_range(added[0] - added[1]) > 0.1


@settings(max_examples=15)
@given(SEEDS)
def test_the_perturbation_bounds_the_error(seed):
    market = draw(seed, perturbation=0.25)
    errors = weak_errors(market), weak_errors(market, hull=True)
    assert np.max(errors) <= 0.25 + 1e-9
    common = draw(seed, perturbation=0.25, weights="common")
    assert alignment_error(common.user_value, common.provider_value) <= 0.25 + 1e-9


@settings(max_examples=15)
@given(SEEDS)
def test_an_extremal_residual_is_the_error(seed):
    market = draw(seed, perturbation=0.25, residual="extremal", weights="common", weight_sum=1.0)
    np.testing.assert_allclose(weak_errors(market), 0.25, rtol=1e-8)
    np.testing.assert_allclose(weak_errors(market, hull=True), 0.25, rtol=1e-8)
    assert alignment_error(market.user_value, market.provider_value) == pytest.approx(0.25, rel=1e-8)


def test_laws():
    family = plx.families.conic(providers=2, weight_sum=3.0, offset=0.5)
    market = jax.tree.map(np.asarray, jax.vmap(family)(jr.split(jr.key(4), 1_000)))
    assert stats.kstest(market.provider_value.ravel(), "norm").pvalue > 1e-4
    rows = jax.tree.transpose(jax.tree.structure(market), None, jax.tree.map(list, market))
    solved = np.array([planted_weights(row, 2) for row in rows])
    assert stats.kstest(solved[..., 0].ravel() / 3.0, "uniform").pvalue > 1e-4
    assert stats.kstest(solved[..., -1].ravel() / 0.5, "norm").pvalue > 1e-4
