"""All pivots of a batch of tableaux in one kernel of a GPU: each programme has an instance, which holds its tableau.

Step by step a pivot is some ten kernels, each of which reads and writes every tableau, and all wait for the programme
that takes longest. Here a tableau stays where it is until its own programme has ended. Triton knows no indices into
what it holds: whatever is taken from a tableau is a sum behind a mask, and its sides are powers of two.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from ._batch import Batch
from ._lanes import in_lanes
from ._program import SolverStatus
from ._simplex import (
    OPTIMALITY,
    RUNNING,
    SMALLEST_PIVOT,
    TIE,
    Tableau,
    lanes_on_cpu,
    most_pivots,
    pivot_together,
    solve_lanes,
)

# Numbers of a tableau that a thread holds, threads in a warp, and the most warps that an instance may have.
_HELD, _WARP, _MOST_WARPS = 32, 32, 16


def pivot_in_kernel(tableaux: Tableau, *, interpret: bool = False) -> tuple[Tableau, Int[Array, ""]]:
    """Pivots every tableau of a batch until it ends; as `pivot_together`, but for rounding.

    The same rules in the same order: what enters, what leaves, and how ties are broken. Sums are rounded otherwise
    where a compiler makes one instruction of a product and a sum. `interpret` runs it without a GPU.
    """
    # Heavy, and of no use without a GPU.
    from jax.experimental import pallas
    from jax.experimental.pallas import triton

    batch, height, width = tableaux.entries.shape
    variables = tableaux.place.shape[1]
    tall, wide, long = map(_power, (height, width, variables))
    entries = jnp.pad(tableaux.entries, ((0, 0), (0, tall - height), (0, wide - width)))
    place = jnp.pad(tableaux.place, ((0, 0), (0, long - variables)), constant_values=-2)
    one = lambda *axes: pallas.BlockSpec((None, *axes), lambda i: (i, *(jnp.int32(0),) * len(axes)))
    shape = lambda dtype, *axes: jax.ShapeDtypeStruct((batch, *axes), dtype)
    warps = max(1, tall * wide // (_HELD * _WARP))
    entries, place, ended, pivots = pallas.pallas_call(
        functools.partial(_pivot, height - 1, variables - height + 1),
        grid=(batch,),
        in_specs=[one(tall, wide), one(long)],
        out_specs=[one(tall, wide), one(long), one(1), one(1)],
        out_shape=[
            shape(jnp.float64, tall, wide), shape(jnp.int32, long), shape(jnp.int32, 1), shape(jnp.int32, 1)
        ],
        interpret=interpret,
        compiler_params=None if interpret else triton.CompilerParams(num_warps=warps, num_stages=1),
    )(entries, place)  # fmt: skip
    return Tableau(entries[:, :height, :width], place[:, :variables], ended[:, 0]), pivots.max()


def fits(height: int, width: int) -> bool:
    """Whether the threads of an instance can hold a tableau."""
    return _power(height) * _power(width) <= _HELD * _WARP * _MOST_WARPS


def _power(size: int) -> int:
    """The least power of two that is no smaller."""
    return 1 << (size - 1).bit_length()


def _pivot(rows: int, columns: int, entries_in: Any, place_in: Any, *out: Any) -> None:
    """The instance of one programme."""

    def running(state: Any) -> Bool[Array, ""]:
        _, _, ended, pivots = state
        return (ended == RUNNING) & (pivots < most_pivots(rows, columns))

    state = entries_in[...], place_in[...], jnp.int32(RUNNING), jnp.int32(0)
    entries, place, ended, pivots = lax.while_loop(running, functools.partial(_step, rows, columns), state)
    entries_out, place_out, ended_out, pivots_out = out
    entries_out[...] = entries
    place_out[...] = place
    ended_out[...] = jnp.full(1, jnp.where(ended == RUNNING, ended, ended + len(SolverStatus) * pivots))
    pivots_out[...] = jnp.full(1, pivots)


def _step(rows: int, columns: int, state: Any) -> Any:
    """One pivot, or the verdict that none is needed or possible: `_step` of `_simplex`, with masks for indices."""
    entries, place, ended, pivots = state
    height, width = entries.shape
    row, column = (lax.broadcasted_iota(jnp.int32, entries.shape, axis) for axis in (0, 1))
    in_column, in_row = lax.iota(jnp.int32, height), lax.iota(jnp.int32, width)
    row_of = lambda at: jnp.sum(jnp.asarray(jnp.where(row == at, entries, 0.0)), axis=0)
    column_of = lambda at: jnp.sum(jnp.asarray(jnp.where(column == at, entries, 0.0)), axis=1)

    steepest, enter = _least(row_of(rows), in_row, columns)
    entering = column_of(enter)
    usable = (entering > SMALLEST_PIVOT) & (in_column < rows)
    inverse = 1.0 / jnp.where(usable, entering, 1.0)
    ratio = jnp.where(usable, column_of(columns) * inverse, jnp.inf)
    shortest, _ = _least(ratio, in_column, rows)
    ties = jnp.where(ratio <= shortest + TIE, column_of(columns + 1) * inverse, jnp.inf)
    _, leave = _least(ties, in_column, rows)

    optimal = steepest >= -OPTIMALITY
    done = optimal | ~(shortest < jnp.inf)
    entered, left = jnp.where(done, np.int32(-1), enter), jnp.where(done, np.int32(-1), leave)
    pivot = jnp.sum(jnp.where(in_column == left, entering, 0.0))
    pivot_row = jnp.where(in_row == entered, 1.0, row_of(left)) / jnp.where(done, 1.0, pivot)
    kept = jnp.asarray(jnp.where((row == left) | (column == entered), 0.0, entries))
    factor = jnp.where(in_column == left, -1.0, jnp.where(done, 0.0, entering))
    swapped = jnp.asarray(jnp.where(place == jnp.where(done, np.int32(-1), columns + leave), enter, place))
    verdict = jnp.where(optimal, np.int32(SolverStatus.OPTIMAL), np.int32(SolverStatus.UNBOUNDED))
    return (
        kept - factor[:, None] * pivot_row[None, :],
        jnp.where(place == entered, columns + leave, swapped),
        jnp.where(done, verdict, ended),
        pivots + jnp.where(done, np.int32(0), np.int32(1)),
    )


def _least(values: Float[Array, " place"], places: Int[Array, " place"], count: int) -> tuple[Array, Array]:
    """The least of the first entries and the first place that holds it, the last one where that is infinite."""
    values = jnp.where((places < count) & (values == values), values, jnp.inf)
    least = jnp.min(values)
    first = jnp.min(jnp.where(values == least, places, np.int32(count - 1)))
    return least, jnp.where(least < jnp.inf, first, np.int32(count - 1))


def _by_platform(on_cpu: bool, tableaux: Tableau) -> tuple[Tableau, Int[Array, " lane"]]:
    held = not on_cpu and fits(*tableaux.entries.shape[1:])
    tableaux, pivots = (pivot_in_kernel if held else pivot_together)(tableaux)
    return tableaux, jnp.broadcast_to(pivots, tableaux.ended.shape)


_pivot_all = Batch(_by_platform, lambda tableaux: (tableaux, tableaux.ended))


def _pivot_lanes(tableaux: Tableau) -> tuple[Tableau, Int[Array, ""]]:
    tableaux, pivots = _pivot_all(tableaux)
    return tableaux, pivots.max()


# Solves programmes along a leading axis, in a kernel where that is lowered for a GPU.
solve_batch_in_kernel = in_lanes(functools.partial(solve_lanes, pivot_all=_pivot_lanes), lanes_on_cpu)
