"""Solves linear programmes in batches: the batched simplex first, the exact host solver for what it leaves unsolved."""

import math
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from .._precision import float64_scope, in_float64
from ._highs import solve_many_on_host, solve_one_on_host
from ._kernel import solve_batch_in_kernel
from ._program import LinearProgram, Solution, SolverStatus
from ._simplex import solve_batch


@runtime_checkable
class Solver(Protocol):
    """What proposes candidates: a function from linear programmes to solutions with the same leading axes.

    Every question takes one as `solver=`. Nothing relies on a solution being right: both ends of a bracket are
    evaluated at the candidates that are read off it, so a poor solver makes brackets wide, and their status `OPEN`, and
    never wrong. It is given arrays of JAX in float64; under `jit` and `vmap` they are traced.
    """

    def __call__(self, programs: LinearProgram, /) -> Solution: ...


@in_float64
def _solve_batch(programs: LinearProgram) -> Solution:
    return solve_batch(programs)


@in_float64
def _solve_batch_in_kernel(programs: LinearProgram) -> Solution:
    return solve_batch_in_kernel(programs)


@float64_scope
def simplex(programs: LinearProgram) -> Solution:
    """Solves programmes by a batched simplex method, compiled for CPU and GPU: what every question uses by default.

    Any number of leading axes; each programme gets a `SolverStatus`, and none raises. One that fails is retried,
    rescaled and with other tie-breaking. What is then left goes to the exact host solver when arrays are concrete;
    under `jit` and `vmap` it is left `UNSOLVED`, and the scan engine gives those rows a second pass.

    Example::

        import jax.numpy as jnp

        # maximise x + y subject to x + 2 y <= 4 and 3 x + y <= 6
        program = plx.solvers.LinearProgram(jnp.array([[1.0, 2.0], [3.0, 1.0]]), jnp.array([4.0, 6.0]), jnp.ones(2))
        found = plx.solvers.simplex(program)
        found.primal, found.dual  # (1.6, 1.2), (0.4, 0.2)
    """
    return _solve_all(programs, _solve_batch)


@float64_scope
def simplex_in_kernel(programs: LinearProgram) -> Solution:
    """Solves programmes as `simplex` does, and on a GPU all pivots of a programme in one kernel, compiled by Triton.

    A `simplex` step is some ten launches, of all programmes together; here each programme is by itself, and holds its
    tableau until it ends. Pivots are the same ones; numbers may differ by rounding. On a CPU, and for tableaux of more
    than 16,384 numbers (sides rounded up to powers of two), it is `simplex`, to the bit. No GPU has run it yet, so it
    is not what questions use by default.

    Example::

        market = plx.families.gaussian(providers=2, users=2)(0)
        plx.weak_alignment(market, solver=plx.solvers.simplex_in_kernel)
    """
    return _solve_all(programs, _solve_batch_in_kernel)


def _solve_all(programs: LinearProgram, solve: Callable[[LinearProgram], Solution]) -> Solution:
    programs = jax.tree.map(jax.lax.stop_gradient, programs)
    lead = programs.matrix.shape[:-2]
    count = math.prod(lead)
    merged = jax.tree.map(lambda leaf: leaf.reshape(count, *leaf.shape[len(lead) :]), programs)
    solutions = solve(merged)
    if not isinstance(solutions.status, Tracer):
        solutions = _rescue(merged, solutions, np.asarray(solutions.status) != SolverStatus.OPTIMAL)
    return jax.tree.map(lambda leaf: leaf.reshape(*lead, *leaf.shape[1:]), solutions)


@float64_scope
def highs(programs: LinearProgram) -> Solution:
    """Solves every programme with HiGHS on the host, in threads; under `jit` and `vmap` through a callback.

    What it solves is `RESCUED`. Slower than `simplex` on many small programmes, and steadier on large ones.

    Example::

        market = plx.families.gaussian(providers=2, users=2)(0)
        plx.guarantee(market, plx.anonymous(2), solver=plx.solvers.highs)
    """
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
