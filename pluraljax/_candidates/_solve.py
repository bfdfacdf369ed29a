"""Solves linear programmes in batches: the batched simplex first, the exact host solver for what it leaves unsolved."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from .._precision import float64_scope, in_float64
from ._highs import solve_one_on_host
from ._program import LinearProgram, Outcome, Solution
from ._simplex import solve_batch

# What proposes candidates: maps programmes with any leading axes to solutions with the same leading axes.
Solver = Callable[[LinearProgram], Solution]

_solve_batch = in_float64(lambda programs: solve_batch(programs))


@float64_scope
def solve(programs: LinearProgram) -> Solution:
    """Solves programmes with any number of leading axes; each gets an `Outcome`, and none raises.

    A programme that the batched simplex fails on is retried there, rescaled and with other tie-breaking. What is then
    left goes to the exact host solver when arrays are concrete; under `jit` and `vmap` it is left `UNSOLVED`, and the
    scan engine gives those rows a second pass.
    """
    programs = jax.tree.map(jax.lax.stop_gradient, programs)
    lead = programs.matrix.shape[:-2]
    count = math.prod(lead)
    merged = jax.tree.map(lambda leaf: leaf.reshape(count, *leaf.shape[len(lead) :]), programs)
    solutions = _solve_batch(merged)
    if not isinstance(solutions.outcome, Tracer):
        solutions = _rescue(merged, solutions, np.asarray(solutions.outcome) != Outcome.OPTIMAL)
    return jax.tree.map(lambda leaf: leaf.reshape(*lead, *leaf.shape[1:]), solutions)


@float64_scope
def solve_on_host(programs: LinearProgram) -> Solution:
    """Solves every programme with the exact host solver. Needs concrete arrays: it cannot run under `jit` or `vmap`."""
    lead = programs.matrix.shape[:-2]
    count = math.prod(lead)
    merged = jax.tree.map(lambda leaf: np.asarray(leaf).reshape(count, *leaf.shape[len(lead) :]), programs)
    rows = [solve_one_on_host(jax.tree.map(lambda leaf, i=i: leaf[i], merged)) for i in range(count)]
    return jax.tree.map(
        lambda *leaves: jnp.stack([jnp.asarray(x) for x in leaves]).reshape(*lead, *leaves[0].shape), *rows
    )


def _rescue(programs: LinearProgram, solutions: Solution, failed: np.ndarray) -> Solution:
    if not failed.any():
        return solutions
    primal, dual, outcome, pivots = (np.array(leaf) for leaf in jax.tree.leaves(solutions))
    for i in np.flatnonzero(failed):
        exact = solve_one_on_host(jax.tree.map(lambda leaf, i=i: np.asarray(leaf[i]), programs))
        if exact.outcome == Outcome.RESCUED:
            primal[i], dual[i], outcome[i] = exact.primal, exact.dual, exact.outcome
    return Solution(*(jnp.asarray(leaf) for leaf in (primal, dual, outcome, pivots)))
