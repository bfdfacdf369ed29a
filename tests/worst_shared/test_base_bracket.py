"""The bracket of the worst equilibrium without a search: known by hand, and under `jit` and `vmap`."""

import cases
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import pluraljax as plx
from pluraljax._worst_shared import base_bracket

CHEAP = {"xla_backend_optimization_level": 0}
SHAPE = cases.Shape(providers=2, users=2)
TOGETHER = np.zeros(2, np.int32)
BASE = jax.jit(
    jax.vmap(lambda market: plx.worst_equilibrium(market, plx.anonymous(market.num_users), budget=0)),
    compiler_options=CHEAP,
)
# One programme serves all tests.
ROWS = 12


def numbers(tree):
    return jax.tree.map(np.asarray, tree)


def ask(markets):
    rows = [*markets, *[markets[0]] * (ROWS - len(markets))]
    return jax.tree.map(lambda leaf: np.asarray(leaf)[: len(markets)], BASE(cases.stack(rows)))


def marks(markets):
    with jax.enable_x64(True):
        return numbers(jax.vmap(plx.benchmarks)(cases.stack(markets)))


def opposed(stronger):
    scales = [[1, -stronger], [-stronger, 1]]
    family = plx.families.opposed(providers=2, users=2, actions=3, states=3, scales=scales, common_decision=True)
    with jax.enable_x64(True):
        return cases.Primitives(*numbers([getattr(family(jr.key(0)), name) for name in cases.Primitives._fields]))


def test_foes_that_are_stronger_than_friends_leave_everybody_uninformed():
    markets = [opposed(1.5), opposed(4.0), opposed(0.25)]
    found, mark = ask(markets), marks(markets)
    expected = np.concatenate([mark.silent[:2], mark.aligned[2:]])
    np.testing.assert_allclose([found.value.lower, found.value.upper], [expected] * 2, atol=1e-6)
    assert (found.status == plx.Status.OK).all()


@pytest.mark.slow
def test_a_guarantee_that_contradicts_silence_closes_nothing():
    """What the least delta is worth is no contradiction; more than that says that one of the two is wrong."""
    market, mark = cases.as_market(opposed(1.5)), marks([opposed(1.5)])
    silence = plx.silence(market, TOGETHER)
    assert silence.is_equilibrium
    for more, closes in ((-0.5, True), (0.0, True), (1e-8, True), (1e-3, False)):
        least = mark.silent[0] + more * (mark.aligned[0] - mark.silent[0])
        with jax.enable_x64(True):
            found = numbers(base_bracket(market, jnp.asarray(least), silence))
        assert (found.status == (plx.Status.OK if closes else plx.Status.OPEN)).all()
        assert not closes or (found.value.lower == found.value.upper).all()


def test_strong_alignment_gives_everybody_all_there_is():
    markets = [cases.build("common_conic", seed, SHAPE) for seed in range(6)]
    found, mark = ask(markets), marks(markets)
    np.testing.assert_allclose(found.value.lower, mark.aligned, atol=1e-6)
    np.testing.assert_allclose(found.value.upper, mark.aligned, atol=1e-12)


@pytest.mark.slow
def test_the_compiled_bracket_is_the_one_outside():
    """Nobody has a profile."""
    markets = [cases.build("gaussian", seed, SHAPE) for seed in range(4)]
    found, outside = ask(markets), numbers(plx.worst_equilibrium(cases.stack(markets), plx.anonymous(2), budget=0))
    np.testing.assert_allclose(found.value.lower, outside.value.lower, atol=1e-9)
    np.testing.assert_allclose(found.value.upper, outside.value.upper, atol=1e-9)
    assert not found.has_profile.any()
    assert not found.looked.any()


def test_invalid_markets_have_a_status_and_no_numbers():
    broken = cases.build("gaussian", 0, SHAPE)
    broken.user_value[0, 0, 0] = np.nan
    found = ask([broken])
    assert (found.status == plx.Status.NOT_FINITE).all()
    assert np.isnan([found.value.lower, found.value.upper]).all()


def test_a_search_cannot_be_traced():
    market = cases.as_market(cases.build("gaussian", 0, SHAPE))
    with pytest.raises(ValueError, match="budget=0"):
        jax.eval_shape(lambda delta: plx.worst_equilibrium(market, plx.anonymous(2), delta=delta), jnp.zeros(()))
    with pytest.raises(ValueError, match="must be known"):
        jax.eval_shape(lambda labels: plx.worst_equilibrium(market, labels, budget=0), jnp.zeros(2, jnp.int32))
