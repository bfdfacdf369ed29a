"""Solves linear programmes in batches: the batched simplex first, the exact host solver for what it leaves unsolved."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from .._precision import float64_scope, in_float64
from ._highs import solve_many_on_host, solve_one_on_host
from ._program import LinearProgram, Solution, SolverStatus
from ._simplex import solve_batch

# What proposes candidates: maps programmes with any leading axes to solutions with the same leading axes.
Solver = Callable[[LinearProgram], Solution]

_solve_batch = in_float64(lambda programs: solve_batch(programs))


@float64_scope
def solve(programs: LinearProgram) -> Solution:
    """Solves programmes with any number of leading axes; each gets an `SolverStatus`, and none raises.

    A programme that the batched simplex fails on is retried there, rescaled and with other tie-breaking. What is then
    left goes to the exact host solver when arrays are concrete; under `jit` and `vmap` it is left `UNSOLVED`, and the
    scan engine gives those rows a second pass.
    """
    programs = jax.tree.map(jax.lax.stop_gradient, programs)
    lead = programs.matrix.shape[:-2]
    count = math.prod(lead)
    merged = jax.tree.map(lambda leaf: leaf.reshape(count, *leaf.shape[len(lead) :]), programs)
    solutions = _solve_batch(merged)
    if not isinstance(solutions.status, Tracer):
        solutions = _rescue(merged, solutions, np.asarray(solutions.status) != SolverStatus.OPTIMAL)
    return jax.tree.map(lambda leaf: leaf.reshape(*lead, *leaf.shape[1:]), solutions)


@float64_scope
def solve_on_host(programs: LinearProgram) -> Solution:
    """Solves every programme with the exact host solver; under `jit` and `vmap` through a callback."""
    programs = jax.tree.map(jax.lax.stop_gradient, programs)
    data = (programs.matrix, programs.limit, programs.cost)
    if any(isinstance(leaf, Tracer) for leaf in data):
        primal, dual, outcome = _call_back(*data)
    else:
        primal, dual, outcome = map(jnp.asarray, solve_many_on_host(*map(np.asarray, data)))
    return Solution(primal, dual, outcome, jnp.zeros_like(outcome))


@in_float64
def _call_back(matrix, limit, cost):
    lead = matrix.shape[:-2]
    words = lambda shape: jax.ShapeDtypeStruct((*shape, 2), jnp.uint32)
    wanted = (words(cost.shape), words(limit.shape), jax.ShapeDtypeStruct(lead, jnp.int32))
    as_words = [jax.lax.bitcast_convert_type(leaf, jnp.uint32) for leaf in (matrix, limit, cost)]
    primal, dual, outcome = jax.pure_callback(_answer, wanted, *as_words, vmap_method="broadcast_all")
    as_numbers = lambda leaf: jax.lax.bitcast_convert_type(leaf, jnp.float64)
    return as_numbers(primal), as_numbers(dual), outcome


def _answer(*as_words: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Runs in a thread of XLA's, whose setting of float64 is not ours: numbers come and go as words of 32 bits."""
    numbers = lambda leaf: np.ascontiguousarray(leaf).view(np.float64)[..., 0]
    primal, dual, outcome = solve_many_on_host(*map(numbers, as_words))
    words = lambda leaf: np.ascontiguousarray(leaf)[..., None].view(np.uint32)
    return words(primal), words(dual), outcome


def _rescue(programs: LinearProgram, solutions: Solution, failed: np.ndarray) -> Solution:
    if not failed.any():
        return solutions
    primal, dual, outcome, pivots = (np.array(leaf) for leaf in jax.tree.leaves(solutions))
    data = [np.asarray(leaf) for leaf in (programs.matrix, programs.limit, programs.cost)]
    for i in np.flatnonzero(failed):
        exact, prices, ended = solve_one_on_host(*(leaf[i] for leaf in data))
        if ended == SolverStatus.RESCUED:
            primal[i], dual[i], outcome[i] = exact, prices, ended
    return Solution(*(jnp.asarray(leaf) for leaf in (primal, dual, outcome, pivots)))
