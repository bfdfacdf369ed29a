"""The simplex method as one kernel of a GPU: interpreted here, held against the one that a CPU runs, and lowered."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pluraljax as plx
from pluraljax._candidates import LinearProgram, Solution, SolverStatus, _simplex
from pluraljax._candidates._kernel import fits, pivot_in_kernel
from pluraljax._candidates._simplex import RUNNING, pivot_together, solve_lanes

# Tableaux that are pivoted; programmes that are solved.
COUNT, SOME = 10_000, 600
ROWS, COLUMNS = 11, 9
KERNEL = "__gpu$xla.gpu.triton"


@pytest.fixture(scope="module")
def programs():
    """Real numbers, small integers (ties everywhere), and entries mostly zero, in turn; half may be unbounded."""
    rng = np.random.default_rng(0)
    matrix, limit = rng.normal(size=(COUNT, ROWS, COLUMNS)), rng.uniform(0.0, 1.0, (COUNT, ROWS))
    cost = rng.normal(size=(COUNT, COLUMNS))
    for leaf, least, most in ((matrix, -2, 3), (limit, 0, 3), (cost, -2, 3)):
        leaf[1::3] = rng.integers(least, most, leaf[1::3].shape)
    matrix[2::3] *= rng.random(matrix[2::3].shape) < 0.3
    matrix[COUNT // 2 :, -1] = 1.0
    matrix[0, 0, 0], cost[3, 0], limit[6, 0] = np.nan, np.nan, np.nan
    with jax.enable_x64(True):
        return LinearProgram(*(jnp.asarray(leaf, jnp.float64) for leaf in (matrix, limit, cost)))


@pytest.fixture(scope="module")
def solved(programs):
    """The last tableaux of all programmes, and solutions of the last ones, by both ways to pivot."""

    @functools.partial(jax.jit, static_argnums=1)
    def solve(programs, pivot_all):
        scale = _simplex._Scale(jnp.ones((COUNT, ROWS), jnp.float64), jnp.ones((COUNT, COLUMNS), jnp.float64))
        start = jax.vmap(_simplex._start, in_axes=(0, 0, None))
        tableaux, _ = pivot_all(start(programs, scale, _simplex._ties(ROWS, jnp.int32(0))))
        return tableaux, solve_lanes(jax.tree.map(lambda leaf: leaf[-SOME:], programs), pivot_all)

    with jax.enable_x64(True):
        ways = pivot_together, functools.partial(pivot_in_kernel, interpret=True)
        return [jax.tree.map(np.asarray, solve(programs, way)) for way in ways]


@pytest.mark.slow
def test_it_takes_the_same_pivots(solved):
    (want, _), (got, _) = solved
    ends = want.ended % len(SolverStatus)
    assert all((ends == status).sum() > 100 for status in (SolverStatus.OPTIMAL, SolverStatus.UNBOUNDED))
    assert (want.ended // len(SolverStatus)).max() > 10
    assert (want.ended != RUNNING).all()
    np.testing.assert_array_equal(got.ended, want.ended)
    np.testing.assert_array_equal(got.place, want.place)
    # Products and sums are made one instruction here and there, and not in the same places.
    size = np.nanmax(np.abs(want.entries), axis=(1, 2), keepdims=True)
    np.testing.assert_array_less(np.nan_to_num(np.abs(got.entries - want.entries) / size), 1e-12)
    np.testing.assert_array_equal(np.isnan(got.entries), np.isnan(want.entries))


@pytest.mark.slow
def test_its_solutions_are_those_of_the_other_one(solved):
    want, got = (solution for _, solution in solved)
    assert isinstance(got, Solution)
    np.testing.assert_array_equal(got.status, want.status)
    np.testing.assert_array_equal(got.pivots, want.pivots)
    done = want.status == SolverStatus.OPTIMAL
    assert done.sum() > 0.9 * SOME
    np.testing.assert_allclose(got.primal[done], want.primal[done], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(got.dual[done], want.dual[done], rtol=1e-9, atol=1e-12)


@pytest.mark.slow
def test_a_programme_that_does_not_end_is_given_up(solved, programs, monkeypatch):
    (want, _), _ = solved
    monkeypatch.setattr(_simplex, "most_pivots", lambda rows, columns: 3)
    monkeypatch.setattr("pluraljax._candidates._kernel.most_pivots", lambda rows, columns: 3)
    few = slice(0, 60)
    with jax.enable_x64(True):
        cut = jax.tree.map(lambda leaf: leaf[few], programs)
        scale = _simplex._Scale(jnp.ones((60, ROWS), jnp.float64), jnp.ones((60, COLUMNS), jnp.float64))
        start = jax.vmap(_simplex._start, in_axes=(0, 0, None))(cut, scale, _simplex._ties(ROWS, jnp.int32(0)))
        (got, turns), (like, _) = pivot_in_kernel(start, interpret=True), pivot_together(start)
    long = want.ended[few] // len(SolverStatus) >= 3
    assert long.any()
    assert int(turns) == 3
    np.testing.assert_array_equal(np.asarray(got.ended) == RUNNING, long)
    np.testing.assert_array_equal(got.ended, like.ended)


@pytest.mark.parametrize(("platform", "kernels"), [("cuda", True), ("cpu", False)])
def test_questions_are_lowered_to_it_for_a_gpu_only(platform, kernels):
    family = plx.families.gaussian(providers=2, users=1, actions=2, states=2)
    market = jax.eval_shape(family, jax.random.key(0))
    ask = jax.jit(lambda market: plx.weak_alignment(market, solver=plx.solvers.simplex_in_kernel))
    text = ask.trace(market).lower(lowering_platforms=(platform,)).as_text()
    assert (KERNEL in text) == kernels


@pytest.mark.slow
def test_on_a_cpu_it_is_the_other_one_to_the_bit(programs):
    few = jax.tree.map(lambda leaf: leaf[:64], programs)
    found = [solver(few) for solver in (plx.solvers.simplex, plx.solvers.simplex_in_kernel)]
    jax.tree.map(np.testing.assert_array_equal, *found)


@pytest.mark.parametrize(("height", "width", "held"), [(26, 40, True), (128, 128, True), (129, 128, False)])
def test_only_what_threads_can_hold_goes_there(height, width, held):
    assert fits(height, width) == held
