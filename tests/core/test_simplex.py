import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiled import CHEAP
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import linprog

import pluraljax as plx
from pluraljax import Status
from pluraljax._candidates import LinearProgram, Solution, SolverStatus, _solve, highs, in_lanes, simplex
from pluraljax._candidates._program import RESIDUAL_TOLERANCE, residual

ROWS, COLUMNS = 6, 8


def program(matrix, limit, cost):
    with jax.enable_x64(True):
        return LinearProgram(*(jnp.asarray(leaf, jnp.float64) for leaf in (matrix, limit, cost)))


def optimum(matrix, limit, cost):
    """Value by HiGHS, or None when it is unbounded."""
    found = linprog(-np.asarray(cost), A_ub=matrix, b_ub=limit, method="highs")
    if found.status in (2, 3, 4):  # x = 0 is feasible, so that "unbounded or infeasible" means unbounded
        return None
    assert found.status == 0, found.message
    return -found.fun


def random_program(rng, kind):
    """Programmes of one shape: `dense` are generic and bounded, the others tie everywhere or have unbounded members."""
    if kind == "dense":
        matrix = rng.normal(size=(ROWS, COLUMNS))
        matrix[-1] = rng.uniform(0.5, 1.5, COLUMNS)
        return matrix, rng.uniform(0, 1, ROWS), rng.normal(size=COLUMNS)
    if kind == "integers":
        matrix = rng.integers(-2, 3, size=(ROWS, COLUMNS))
        return matrix, rng.integers(0, 2, size=ROWS), rng.integers(-1, 3, size=COLUMNS)
    if kind == "all_ties":
        matrix = rng.integers(-1, 2, size=(ROWS, COLUMNS))
        matrix[-1] = 1
        return matrix, np.r_[np.zeros(ROWS - 1), 1], rng.integers(-1, 2, COLUMNS)
    matrix = np.repeat(rng.normal(size=(ROWS // 2, COLUMNS)), 2, axis=0)
    matrix[:, ::2] = matrix[:, 1::2]
    return matrix, np.repeat(rng.uniform(0, 1, ROWS // 2), 2), np.repeat(rng.normal(size=COLUMNS // 2), 2)


KINDS = ("dense", "integers", "all_ties", "repeats")


@pytest.fixture(scope="module")
def solve_many():
    return jax.jit(jax.vmap(simplex), compiler_options=CHEAP)


@pytest.mark.parametrize("kind", KINDS)
def test_values_match_highs(kind, solve_many):
    rng = np.random.default_rng(1)
    data = [random_program(rng, kind) for _ in range(200)]
    programs = jax.tree.map(lambda *rows: jnp.stack(rows), *[program(*rows) for rows in data])
    found = jax.tree.map(np.asarray, solve_many(programs))
    unbounded = 0
    for i, (matrix, limit, cost) in enumerate(data):
        value = optimum(matrix, limit, cost)
        if value is None:
            unbounded += 1
            assert found.status[i] == SolverStatus.UNBOUNDED
            continue
        assert found.status[i] == SolverStatus.OPTIMAL
        primal, dual = found.primal[i], found.dual[i]
        assert primal.min() >= 0
        assert dual.min() >= 0
        assert (matrix @ primal - limit).max() <= 1e-9
        assert (cost - dual @ matrix).max() <= 1e-9
        np.testing.assert_allclose([cost @ primal, limit @ dual], value, rtol=1e-9, atol=1e-9)
    assert kind != "dense" or unbounded == 0
    assert kind != "integers" or 0 < unbounded < 200


# Small multiples of a quarter: exact ties in ratios and in reduced costs are the rule.
TIED = st.integers(-8, 8).map(lambda numerator: numerator / 4)


def tied(*shape, positive=False):
    return hnp.arrays(np.float64, shape, elements=TIED.map(abs) if positive else TIED)


@given(tied(ROWS, COLUMNS), tied(ROWS, positive=True), tied(COLUMNS))
def test_made_up_programmes_end_as_highs_says(matrix, limit, cost):
    found = simplex(program(matrix, limit, cost))
    value = optimum(matrix, limit, cost)
    if value is None:
        assert found.status == SolverStatus.UNBOUNDED
    else:
        assert found.status == SolverStatus.OPTIMAL
        assert cost @ np.asarray(found.primal) == pytest.approx(value, abs=1e-9)


def cycling():
    """Programmes on which Dantzig's rule cycles when ties are broken by the lowest index, with their values."""
    beale = ([[0.25, -60, -0.04, 9], [0.5, -90, -0.02, 3], [0, 0, 1, 0]], [0, 0, 1], [0.75, -150, 0.02, -6])
    chvatal = ([[0.5, -5.5, -2.5, 9], [0.5, -1.5, -0.5, 1], [1, 0, 0, 0]], [0, 0, 1], [10, -57, -9, -24])
    return [(beale, 0.05), (chvatal, 1.0)]


def klee_minty(n):
    """Dantzig's rule visits all 2^n corners."""
    matrix = np.eye(n)
    for i in range(n):
        matrix[i, :i] = 2.0 * 10.0 ** (i - np.arange(i))
    return matrix, 100.0 ** np.arange(n), 10.0 ** (n - 1 - np.arange(n))


@pytest.mark.parametrize("case", [0, 1], ids=["beale", "chvatal"])
def test_cycling_examples_end(case):
    rows, value = cycling()[case]
    found = simplex(program(*rows))
    assert found.status == SolverStatus.OPTIMAL
    assert rows[2] @ np.asarray(found.primal) == pytest.approx(value, abs=1e-12)
    assert found.pivots < 20


def test_pivots_are_bounded_and_the_host_takes_over():
    rows = klee_minty(8)
    compiled = jax.jit(simplex, compiler_options=CHEAP)(program(*rows))
    assert compiled.status in (SolverStatus.UNSOLVED, SolverStatus.OPTIMAL)
    assert compiled.pivots <= 2 * (32 + 8 * 16)
    found = simplex(program(*rows))
    assert found.status in (SolverStatus.RESCUED, SolverStatus.OPTIMAL)
    assert (compiled.status == SolverStatus.OPTIMAL) == (found.status == SolverStatus.OPTIMAL)
    assert rows[2] @ np.asarray(found.primal) == pytest.approx(100.0**7, rel=1e-9)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_data_that_are_not_finite_end_without_an_answer(value, solve_many):
    rng = np.random.default_rng(2)
    rows = [random_program(rng, "dense") for _ in range(200)]
    clean = solve_many(program(*map(np.stack, zip(*rows, strict=True))))
    for at in range(3):
        spoiled = [leaf.copy() for leaf in rows[7]]
        spoiled[at][(0,) * spoiled[at].ndim] = value
        batch = [*rows[:7], tuple(spoiled), *rows[8:]]
        found = solve_many(program(*map(np.stack, zip(*batch, strict=True))))
        if not (at == 1 and value == np.inf):  # a row without a limit is a programme like any other
            assert found.status[7] in (SolverStatus.UNBOUNDED, SolverStatus.UNSOLVED)
        others = np.arange(200) != 7
        np.testing.assert_array_equal(np.asarray(found.primal)[others], np.asarray(clean.primal)[others])
        np.testing.assert_array_equal(np.asarray(found.dual)[others], np.asarray(clean.dual)[others])


def test_batches_of_batches_are_bitwise_what_a_loop_gives(solve_many):
    rng = np.random.default_rng(3)
    rows = [random_program(rng, KINDS[i % 4]) for i in range(200)]
    programs = program(*map(np.stack, zip(*rows, strict=True)))
    flat = solve_many(programs)
    nested = jax.tree.map(lambda leaf: leaf.reshape(4, 50, *leaf.shape[1:]), programs)
    twice = jax.jit(jax.vmap(jax.vmap(simplex)), compiler_options=CHEAP)(nested)
    for name in ("primal", "dual", "status"):
        leaf = np.asarray(getattr(twice, name))
        np.testing.assert_array_equal(leaf.reshape(200, *leaf.shape[2:]), getattr(flat, name))
    for i in range(0, 200, 37):
        one = simplex(jax.tree.map(lambda leaf, i=i: leaf[i], programs))
        if one.status != SolverStatus.RESCUED:
            np.testing.assert_array_equal(one.status, flat.status[i])
            np.testing.assert_allclose(one.primal, flat.primal[i], rtol=1e-12, atol=1e-12)
    assert twice.primal.dtype == jnp.float64


def test_float64_switch_on_or_off_is_the_same(solve_many):
    rng = np.random.default_rng(4)
    programs = program(*map(np.stack, zip(*[random_program(rng, "dense") for _ in range(200)], strict=True)))
    off = solve_many(programs)
    with jax.enable_x64(True):
        on = solve_many(programs)
    jax.tree.map(np.testing.assert_array_equal, on, off)


@pytest.mark.parametrize("count", [1, 31, 32, 33, 65])
def test_lanes_cover_any_batch(count):
    seen = []

    def square(values, factors):
        seen.append(values.shape[0])
        return values**2 * factors

    values = jnp.arange(count, dtype=jnp.float32)
    factor = jnp.float32(2.0)
    grouped = in_lanes(square)
    np.testing.assert_array_equal(grouped(values, jnp.full(count, factor)), 2 * np.arange(count) ** 2)
    mapped = jax.vmap(lambda v, f: grouped(v[None], f[None])[0], in_axes=(0, None))(values, factor)
    np.testing.assert_array_equal(mapped, 2 * np.arange(count) ** 2)
    assert max(seen) <= 32


def give_up(programs):
    """A batched solver that fails on everything."""
    batch, rows, columns = programs.matrix.shape
    with jax.enable_x64(True):
        nothing = jnp.zeros((batch, columns), jnp.float64), jnp.zeros((batch, rows), jnp.float64)
        return Solution(*nothing, jnp.full(batch, SolverStatus.UNSOLVED, jnp.int32), jnp.zeros(batch, jnp.int32))


def test_failures_are_rescued_on_the_host(monkeypatch):
    rng = np.random.default_rng(5)
    rows = [random_program(rng, "dense") for _ in range(6)]
    programs = program(*map(np.stack, zip(*rows, strict=True)))
    monkeypatch.setattr(_solve, "_solve_batch", give_up)
    found = simplex(jax.tree.map(lambda leaf: leaf.reshape(2, 3, *leaf.shape[1:]), programs))
    found = jax.tree.map(np.asarray, found)
    np.testing.assert_array_equal(found.status, np.full((2, 3), SolverStatus.RESCUED))
    for i, (matrix, limit, cost) in enumerate(rows):
        primal, dual = found.primal[divmod(i, 3)], found.dual[divmod(i, 3)]
        np.testing.assert_allclose([cost @ primal, limit @ dual], optimum(matrix, limit, cost), rtol=1e-9)
    hopeless = simplex(program(-np.ones((2, 2)), np.ones(2), np.ones(2)))
    assert hopeless.status in (SolverStatus.UNSOLVED, SolverStatus.UNBOUNDED)


def test_a_rescue_shows_in_the_status(monkeypatch):
    rng = np.random.default_rng(6)
    market = plx.observed_market(rng.normal(size=(2, 3, 3)), rng.normal(size=(3, 2, 3, 3)))
    before = plx.weak_alignment(market), plx.guarantee(market, [0, 0])
    monkeypatch.setattr(_solve, "_solve_batch", give_up)
    after = plx.weak_alignment(market), plx.guarantee(market, [0, 0])
    for old, new in zip(before, after, strict=True):
        assert (np.asarray(old.status) == Status.OK).all()
        assert (np.asarray(new.status) == Status.RESCUED).all()
    np.testing.assert_allclose(after[0].value.lower, before[0].value.lower, atol=1e-8)
    np.testing.assert_allclose(after[1].lower, before[1].lower, atol=1e-8)


def test_the_host_solver_alone():
    rng = np.random.default_rng(7)
    rows = [random_program(rng, "dense") for _ in range(4)]
    programs = program(*map(np.stack, zip(*rows, strict=True)))
    found = highs(jax.tree.map(lambda leaf: leaf.reshape(2, 2, *leaf.shape[1:]), programs))
    assert (np.asarray(found.status) == SolverStatus.RESCUED).all()
    assert rows[3][2] @ np.asarray(found.primal[1, 1]) == pytest.approx(optimum(*rows[3]), rel=1e-9)
    with np.errstate(all="ignore"):
        assert highs(program([[np.nan]], [1.0], [1.0])).status == SolverStatus.UNSOLVED
    assert highs(program([[-1.0]], [1.0], [1.0])).status == SolverStatus.UNBOUNDED


def test_the_host_solver_runs_inside_compiled_programmes():
    rng = np.random.default_rng(8)
    rows = [random_program(rng, "dense") for _ in range(4)]
    programs = program(*map(np.stack, zip(*rows, strict=True)))
    alone = highs(programs)
    inside = jax.jit(jax.vmap(highs))(programs)
    assert inside.primal.dtype == jnp.float64
    for one, other in zip(jax.tree.leaves(alone), jax.tree.leaves(inside), strict=True):
        # The same numbers to the last bit, although the thread that solves knows nothing of our float64.
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


def test_the_residual_sees_each_kind_of_error():
    good = program([[1.0, 1.0]], [1.0], [2.0, 1.0])
    with jax.enable_x64(True):
        check = lambda primal, dual: float(residual(good, jnp.array(primal), jnp.array(dual)))
        assert check([1.0, 0.0], [2.0]) <= RESIDUAL_TOLERANCE
        for primal, dual in (
            ([1.0 + 1e-6, 0.0], [2.0]),  # over the limit
            ([1.0, 0.0], [2.0 - 1e-6]),  # dual infeasible
            ([1.0 - 1e-6, 0.0], [2.0]),  # a gap
            ([1.0 + 1e-6, -1e-6], [2.0]),  # negative
        ):
            assert check(primal, dual) > 1e-8
        assert check([np.nan, 0.0], [2.0]) == np.inf
