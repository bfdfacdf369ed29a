"""The worst equilibrium with shared policies: known by hand, against menus, single users, and what must not matter."""

import functools
import itertools

import cases
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import pluraljax as plx
from pluraljax._anonymous import anonymous_frontier as _anonymous_frontier
from pluraljax._anonymous import base_frontier as _base_frontier

CHEAP = {"xla_backend_optimization_level": 0}
SHAPE = cases.Shape(providers=2, users=2)
TOGETHER = np.zeros(2, np.int32)
BUDGET = 12
# Every programme is compiled once, for this many rows; as a caller without the float64 switch runs it.
ROWS = 48
SEARCH = jax.jit(
    jax.vmap(lambda market, delta: _anonymous_frontier(market, delta, budget=BUDGET)), compiler_options=CHEAP
)
BASE = jax.jit(jax.vmap(lambda market, delta: _anonymous_frontier(market, delta, budget=0)), compiler_options=CHEAP)
# A segment of one user has the bracket of `frontier`.
ALONE = jax.jit(jax.vmap(lambda market, delta: _anonymous_frontier(market, delta, budget=1)), compiler_options=CHEAP)


def float64(values):
    with jax.enable_x64(True):
        return jnp.asarray(np.asarray(values, np.float64))


def numbers(tree):
    return jax.tree.map(np.asarray, tree)


def asked(program, markets, delta=0.0):
    """Runs a program for up to `ROWS` markets."""
    rows = [market for _, market in zip(range(ROWS), itertools.cycle(markets), strict=False)]
    delta = np.resize(np.asarray(delta, float), len(markets))
    found = program(cases.stack(rows), float64(np.resize(delta, ROWS)))
    return jax.tree.map(lambda leaf: np.asarray(leaf)[: len(markets)], found)


@functools.cache
def registry():
    """Markets of every kind, some of them twice, and the slack they are asked about with."""
    names = [*cases.CASES, *cases.RANDOM, *cases.RANDOM]
    markets = [cases.build(name, i, SHAPE) for i, name in enumerate(names)]
    return names, markets, np.where(np.arange(len(names)) % 3 == 2, 0.05, 0.0)


@functools.cache
def searched():
    _, markets, delta = registry()
    return asked(SEARCH, markets, delta)


@functools.cache
def based():
    _, markets, delta = registry()
    return asked(BASE, markets, delta)


def marks(markets):
    with jax.enable_x64(True):
        return numbers(jax.vmap(plx.benchmarks)(cases.stack(markets)))


def close_to(markets):
    """What rounding may move: a share of the span and of the size of payoffs."""
    found = marks(markets)
    size = np.array([np.abs(market.user_value).max(axis=(1, 2)) for market in markets])
    return 1e-6 * (found.aligned - found.silent) + 1e-9 * size


@pytest.mark.slow
def test_more_budget_never_widens_and_stays_between_the_benchmarks():
    _, markets, _ = registry()
    found, base, mark, near = searched(), based(), marks(markets), close_to(markets)
    assert (found.worst.lower <= found.worst.upper).all()
    assert (found.worst.lower >= base.worst.lower - near).all()
    assert (found.worst.upper <= base.worst.upper + near).all()
    assert (base.worst.lower >= mark.silent - near).all()
    assert (base.worst.upper <= mark.aligned + near).all()
    assert found.boxes.max() == BUDGET
    assert (base.boxes == 0).all()


@pytest.mark.slow
def test_the_search_closes_brackets_that_guarantees_leave_open():
    closed = lambda found: (found.status == plx.Status.OK).mean()
    assert closed(searched()) > closed(based()) + 0.1


def menus():
    """Pairs of policies, one for each provider: partial disclosures and random signals, [profile provider 1 x 1 s]."""
    generator = np.random.default_rng(3)
    told = np.indices((2, 2, 2)).reshape(3, -1).T.astype(bool)
    policies = np.concatenate([np.eye(3) * told[:, :, None], ~told[:, :, None]], axis=-1)
    policies = np.concatenate([policies, generator.dirichlet(np.full(4, 0.5), size=(4, 3))])
    return np.array([policies[list(pair)] for pair in itertools.product(range(len(policies)), repeat=2)])[
        :, :, None, :, None
    ]


def _certify(market, policy, delta):
    found = plx.deviation(market, TOGETHER, plx.Profile(policy), delta)
    return found.is_equilibrium, found.user_value


CERTIFY = jax.jit(jax.vmap(_certify, in_axes=(None, 0, None)), compiler_options=CHEAP)


def test_no_equilibrium_on_a_menu_is_below_the_lower_end():
    _, markets, delta = registry()
    found, near, policies, certified = searched(), close_to(markets), float64(menus()), 0
    for i, market in enumerate(markets):
        holds, value = numbers(CERTIFY(cases.as_market(market), policies, float64(delta[i])))
        assert (value[holds] >= found.worst.lower[i] - near[i]).all()
        certified += holds.sum()
    assert certified > 1000


@pytest.mark.slow
def test_copies_of_one_user_fare_as_she_does_alone():
    names, markets, _ = registry()
    twins = [i for i, name in enumerate(names) if name == "twin_users"]
    twins_of = lambda seed: cases.build("twin_users", seed, SHAPE)
    markets = [markets[i] for i in twins] + [twins_of(seed) for seed in range(100, 111)]
    found = asked(SEARCH, markets)
    # Together they have twice the mass, which is the unit that delta is divided by; delta is zero here.
    single = [cases.Primitives(m.prior[:1], m.user_value[:1], m.provider_value[:, :1], m.mass[:1]) for m in markets]
    alone, near = asked(ALONE, single).worst, close_to(markets)
    assert (alone.upper - alone.lower <= 1e-5 * (marks(single).aligned - marks(single).silent) + 1e-9).all()
    assert (found.worst.lower <= alone.upper + near).all()
    assert (found.worst.upper >= alone.lower - near).all()
    assert (found.status == plx.Status.OK).any()


def opposed(stronger):
    scales = [[1, -stronger], [-stronger, 1]]
    family = plx.families.opposed(providers=2, users=2, actions=3, states=3, scales=scales, common_decision=True)
    with jax.enable_x64(True):
        return cases.Primitives(*numbers([getattr(family(jr.key(0)), name) for name in cases.Primitives._fields]))


def test_foes_that_are_stronger_than_friends_leave_everybody_uninformed():
    markets = [opposed(1.5), opposed(4.0), opposed(0.25)]
    found, mark = asked(SEARCH, markets), marks(markets)
    expected = np.concatenate([mark.silent[:2], mark.aligned[2:]])
    np.testing.assert_allclose([found.worst.lower, found.worst.upper], [expected] * 2, atol=1e-6)
    assert (found.status == plx.Status.OK).all()


def test_a_guarantee_that_contradicts_silence_closes_nothing():
    """What the least delta is worth is no contradiction; more than that says that one of the two is wrong."""
    market, mark = cases.as_market(opposed(1.5)), marks([opposed(1.5)])
    silence = plx.silence(market, TOGETHER)
    assert silence.is_equilibrium
    for more, closes in ((-0.5, True), (0.0, True), (1e-8, True), (1e-3, False)):
        least = mark.silent[0] + more * (mark.aligned[0] - mark.silent[0])
        found = numbers(_base_frontier(market, float64(least), silence))
        assert (found.status == (plx.Status.OK if closes else plx.Status.OPEN)).all()
        assert not closes or (found.worst.lower == found.worst.upper).all()


def test_strong_alignment_gives_everybody_all_there_is():
    markets = [cases.build("common_conic", seed, SHAPE) for seed in range(6)]
    found, mark = asked(BASE, markets), marks(markets)
    np.testing.assert_allclose(found.worst.lower, mark.aligned, atol=1e-6)
    np.testing.assert_allclose(found.worst.upper, mark.aligned, atol=1e-12)


def test_names_of_users_and_providers_do_not_matter():
    _, markets, delta = registry()
    turned = [
        cases.Primitives(m.prior[::-1], m.user_value[::-1], m.provider_value[::-1, ::-1], m.mass[::-1]) for m in markets
    ]
    found, near = searched(), close_to(markets)
    other = jax.tree.map(lambda leaf: leaf[:, ::-1], asked(SEARCH, turned, delta))
    assert (other.worst.lower <= found.worst.upper + near).all()
    assert (found.worst.lower <= other.worst.upper + near).all()
    both = (found.status == plx.Status.OK) & (other.status == plx.Status.OK)
    width = (marks(markets).aligned - marks(markets).silent) * 1e-3 + near
    assert (np.abs(found.worst.upper - other.worst.upper)[both] <= width[both]).all()
    assert both.mean() > 0.5


def test_neighbours_in_a_batch_do_not_matter():
    _, markets, delta = registry()
    found = searched()
    other = jax.tree.map(lambda leaf: leaf[::-1], asked(SEARCH, markets[::-1], delta[::-1]))
    np.testing.assert_allclose(found.worst.lower, other.worst.lower, atol=1e-12)
    np.testing.assert_allclose(found.worst.upper, other.worst.upper, atol=1e-12)


def test_users_with_segments_of_their_own_are_in_personalized_equilibria():
    """Outside of `jit`, and without a search: what is reported holds what the search for each of them finds."""
    _, markets, _ = registry()
    market = markets[0]
    split = [
        cases.Primitives(market.prior[[j]], market.user_value[[j]], market.provider_value[:, [j]], market.mass[[j]])
        for j in (0, 1)
    ]
    found = numbers(plx.anonymous_frontier(cases.as_market(market), segments=np.array([7, -1]), budget=0))
    alone = asked(ALONE, split).worst
    assert (found.worst.lower <= alone.upper[:, 0] + 1e-9).all()
    assert (found.worst.upper >= alone.lower[:, 0] - 1e-9).all()
    sure = numbers(plx.guarantee(cases.as_market(market), np.array([7, -1])))
    silent = marks([market]).silent[0]
    np.testing.assert_allclose(found.worst.lower, np.maximum(sure.lower, silent), atol=1e-6)


def test_invalid_markets_have_a_status_and_no_numbers():
    broken = cases.build("gaussian", 0, SHAPE)
    broken.user_value[0, 0, 0] = np.nan
    found = asked(SEARCH, [broken])
    assert (found.status == plx.Status.NOT_FINITE).all()
    assert np.isnan([found.worst.lower, found.worst.upper]).all()


def test_arguments_are_checked():
    market = cases.as_market(cases.build("gaussian", 0, SHAPE))
    with pytest.raises(ValueError, match="delta"):
        plx.anonymous_frontier(market, -0.1)
    with pytest.raises(ValueError, match="budget"):
        plx.anonymous_frontier(market, budget=-1)
    with pytest.raises(ValueError, match="segments"):
        plx.anonymous_frontier(market, segments=np.zeros(3, int))
    with pytest.raises(ValueError, match="traced"):
        jax.eval_shape(lambda segments: plx.anonymous_frontier(market, segments=segments), jnp.zeros(2, jnp.int32))
