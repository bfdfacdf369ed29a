"""Proposes public policies for several users, and multipliers: many searches side by side in a few lanes."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap
from jaxtyping import Array, Int

from ._lanes import LANES_ON_ACCELERATOR, merge_batches
from ._program import Outcome
from ._public_search import (
    ATTEMPTS,
    PublicCandidate,
    PublicTask,
    Scaled,
    Search,
    ended,
    is_sound,
    polish,
    read,
    scale,
    start,
    step,
)

# Lanes at work on a CPU, whose tableaux should stay in its cache, and steps between looks at which of them have ended.
_LANES_ON_CPU = 8
_TURN = 4


class _Queue(eqx.Module):
    """Lanes at work: `index` is the place of each one's task, or at least the number of tasks where it has none."""

    index: Int[Array, " lane"]
    waiting: Int[Array, ""]
    scaled: Scaled
    search: Search
    found: PublicCandidate


@custom_vmap
def _solve_batch(tasks: PublicTask) -> PublicCandidate:
    """Solves tasks along a leading axis: a lane that ends one takes the next that is worth solving.

    A search that ends unsound is started once more.
    """
    count = tasks.loss.shape[0]
    order, total = _worth_solving(tasks)
    lanes = min(count, _LANES_ON_CPU if jax.default_backend() == "cpu" else LANES_ON_ACCELERATOR)

    def task_of(index: Array) -> Array:
        return order[jnp.minimum(index, jnp.int32(count - 1))]

    def take(index: Array) -> Scaled:
        return jax.vmap(scale)(jax.tree.map(lambda leaf: leaf[task_of(index)], tasks))

    def turn(queue: _Queue) -> _Queue:
        search = lax.fori_loop(0, _TURN, lambda _, search: jax.vmap(step)(queue.scaled, search), queue.search)
        search = jax.vmap(polish)(queue.scaled, search)
        last = search.attempt == ATTEMPTS - 1
        done = jax.vmap(ended)(search) & (queue.index < total)
        again = done & ~last & ~jax.vmap(is_sound)(queue.scaled, search)
        done = done & ~again
        place = jnp.where(done, task_of(queue.index), jnp.int32(count))
        candidates = jax.vmap(read)(queue.scaled, search)
        found = jax.tree.map(lambda old, new: old.at[place].set(new, mode="drop"), queue.found, candidates)
        following = queue.waiting + jnp.cumsum(done, dtype=jnp.int32) - jnp.int32(1)
        index = jnp.asarray(jnp.where(done, following, queue.index))
        fresh = again | (done & (index < total))
        pick = lambda new, old: jnp.where(fresh.reshape(-1, *(1,) * (old.ndim - 1)), new, old)
        scaled = jax.tree.map(pick, take(index), queue.scaled)
        search = jax.tree.map(pick, jax.vmap(start)(scaled, again.astype(jnp.int32)), search)
        return _Queue(index, queue.waiting + jnp.sum(done, dtype=jnp.int32), scaled, search, found)

    index = jnp.arange(lanes, dtype=jnp.int32)
    scaled = take(index)
    search = jax.vmap(start)(scaled, jnp.zeros(lanes, jnp.int32))
    shapes = jax.eval_shape(jax.vmap(read), scaled, search)
    blank = jax.tree.map(lambda leaf: jnp.zeros((count, *leaf.shape[1:]), leaf.dtype), shapes)
    blank = eqx.tree_at(lambda f: f.outcome, blank, jnp.full(count, Outcome.UNSOLVED, jnp.int32))
    queue = _Queue(index, jnp.int32(lanes), scaled, search, blank)
    return lax.while_loop(lambda queue: (queue.index < total).any(), turn, queue).found


merge_batches(_solve_batch)


def _worth_solving(tasks: PublicTask) -> tuple[Int[Array, " task"], Int[Array, ""]]:
    """Lists the tasks to be solved, and says how many they are; what follows in the list means nothing."""
    count = tasks.loss.shape[0]
    wanted = ~jnp.isinf(tasks.enough)
    place = jnp.where(wanted, jnp.cumsum(wanted, dtype=jnp.int32) - jnp.int32(1), jnp.int32(count))
    order = jnp.zeros(count, jnp.int32).at[place].set(jnp.arange(count, dtype=jnp.int32), mode="drop")
    return order, jnp.sum(wanted, dtype=jnp.int32)


def solve_public(tasks: PublicTask) -> PublicCandidate:
    """Solves tasks with any number of leading axes, at least one; call it in a float64 scope."""
    lead = tasks.user.shape[:-3]
    merged = jax.tree.map(lambda leaf: leaf.reshape(math.prod(lead), *leaf.shape[len(lead) :]), tasks)
    found = _solve_batch(merged)
    return jax.tree.map(lambda leaf: leaf.reshape(*lead, *leaf.shape[1:]), found)
