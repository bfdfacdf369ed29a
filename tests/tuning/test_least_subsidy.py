"""The least intervention: against an independent oracle, by gradient, and what it makes of equilibria."""

import functools

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.optimize import linprog, minimize, nnls

import pluraljax as plx
from pluraljax._tuning._intervention import _least_of_segment
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
    return functools.cache(lambda *asked: [plx.tuning.least_subsidy(row(markets, i), *asked) for i in range(MARKETS)])


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
    assert all(each.status == plx.Status.OK for each in best)
    assert max(float(each.value.width) for each in best) < 1e-8
    cost = np.array([float(each.cost) for each in best])
    found = jax.jit(jax.vmap(lambda m: plx.tuning.gradient_subsidy(m, segments)), compiler_options=CHEAP)(markets)
    ratio = np.asarray(found.cost) / cost
    assert ratio.min() > 1 - 1e-6
    assert ratio.max() < 1.01


def test_it_is_the_nearest_point_of_a_cone(markets):
    for i in range(20):
        market = row(markets, i)
        user, provider, mass = (np.asarray(leaf) for leaf in (market.user_value, market.provider_value, market.mass))
        each = [mass[j] * oracle(user[j].ravel(), provider[:, j].reshape(3, -1)) for j in range(USERS)]
        found = plx.tuning.least_subsidy(market, (0, 1, 2))
        np.testing.assert_allclose(float(found.cost), sum(each), rtol=1e-5)


@pytest.mark.slow
def test_it_aligns_the_worst_equilibrium(markets, exact):
    best = exact((0, 1, 2), 0.0)
    with jax.enable_x64(True):
        paid = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[each.market for each in best])
    worst = jax.jit(
        jax.vmap(lambda m: plx.worst_equilibrium(m, plx.personalized(m.num_users)).lower), compiler_options=CHEAP
    )
    aligned = np.asarray(jax.jit(jax.vmap(plx.benchmarks))(markets).aligned)
    silent = np.asarray(jax.jit(jax.vmap(plx.benchmarks))(markets).silent)
    before, after = (np.asarray(worst(m)) for m in (markets, paid))
    span = np.where(aligned - silent > 1e-6, aligned - silent, 1.0)
    assert ((aligned - before) / span).max() > 0.1
    assert ((aligned - after) / span).max() < 1e-3


def test_a_target_is_met_and_costs_less(markets, exact):
    weak = jax.jit(jax.vmap(plx.weak_alignment), compiler_options=CHEAP)
    exactly, loosely = exact((0, 1, 2), 0.0), exact((0, 1, 2), 0.05)
    assert all(each.status == plx.Status.OK for each in loosely)
    with jax.enable_x64(True):
        paid = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[each.market for each in loosely])
    assert np.asarray(weak(paid).value.upper).max() < 0.05 + 1e-7
    assert all(float(a.cost) < float(b.cost) for a, b in zip(loosely, exactly, strict=True))


@pytest.mark.parametrize(("target", "by"), [(0.0, "outcome"), (0.05, "outcome"), (0.7, "action")])
def test_both_ends_hold_whatever_a_solver_proposes(markets, target, by):
    rng, tight = np.random.default_rng(0), []
    for index in range(10):
        market = row(markets, index)
        user, provider, mass = (np.asarray(leaf) for leaf in (market.user_value, market.provider_value, market.mass))
        found = plx.tuning.least_subsidy(market, (0, 0, 0), target, by=by)
        if found.status != plx.Status.OK:
            continue
        cost = float(found.cost)
        best = mass[:, None, None] * np.asarray(found.payment)
        bound = functools.partial(least_cost, user, provider, mass, target=target, least=0.01, by_action=by == "action")
        for size in (0.01, 0.1, 1.0):
            # No prices prove more than the optimum costs.
            assert bound(size * rng.normal(size=user.shape)) <= cost + 1e-9
            assert bound(best + size * rng.normal(size=user.shape)) <= cost + 1e-9
        assert float(found.value.width) <= 1e-6 * cost + 1e-9
        tight.append(cost > 1e-3)
        for _ in range(5):
            inverse, weights = rng.uniform(0.01, 2.0), rng.dirichlet(np.ones(len(provider)))
            paid, fits = payment_at(
                user, provider, weights, np.zeros(USERS), inverse, inverse * target, by_action=by == "action"
            )
            # Any other weights cost at least as much, and their payment does what it is for.
            assert not fits or cost_of(paid, mass) >= cost - float(found.value.width) - 1e-9
            missed = inverse * user - np.tensordot(weights, provider, 1) - paid
            middle = (missed.max(axis=(1, 2)) + missed.min(axis=(1, 2)))[:, None, None] / 2
            assert not fits or np.abs(missed - middle).max() <= inverse * target + 1e-9
    # Not only free ones: by action most markets need nothing at this target, or cannot be helped.
    assert sum(tight) >= 3


def test_payments_by_action_may_not_suffice(markets):
    found = plx.tuning.least_subsidy(row(markets, 0), (0, 1, 2), 0.0, by="action")
    assert found.status != plx.Status.OK
    assert np.isnan(float(found.cost))
    loose = plx.tuning.least_subsidy(row(markets, 0), (0, 1, 2), 1.5, by="action")
    assert loose.status == plx.Status.OK
    payment = np.asarray(loose.payment)
    assert np.ptp(payment, axis=2).max() < 1e-12


def test_an_unsolvable_programme_is_not_solved():
    rows, limits = np.array([[1.0], [-1.0]]), np.array([-1.0, -1.0])
    answer = solve_quadratic(np.eye(1), rows, limits, np.zeros((0, 1)), np.zeros(0))
    assert not answer.solved


def test_markets_that_no_payment_by_action_helps_are_not_solved(markets):
    # The iterates of such programmes run away until their linear systems are singular, which must not raise.
    found = [plx.tuning.least_subsidy(row(markets, index), (0, 0, 0), 0.7, by="action") for index in (0, 2, 9)]
    assert not any(each.status == plx.Status.OK for each in found)


TWO = np.array([[[[0, 1], [1, 3]]], [[[1, 0], [2, 0]]]], float)


def one_user(provider=TWO, unit=1.0, constant=0.0, by=1.0):
    """A user who wants to match the state, and two providers; in other units, or counted from elsewhere."""
    return plx.observed_market(unit * np.eye(2)[None] + constant, by * unit * provider + constant)


def slow_least_cost(user, provider, target, least=0.01):
    """The least cost of one user by a general solver, straight from the definition, from the best of several starts."""
    count, entries = len(provider), user.size
    flat = provider.reshape(count, entries)

    def rest(x):
        payment, weights, offset, inverse = np.split(x, [entries, entries + count, entries + count + 1])
        return weights @ flat + payment + offset - inverse * user.ravel(), inverse * target

    limits = [
        {"type": "eq", "fun": lambda x: x[entries : entries + count].sum() - 1},
        {"type": "ineq", "fun": lambda x: rest(x)[1] - rest(x)[0]},
        {"type": "ineq", "fun": lambda x: rest(x)[1] + rest(x)[0]},
    ]
    bounds = [(None, None)] * entries + [(0, None)] * count + [(None, None), (least, None)]
    starts = [np.concatenate([np.zeros(entries), np.full(count, 1 / count), [0.0, size]]) for size in (0.1, 1.0)]
    found = [
        minimize(
            lambda x: 0.5 * x[:entries] @ x[:entries],
            start,
            jac=lambda x: np.concatenate([x[:entries], np.zeros(count + 2)]),
            method="SLSQP",
            bounds=bounds,
            constraints=limits,
            options={"ftol": 1e-14, "maxiter": 500},
        )
        for start in starts
    ]
    return min(each.fun for each in found if each.success)


EASY = {
    "as it is": (one_user(), 0.1, 0.45),
    "a thousand times": (one_user(unit=1e3), 100.0, 0.45e6),
    "providers a thousand times": (one_user(by=1e3), 0.1, 0.45e6),
    "a hundred more": (one_user(constant=100.0), 0.1, 0.45),
    "a billion more": (one_user(constant=1e9), 0.1, 0.45),
    "the first provider twice": (one_user(TWO[[0, 0, 1]]), 0.1, 0.45),
    "tiny": (one_user(unit=1e-8), 1e-9, 0.45e-16),
    "huge": (one_user(unit=1e150), 1e149, 0.45e300),
}


@pytest.mark.parametrize("name", EASY)
def test_units_constants_and_twins_do_not_matter(name):
    market, target, cost = EASY[name]
    found = plx.tuning.least_subsidy(market, (0,), target)
    assert found.status == plx.Status.OK
    np.testing.assert_allclose(float(found.cost), cost, rtol=1e-7)
    assert 0 <= float(found.value.width) <= 1e-7 * cost


def test_a_general_solver_finds_the_same_cost():
    assert slow_least_cost(np.eye(2), TWO[:, 0], 0.1) == pytest.approx(0.45, rel=1e-6)
    for seed in range(12):
        generator = np.random.default_rng(seed)
        user, provider = generator.normal(size=(2, 3)), generator.normal(size=(3, 2, 3))
        found = plx.tuning.least_subsidy(plx.observed_market(user[None], provider[:, None]), (0,), 0.1)
        assert float(found.cost) == pytest.approx(slow_least_cost(user, provider, 0.1), rel=1e-4, abs=1e-7)


def degenerate(seed):
    """Random payoffs; or ties, twins, providers who do not care, one a multiple of the user, users all alike."""
    generator = np.random.default_rng(seed)
    providers, users, actions, states = generator.integers([1, 1, 2, 2], 4)
    user, provider = (
        generator.normal(size=(users, actions, states)),
        generator.normal(size=(providers, users, actions, states)),
    )
    kind = seed % 6
    if kind == 1:
        provider[-1] = provider[0]
    elif kind == 2:
        user, provider = generator.integers(-1, 2, size=user.shape), generator.integers(-1, 2, size=provider.shape)
    elif kind == 3:
        provider = 0 * provider
    elif kind == 4:
        provider[0] = 2 * user
    elif kind == 5:
        user = np.broadcast_to(generator.integers(0, 2, size=user.shape[1:]), user.shape)
        provider = generator.integers(0, 2, size=provider.shape)
    unit = 10.0 ** generator.integers(-6, 7, size=2)
    return unit[0] * user, unit[1] * provider, unit[0] * generator.choice([0.0, 0.05, 0.3])


def can_be_paid_by_action(user, provider, target, least=0.01):
    """Whether payments by action can suffice at all for a segment: a linear programme."""
    members, actions, _ = user.shape
    unit = np.abs(user).max() or 1.0
    money = np.abs(provider).max() or unit
    user, target, provider = user / unit, target / unit, provider / money
    rows, limits = [], []
    for j, a, y in np.ndindex(user.shape):
        paid, offset = np.zeros(members * actions), np.eye(members)[j]
        paid[j * actions + a] = 1.0
        row = np.concatenate([paid, provider[:, j, a, y], offset, [-user[j, a, y]]])
        rows += [row - target * np.eye(len(row))[-1], -row - target * np.eye(len(row))[-1]]
        limits += [0.0, 0.0]
    sums = np.zeros(len(rows[0]))
    sums[members * actions : -members - 1] = 1.0
    bounds = [(None, None)] * (members * actions) + [(0, None)] * len(provider) + [(None, None)] * members
    bounds += [(least * unit / money, None)]
    found = linprog(np.zeros(len(sums)), np.array(rows), limits, sums[None], [1.0], bounds, method="highs")
    return found.status == 0


def test_degenerate_problems_are_solved_and_proved():
    """Where payments by action do not suffice, and only there, there is no solution."""
    for seed in range(300):
        user, provider, target = degenerate(seed)
        solve = functools.partial(_least_of_segment, user, provider, np.full(len(user), 0.5), target, 0.01)
        found = solve(by_action=False)
        size = np.abs(provider).max() ** 2 + (0.01 * np.abs(user).max()) ** 2
        assert found.solved, seed
        assert 0 <= found.gap <= 1e-7 * found.cost + 1e-8 * size, seed
        if seed % 5 == 0:
            assert solve(by_action=True).solved == can_be_paid_by_action(user, provider, target), seed


def test_arguments_are_checked(markets):
    for target in (-1.0, np.inf, np.nan):
        with pytest.raises(ValueError, match=f"target must be >= 0 and finite, got {target}"):
            plx.tuning.least_subsidy(row(markets, 0), (0, 1, 2), target)
    with pytest.raises(ValueError, match="most_weight must be > 0 and finite"):
        plx.tuning.least_subsidy(row(markets, 0), (0, 1, 2), most_weight=np.inf)


def test_a_market_without_numbers_is_not_solved():
    found = plx.tuning.least_subsidy(one_user(unit=np.nan), (0,), 0.1)
    assert found.status != plx.Status.OK
    assert np.isnan([float(found.cost), float(found.value.width)]).all()
