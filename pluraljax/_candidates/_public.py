"""Proposes public policies for several users, and multipliers: many searches side by side in a few lanes."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool

from ._program import SolverStatus
from ._public_search import (
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


def _turn(scaled: Scaled, search: Search) -> Search:
    """A few steps of every lane."""
    search = lax.fori_loop(0, _TURN, lambda _, search: jax.vmap(step)(scaled, search), search)
    return jax.vmap(polish)(scaled, search)


def _again(scaled: Scaled, search: Search) -> Bool[Array, ""]:
    """A search that ends unsound is started once more."""
    return ~search.again & ~is_sound(scaled, search)


_solve_batch = in_queue(
    start,
    _turn,
    finished=lambda _, search: ended(search),
    read=read,
    again=_again,
    prepare=scale,
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
