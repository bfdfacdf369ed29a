"""Searches for the worst equilibria of all users of a segment in rounds, each with what the last one proved.

What bounds one user's utility in every equilibrium from below makes the boxes of all the others smaller.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from .._candidates import solve
from .._precision import in_float64
from ._curves import corners_of
from ._shared import Shared
from ._tree import Task, Tree, lower_end, pose_curves, read_curves, search

# Boxes of the first round, and how many times as many all rounds up to the next one have.
_FIRST, _GROWTH = 1, 4


class Known(eqx.Module):
    """What is known of the users of a segment: no equilibrium gives user j less than `least[j]`.

    Where `found[j]`, all providers offering the policy of `weight[j]` may be an equilibrium, which is worth `upper[j]`
    to her; that is for others to prove. Elsewhere `upper[j]` is what it was at the start. `looked` counts boxes.
    """

    least: Float[Array, " member"]
    upper: Float[Array, " member"]
    weight: Float[Array, "member atom"]
    found: Bool[Array, " member"]
    looked: Int[Array, " member"]


def rounds_of(budget: int) -> Int[np.ndarray, " round"]:
    """Splits a number of boxes into rounds. Those of a smaller number are the first ones of a greater number."""
    rounds, spent, until = [], 0, _FIRST
    while spent < budget:
        rounds.append(min(until, budget) - spent)
        spent, until = spent + rounds[-1], _GROWTH * until
    return np.array(rounds, np.int32)


@in_float64
def run_rounds(shared: Shared, upper: Float[Array, " member"], budget: int) -> Known:
    """Searches for every user; `upper` are utilities that some equilibria do not exceed."""
    shared, upper = lax.stop_gradient((shared, upper))
    members, atoms = shared.num_members, shared.told.shape[-1]
    rounds = rounds_of(budget)
    nothing = Known(
        least=shared.least,
        upper=upper,
        weight=jnp.zeros((members, atoms), jnp.float64),
        found=jnp.zeros(members, bool),
        looked=jnp.zeros(members, jnp.int32),
    )

    def turn(known: Known, limit: Array) -> tuple[Known, None]:
        return _round(shared, known, limit, int(rounds.max())), None

    return lax.scan(turn, nothing, jnp.asarray(rounds))[0]


def _round(shared: Shared, known: Known, limit: Int[Array, ""], most: int) -> Known:
    """One search for every user, from the box that is left."""
    members = shared.num_members
    shared = eqx.tree_at(lambda s: s.least, shared, known.least)
    corner = jnp.where(corners_of(members), shared.aligned[None], shared.least[None])
    everybody = jnp.ones(corner.shape, bool)
    value = read_curves(shared, corner, solve(pose_curves(shared, corner, everybody, jnp.array(False))))
    each = lambda leaf: jnp.broadcast_to(leaf, (members, *leaf.shape))
    task = Task(jax.tree.map(each, shared), jnp.eye(members, dtype=jnp.float64), known.upper, each(limit))
    tree: Tree = search(task, each(value), most)
    return Known(
        least=jnp.maximum(known.least, jnp.minimum(jax.vmap(lower_end)(task, tree), shared.aligned)),
        upper=tree.upper,
        weight=jnp.where(tree.found[:, None], tree.weight, known.weight),
        found=known.found | tree.found,
        looked=known.looked + tree.looked,
    )
