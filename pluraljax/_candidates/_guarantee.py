"""Poses a guarantee as a linear programme around aligned play, and reads its candidates off a solution."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from .._stakes import SegmentStakes
from ._grouped import GroupedProgram
from ._program import LinearProgram, Solution


class _Moves(eqx.Module):
    """What moving probability from the aligned action to another one costs, per unit of probability of the situation.

    Dividing by the situation's probability keeps entries of order one when priors hold entries of 1e-8.
    """

    other: Int[Array, "member situation others"]
    user_loss: Float[Array, "member situation others"]
    provider_loss: Float[Array, "provider member situation others"]
    user_unit: Float[Array, ""]
    provider_unit: Float[Array, " provider"]


def _moves(stakes: SegmentStakes, aligned: Array, target: Array) -> _Moves:
    actions, probability = stakes.user.shape[-1], stakes.probability
    target_per_mass = target / jnp.where(stakes.mass > 0, stakes.mass, 1.0)
    other = (aligned[..., None] + 1 + jnp.arange(actions - 1, dtype=jnp.int32)[None, None]) % jnp.int32(actions)

    def loss(values: Array) -> Array:
        index = jnp.broadcast_to(other, (*values.shape[:-1], actions - 1))
        chosen = jnp.broadcast_to(aligned[..., None], (*values.shape[:-1], 1))
        moved = jnp.take_along_axis(values, chosen, axis=-1) - jnp.take_along_axis(values, index, axis=-1)
        return moved / jnp.broadcast_to(jnp.where(probability > 0, probability, 1.0)[..., None], moved.shape)

    user_loss, provider_loss = loss(stakes.user) * target_per_mass[:, None, None], loss(stakes.provider)
    user_unit, provider_unit = jnp.abs(user_loss).max(initial=0.0), jnp.abs(provider_loss).max((1, 2, 3), initial=0.0)
    return _Moves(
        other=other,
        user_loss=user_loss,
        provider_loss=provider_loss,
        user_unit=jnp.where(user_unit > 0, user_unit, 1.0),
        provider_unit=jnp.where(provider_unit > 0, provider_unit, 1.0),
    )


def _weight(stakes: SegmentStakes) -> Array:
    return stakes.mass[:, None] * stakes.probability


def pose_guarantee(
    stakes: SegmentStakes,
    aligned: Int[Array, "member situation"],
    spare: Float[Array, " provider"],
    room: Float[Array, " provider"],
    target: Float[Array, " member"],
) -> LinearProgram:
    """Poses the largest loss of the target below aligned play; x = 0 is aligned play itself.

    `spare` is what aligned play leaves above each provider's floor, and `room` by how much more than nothing an outcome
    should clear it, so that rounding does not decide whether it does: x = 0 may miss that. Columns: mass moved to each
    other action. Rows: a situation's mass, then each provider's floor.
    """
    moves = _moves(stakes, aligned, target)
    members, situations, others = moves.user_loss.shape
    unit = _largest(_weight(stakes))
    situation = jnp.repeat(jnp.eye(members * situations, dtype=jnp.float64), others, axis=1)
    losses = (moves.provider_loss / moves.provider_unit[:, None, None, None]).reshape(
        stakes.provider.shape[0], members * situations * others
    )
    limit = [_weight(stakes).reshape(-1), (jnp.maximum(spare, 0.0) - room) / moves.provider_unit]
    cost = moves.user_loss.reshape(-1) / moves.user_unit
    return LinearProgram(jnp.concatenate([situation, losses]), jnp.concatenate(limit) / unit, cost)


def pose_by_group(
    stakes: SegmentStakes,
    aligned: Int[Array, "member situation"],
    spare: Float[Array, " provider"],
    room: Float[Array, " provider"],
    target: Float[Array, " member"],
) -> GroupedProgram:
    """The programme of `pose_guarantee`: groups are the situations of all members, options the other actions."""
    moves = _moves(stakes, aligned, target)
    unit = _largest(_weight(stakes))
    members, situations, others = moves.user_loss.shape
    by_option = lambda leaf: jnp.moveaxis(leaf, -1, -3).reshape(*leaf.shape[:-3], others, members * situations)
    return GroupedProgram(
        use=by_option(moves.provider_loss / moves.provider_unit[:, None, None, None]),
        limit=(jnp.maximum(spare, 0.0) - room) / moves.provider_unit / unit,
        room=_weight(stakes).reshape(-1) / unit,
        cost=by_option(moves.user_loss / moves.user_unit),
    )


def _largest(values: Array) -> Array:
    largest = values.max()
    return jnp.where(largest > 0, largest, 1.0)


class GuaranteeCandidate(eqx.Module):
    """Multipliers of the providers' floors (for the lower end) and an outcome (for the upper end)."""

    multipliers: Float[Array, " provider"]
    outcome: Float[Array, "member situation action"]


def read_guarantee(
    stakes: SegmentStakes,
    aligned: Int[Array, "member situation"],
    target: Float[Array, " member"],
    solution: Solution,
) -> GuaranteeCandidate:
    """Reads the candidate off a solution of `pose_guarantee`, group by group, whether or not it claims success."""
    moves = _moves(stakes, aligned, target)
    solution, weight = solution.finite(), _weight(stakes)
    moved = solution.primal.reshape(moves.user_loss.shape) * _largest(weight)
    share = moved / jnp.where(weight > 0, weight, 1.0)[..., None]
    share = share / jnp.maximum(share.sum(axis=-1, keepdims=True), 1.0)
    stay = 1.0 - share.sum(axis=-1)
    action = jnp.arange(stakes.user.shape[-1], dtype=jnp.int32)
    outcome = jnp.where(action[None, None] == aligned[..., None], stay[..., None], 0.0)
    outcome = outcome + jnp.where(action[None, None, None] == moves.other[..., None], share[..., None], 0.0).sum(
        axis=-2
    )
    multipliers = solution.dual[-stakes.provider.shape[0] :] * moves.user_unit / moves.provider_unit
    return GuaranteeCandidate(multipliers, outcome)
