"""One driver for every search that has linear programmes solved, one after another, until its bracket is closed.

A search says four things of a single task: how it `start`s, and when it has `finished`; which programmes it `pose`s
next, and what it `learn`s of their solutions, which together are one of its `steps`. Batches, lanes, loops and the
solver are the driver's.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax import lax
from jax.core import Tracer

from .._precision import float64_scope, in_float64
from ._program import LinearProgram, Solution
from ._queue import in_queue
from ._solve import Solver, simplex, simplex_in_kernel


class Step(NamedTuple):
    """One look at a task: programmes with any leading axes, and the state after their solutions."""

    pose: Callable[[Any, Any], LinearProgram]
    learn: Callable[[Any, Any, Solution], Any]


@runtime_checkable
class Search(Protocol):
    """What the driver asks of a search. Hashed, so that what is compiled for one serves its equals.

    A state holds all that a search knows of its task, the number of its turns among it: `finished` has to end it.
    """

    @property
    def steps(self) -> tuple[Step, ...]:
        """What makes up a turn."""
        ...

    @property
    def lanes_on_cpu(self) -> int:
        """How many tasks are at work side by side on a CPU."""
        ...

    def start(self, task: Any, /) -> Any: ...

    def finished(self, task: Any, state: Any, /) -> Any: ...


Watch = Callable[[int, Any, Solution], None]


@float64_scope
def run_search(search: Search, tasks: Any, solver: Solver = simplex, watch: Watch | None = None) -> Any:
    """Searches for every task of a batch (leading axis); returns the last states.

    With a simplex method of this package it is one compiled loop. Others may need concrete arrays: where these are
    concrete, the loop is Python's. Whoever watches is told the number of the step, the states before it, and the
    solutions.
    """
    tasks = lax.stop_gradient(tasks)
    if solver in (simplex, simplex_in_kernel) and watch is None:
        return _queue_of(search, solver)(tasks)
    parts = _parts_of(search)

    def turn(states: Any) -> Any:
        before = states
        for number, (pose, learn) in enumerate(parts.steps):
            solutions = solver(pose(tasks, states))
            if watch is not None:
                watch(number, states, solutions)
            states = learn(tasks, states, solutions)
        return parts.keep(tasks, before, states)

    return _repeat(lambda states: ~parts.finished(tasks, states).all(), turn, parts.start(tasks))


@functools.lru_cache(maxsize=64)
def _queue_of(search: Search, solver: Solver) -> Callable[[Any], Any]:
    def turn(tasks: Any, states: Any) -> Any:
        for pose, learn in search.steps:
            states = jax.vmap(learn)(tasks, states, solver(jax.vmap(pose)(tasks, states)))
        return states

    start = lambda task, again: search.start(task)
    queue = in_queue(start, turn, search.finished, lanes_on_cpu=search.lanes_on_cpu)
    return in_float64(lambda tasks: queue(tasks), key=("queue", search, solver))


class _Parts(NamedTuple):
    """The parts of a search over batches, each compiled on its own."""

    start: Callable[..., Any]
    finished: Callable[..., Any]
    steps: tuple[Step, ...]
    keep: Callable[..., Any]


@functools.lru_cache(maxsize=64)
def _parts_of(search: Search) -> _Parts:
    def keep(task: Any, old: Any, new: Any) -> Any:
        """A finished task's answer may not depend on how long its neighbours take."""
        return jax.tree.map(functools.partial(jnp.where, search.finished(task, old)), old, new)

    batched = lambda function, *name: in_float64(jax.vmap(function), key=(*name, search))
    steps = tuple(
        Step(batched(step.pose, "pose", number), batched(step.learn, "learn", number))
        for number, step in enumerate(search.steps)
    )
    start, finished = batched(search.start, "start"), batched(search.finished, "finished")
    return _Parts(start, finished, steps, batched(keep, "keep"))


def _repeat(unfinished: Callable[[Any], Any], advance: Callable[[Any], Any], state: Any) -> Any:
    """`jax.lax.while_loop`, in Python where the state is concrete."""
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(state)):
        return jax.lax.while_loop(unfinished, advance, state)
    while bool(unfinished(state)):
        state = advance(state)
    return state
