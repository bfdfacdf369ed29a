"""Proposes public policies for several users, and multipliers: many searches side by side in a few lanes."""

import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool

from ._program import SolverStatus
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
from ._queue import in_queue

# Lanes at work on a CPU, whose tableaux should stay in its cache, and steps between looks at which of them have ended.
_LANES_ON_CPU = 8
_TURN = 4


def _is_worth_solving(task: PublicTask) -> Bool[Array, ""]:
    return ~jnp.isinf(task.enough)


class _Lane(NamedTuple):
    """A search at work, and its task in units of order one."""

    scaled: Scaled
    search: Search


def _start(task: PublicTask) -> _Lane:
    scaled = scale(task)
    return _Lane(scaled, start(scaled, jnp.int32(0)))


def _turn(_: PublicTask, lanes: _Lane) -> _Lane:
    """A few steps of every lane; a search that ends unsound is started once more."""
    scaled = lanes.scaled
    search = lax.fori_loop(0, _TURN, lambda _, search: jax.vmap(step)(scaled, search), lanes.search)
    search = jax.vmap(polish)(scaled, search)
    again = jax.vmap(ended)(search) & (search.attempt < ATTEMPTS - 1) & ~jax.vmap(is_sound)(scaled, search)
    renewed = jax.vmap(start)(scaled, again.astype(jnp.int32))
    pick = lambda new, old: jnp.where(again.reshape(-1, *(1,) * (old.ndim - 1)), new, old)
    return _Lane(scaled, jax.tree.map(pick, renewed, search))


_solve_batch = in_queue(
    _start,
    _turn,
    finished=lambda _, lane: ended(lane.search),
    read=lambda _, lane: read(lane.scaled, lane.search),
    wanted=_is_worth_solving,
    lanes_on_cpu=_LANES_ON_CPU,
)


def solve_public(tasks: PublicTask) -> PublicCandidate:
    """Solves tasks with any number of leading axes, at least one; call it in a float64 scope."""
    lead = tasks.user.shape[:-3]
    merged = jax.tree.map(lambda leaf: leaf.reshape(math.prod(lead), *leaf.shape[len(lead) :]), tasks)
    found = _solve_batch(merged)
    unsolved = jnp.where(jax.vmap(_is_worth_solving)(merged), found.outcome, jnp.int32(SolverStatus.UNSOLVED))
    found = eqx.tree_at(lambda f: f.outcome, found, unsolved)
    return jax.tree.map(lambda leaf: leaf.reshape(*lead, *leaf.shape[1:]), found)
