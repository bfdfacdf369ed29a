import itertools
from math import comb

import jax
import jax.random as jr
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lp_oracle import alignment_error, in_hull
from scipy import stats

import pluraljax as plx

SEEDS = st.integers(0, 2**31 - 1)


def ideal_points(value):
    """Reads ideal points off payoffs on the default grids: v(e) - v(-e) = 4 * coordinate, at the state in the middle.

    The action e moves by 1 along one axis, so it stands at an index of its own on the 3 x 3 x ... grid.
    """
    actions = value.shape[-2]
    dimension = round(np.log(actions) / np.log(3))
    middle = actions // 2
    steps = [3**axis for axis in reversed(range(dimension))]
    return np.stack([(value[..., middle + s, middle] - value[..., middle - s, middle]) / 4 for s in steps], axis=-1)


def test_payoffs_are_quadratic_losses():
    family = plx.families.spatial(
        providers=2, users=2, dimension=3, actions_per_side=4, states_per_side=3, action_extent=1.5, state_extent=0.5
    )
    market = jax.tree.map(np.asarray, family(jr.key(0)))
    actions = np.array(list(itertools.product(np.linspace(-1.5, 1.5, 4), repeat=3)))
    states = np.array(list(itertools.product([-0.5, 0.0, 0.5], repeat=3)))
    move = actions[:, None] - states[None]

    def loss(point):
        return -np.square(move - point).sum(axis=-1)

    # Differences between actions are linear in the ideal point, which least squares then recovers.
    def recover(value):
        left = 2 * (move[1:] - move[:1]).reshape(-1, 3)
        right = (value[1:] - value[:1] + (move[1:] ** 2 - move[:1] ** 2).sum(axis=-1)).ravel()
        return np.linalg.lstsq(left, right)[0]

    values = np.concatenate([market.user_value[None], market.provider_value])
    points = np.array([[recover(value) for value in row] for row in values])
    for row, value in zip(points.reshape(-1, 3), values.reshape(-1, 64, 27), strict=True):
        np.testing.assert_allclose(value, loss(row), atol=1e-12)
    # One ideal point per provider for all users; each user her own.
    np.testing.assert_allclose(points[1:, 0], points[1:, 1], atol=1e-12)
    assert np.abs(points[0, 0] - points[0, 1]).max() > 0.1


def test_spreads_and_biases():
    def points(**parameters):
        family = plx.families.spatial(providers=2, users=2, **parameters)
        market = jax.tree.map(np.asarray, jax.vmap(family)(jr.split(jr.key(1), 2_000)))
        return ideal_points(market.user_value), ideal_points(market.provider_value)

    users, providers = points(user_spread=0.5, provider_spread=2.0, bias="relative")
    bias = providers - users[:, None]
    np.testing.assert_allclose(bias[:, :, 0], bias[:, :, 1], atol=1e-12)
    assert stats.kstest(users.ravel() / 0.5, "norm").pvalue > 1e-4
    assert stats.kstest(bias[:, :, 0].ravel() / 2.0, "norm").pvalue > 1e-4

    users, providers = points(user_spread=0)
    np.testing.assert_array_equal(users, 0.0)
    assert stats.kstest(providers[:, :, 0].ravel(), "norm").pvalue > 1e-4


@settings(max_examples=20)
@given(SEEDS)
@pytest.mark.parametrize("bias", ["absolute", "relative"])
def test_weak_error_is_zero_exactly_inside_the_hull(bias, seed):
    family = plx.families.spatial(providers=4, users=2, bias=bias, user_spread=0.5)
    market = jax.tree.map(np.asarray, family(jr.key(seed)))
    users, providers = ideal_points(market.user_value), ideal_points(market.provider_value)
    inside = [in_hull(users[j], providers[:, j]) for j in range(2)]
    for j in range(2):
        fit = market.user_value[[j]], market.provider_value[:, [j]]
        for options in ({}, {"hull": True}, {"state_offset": True}):
            assert (alignment_error(*fit, **options) < 1e-9) == inside[j], options
    strong = alignment_error(market.user_value, market.provider_value) < 1e-9
    # One bias for all users: strong alignment is weak alignment. One point for all: nobody has two ideal points.
    assert strong == (all(inside) if bias == "relative" else False)
    if bias == "relative":
        assert inside[0] == inside[1]


def test_both_sides_of_the_hull_are_tested():
    family = plx.families.spatial(providers=4, user_spread=0.5)
    inside = []
    for seed in range(40):
        market = jax.tree.map(np.asarray, family(jr.key(seed)))
        inside.append(in_hull(ideal_points(market.user_value)[0], ideal_points(market.provider_value)[:, 0]))
    assert 5 < sum(inside) < 35


def origin_in_hull(points):
    """Whether the origin is in the convex hull of points in the plane: no half-plane holds all of them."""
    angles = np.sort(np.arctan2(points[..., 1], points[..., 0]), axis=-1)
    gaps = np.diff(angles, axis=-1, append=angles[..., :1] + 2 * np.pi)
    return gaps.max(axis=-1) < np.pi


def test_wendel():
    family = plx.families.spatial(providers=6, user_spread=0.0)
    draw = jax.jit(lambda keys: jax.vmap(family)(keys).provider_value)
    points = ideal_points(np.asarray(draw(jr.split(jr.key(3), 4_000))))[:, :, 0]
    for k in range(1, 7):
        probability = 1 - 2.0 ** (1 - k) * sum(comb(k - 1, i) for i in range(2))
        count = int(origin_in_hull(points[:, :k]).sum())
        interval = stats.binomtest(count, len(points)).proportion_ci(0.9999)
        assert interval.low <= probability <= interval.high, (k, count)
