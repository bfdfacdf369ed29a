"""What proves the lower end: signals, curves, affine functions below them, and boxes, at good and at any candidates."""

import functools
import itertools

import cases
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linprog

from pluraljax._anonymous._box import Box, _box_task, box_lower, pose_box, read_box
from pluraljax._anonymous._curves import corners_of, curve_task, curve_value, minorants
from pluraljax._anonymous._rounds import rounds_of
from pluraljax._anonymous._shared import lay_out
from pluraljax._anonymous._tree import pose_curves, read_curves
from pluraljax._bounds import Prices
from pluraljax._candidates import pose_offer, read_offer, read_outcome, solve
from pluraljax._precision import in_float64

SHAPE = cases.Shape(providers=2, users=2)
NAMES = ["gaussian", "observed", "skewed", "integers", "twin_users", "gaussian", "constant_user"]


def float64(values):
    with jax.enable_x64(True):
        return jnp.asarray(np.asarray(values, np.float64))


def first_one():
    return jnp.array([1.0, 0.0], jnp.float64)


@in_float64
def _lay_out(market):
    return lay_out(market, jnp.zeros((), jnp.float64), jnp.full(market.mass.shape, jnp.nan, jnp.float64))


@functools.cache
def shared_of(place):
    return _lay_out(cases.as_market(cases.build(NAMES[place], place, SHAPE)))


def marks(shared):
    """What silence and full information are worth to the users."""
    user = np.asarray(shared.user)
    return user.sum(axis=1).max(axis=-1), user.max(axis=-1).sum(axis=-1)


@in_float64
def curves(shared, level):
    """The most that each provider gets at each level, with its lower bound: [level provider]."""
    return read_curves(shared, level, solve(pose_curves(shared, level, jnp.ones(level.shape, bool), jnp.array(False))))


def best_public(user, provider, level):
    """The same by HiGHS: a distribution over profiles of actions for each evidence, obeyed by everybody."""
    members, evidences, actions = user.shape
    profiles = list(itertools.product(range(actions), repeat=members))
    pay = np.array([[sum(provider[j, x, a[j]] for j in range(members)) for x in range(evidences)] for a in profiles])
    rows, limits = [], []
    for p, j, b in itertools.product(range(len(profiles)), range(members), range(actions)):
        row = np.zeros(pay.shape)
        row[p] = user[j, :, b] - user[j, :, profiles[p][j]]
        rows.append(row.ravel() / max(np.abs(row).max(), 1e-300))
        limits.append(0.0)
    for j in range(members):
        rows.append(-np.array([[user[j, x, a[j]] for x in range(evidences)] for a in profiles]).ravel())
        limits.append(-level[j])
    sums = np.tile(np.eye(evidences), (1, len(profiles)))
    found = linprog(-pay.ravel(), A_ub=np.array(rows), b_ub=limits, A_eq=sums, b_eq=np.ones(evidences))
    assert found.status == 0, found.message
    return -found.fun


KINDS = [("gaussian", 0), ("observed", 1), ("integers", 41), ("integers", 9), ("twin_users", 4)]


@pytest.mark.parametrize(("name", "seed"), KINDS)
def test_curves_agree_with_highs(name, seed):
    shared = _lay_out(cases.as_market(cases.build(name, seed, SHAPE)))
    user, provider = np.asarray(shared.user), np.asarray(shared.provider)
    silent, aligned = marks(shared)
    shares = np.random.default_rng(seed).uniform(0.1, 0.9, size=(4, 2))
    level = silent + shares * (aligned - silent)
    found = np.asarray(curves(shared, float64(level)))
    for row, at in zip(found, level, strict=True):
        for i, value in enumerate(row):
            np.testing.assert_allclose(value, best_public(user, provider[i], at), atol=1e-7)


@in_float64
def _values_at(shared, level, weights):
    task = curve_task(shared, first_one(), level, jnp.ones(2, bool))
    solution = solve(jax.tree.map(lambda leaf: leaf[None], pose_offer(task)))
    best = read_offer(task, jax.tree.map(lambda leaf: leaf[0], solution)).weight
    value = lambda weight: curve_value(shared, first_one(), level, weight)
    return value(best), jax.vmap(value)(weights)


def test_any_weights_stay_below_a_curve():
    generator = np.random.default_rng(0)
    for place in range(len(NAMES)):
        shared = shared_of(place)
        atoms = shared.told.shape[-1]
        weights = generator.normal(size=(20, atoms)) * 10.0 ** generator.integers(-2, 3, size=(20, 1))
        weights = np.concatenate([weights, np.full((1, atoms), np.nan), np.zeros((1, atoms))])
        silent, aligned = marks(shared)
        for level in (0.5 * (silent + aligned), aligned):
            best, others = _values_at(shared, float64(level), float64(weights))
            size = np.abs(np.asarray(shared.provider)).max(axis=-1).sum()
            assert (np.asarray(others) <= float(best) + 1e-9 * size).all()


@in_float64
def _affine(shared, low, high, inside):
    levels = jnp.where(corners_of(2), high[None], low[None])
    below = minorants(levels, curves(shared, levels), high - low)
    found = below.height[None] - jnp.einsum("ism,cm->cis", below.slope, inside)
    return found, curves(shared, inside), below


def boxes(shared, count, generator):
    silent, aligned = marks(shared)
    for _ in range(count):
        low, high = np.sort(generator.choice([0, 0.2, 0.4, 0.6, 0.8, 1.0], size=(2, 2)), axis=0)
        yield silent + low * (aligned - silent), silent + high * (aligned - silent)


def test_affine_functions_stay_below_the_curves_in_their_box():
    generator = np.random.default_rng(1)
    for place in range(len(NAMES)):
        shared = shared_of(place)
        for low, high in boxes(shared, 4, generator):
            inside = low + generator.uniform(size=(6, 2)) * (high - low)
            below, curve, _ = _affine(shared, float64(low), float64(high), float64(inside))
            size = np.abs(np.asarray(shared.provider)).max(axis=-1).sum()
            assert (np.asarray(below) <= np.asarray(curve)[..., None] + 1e-9 * size).all()


@in_float64
def _box_bounds(shared, low, high, noise):
    """The bound at the solver's multipliers, and at those after they were changed."""
    _, _, below = _affine(shared, low, high, low[None])
    box = Box(low, high, below, first_one())
    solution = solve(jax.tree.map(lambda leaf: leaf[None], pose_box(shared, box)))
    solution = jax.tree.map(lambda leaf: leaf[0], solution)
    bound, _ = read_box(shared, box, solution)
    found = read_outcome(_box_task(shared, box), solution)
    prices = Prices(found.obedience, found.truth, found.recoding, found.required)
    leaves, tree = jax.tree.flatten(prices)

    def changed(seed, size):
        keys = jax.random.split(jax.random.key(seed), len(leaves))
        draw = lambda key, leaf: jax.random.normal(key, leaf.shape, jnp.float32).astype(jnp.float64)
        moved = [leaf + size * draw(key, leaf) for key, leaf in zip(keys, leaves, strict=True)]
        return box_lower(shared, box, jax.tree.unflatten(tree, moved))

    seeds = jnp.arange(noise.shape[0], dtype=jnp.uint32)
    return bound, jax.vmap(changed)(seeds, noise), box.target @ high


def test_changed_multipliers_only_lower_the_bound_of_a_box():
    generator = np.random.default_rng(2)
    noise = float64(np.repeat([1e-3, 1.0, 1e3], 5))
    lowered = 0
    for place in range(len(NAMES)):
        shared = shared_of(place)
        for low, high in boxes(shared, 3, generator):
            bound, changed, end = map(np.asarray, _box_bounds(shared, float64(low), float64(high), noise))
            # Above its end a box is empty, and larger multipliers prove any number.
            assert (np.minimum(changed, end) <= max(bound, end if bound > end else bound) + 1e-8).all()
            lowered += (changed < bound - 1e-6).sum()
    assert lowered > 100


def test_rounds_of_a_smaller_budget_come_first():
    for budget in (1, 2, 5, 16, 100):
        rounds = rounds_of(budget)
        assert rounds.sum() == budget
        more = rounds_of(budget + 7)
        assert (np.cumsum(more)[: len(rounds) - 1] == np.cumsum(rounds)[:-1]).all()
