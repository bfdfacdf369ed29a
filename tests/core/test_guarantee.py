import cases
import compiled
import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from compiled import float64

import pluraljax as plx
from pluraljax import Status, _guarantee
from pluraljax._candidates import simplex
from pluraljax._guarantee import tie_slack

SHAPES = {
    "observed": cases.Shape(),
    "types": cases.Shape(providers=2, users=2, types=2, evidence=4, states=2, actions=4),
}
NAMES = tuple(cases.CASES)
DELTAS = (0.0, 0.0, 0.1, 1.0)


def size(market):
    return max(1.0, np.abs(market.user_value).max())


def ask(markets, labels, delta):
    batch, labels = cases.stack(markets), jnp.asarray(labels, jnp.int32)
    return jax.tree.map(np.asarray, compiled.guarantee()(batch, labels, float64(delta)))


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_brackets_hold_the_optimum(shape):
    markets = cases.many(tuple(cases.CASES), compiled.ROWS, shape)
    labels = np.random.default_rng(1).integers(0, 3, size=(len(markets), shape.users))
    delta = np.resize(DELTAS, len(markets))
    found = ask(markets, labels, delta)
    assert (found.weights >= 0).all()
    for i, market in enumerate(markets):
        exact, slack = oracles.guarantees(market, labels[i], delta[i]), 1e-8 * size(market)
        assert (found.lower[i] <= exact + slack).all(), (i, found.lower[i], exact)
        assert (exact <= found.upper[i] + slack).all(), (i, found.upper[i], exact)
        aligned, _ = oracles.benchmarks(market)
        assert (found.upper[i] <= aligned + 1e-12 * size(market)).all()
        for user in range(shape.users):
            # The reported weights are the proof: the formula gives the lower end back.
            omega = found.weights[i, user] / market.mass[user]
            proved = oracles.guarantee_of_weights(market, labels[i], delta[i], user, omega)
            terms = size(market) + omega @ np.abs(market.provider_value).max(axis=(1, 2, 3))
            assert proved == pytest.approx(found.lower[i, user], abs=1e-12 * terms)
    # Priors in twelfths are no twelfths in binary: what ties there is in doubt, and the bracket says so.
    stored = np.array([NAMES[i % len(NAMES)] != "integers_unseen" for i in range(len(markets))])
    assert (found.status[stored] == Status.OK).all(axis=1).mean() >= 0.98


def test_delta_lowers_the_guarantee_down_to_the_worst_outcome():
    market = cases.build("gaussian", 4)
    deltas = np.resize([0.0, 0.1, 1.0, 1e3], compiled.ROWS)
    found = ask([market] * len(deltas), np.zeros((len(deltas), 3)), deltas)
    for i in range(3):
        assert (found.lower[i + 1] <= found.upper[i] + 1e-12).all()
    assert (found.lower[2] < found.lower[0]).any()
    worst = oracles.stakes(market)[0].min(axis=-1).sum(axis=(-2, -1))
    np.testing.assert_allclose(found.lower[3], worst, atol=1e-12)


@pytest.mark.parametrize("delta", [-0.1, np.nan])
def test_delta_is_not_negative(delta):
    with pytest.raises(ValueError, match="delta must be >= 0, got "):
        plx.guarantee(cases.as_market(cases.build("gaussian", 4)), plx.anonymous(3), delta)


@pytest.mark.parametrize("providers", [pytest.param(1, marks=pytest.mark.slow), 8])
def test_one_action_leaves_nothing_to_lose(providers):
    market = cases.build("gaussian", 0, cases.Shape(providers=providers, users=2, actions=1))
    found, (aligned, _) = plx.guarantee(cases.as_market(market), plx.anonymous(2)), oracles.benchmarks(market)
    np.testing.assert_allclose(found.lower, aligned, atol=1e-14)
    np.testing.assert_allclose(found.upper, aligned, atol=1e-14)


def test_a_user_who_never_gains_or_loses_is_guaranteed_what_she_has():
    """Her payoffs have no range to measure the bracket by; it closes all the same."""
    markets = [cases.build("constant_user", seed) for seed in range(compiled.ROWS)]
    found = ask(markets, np.zeros((len(markets), 3)), np.zeros(len(markets)))
    constant = [market.user_value[0, 0, 0] for market in markets]
    np.testing.assert_allclose(found.lower[:, 0], constant, atol=1e-14)
    np.testing.assert_array_equal(found.status[:, 0], Status.OK)


@pytest.mark.parametrize(
    ("providers", "labels"), [pytest.param(1, [5, 5, 5, 5], marks=pytest.mark.slow), (7, [0, 1, 1, 0])]
)
def test_labels_known_in_advance(providers, labels):
    market = cases.build("gaussian", providers, cases.Shape(providers=providers, users=4, evidence=2, states=1))
    found, exact = plx.guarantee(cases.as_market(market), labels, 0.05), oracles.guarantees(market, labels, 0.05)
    np.testing.assert_allclose(found.lower, exact, atol=1e-8)
    np.testing.assert_allclose(found.upper, exact, atol=1e-8)


def test_ties_take_the_optimal_play_that_is_worst_for_the_provider():
    """docs/mathematics.md, section 6: error 0, but without a rule for ties the guarantee is 0, and T(w) = 1."""
    user = np.array([[1.0, 0, 0], [1, 0, 0], [0, 1, 0]])
    first = np.array([[3.0, 0, 0], [-1, 0, 0], [0, 1, 0]])
    second = np.array([[-1.0, 0, 0], [3, 0, 0], [0, 1, 0]])
    prior = np.zeros((3, 1, 3, 3))
    prior[:, 0, [0, 1], [0, 1]] = 0.5
    # All three users are this user, and the last two providers care about nothing.
    provider = np.stack([first, second, 0 * first, 0 * first])[:, None] * np.ones((1, 3, 1, 1))
    market = cases.Primitives(prior, np.stack([user] * 3), provider, np.ones(3))
    count = compiled.ROWS
    found = ask([market] * count, np.tile([0, 1, 2], (count, 1)), np.zeros(count))
    np.testing.assert_allclose([found.lower[0], found.upper[0]], 0, atol=1e-9)
    slack = tie_slack(cases.as_market(market), float64([[0.5, 0.5, 0, 0], [0.5, 0, 0, 0], [1, 2, 3, 4]]))
    # For the last one: half of min(3 - 2, -1 + 6) - (-1 - 2).
    np.testing.assert_allclose(slack, [1.0, 0.0, 0.5 * (1 + 3)], atol=1e-12)


def large(providers, users=30, seed=0):
    """Standard normal payoffs with 20 actions and 20 states."""
    generator = np.random.default_rng(seed)
    user = generator.normal(size=(users, 20, 20))
    return plx.observed_market(user, generator.normal(size=(providers, users, 20, 20)))


def test_a_bracket_with_fifty_providers_closes():
    """After 300 pivots the solution missed floors by 2e-11, and the upper end was aligned play: [-0.986, 0.130]."""
    market = large(50)
    only = lambda leaf: leaf[23:24]
    hers = plx.Market(only(market.prior), only(market.user_value), market.provider_value[:, 23:24], only(market.mass))
    found = jax.jit(lambda market: plx.guarantee(market, [0]), compiler_options=compiled.CHEAP)(hers)
    assert int(found.status[0]) == Status.OK
    exact = oracles.guarantees(hers, [0], 0.0)[0]
    np.testing.assert_allclose([found.lower[0], found.upper[0]], exact, atol=1e-8)


def test_memory_is_bounded_where_many_users_share():
    """30 users, 20 actions and states, 5 providers: programmes of 55 MB, one for each user; 4.8 GB side by side."""
    ask = jax.jit(lambda market: plx.guarantee(market, plx.anonymous(30)), compiler_options=compiled.CHEAP)
    with jax.enable_x64(True):
        memory = ask.lower(large(5)).compile().memory_analysis()
    assert memory.temp_size_in_bytes < 0.6e9


@pytest.mark.slow
def test_programmes_solved_in_groups_are_the_same(monkeypatch):
    """Whatever the size of a group, in Python and compiled."""
    market = cases.as_market(cases.build("gaussian", 4))
    wanted = jax.tree.map(np.asarray, plx.guarantee(market, [0, 0, 1]))
    programmes = []

    def counting(programs):
        programmes.append(programs.matrix.shape[:-2])
        return simplex(programs)

    monkeypatch.setattr(_guarantee, "_MOST_MEMORY", 1)
    found = plx.guarantee(market, [0, 0, 1], solver=counting)
    assert programmes == [(1,), (1,), (1,)]
    again = jax.jit(lambda market: plx.guarantee(market, [0, 0, 1]), compiler_options=compiled.CHEAP)(market)
    for other in (found, again):
        for name in ("lower", "upper", "weights", "status"):
            np.testing.assert_allclose(getattr(other, name), getattr(wanted, name), rtol=1e-12, atol=1e-12)
