"""Evaluates both ends of a segment's guarantee at given candidates. Imports no solver.

In every delta-equilibrium each provider gets from a segment at least what telling it everything would bring, less
delta (`floor`). A guarantee is the least `sum_j target_j <U_j, q_j>` over outcomes that meet those inequalities.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

# Actions within this share of the size of the terms in a stake are ties: rounding must not decide an optimal play.
TIE = 1e-12
# An outcome may miss a provider's floor by this share of the provider's largest total: the rounding of the sums.
FEASIBLE = 1e-12
# A sum over providers is exact to this share of the size of its terms.
ROUNDING = 4e-16


class SegmentStakes(eqx.Module):
    """Stakes of one segment's members; a situation is a (type, evidence) pair. Absent members hold zeros.

    `size` is what a stake would be if no terms cancelled in it, which is what its rounding is relative to.
    """

    user: Float[Array, "*batch member situation action"]
    provider: Float[Array, "*batch provider member situation action"]
    size: Float[Array, "*batch member situation"]
    probability: Float[Array, "*batch member situation"]
    mass: Float[Array, "*batch member"]


def optimal_actions(stakes: SegmentStakes) -> Bool[Array, "*batch member situation action"]:
    """Marks the actions that are optimal for a fully informed user, ties included."""
    return stakes.user >= stakes.user.max(axis=-1, keepdims=True) - TIE * stakes.size[..., None]


def aligned_action(stakes: SegmentStakes) -> Int[Array, "member situation"]:
    """Picks the first best action per situation."""
    # Not `argmax`: float64 ones do not lower under a caller's float32 `jit`.
    actions = jnp.arange(stakes.user.shape[-1], dtype=jnp.int32)
    best = stakes.user == stakes.user.max(axis=-1, keepdims=True)
    return jnp.where(best, actions, actions[-1]).min(axis=-1)


def floors(stakes: SegmentStakes, delta: Float[Array, ""]) -> Float[Array, " provider"]:
    """Computes what each provider gets at least; users with several optimal plays take the worst one for it."""
    return jnp.einsum("m,ims->i", stakes.mass, _worst_optimal(stakes)) - delta


def _worst_optimal(stakes: SegmentStakes) -> Float[Array, "provider member situation"]:
    return jnp.where(optimal_actions(stakes), stakes.provider, jnp.inf).min(axis=-1)


def guarantee_lower(
    stakes: SegmentStakes,
    delta: Float[Array, ""],
    target: Float[Array, " member"],
    multipliers: Float[Array, " provider"],
) -> Float[Array, ""]:
    """Bounds the guarantee from below, for ANY non-negative multipliers (weak duality)."""
    own, weight = target[:, None, None] * stakes.user, multipliers[:, None] * stakes.mass[None]
    # Relative to the floors, an indifferent provider adds exact zeros, whatever its multiplier. Where providers cancel
    # each other at large multipliers, the rounding of their sum counts against the bound.
    above = stakes.provider - _worst_optimal(stakes)[..., None]
    least = own - jnp.einsum("im,imsa->msa", weight, above)
    rounding = ROUNDING * jnp.einsum("im,imsa->msa", weight, jnp.abs(above))
    return (least - rounding).min(axis=-1).sum() - delta * multipliers.sum()


def guarantee_upper(
    stakes: SegmentStakes,
    delta: Float[Array, ""],
    target: Float[Array, " member"],
    outcome: Float[Array, "member situation action"],
) -> Float[Array, ""]:
    """Bounds the guarantee from above by an outcome's value, for ANY outcome (rows are made to sum to 1).

    One that misses a floor by more than rounding is mixed with aligned play, which meets all, until it does not.
    """
    outcome = jnp.maximum(outcome, 0.0)
    outcome = outcome / outcome.sum(axis=-1, keepdims=True)
    actions = jnp.arange(outcome.shape[-1], dtype=jnp.int32)
    aligned = actions[None, None] == aligned_action(stakes)[..., None]
    floor = floors(stakes, delta)
    total = lambda q: jnp.einsum("m,imsa,msa->i", stakes.mass, stakes.provider, q)
    miss, spare = floor - total(outcome), total(jnp.where(aligned, 1.0, 0.0)) - floor
    allowed = FEASIBLE * jnp.einsum("m,ims->i", stakes.mass, jnp.abs(stakes.provider).max(axis=-1))
    excess, room = miss - allowed, miss + jnp.maximum(spare, 0.0)
    share = jnp.where(excess > 0, excess / jnp.where(room > 0, room, 1.0), 0.0).max()
    share = jnp.clip(share, 0.0, 1.0)
    value = jnp.einsum("m,msa,msa->", target, stakes.user, outcome)
    return (1 - share) * value + share * (target @ stakes.user.max(axis=-1).sum(axis=-1))


def guarantee_value_at(
    stakes: SegmentStakes,
    delta: Float[Array, ""],
    target: Float[Array, " member"],
    multipliers: Float[Array, " provider"],
    outcome: Float[Array, "member situation action"],
) -> Float[Array, ""]:
    """Computes the Lagrangian at a candidate: its derivatives are those of the guarantee (envelope theorem)."""
    value = jnp.einsum("m,msa,msa->", target, stakes.user, outcome)
    total = jnp.einsum("m,imsa,msa->i", stakes.mass, stakes.provider, outcome)
    return value + multipliers @ (floors(stakes, delta) - total)
