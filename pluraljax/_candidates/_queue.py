"""Runs searches of very different lengths side by side: a lane that ends one takes the next one from a queue."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap

from ._lanes import LANES_ON_ACCELERATOR, LANES_ON_CPU, merge_batches


def in_queue(
    start: Callable[[Any], Any], turn: Callable[[Any, Any], Any], finished: Callable[[Any, Any], Any]
) -> Callable[[Any], Any]:
    """Makes a function from any batch of tasks to the last states of their searches.

    `turn` maps groups of tasks and states (leading lane axis) to states; `start` and `finished` take a single task. A
    state that is finished must be left as it is by `turn`. Any nest of `vmap`s becomes one queue.
    """

    @custom_vmap
    def batched(tasks):
        count = jax.tree.leaves(tasks)[0].shape[0]
        lanes = min(count, LANES_ON_CPU if jax.default_backend() == "cpu" else LANES_ON_ACCELERATOR)

        def take(index):
            return jax.tree.map(lambda leaf: leaf[jnp.minimum(index, jnp.int32(count - 1))], tasks)

        def run(state):
            index, waiting, current, states, results = state
            states = turn(current, states)
            done = jax.vmap(finished)(current, states) & (index < count)
            place = jnp.where(done, index, jnp.int32(count))
            results = jax.tree.map(lambda old, new: old.at[place].set(new, mode="drop"), results, states)
            following = waiting + jnp.cumsum(done, dtype=jnp.int32) - jnp.int32(1)
            index = jnp.where(done, following, index)
            fresh = done & (index < count)
            renewed = take(index)
            pick = lambda new, old: jnp.where(fresh.reshape(-1, *(1,) * (old.ndim - 1)), new, old)
            current = jax.tree.map(pick, renewed, current)
            states = jax.tree.map(pick, jax.vmap(start)(renewed), states)
            return index, waiting + jnp.sum(done, dtype=jnp.int32), current, states, results

        def unfinished(state):
            return jnp.any(state[0] < count)

        index = jnp.arange(lanes, dtype=jnp.int32)
        first = take(index)
        states = jax.vmap(start)(first)
        results = jax.tree.map(lambda leaf: jnp.zeros((count, *leaf.shape[1:]), leaf.dtype), states)
        return lax.while_loop(unfinished, run, (index, jnp.int32(lanes), first, states, results))[-1]

    merge_batches(batched)
    return batched
