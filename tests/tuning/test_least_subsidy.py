"""The least intervention: against an independent oracle, by gradient, and what it makes of equilibria."""

import functools

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.optimize import nnls

import pluraljax as plx
from pluraljax._tuning._payment import cost_of, least_cost, payment_at
from pluraljax._tuning._quadratic import solve_quadratic

MARKETS, USERS = 100, 3
CHEAP = {"xla_backend_optimization_level": 0}
FAMILY = plx.families.gaussian(providers=3, users=USERS, actions=3, states=3)


@pytest.fixture(scope="module")
def markets():
    return jax.jit(jax.vmap(FAMILY))(jr.split(jr.key(0), MARKETS))


def row(markets, index):
    return jax.tree.map(lambda leaf: leaf[index], markets)


@pytest.fixture(scope="module")
def exact(markets):
    """Solves all markets, once for all tests."""
    return functools.cache(lambda *asked: [plx.least_subsidy(row(markets, i), *asked) for i in range(MARKETS)])


def oracle(user, provider, heavy=1e4):
    """Least norm of `sum_i w_i v_i + c - beta u`, w in the simplex, beta >= 0.01, by non-negative least squares."""
    centre = lambda values: values - values.mean()
    columns = np.stack([*(centre(v) for v in provider), -centre(user)], axis=1)
    right = 0.01 * centre(user)
    columns = np.concatenate([columns, heavy * np.array([[1.0] * len(provider) + [0.0]])])
    _, distance = nnls(columns, np.append(right, heavy))
    return 0.5 * distance**2


@pytest.mark.parametrize("segments", [(0, 1, 2), (0, 0, 1), (0, 0, 0)])
def test_gradients_find_the_convex_optimum(markets, exact, segments):
    best = exact(segments, 0.0)
    assert all(bool(each.solved) for each in best)
    assert max(float(each.gap) for each in best) < 1e-8
    cost = np.array([float(each.cost) for each in best])
    found = jax.jit(jax.vmap(lambda m: plx.gradient_subsidy(m, segments)), compiler_options=CHEAP)(markets)
    ratio = np.asarray(found.cost) / cost
    assert ratio.min() > 1 - 1e-6
    assert ratio.max() < 1.01


def test_it_is_the_nearest_point_of_a_cone(markets):
    for i in range(20):
        market = row(markets, i)
        user, provider, mass = (np.asarray(leaf) for leaf in (market.user_value, market.provider_value, market.mass))
        each = [mass[j] * oracle(user[j].ravel(), provider[:, j].reshape(3, -1)) for j in range(USERS)]
        found = plx.least_subsidy(market, (0, 1, 2))
        np.testing.assert_allclose(float(found.cost), sum(each), rtol=1e-5)


def test_it_aligns_the_worst_equilibrium(markets, exact):
    best = exact((0, 1, 2), 0.0)
    with jax.enable_x64(True):
        paid = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[each.market for each in best])
    worst = jax.jit(jax.vmap(lambda m: plx.frontier(m).worst.lower), compiler_options=CHEAP)
    aligned = np.asarray(jax.jit(jax.vmap(plx.benchmarks))(markets).aligned)
    silent = np.asarray(jax.jit(jax.vmap(plx.benchmarks))(markets).silent)
    before, after = (np.asarray(worst(m)) for m in (markets, paid))
    span = np.where(aligned - silent > 1e-6, aligned - silent, 1.0)
    assert ((aligned - before) / span).max() > 0.1
    assert ((aligned - after) / span).max() < 1e-3


def test_a_target_is_met_and_costs_less(markets, exact):
    weak = jax.jit(jax.vmap(plx.weak_alignment), compiler_options=CHEAP)
    exactly, loosely = exact((0, 1, 2), 0.0), exact((0, 1, 2), 0.05)
    assert all(bool(each.solved) for each in loosely)
    with jax.enable_x64(True):
        paid = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[each.market for each in loosely])
    assert np.asarray(weak(paid).error.upper).max() < 0.05 + 1e-7
    assert all(float(a.cost) < float(b.cost) for a, b in zip(loosely, exactly, strict=True))


@pytest.mark.parametrize(("target", "by"), [(0.0, "outcome"), (0.05, "outcome"), (0.7, "action")])
def test_both_ends_hold_whatever_a_solver_proposes(markets, target, by):
    rng, tight = np.random.default_rng(0), []
    for index in range(10):
        market = row(markets, index)
        user, provider, mass = (np.asarray(leaf) for leaf in (market.user_value, market.provider_value, market.mass))
        found = plx.least_subsidy(market, (0, 0, 0), target, by=by)
        if not bool(found.solved):
            continue
        cost = float(found.cost)
        best = mass[:, None, None] * np.asarray(found.payment)
        bound = functools.partial(least_cost, user, provider, mass, target=target, least=0.01, by_action=by == "action")
        for size in (0.01, 0.1, 1.0):
            # No prices prove more than the optimum costs.
            assert bound(size * rng.normal(size=user.shape)) <= cost + 1e-9
            assert bound(best + size * rng.normal(size=user.shape)) <= cost + 1e-9
        assert float(found.gap) <= 1e-6 * cost + 1e-9
        tight.append(cost > 1e-3)
        for _ in range(5):
            inverse, weights = rng.uniform(0.01, 2.0), rng.dirichlet(np.ones(len(provider)))
            paid, fits = payment_at(
                user, provider, weights, np.zeros(USERS), inverse, inverse * target, by_action=by == "action"
            )
            # Any other weights cost at least as much, and their payment does what it is for.
            assert not fits or cost_of(paid, mass) >= cost - float(found.gap) - 1e-9
            missed = inverse * user - np.tensordot(weights, provider, 1) - paid
            middle = (missed.max(axis=(1, 2)) + missed.min(axis=(1, 2)))[:, None, None] / 2
            assert not fits or np.abs(missed - middle).max() <= inverse * target + 1e-9
    # Not only free ones: by action most markets need nothing at this target, or cannot be helped.
    assert sum(tight) >= 3


def test_payments_by_action_may_not_suffice(markets):
    found = plx.least_subsidy(row(markets, 0), (0, 1, 2), 0.0, by="action")
    assert not bool(found.solved)
    assert np.isnan(float(found.cost))
    loose = plx.least_subsidy(row(markets, 0), (0, 1, 2), 1.5, by="action")
    assert bool(loose.solved)
    payment = np.asarray(loose.payment)
    assert np.ptp(payment, axis=2).max() < 1e-12


def test_an_unsolvable_programme_is_not_solved():
    rows, limits = np.array([[1.0], [-1.0]]), np.array([-1.0, -1.0])
    answer = solve_quadratic(np.eye(1), rows, limits, np.zeros((0, 1)), np.zeros(0))
    assert not answer.solved


def test_markets_that_no_payment_by_action_helps_are_not_solved(markets):
    # The iterates of such programmes run away until their linear systems are singular, which must not raise.
    found = [plx.least_subsidy(row(markets, index), (0, 0, 0), 0.7, by="action") for index in (0, 2, 9)]
    assert not any(bool(each.solved) for each in found)


def test_arguments_are_checked(markets):
    with pytest.raises(ValueError, match="target must be >= 0, got -1"):
        plx.least_subsidy(row(markets, 0), (0, 1, 2), -1.0)
