"""Runs searches of very different lengths side by side: a lane that ends one takes the next one from a queue."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Int

from ._batch import Batch, traced_once
from ._lanes import LANES_ON_ACCELERATOR, LANES_ON_CPU


def in_queue(
    start: Callable[[Any, Any], Any],
    turn: Callable[[Any, Any], Any],
    finished: Callable[[Any, Any], Any],
    read: Callable[[Any, Any], Any] = lambda task, state: state,
    again: Callable[[Any, Any], Any] | None = None,
    prepare: Callable[[Any], Any] = lambda task: task,
    wanted: Callable[[Any], Any] | None = None,
    lanes_on_cpu: int = LANES_ON_CPU,
) -> Callable[[Any], Any]:
    """Makes a function from any batch of tasks to what is read off the last states of their searches.

    `turn` maps groups of tasks and states (leading lane axis) to states; the others take a single task, as `prepare`
    makes it. `start` is told whether a search is being started `again`, which is asked where one has finished. Tasks
    that are not `wanted` get zeros. Any nest of `vmap`s becomes one queue.
    """

    prepare_all, start_all, read_all = (traced_once(jax.vmap(function)) for function in (prepare, start, read))

    def shapes(tasks):
        # Of as many lanes as a CPU would have, so that what is lowered for one need not be traced again.
        lanes = min(jax.tree.leaves(tasks)[0].shape[0], lanes_on_cpu)
        first = prepare_all(
            jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((lanes, *leaf.shape[1:]), leaf.dtype), tasks)
        )
        return read_all(first, start_all(first, jax.ShapeDtypeStruct((lanes,), bool)))

    def run_queue(on_cpu, tasks):
        count = jax.tree.leaves(tasks)[0].shape[0]
        lanes = min(count, lanes_on_cpu if on_cpu else LANES_ON_ACCELERATOR)
        order, total = _in_order(jax.vmap(wanted)(tasks)) if wanted else (None, jnp.int32(count))

        def place_of(index):
            index = jnp.minimum(index, jnp.int32(count - 1))
            return index if order is None else order[index]

        def take(index):
            return prepare_all(jax.tree.map(lambda leaf: leaf[place_of(index)], tasks))

        def run(state):
            index, waiting, current, states, results = state
            states = turn(current, states)
            done = jax.vmap(finished)(current, states) & (index < total)
            once_more = jnp.zeros(lanes, bool) if again is None else done & jax.vmap(again)(current, states)
            done = done & ~once_more
            place = jnp.where(done, place_of(index), jnp.int32(count))
            found = read_all(current, states)
            results = jax.tree.map(lambda old, new: old.at[place].set(new, mode="drop"), results, found)
            following = waiting + jnp.cumsum(done, dtype=jnp.int32) - jnp.int32(1)
            index = jnp.asarray(jnp.where(done, following, index))
            fresh = done & (index < total)
            current = _pick(fresh, take(index), current)
            states = _pick(fresh | once_more, start_all(current, once_more), states)
            return index, waiting + jnp.sum(done, dtype=jnp.int32), current, states, results

        def unfinished(state):
            return jnp.any(state[0] < total)

        index = jnp.arange(lanes, dtype=jnp.int32)
        first = take(index)
        states = start_all(first, jnp.zeros(lanes, bool))
        found = jax.eval_shape(read_all, first, states)
        results = jax.tree.map(lambda leaf: jnp.zeros((count, *leaf.shape[1:]), leaf.dtype), found)
        return lax.while_loop(unfinished, run, (index, jnp.int32(lanes), first, states, results))[-1]

    return Batch(run_queue, shapes)


def _pick(lanes: Bool[Array, " lane"], new: Any, old: Any) -> Any:
    """Takes what is new in some lanes, and what is old in the others."""
    where = lambda one, other: jnp.where(lanes.reshape(-1, *(1,) * (other.ndim - 1)), one, other)
    return jax.tree.map(where, new, old)


def _in_order(wanted: Bool[Array, " task"]) -> tuple[Int[Array, " task"], Int[Array, ""]]:
    """Lists the tasks that are wanted, and says how many they are; what follows in the list means nothing."""
    count = wanted.shape[0]
    place = jnp.where(wanted, jnp.cumsum(wanted, dtype=jnp.int32) - jnp.int32(1), jnp.int32(count))
    order = jnp.zeros(count, jnp.int32).at[place].set(jnp.arange(count, dtype=jnp.int32), mode="drop")
    return order, jnp.sum(wanted, dtype=jnp.int32)
