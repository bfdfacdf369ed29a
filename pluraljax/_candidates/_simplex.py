"""Batched primal simplex on dense tableaux, for the many small linear programmes of this project.

Each programme is a condensed tableau (Dantzig's rule, exchange pivots). Programmes are solved in lanes: a group runs
until its slowest lane ends, so groups are small. Ties in the ratio test are broken by a second right-hand side with
random entries, which stands for an infinitesimal perturbation (a lexicographic rule needs a column per row instead).
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from ._lanes import in_lanes
from ._program import RESIDUAL_TOLERANCE, LinearProgram, Outcome, Solution, residual

# Callers scale their programmes so that matrix and cost entries are of order one.
OPTIMALITY = 1e-12
SMALLEST_PIVOT = 1e-10
TIE = 1e-14

RUNNING = -1

_ATTEMPTS = 2


class _Tableau(eqx.Module):
    """Rows: constraints, then reduced costs. Columns: variables at zero, then the limit and its perturbation."""

    entries: Float[Array, "height width"]
    basic: Int[Array, " row"]
    at_zero: Int[Array, " column"]
    outcome: Int[Array, ""]
    pivots: Int[Array, ""]


def _start(program: LinearProgram, key: Array) -> _Tableau:
    rows, columns = program.matrix.shape
    # A fraction of 32-bit integers, because 64-bit random bits do not lower under a caller's float32 `jit`.
    noise = jr.bits(key, (rows,), jnp.uint32).astype(jnp.float64) * 2.0**-32 + 0.5
    top = jnp.concatenate([program.matrix, program.limit[:, None], noise[:, None]], axis=1)
    bottom = jnp.concatenate([-program.cost, jnp.zeros(2, jnp.float64)])
    return _Tableau(
        entries=jnp.concatenate([top, bottom[None]], axis=0),
        basic=columns + jnp.arange(rows, dtype=jnp.int32),
        at_zero=jnp.arange(columns, dtype=jnp.int32),
        outcome=jnp.int32(RUNNING),
        pivots=jnp.int32(0),
    )


def _first(mask: Array) -> Int[Array, ""]:
    """Index of the first true entry. `argmin` and `argmax` cost ten times as much on CPU."""
    places = jnp.arange(mask.shape[0], dtype=jnp.int32)
    return jnp.min(jnp.where(mask, places, np.int32(mask.shape[0] - 1)))


def _step(tableau: _Tableau) -> _Tableau:
    """One pivot, or the verdict that none is needed (optimal) or possible (unbounded)."""
    entries = tableau.entries
    rows, columns = tableau.basic.shape[0], tableau.at_zero.shape[0]
    reduced = entries[-1, :columns]
    steepest = jnp.min(reduced)
    enter = _first(reduced == steepest)
    column = lax.dynamic_slice_in_dim(entries, enter, 1, axis=1)[:, 0]

    usable = column[:-1] > SMALLEST_PIVOT
    divisor = jnp.where(usable, column[:-1], 1.0)
    ratio = jnp.where(usable, entries[:-1, columns] / divisor, jnp.inf)
    tied = usable & (ratio <= jnp.min(ratio) + TIE)
    second = jnp.where(tied, entries[:-1, columns + 1] / divisor, jnp.inf)
    leave = _first(tied & (second == jnp.min(second)))

    # NaN data compare false everywhere: no row is usable, and the programme ends as unbounded.
    optimal = steepest >= -OPTIMALITY
    stuck = ~optimal & ~jnp.any(usable)
    go = (tableau.outcome == RUNNING) & ~optimal & ~stuck
    is_row = jnp.arange(rows + 1, dtype=jnp.int32) == leave
    is_column = jnp.arange(columns + 2, dtype=jnp.int32) == enter
    pivot = jnp.where(go, jnp.sum(jnp.where(is_row, column, 0.0)), 1.0)
    row = jnp.sum(jnp.where(is_row[:, None], entries, 0.0), axis=0)
    row = jnp.where(is_column, 1.0, row) / pivot
    exchanged = jnp.where(is_column, 0.0, entries) - column[:, None] * row[None]
    exchanged = jnp.where(is_row[:, None], row, exchanged)

    entering = jnp.min(jnp.where(is_column[:columns], tableau.at_zero, np.int32(rows + columns)))
    leaving = jnp.min(jnp.where(is_row[:rows], tableau.basic, np.int32(rows + columns)))
    ended = jnp.where(optimal, np.int32(Outcome.OPTIMAL), np.int32(Outcome.UNBOUNDED))
    return _Tableau(
        entries=jnp.where(go, exchanged, entries),
        basic=jnp.where(go & is_row[:rows], entering, tableau.basic),
        at_zero=jnp.where(go & is_column[:columns], leaving, tableau.at_zero),
        outcome=jnp.where((tableau.outcome == RUNNING) & (optimal | stuck), ended, tableau.outcome),
        pivots=tableau.pivots + go.astype(jnp.int32),
    )


def _read(program: LinearProgram, tableau: _Tableau) -> Solution:
    """Reads both solutions off the last tableau."""
    rows, columns = program.matrix.shape
    primal = jnp.zeros(columns, jnp.float64)
    primal = primal.at[tableau.basic].set(tableau.entries[:-1, columns], mode="drop")
    dual = jnp.zeros(rows + columns, jnp.float64)
    dual = dual.at[tableau.at_zero].set(tableau.entries[-1, :columns])[columns:]
    outcome = jnp.where(tableau.outcome == RUNNING, np.int32(Outcome.UNSOLVED), tableau.outcome)
    return Solution(jnp.maximum(primal, 0.0), jnp.maximum(dual, 0.0), outcome, tableau.pivots)


def _run(programs: LinearProgram, seed: Int[Array, ""]) -> Solution:
    """Pivots one group of lanes until the last one ends."""
    rows, columns = programs.matrix.shape[-2:]
    limit = 32 + 8 * (rows + columns)
    tableaux = jax.vmap(_start, in_axes=(0, None))(programs, jr.fold_in(jr.key(jnp.uint32(0)), seed))

    def running(state):
        tableaux, step = state
        return (step < limit) & jnp.any(tableaux.outcome == RUNNING)

    def advance(state):
        tableaux, step = state
        return jax.vmap(_step)(tableaux), step + jnp.int32(1)

    tableaux, _ = lax.while_loop(running, advance, (tableaux, jnp.int32(0)))
    return jax.vmap(_read)(programs, tableaux)


def _equilibrate(program: LinearProgram) -> tuple[LinearProgram, Float[Array, " row"], Float[Array, " column"]]:
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
    scaled = LinearProgram(
        program.matrix * row_scale[:, None] * column_scale[None], program.limit * row_scale, program.cost * column_scale
    )
    return scaled, row_scale, column_scale


def _solve_lanes(programs: LinearProgram) -> Solution:
    """Solves one group of lanes; if any fails, solves the group once more, rescaled and with other ties.

    The second attempt is a second turn of a loop, which costs nothing where it is not needed (groups are mapped, not
    vmapped) and does not compile the pivoting twice.
    """
    lanes, rows, columns = programs.matrix.shape
    plain = (programs, jnp.ones((lanes, rows), jnp.float64), jnp.ones((lanes, columns), jnp.float64))

    def attempt(state):
        best, turn = state
        scaled, row_scale, column_scale = lax.cond(turn > 0, lambda: jax.vmap(_equilibrate)(programs), lambda: plain)
        found = _run(scaled, turn)
        primal, dual = found.primal * column_scale, found.dual * row_scale
        accurate = jax.vmap(residual)(programs, primal, dual) <= RESIDUAL_TOLERANCE
        # What counts is the check against the programme as it was given, not how the pivoting ended.
        outcome = jnp.full(lanes, Outcome.UNSOLVED, jnp.int32)
        outcome = jnp.where(found.outcome == Outcome.UNBOUNDED, found.outcome, outcome)
        outcome = jnp.where(accurate, jnp.full(lanes, Outcome.OPTIMAL, jnp.int32), outcome)
        keep = (best.outcome == Outcome.OPTIMAL) | ((turn > 0) & ~accurate)
        return (
            Solution(
                primal=jnp.where(keep[:, None], best.primal, primal),
                dual=jnp.where(keep[:, None], best.dual, dual),
                outcome=jnp.asarray(jnp.where(keep, best.outcome, outcome)),
                pivots=best.pivots + jnp.where(best.outcome == Outcome.OPTIMAL, 0, found.pivots),
            ),
            turn + jnp.int32(1),
        )

    def unsolved(state):
        best, turn = state
        return (turn < _ATTEMPTS) & jnp.any(best.outcome != Outcome.OPTIMAL)

    nothing = Solution(
        primal=jnp.zeros((lanes, columns), jnp.float64),
        dual=jnp.zeros((lanes, rows), jnp.float64),
        outcome=jnp.full(lanes, Outcome.UNSOLVED, jnp.int32),
        pivots=jnp.zeros(lanes, jnp.int32),
    )
    if columns == 0:
        return eqx.tree_at(lambda s: s.outcome, nothing, jnp.full(lanes, Outcome.OPTIMAL, jnp.int32))
    return lax.while_loop(unsolved, attempt, (nothing, jnp.int32(0)))[0]


# Solves programmes along a leading axis.
solve_batch = in_lanes(_solve_lanes)
