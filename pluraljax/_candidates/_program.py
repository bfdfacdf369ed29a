"""The one form of linear programme that candidates come from, and what a solver says about it."""

from enum import IntEnum
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from .._status import Status


class LinearProgram(eqx.Module):
    """maximise <cost, x> subject to matrix @ x <= limit, x >= 0, where limit >= 0.

    x = 0 is feasible, so no first phase is ever needed: every caller states its problem around a point that it knows.
    A programme whose known point is dual feasible instead is passed as its own dual.
    """

    matrix: Float[Array, "*batch row column"]
    limit: Float[Array, "*batch row"]
    cost: Float[Array, "*batch column"]

    def idle_where(self, idle: Bool[Array, "*batch"]) -> "LinearProgram":
        """Leaves nothing to do in a programme whose answer nobody waits for."""
        return LinearProgram(self.matrix, self.limit, jnp.asarray(jnp.where(idle[..., None], 0.0, self.cost)))


class SolverStatus(IntEnum):
    """How a solver ended on one programme."""

    OPTIMAL = 0
    RESCUED = 1  # optimal, found by the exact host solver
    UNBOUNDED = 2
    UNSOLVED = 3  # out of iterations, or the solution failed its check


def answered(solver: Int[Array, "*batch"]) -> Int[Array, "*batch"]:
    """The `Status` of answers whose brackets closed, by the `SolverStatus` of what they were read off."""
    return jnp.asarray(jnp.where(solver == SolverStatus.RESCUED, jnp.int32(Status.RESCUED), jnp.int32(Status.OK)))


class Solution(eqx.Module):
    """A candidate primal and dual point. Nothing relies on it being right: bounds are evaluated at it afterwards."""

    primal: Float[Array, "*batch column"]
    dual: Float[Array, "*batch row"]
    status: Int[Array, "*batch"]
    pivots: Int[Array, "*batch"]

    def finite(self) -> "Solution":
        """Reads what is not a number as zero: a bound evaluated there is wide, and still a bound."""
        known = lambda leaf: jnp.asarray(jnp.where(jnp.isfinite(leaf), leaf, 0.0))
        return Solution(known(self.primal), known(self.dual), self.status, self.pivots)


# A candidate counts as a solution when its constraint violations and its duality gap, relative to the size of the terms
# that cancel in them, are below this.
RESIDUAL_TOLERANCE = 1e-10


def residual(
    program: LinearProgram, primal: Float[Array, " column"], dual: Float[Array, " row"], bare: bool = False
) -> Float[Array, ""]:
    """Measures how far a primal-dual pair is from optimal: worst relative violation, or relative duality gap.

    With `bare` the terms that cancel are not added up, which costs half as much: what comes out is at least as large.
    """
    return size_of_misses(jnp, program.matrix, program.limit, program.cost, primal, dual, bare)


def size_of_misses(xp: Any, matrix: Any, limit: Any, cost: Any, primal: Any, dual: Any, bare: bool = False) -> Any:
    """`residual`, computed by `jax.numpy`, or by NumPy where JAX must not run."""
    used, priced = matrix @ primal, dual @ matrix
    primal_size, dual_size = 1.0 + xp.abs(limit), 1.0 + xp.abs(cost)
    if not bare:
        size = xp.abs(matrix)
        primal_size, dual_size = primal_size + size @ xp.abs(primal), dual_size + xp.abs(dual) @ size
    primal_error, dual_error = (used - limit) / primal_size, (cost - priced) / dual_size
    value, bound = cost @ primal, limit @ dual
    gap = xp.abs(bound - value) / (1.0 + xp.abs(cost) @ xp.abs(primal) + limit @ xp.abs(dual))
    worst = xp.maximum(xp.max(primal_error), xp.max(dual_error))
    worst = xp.maximum(worst, xp.maximum(xp.max(-primal), xp.max(-dual)))
    worst = xp.maximum(worst, gap)
    return xp.where(xp.isnan(worst), xp.inf, worst)
