"""Evaluates both ends of a coverage error at given candidates. Imports no solver.

A user is covered from a baseline when some weights w >= 0 make `U(base) - U(q) <= sum_i w_i (V_i(base) - V_i(q))` for
every outcome q. The error is the least, over weights, of the most by which an outcome violates that.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._ties import doubt
from ._fit import WEIGHT_CAP


class Stand(eqx.Module):
    """What leaving the baseline costs one user and each provider, by situation (type and evidence) and action.

    Sizes are what the losses would be if nothing cancelled in them. Where the baseline is aligned play and optimal
    actions tie, a provider's loss counts from the optimal action that is worst for it; `provider_most` is its loss from
    the one that it may count from at best, where it is in doubt whether they tie.
    """

    user_loss: Float[Array, "*batch situation action"]
    provider_loss: Float[Array, "*batch provider situation action"]
    provider_most: Float[Array, "*batch provider situation action"]
    user_size: Float[Array, "*batch situation action"]
    provider_size: Float[Array, "*batch provider situation action"]
    cap: Float[Array, "*batch provider"]
    terms: int = eqx.field(static=True)


def coverage_cap(user_range: Float[Array, ""], provider_range: Float[Array, " provider"]) -> Float[Array, " provider"]:
    """Computes the largest weights that count; an indifferent provider's changes nothing."""
    return WEIGHT_CAP * user_range / jnp.where(provider_range > 0, provider_range, 1.0)


def coverage_upper(stand: Stand, weights: Float[Array, " provider"]) -> Float[Array, ""]:
    """Bounds the error from above by what these weights leave, for ANY weights up to the cap."""
    size = jnp.where(stand.provider_loss == 0, 0.0, stand.provider_size)
    left = stand.user_loss - jnp.einsum("i,isa->sa", weights, stand.provider_loss)
    rounding = doubt(stand.user_size + jnp.einsum("i,isa->sa", weights, size), stand.terms)
    # Staying at the baseline violates nothing.
    return jnp.maximum(left + rounding, 0.0).max(axis=-1).sum()


def coverage_lower(stand: Stand, moved: Float[Array, "situation action"]) -> Float[Array, ""]:
    """Bounds the error from below by a deviation, for ANY shares that are moved to actions.

    Weights change by how much it violates the condition: a provider that it hurts counts at its largest weight.
    """
    moved = jnp.where(jnp.isfinite(moved), jnp.maximum(moved, 0.0), 0.0)
    moved = moved / jnp.maximum(moved.sum(axis=-1, keepdims=True), 1.0)
    hurt = jnp.einsum("sa,isa->i", moved, stand.provider_most)
    value = jnp.einsum("sa,sa->", moved, stand.user_loss)
    unsure = doubt(jnp.einsum("sa,sa->", moved, stand.user_size), stand.terms)
    bound = value - unsure - (stand.cap * jnp.maximum(hurt, 0.0)).sum()
    return jnp.where(bound > 0, bound, 0.0)
