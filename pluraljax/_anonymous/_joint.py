"""Profiles in which all providers offer the same policy: the search for one that is an equilibrium.

It is one when no provider can get more than delta above what the users of some set bring now by winning exactly them.
What it can get is concave in what the users have. So tangents somewhere bound it everywhere, and a policy that meets
the inequalities with tangents in place of curves meets them truly.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from .._bounds import sets_of, usable_weight
from .._candidates import LinearProgram, OfferCandidate, OfferTask, Solution, pose_offer, read_offer
from .._conversation import Profile
from ._curves import constant_of, curve_task, each_provider, posed_level
from ._shared import Shared

# Share of a provider's payoff range: how much less patience candidates are posed with than proofs, for rounding.
_ROOM = 5e-10


class Tangents(eqx.Module):
    """Bounds `height - <slope, r>` on what a provider gets from a set of users whom it wins from an offer worth r."""

    height: Float[Array, "set provider"]
    slope: Float[Array, "set provider member"]


class Offer(eqx.Module):
    """A policy that everybody offers: weights of signals, what it is worth to every user, and whether it may do."""

    weight: Float[Array, "*batch atom"]
    value: Float[Array, "*batch member"]
    met: Bool[Array, "*batch"]


def sets_to_win(shared: Shared) -> Bool[np.ndarray, "set member"]:
    """Lists the sets of users that a deviation may win, everybody last. A single provider has everybody."""
    return sets_of(shared.num_members)[-1 if shared.num_providers == 1 else 1 :]


def read_tangents(shared: Shared, level: Float[Array, " member"], solutions: Solution) -> Tangents:
    """Reads the tangents at a level off solutions of `curve_task`, for all sets and providers."""

    def one(won: Array, provider: Array, solution: Solution) -> tuple[Array, Array]:
        candidate = read_offer(curve_task(shared, provider, level, won), solution)
        slope = jnp.where(won, candidate.spent, -candidate.needed)
        if shared.num_providers == 1:
            slope = jnp.zeros_like(slope)
        return candidate.top + constant_of(shared, provider, won) + slope @ posed_level(shared, level), slope

    each = jax.vmap(jax.vmap(one, in_axes=(None, 0, 0)), in_axes=(0, None, 0))
    return Tangents(*each(jnp.asarray(sets_to_win(shared)), each_provider(shared), solutions))


def _common_task(shared: Shared, target: Float[Array, " member"], tangents: Tangents) -> OfferTask:
    """The programme of the common policy that is worth least to the target and leaves nobody a gain."""
    won = jnp.asarray(sets_to_win(shared))
    lost, slope = shared.offers.lost, tangents.slope
    brought = jnp.where(won[:, None, :, None], shared.told[None], 0.0).sum(axis=2)
    paid = brought - jnp.einsum("sim,mn->sin", slope, lost)
    first = jnp.where(won[:, None], shared.first[None], 0.0).sum(axis=-1)
    patience = shared.patience - _ROOM * shared.payoff_range
    need = tangents.height - slope @ shared.aligned - first - patience[None]
    atoms = lost.shape[1]
    return OfferTask(
        signal=shared.offers.signal,
        gain=target @ lost,
        spent=jnp.zeros((0, atoms), jnp.float64),
        limit=jnp.zeros(0, jnp.float64),
        needed=paid.reshape(-1, atoms),
        need=need.reshape(-1),
    )


def pose_common(shared: Shared, target: Float[Array, " member"], tangents: Tangents) -> LinearProgram:
    return pose_offer(_common_task(shared, target, tangents))


def read_common(shared: Shared, target: Float[Array, " member"], tangents: Tangents, solution: Solution) -> Offer:
    """Reads a policy off a solution of `pose_common`, and evaluates it."""
    candidate: OfferCandidate = read_offer(_common_task(shared, target, tangents), solution)
    weight = usable_weight(shared.offers, candidate.weight, shared.span)
    return Offer(weight, shared.aligned - shared.offers.lost @ weight, candidate.met)


def common_profile(shared: Shared, weight: Float[Array, " atom"], signals: int) -> Profile:
    """The profile in which every provider offers the policy of some weights, for a segment of its own.

    It keeps the first `signals` signals with weight and tells the evidence with what is left.
    """
    evidences = shared.share.shape[0]
    actions = jnp.arange(shared.user.shape[-1], dtype=jnp.int32)
    weight = usable_weight(shared.offers, weight, shared.span)
    in_use = weight > 0
    place = jnp.where(in_use, jnp.cumsum(in_use, dtype=jnp.int32) - jnp.int32(1), jnp.int32(signals))
    blank = jnp.zeros((signals, evidences), jnp.float64)
    sent = blank.at[place].set(weight[:, None] * shared.offers.signal, mode="drop")
    told = jnp.zeros((shared.num_members, signals), jnp.int32).at[:, place].set(shared.action, mode="drop")
    left = jnp.maximum(1.0 - sent.sum(axis=0), 0.0)
    best = shared.user == shared.user.max(axis=-1, keepdims=True)
    informed = jnp.min(jnp.where(best, actions, actions[-1]), axis=-1)
    policy = jnp.concatenate([sent.T, jnp.diag(left)], axis=1)[:, None]
    recommended = jnp.concatenate([told, informed], axis=1)[:, None, None]
    everyone = lambda leaf: jnp.broadcast_to(leaf, (shared.num_providers, *leaf.shape))
    return Profile(everyone(policy[None]), everyone(recommended))
