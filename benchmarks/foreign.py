"""Solvers of others, each given the same linear programmes in the form of `plx.solvers.LinearProgram`.

Each adapter takes a batch, `matrix[programme, row, column]`, `limit[programme, row]`, `cost[programme, column]`, and
returns a function without arguments that solves all of it: `primal[programme, column]`, `dual[programme, row]`. What is
done before (compiling, building models) is not timed. Batched solvers in JAX are mapped over groups of 32 programmes,
as pluraljax's own is: over all at once each of them is slower.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import highspy
import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize

import pluraljax as plx

from .speed import Programme

Batch = tuple[np.ndarray, np.ndarray, np.ndarray]
Solve = Callable[[], tuple[np.ndarray, np.ndarray]]
_GROUP = 32


class CannotPose(Exception):
    """A solver has no form for such programmes; the message says why."""


@dataclass(frozen=True)
class Peer:
    """A solver: what it is called in tables, the module that it is in, and its adapter."""

    name: str
    module: str
    prepare: Callable[[Batch], Solve]
    games_only: bool = False


def _mapped(solve_one: Callable, batch: Batch) -> Solve:
    """Solves groups of programmes with a function of one, in JAX."""
    program = jax.jit(lambda *rows: jax.lax.map(lambda row: solve_one(*row), rows, batch_size=_GROUP))
    arrays = [jnp.asarray(leaf) for leaf in batch]

    def solve():
        primal, dual = program(*arrays)
        return np.asarray(primal), np.asarray(dual)

    return solve


def _one_by_one(solve_one: Callable, batch: Batch) -> Solve:
    def solve():
        primal, dual = zip(*(solve_one(*row) for row in zip(*batch, strict=True)), strict=True)
        return np.stack(primal), np.stack(dual)

    return solve


def _pluraljax(batch: Batch) -> Solve:
    program, arrays = jax.jit(plx.solvers.simplex), plx.solvers.LinearProgram(*map(jnp.asarray, batch))

    def solve():
        found = program(arrays)
        return np.asarray(found.primal), np.asarray(found.dual)

    return solve


def _highs(batch: Batch) -> Solve:
    (_, rows, columns), infinity = batch[0].shape, highspy.kHighsInf
    dense, zero = [np.arange(columns)] * rows, np.zeros(columns)
    model = Programme(dense, columns, np.full(rows, -infinity), np.zeros(rows), zero, maximise=True)

    def one(matrix, limit, cost):
        model.lp.a_matrix_.value_, model.lp.row_upper_, model.lp.col_cost_ = matrix.ravel(), limit, cost
        model.solve()
        found = model.solver.getSolution()
        return np.array(found.col_value), np.array(found.row_dual)

    return _one_by_one(one, batch)


def _scipy(batch: Batch) -> Solve:
    def one(matrix, limit, cost):
        found = scipy.optimize.linprog(-cost, matrix, limit)
        return found.x, -found.ineqlin.marginals

    return _one_by_one(one, batch)


def _quantecon(batch: Batch) -> Solve:
    from quantecon.optimize import linprog_simplex  # pyright: ignore[reportMissingImports]

    def one(matrix, limit, cost):
        found = linprog_simplex(cost, A_ub=matrix, b_ub=limit)
        return found.x, found.lambd

    return _one_by_one(one, batch)


def _qpax(batch: Batch, tolerance: float | None = None) -> Solve:
    """Poses the programme or its dual, whichever has fewer unknowns: a step factorises a matrix of that size."""
    import qpax  # pyright: ignore[reportMissingImports]

    (_, rows, columns), options = batch[0].shape, {} if tolerance is None else {"solver_tol": tolerance}

    def minimum(cost, matrix, limit):
        size = len(cost)
        at_least_zero = jnp.concatenate([matrix, -jnp.eye(size)]), jnp.concatenate([limit, jnp.zeros(size)])
        no_rows = jnp.zeros((0, size)), jnp.zeros(0)
        found, _, prices, *_ = qpax.solve_qp(jnp.zeros((size, size)), cost, *no_rows, *at_least_zero, **options)
        return found, prices[: len(limit)]

    def one(matrix, limit, cost):
        if columns <= rows:
            return minimum(-cost, matrix, limit)
        return minimum(limit, -matrix.T, -cost)[::-1]

    return _mapped(one, batch)


def _linrax(batch: Batch) -> Solve:
    import linrax  # pyright: ignore[reportMissingImports]

    def one(matrix, limit, cost):
        rows, columns = matrix.shape
        no_rows = {"A_eq": jnp.zeros((0, columns)), "b_eq": jnp.zeros(0)}
        found, _ = linrax.linprog(-cost, A_ub=matrix, b_ub=limit, **no_rows)
        # It returns no prices: they are the reduced costs of the slacks in its last tableau.
        return found.x, found.tableau[-1, columns : columns + rows]

    return _mapped(one, batch)


def _mpax(batch: Batch, tolerance: float | None = None) -> Solve:
    import mpax  # pyright: ignore[reportMissingImports]

    options = {} if tolerance is None else {"eps_abs": tolerance, "eps_rel": tolerance}
    solver = mpax.r2HPDHG(iteration_limit=20_000, **options)

    def one(matrix, limit, cost):
        size = len(cost)
        no_rows, ends = (jnp.zeros((0, size)), jnp.zeros(0)), (jnp.zeros(size), jnp.full(size, jnp.inf))
        program = mpax.create_lp(-cost, *no_rows, -matrix, -limit, *ends, use_sparse_matrix=False)
        found = solver.optimize(program)
        return found.primal_solution, found.dual_solution

    return _mapped(one, batch)


def _manylp(batch: Batch) -> Solve:
    import manylp  # noqa: F401  # pyright: ignore[reportMissingImports]

    matrix, _, cost = batch
    if (matrix != matrix[:1]).any() or (cost != cost[:1]).any():
        raise CannotPose("its programmes share matrix and objective and differ in bounds; these differ in both")
    raise CannotPose("nobody has written its adapter for programmes that differ in bounds only")


def _pygambit(batch: Batch) -> Solve:
    """Solves matrix games, whose programmes have all limits and costs one; reading the game is not timed."""
    import pygambit

    def read(matrix):
        rows, columns = matrix.shape
        pays = " ".join(f"{matrix[i, j]!r} {-matrix[i, j]!r}" for j in range(columns) for i in range(rows))
        text = f'NFG 1 R "matrix game" {{ "1" "2" }} {{ {rows} {columns} }}\n\n{pays}\n'
        return pygambit.read_nfg(io.StringIO(text))  # pyright: ignore[reportAttributeAccessIssue]

    games = [read(np.array(matrix, float).astype(object)) for matrix in batch[0]]
    _, rows, columns = batch[0].shape

    def solve():
        found = [pygambit.nash.lp_solve(game, rational=False).equilibrium for game in games]
        odds = lambda player, count: [[float(each[player][str(i + 1)]) for i in range(count)] for each in found]
        return np.array(odds("2", columns)), np.array(odds("1", rows))

    return solve


OWN = Peer("pluraljax", "pluraljax", _pluraljax)
PEERS = (
    Peer("HiGHS, one model reused", "highspy", _highs),
    Peer("SciPy linprog", "scipy", _scipy),
    Peer("QuantEcon linprog_simplex", "quantecon", _quantecon),
    Peer("pygambit lp_solve", "pygambit", _pygambit, games_only=True),
    Peer("linrax", "linrax", _linrax),
    Peer("qpax", "qpax", _qpax),
    Peer("qpax, tolerance 1e-7", "qpax", partial(_qpax, tolerance=1e-7)),
    Peer("mpax r2HPDHG", "mpax", _mpax),
    Peer("mpax r2HPDHG, tol. 1e-8", "mpax", partial(_mpax, tolerance=1e-8)),
    Peer("manylp", "manylp", _manylp),
)
