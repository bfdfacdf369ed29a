"""Batched primal simplex on dense tableaux, for the many small linear programmes of this project.

Each programme is a condensed tableau (Dantzig's rule, exchange pivots). Programmes are solved in lanes: a group runs
until its slowest lane ends, so groups are small. Ties in the ratio test are broken by a second right-hand side with
random entries, which stands for an infinitesimal perturbation (a lexicographic rule needs a column per row instead).
"""

import functools
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from ._lanes import LANES_ON_CPU, in_lanes
from ._program import RESIDUAL_TOLERANCE, LinearProgram, Solution, SolverStatus, residual

# Callers scale their programmes so that matrix and cost entries are of order one.
OPTIMALITY = 1e-12
SMALLEST_PIVOT = 1e-10
TIE = 1e-14
# A solution that misses no more than this, relative to a programme of order one, is as good as floats can be.
ROUNDING = 1e-13

RUNNING = -1

_ATTEMPTS = 2
# Measured: the width from which rows of a tableau are handled as vectors, and the numbers in a vector.
_LEAST_WIDTH, _VECTOR = 32, 8
_CACHE = 2**18  # bytes
# Tableaux that pivot side by side take no more memory than this, if there is more than one of them.
_MOST_MEMORY = 2**26  # bytes


class Tableau(eqx.Module):
    """Rows: constraints, then reduced costs. Columns: variables at zero, the limit, its perturbation, then padding.

    `place` says where each variable is, slacks after the others: at zero in the column of that number, or (counted on
    from the columns) basic in a row. `ended` is `RUNNING`, or the outcome and the number of pivots that led there.
    """

    entries: Float[Array, "*lane height width"]
    place: Int[Array, "*lane variable"]
    ended: Int[Array, "*lane"]


class _Scale(eqx.Module):
    """What rows and columns of a programme are multiplied by."""

    row: Float[Array, "*lane row"]
    column: Float[Array, "*lane column"]


def _width(columns: int) -> int:
    """How wide a tableau is kept: LLVM unrolls shorter rows before it looks for vectors, and takes twice as long."""
    return max(_LEAST_WIDTH, -(-(columns + 2) // _VECTOR) * _VECTOR)


def _ties(rows: int, turn: Int[Array, ""]) -> Float[Array, " row"]:
    """How ties are broken, in another way at each attempt."""
    return _at(jnp.asarray(np.random.default_rng(0).uniform(0.5, 1.5, (_ATTEMPTS, rows)), jnp.float64), turn)


def _start(program: LinearProgram, scale: _Scale, ties: Float[Array, " row"]) -> Tableau:
    rows, columns = program.matrix.shape
    padding = jnp.zeros((rows, _width(columns) - columns - 2), jnp.float64)
    matrix, limit = program.matrix * scale.row[:, None] * scale.column[None], program.limit * scale.row
    top = jnp.concatenate([matrix, limit[:, None], ties[:, None], padding], axis=1)
    bottom = jnp.concatenate([-program.cost * scale.column, jnp.zeros(top.shape[1] - columns, jnp.float64)])
    return Tableau(
        entries=jnp.concatenate([top, bottom[None]], axis=0),
        place=jnp.arange(columns + rows, dtype=jnp.int32),
        ended=jnp.int32(RUNNING),
    )


def least(values: Float[Array, " place"]) -> tuple[Float[Array, ""], Int[Array, ""]]:
    """The least entry and the first place that holds it, in one pass; entries that are NaN do not count.

    `argmin` costs ten times as much on CPU, and a minimum that spreads NaN three times.
    """
    places = jnp.arange(values.shape[0], dtype=jnp.int32)

    def smaller(a, b):
        take = lax.lt(b[0], a[0])
        return lax.select(take, b[0], a[0]), lax.select(take, b[1], a[1])

    nothing = (jnp.array(np.inf, values.dtype), jnp.int32(values.shape[0] - 1))
    return lax.reduce((values, places), nothing, smaller, (0,))


def _at(values: Array, place: Int[Array, ""], axis: int = 0) -> Array:
    return lax.squeeze(lax.dynamic_slice_in_dim(values, place, 1, axis), (axis,))


def _step(tableau: Tableau, columns: int, pivots: Int[Array, ""]) -> Tableau:
    """One pivot, or the verdict that none is needed (optimal) or possible (unbounded)."""
    entries = tableau.entries
    height, width = entries.shape
    steepest, enter = least(entries[-1, :columns])
    column = _at(entries, enter, axis=1)
    usable = column[:-1] > SMALLEST_PIVOT
    inverse = 1.0 / jnp.where(usable, column[:-1], 1.0)
    ratio = jnp.where(usable, entries[:-1, columns] * inverse, jnp.inf)
    shortest, _ = least(ratio)
    _, leave = least(jnp.where(ratio <= shortest + TIE, entries[:-1, columns + 1] * inverse, jnp.inf))

    # NaN data compare false everywhere: the programme ends somewhere, and the check of its solution fails.
    optimal = steepest >= -OPTIMALITY
    done = optimal | ~(shortest < jnp.inf)
    go = (tableau.ended == RUNNING) & ~done
    entered, left = jnp.where(go, enter, np.int32(-1)), jnp.where(go, leave, np.int32(-1))
    leaves = jnp.arange(height, dtype=jnp.int32) == left
    enters = jnp.arange(width, dtype=jnp.int32) == entered
    # A quotient, and not a product with `inverse`, because XLA would compute that once for each row.
    row = jnp.where(enters, 1.0, _at(entries, leave)) / jnp.where(go, _at(column, leave), 1.0)
    # One product and one difference: the pivot's row and column are cleared and put back by their own factors.
    kept = jnp.where(leaves, 0.0, 1.0)[:, None] * jnp.where(enters, 0.0, 1.0)[None]
    factor = jnp.where(leaves, -1.0, jnp.where(go, column, 0.0))
    swapped = jnp.where(tableau.place == jnp.where(go, columns + leave, np.int32(-1)), enter, tableau.place)
    verdict = jnp.where(optimal, np.int32(SolverStatus.OPTIMAL), np.int32(SolverStatus.UNBOUNDED))
    return Tableau(
        entries=entries * kept - factor[:, None] * row[None],
        place=jnp.where(tableau.place == entered, columns + leave, swapped),
        ended=jnp.where((tableau.ended == RUNNING) & done, verdict + len(SolverStatus) * pivots, tableau.ended),
    )


def _read(tableau: Tableau, columns: int, scale: _Scale, pivots: Int[Array, ""]) -> Solution:
    """Reads both solutions off the last tableau; `pivots` are those of the lane that took longest."""
    values = jnp.concatenate([tableau.entries[-1, :columns], tableau.entries[:-1, columns]])
    values = jnp.maximum(values, 0.0)[tableau.place]
    basic = tableau.place >= columns
    running = tableau.ended == RUNNING
    return Solution(
        primal=jnp.where(basic, values, 0.0)[:columns] * scale.column,
        dual=jnp.where(basic, 0.0, values)[columns:] * scale.row,
        status=jnp.asarray(jnp.where(running, np.int32(SolverStatus.UNSOLVED), tableau.ended % len(SolverStatus))),
        pivots=jnp.asarray(jnp.where(running, pivots, tableau.ended // len(SolverStatus))),
    )


def _polish(program: LinearProgram, scale: _Scale, tableau: Tableau) -> Tableau:
    """Corrects both solutions once by what they miss, with the inverse of the basis that the tableau holds.

    Hundreds of pivots leave errors of 1e-11 or so, which bounds may be far more sensitive to than the check is.
    """
    rows, columns = program.matrix.shape
    entries, basic = tableau.entries, tableau.place >= columns
    matrix = program.matrix * scale.row[:, None] * scale.column[None]
    values = jnp.concatenate([entries[-1, :columns], entries[:-1, columns]])[tableau.place]
    # By variable: slacks after the others. By place: columns, then rows.
    primal, dual = jnp.where(basic, values, 0.0), jnp.where(basic, 0.0, values)[columns:]
    by_place = lambda by_variable: jnp.zeros(columns + rows, jnp.float64).at[tableau.place].set(by_variable)
    short = program.limit * scale.row - matrix @ primal[:columns] - primal[columns:]
    column, row = jnp.split(by_place(jnp.concatenate([jnp.zeros(columns, jnp.float64), short])), [columns])
    limit = entries[:-1, columns] + entries[:-1, :columns] @ column + row
    cheap = program.cost * scale.column - dual @ matrix
    _, row = jnp.split(by_place(jnp.concatenate([cheap, -dual])), [columns])
    prices = entries[-1, :columns] + row @ entries[:-1, :columns]
    entries = entries.at[:-1, columns].set(limit).at[-1, :columns].set(prices)
    return Tableau(entries, tableau.place, tableau.ended)


def _polished(programs: LinearProgram, scales: _Scale, tableaux: Tableau, found: Solution) -> Solution:
    """Polishes the solutions that miss anything by more than rounding; the others stay as they are."""
    columns = programs.matrix.shape[-1]
    check = jax.vmap(functools.partial(residual, bare=True))
    misses = check(programs, found.primal, found.dual)

    def again():
        read = jax.vmap(_read, in_axes=(0, None, 0, None))
        polished = read(jax.vmap(_polish)(programs, scales, tableaux), columns, scales, found.pivots.max())
        better = (misses > ROUNDING) & (check(programs, polished.primal, polished.dual) < misses)
        pick = lambda new, old: jnp.asarray(jnp.where(better.reshape(-1, *(1,) * (old.ndim - 1)), new, old))
        return Solution(
            pick(polished.primal, found.primal), pick(polished.dual, found.dual), found.status, found.pivots
        )

    return lax.cond(jnp.any(misses > ROUNDING), again, lambda: found)


def most_pivots(rows: int, columns: int) -> int:
    """When a programme is given up."""
    return 32 + 8 * (rows + columns)


def pivot_together(tableaux: Tableau) -> tuple[Tableau, Int[Array, ""]]:
    """Pivots a group of tableaux side by side until the last one ends; returns them, and how many turns it took."""
    rows = tableaux.entries.shape[1] - 1
    columns = tableaux.place.shape[1] - rows

    def running(state):
        tableaux, pivots = state
        return (pivots < most_pivots(rows, columns)) & jnp.any(tableaux.ended == RUNNING)

    def advance(state):
        tableaux, pivots = state
        return jax.vmap(_step, in_axes=(0, None, None))(tableaux, columns, pivots), pivots + jnp.int32(1)

    return lax.while_loop(running, advance, (tableaux, jnp.int32(0)))


PivotAll = Callable[[Tableau], tuple[Tableau, Int[Array, ""]]]


def _run(programs: LinearProgram, scales: _Scale, turn: Int[Array, ""], pivot_all: PivotAll) -> Solution:
    """Pivots one group of lanes, rescaled, until the last one ends."""
    rows, columns = programs.matrix.shape[-2:]
    tableaux, pivots = pivot_all(jax.vmap(_start, in_axes=(0, 0, None))(programs, scales, _ties(rows, turn)))
    found = jax.vmap(_read, in_axes=(0, None, 0, None))(tableaux, columns, scales, pivots)
    return _polished(programs, scales, tableaux, found)


def _equilibrate(program: LinearProgram) -> _Scale:
    """Rescales rows and columns so that their largest entries come to one (three alternating passes)."""
    row_scale = jnp.ones(program.matrix.shape[0], jnp.float64)
    column_scale = jnp.ones(program.matrix.shape[1], jnp.float64)
    for _ in range(3):
        size = jnp.abs(program.matrix) * row_scale[:, None] * column_scale[None]
        largest = jnp.max(size, axis=1)
        row_scale = row_scale / jnp.sqrt(jnp.where(largest > 0, largest, 1.0))
        size = jnp.abs(program.matrix) * row_scale[:, None] * column_scale[None]
        largest = jnp.maximum(jnp.max(size, axis=0), jnp.abs(program.cost) * column_scale)
        column_scale = column_scale / jnp.where(largest > 0, largest, 1.0)
    return _Scale(row_scale, column_scale)


def _accurate(programs: LinearProgram, found: Solution) -> Bool[Array, " lane"]:
    """Tells which solutions hold; the sizes of what cancels in them are only added up where one might not."""
    check = lambda bare: jax.vmap(functools.partial(residual, bare=bare))(programs, found.primal, found.dual)
    surely = check(True) <= RESIDUAL_TOLERANCE
    return lax.cond(surely.all(), lambda: surely, lambda: check(False) <= RESIDUAL_TOLERANCE)


def solve_lanes(programs: LinearProgram, pivot_all: PivotAll = pivot_together) -> Solution:
    """Solves one group of lanes; if any fails, solves the group once more, rescaled and with other ties.

    The second attempt is a second turn of a loop, which costs nothing where it is not needed (groups are mapped, not
    vmapped) and does not compile the pivoting twice.
    """
    lanes, rows, columns = programs.matrix.shape
    plain = _Scale(jnp.ones((lanes, rows), jnp.float64), jnp.ones((lanes, columns), jnp.float64))

    def attempt(state):
        best, turn = state
        scales = lax.cond(turn > 0, lambda: jax.vmap(_equilibrate)(programs), lambda: plain)
        found = _run(programs, scales, turn, pivot_all)
        accurate = _accurate(programs, found)
        # What counts is the check against the programme as it was given, not how the pivoting ended.
        outcome = jnp.full(lanes, SolverStatus.UNSOLVED, jnp.int32)
        outcome = jnp.where(found.status == SolverStatus.UNBOUNDED, found.status, outcome)
        outcome = jnp.where(accurate, jnp.full(lanes, SolverStatus.OPTIMAL, jnp.int32), outcome)
        keep = (best.status == SolverStatus.OPTIMAL) | ((turn > 0) & ~accurate)
        return (
            Solution(
                primal=jnp.asarray(jnp.where(keep[:, None], best.primal, found.primal)),
                dual=jnp.asarray(jnp.where(keep[:, None], best.dual, found.dual)),
                status=jnp.asarray(jnp.where(keep, best.status, outcome)),
                pivots=best.pivots + jnp.where(best.status == SolverStatus.OPTIMAL, 0, found.pivots),
            ),
            turn + jnp.int32(1),
        )

    def unsolved(state):
        best, turn = state
        return (turn < _ATTEMPTS) & jnp.any(best.status != SolverStatus.OPTIMAL)

    nothing = Solution(
        primal=jnp.zeros((lanes, columns), jnp.float64),
        dual=jnp.zeros((lanes, rows), jnp.float64),
        status=jnp.full(lanes, SolverStatus.UNSOLVED, jnp.int32),
        pivots=jnp.zeros(lanes, jnp.int32),
    )
    if columns == 0:
        return eqx.tree_at(lambda s: s.status, nothing, jnp.full(lanes, SolverStatus.OPTIMAL, jnp.int32))
    return lax.while_loop(unsolved, attempt, (nothing, jnp.int32(0)))[0]


def lanes_on_cpu(programs: LinearProgram) -> int:
    """As many tableaux as a core's cache holds: with 50 kB each, 8 side by side take 40 % less time than 32."""
    rows, columns = programs.matrix.shape[-2:]
    size = 8 * (rows + 1) * _width(columns)
    return min(max(_CACHE // size, 8), LANES_ON_CPU, max(_MOST_MEMORY // size, 1))


# Solves programmes along a leading axis.
solve_batch = in_lanes(solve_lanes, lanes_on_cpu)
