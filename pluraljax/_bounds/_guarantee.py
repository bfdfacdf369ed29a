"""Evaluates both ends of a segment's guarantee at given candidates. Imports no solver.

In every delta-equilibrium each provider gets from a segment at least what telling it everything would bring, less
delta (`floor`). A guarantee is the least `sum_j target_j <U_j, q_j>` over outcomes that meet those inequalities.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from .._stakes import SegmentStakes, aligned_action
from .._ties import doubt


def floors(stakes: SegmentStakes, delta: Float[Array, " provider"]) -> Float[Array, " provider"]:
    """Bounds what each provider gets at least; users with several plays that may be optimal take the worst for it."""
    return jnp.einsum("m,ims->i", stakes.mass, _worst_optimal(stakes)) - delta


def _worst_optimal(stakes: SegmentStakes) -> Float[Array, "provider member situation"]:
    return jnp.where(stakes.optimal.action, stakes.provider, jnp.inf).min(axis=-1)


def _doubtful_optimal(stakes: SegmentStakes) -> Float[Array, "provider member situation"]:
    """The most that the worst optimal play may bring: where ties are exact the worst, elsewhere the best of them."""
    best = jnp.where(stakes.optimal.action, stakes.provider, -jnp.inf).max(axis=-1)
    return jnp.where(stakes.optimal.is_exact, _worst_optimal(stakes), best)


def _unsure(stakes: SegmentStakes) -> Float[Array, "provider member situation action"]:
    """What rounding can have done to what each action brings above the floor."""
    worst = jnp.where(stakes.optimal.action, stakes.provider_size, 0.0).max(axis=-1)
    # Against the floor itself, an outcome that is what the floor is counts as exactly that.
    size = jnp.where(
        stakes.provider == _doubtful_optimal(stakes)[..., None], 0.0, stakes.provider_size + worst[..., None]
    )
    return doubt(size, stakes.terms)


def floor_rounding(stakes: SegmentStakes) -> Float[Array, " provider"]:
    """The most that rounding can do to what an outcome brings above each provider's floor."""
    return jnp.einsum("m,ims->i", stakes.mass, _unsure(stakes).max(axis=-1))


def equalities(stakes: SegmentStakes, delta: Float[Array, " provider"]) -> Bool[Array, " provider"]:
    """Tells which floors are met with equality by whatever meets them: opposed ones, without slack between them."""
    best = jnp.where(stakes.optimal.action, stakes.provider, -jnp.inf).max(axis=-1)
    single = (best == _worst_optimal(stakes)).all(axis=(-1, -2))
    return stakes.opposed & (delta == 0) & (single | ~stakes.opposed).all()


def _usable(multipliers: Float[Array, " provider"]) -> Float[Array, " provider"]:
    return jnp.where(jnp.isfinite(multipliers), jnp.maximum(multipliers, 0.0), 0.0)


def guarantee_lower(
    stakes: SegmentStakes,
    delta: Float[Array, " provider"],
    target: Float[Array, " member"],
    multipliers: Float[Array, " provider"],
) -> Float[Array, ""]:
    """Bounds the guarantee from below, for ANY multipliers (weak duality): those that are none count as zero."""
    multipliers = _usable(multipliers)
    own, weight = target[:, None, None] * stakes.user, multipliers[:, None] * stakes.mass[None]
    # Relative to the floors, an indifferent provider adds exact zeros, whatever its multiplier. Where providers cancel
    # each other at large multipliers, the rounding of their sum counts against the bound.
    above = stakes.provider - _worst_optimal(stakes)[..., None]
    size = stakes.provider_size + jnp.where(stakes.optimal.action, stakes.provider_size, 0.0).max(-1, keepdims=True)
    size = jnp.where(above == 0, 0.0, size)
    own_size = target[:, None, None] * stakes.user_size
    paid = jnp.einsum("im,imsa->msa", weight, above)
    rounding = doubt(own_size + jnp.einsum("im,imsa->msa", weight, size), stakes.terms)
    bound = (own - paid - rounding).min(axis=-1).sum() - delta @ multipliers
    # What everybody's worst action gives her needs no multipliers; products that overflow prove nothing else.
    least = (own - doubt(own_size, stakes.terms)).min(axis=-1).sum()
    return jnp.where(bound > least, bound, least)


# Solutions of programmes that nothing solves exactly miss their limits by so many roundings.
_NEARLY = 2.0**16


class UpperEnd(eqx.Module):
    """What an outcome that meets every floor is worth, and what one is that may miss them by next to nothing.

    Where nothing but equality meets all floors, which of the two is the truth hangs on the rounding of the payoffs.
    """

    value: Float[Array, ""]
    almost: Float[Array, ""]


def guarantee_upper(
    stakes: SegmentStakes,
    delta: Float[Array, " provider"],
    target: Float[Array, " member"],
    outcome: Float[Array, "member situation action"],
) -> UpperEnd:
    """Bounds the guarantee from above by an outcome's value, for ANY outcome (rows are made to sum to 1).

    One that does not clear a floor by more than rounding is mixed with aligned play, which meets all whatever may be in
    doubt about it.
    """
    outcome = jnp.where(jnp.isfinite(outcome), jnp.maximum(outcome, 0.0), 0.0)
    total = outcome.sum(axis=-1, keepdims=True)
    actions = jnp.arange(outcome.shape[-1], dtype=jnp.int32)
    aligned = jnp.where(actions[None, None] == aligned_action(stakes)[..., None], 1.0, 0.0)
    outcome = jnp.where(total > 0, outcome / jnp.where(total > 0, total, 1.0), aligned)
    above, unsure = stakes.provider - _doubtful_optimal(stakes)[..., None], _unsure(stakes)
    bring = lambda q, values: jnp.einsum("m,imsa,msa->i", stakes.mass, values, q)
    rounding, spare = bring(outcome, unsure), bring(outcome, above) + delta
    least, most = (jnp.einsum("m,ims->i", stakes.mass, end) for end in (above.min(axis=-1), above.max(axis=-1)))
    value = jnp.einsum("m,msa,msa->", target, stakes.user, outcome)
    best = target @ stakes.user.max(axis=-1).sum(axis=-1)

    def mixed(moved: Array, short: Array, room: Array) -> Array:
        """The value once a share is moved, and so much aligned play is mixed in that nothing is short."""
        part = jnp.where(room > 0, short / jnp.where(room > 0, short + room, 1.0), 1.0)
        share = jnp.where(short > 0, part, 0.0).max()
        return best - (1 - share) * (1 - moved) * (best - value)

    # Opposed floors are met exactly after a share is moved towards what brings one of them the most or the least.
    equal = equalities(stakes, delta)
    miss, reach = jnp.abs(spare) + rounding, jnp.minimum(most, -least) - floor_rounding(stakes)
    moved = jnp.where(miss > 0, miss / jnp.where(reach > 0, miss + reach, miss), 0.0)
    moved = jnp.where(equal, moved, 0.0).max()
    short = jnp.where(equal, 0.0, rounding - spare + moved * jnp.maximum(spare - least - delta, 0.0))
    sure = mixed(moved, short, bring(aligned, above) + delta - bring(aligned, unsure))
    # Also with whichever of the plays that may be optimal is worst for a provider.
    missed = _NEARLY * rounding + jnp.einsum(
        "m,ims->i", stakes.mass, _doubtful_optimal(stakes) - _worst_optimal(stakes)
    )
    near = mixed(jnp.zeros(()), -missed - spare, jnp.maximum(bring(aligned, above) + delta, 0.0) + missed)
    return UpperEnd(jnp.where(sure < best, sure, best), jnp.where(near < best, near, best))


def guarantee_value_at(
    stakes: SegmentStakes,
    delta: Float[Array, " provider"],
    target: Float[Array, " member"],
    multipliers: Float[Array, " provider"],
    outcome: Float[Array, "member situation action"],
) -> Float[Array, ""]:
    """Computes the Lagrangian at a candidate: its derivatives are those of the guarantee (envelope theorem)."""
    value = jnp.einsum("m,msa,msa->", target, stakes.user, outcome)
    total = jnp.einsum("m,imsa,msa->i", stakes.mass, stakes.provider, outcome)
    return value + multipliers @ (floors(stakes, delta) - total)
