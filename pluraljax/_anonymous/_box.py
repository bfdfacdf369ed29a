"""One box of utilities: which part of it holds no equilibrium.

In a delta-equilibrium that gives the users r, no provider gains more than delta by a public policy that is worth more
than r to all of them. Where affine functions `h_i - <s_i, r>` are below the curves phi_i, its outcomes q therefore meet

    sum_j <V_ij, q_j> + sum_j s_ij <U_j, q_j>  >=  h_i - delta        for every provider i,

which is linear in q. What the users of a segment do is incentive compatible as if they were types of one user: each
could go to another one's provider, and do what is best for her when she hears what that user is told.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._bounds import Prices, Receiver, outcome_lower
from .._candidates import LinearProgram, OutcomeTask, Solution, pose_outcome, read_outcome
from .._ties import Sized
from ._curves import Minorants
from ._shared import Shared

# Share of the span: how far beyond a box its programme looks.
_BEYOND = 0.1


class Box(eqx.Module):
    """A box of utilities, what bounds the curves from below in it, and the user whose utility is asked about."""

    low: Float[Array, "*batch member"]
    high: Float[Array, "*batch member"]
    below: Minorants
    target: Float[Array, "*batch member"]


def _required(shared: Shared, box: Box) -> tuple[Array, Array]:
    """The providers' inequalities, then both ends of the box for every user."""
    own = jnp.eye(shared.num_members, dtype=jnp.float64)[:, :, None, None] * shared.user[None]
    paid = shared.provider[:, None] + box.below.slope[..., None, None] * shared.user[None, None]
    height = box.below.height - shared.patience[:, None]
    required = jnp.concatenate([paid.reshape(-1, *shared.user.shape), own, -own])
    return required, jnp.concatenate([height.reshape(-1), box.low, -box.high])


def _box_task(shared: Shared, box: Box) -> OutcomeTask:
    required, floors = _required(shared, box)
    return OutcomeTask(
        user=shared.user,
        probability=shared.share,
        target=box.target[:, None, None] * shared.user,
        required=required,
        floors=floors,
        cap=box.target @ (box.high + _BEYOND * shared.span + shared.near),
    )


def pose_box(shared: Shared, box: Box) -> LinearProgram:
    """The programme of the least that the target gets in the box; the users are posed as types of one user."""
    return pose_outcome(_box_task(shared, box))


def read_box(shared: Shared, box: Box, solution: Solution) -> tuple[Float[Array, ""], Float[Array, " member"]]:
    """Bounds what the target gets in any equilibrium in the box from below: above its end if the box holds none.

    Also returns what the users get where the programme ends, a guess at where an equilibrium may be.
    """
    task = _box_task(shared, box)
    candidate = read_outcome(task, solution)
    prices = Prices(candidate.obedience, candidate.truth, candidate.recoding, candidate.required)
    value = jnp.einsum("mxa,mxa->m", shared.user, candidate.outcome)
    return box_lower(shared, box, prices), jnp.clip(value, box.low, box.high)


def box_lower(shared: Shared, box: Box, prices: Prices) -> Float[Array, ""]:
    """Bounds the target's utility over the box from below, for ANY prices."""
    known = lambda leaf: jnp.where(jnp.isfinite(leaf), jnp.maximum(leaf, 0.0), 0.0)
    required, floors = _required(shared, box)
    target = box.target[:, None, None] * shared.user
    prices = jax.tree.map(known, prices)
    return outcome_lower(Receiver.of(shared.user), Sized.of(target), Sized.of(required), floors, prices)
