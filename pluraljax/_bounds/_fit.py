"""Evaluates both ends of an alignment error at given candidates. Imports no solver.

A fit compares `sum_i w_i v_i + c` with `beta u` over rows. Rows come in parts, one per value of the offset c: a part is
a user (constant offset) or a user and a state (offset that may depend on the state). Within a part the best offset is
the midpoint of the residual, so the error is half the residual's range.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._ties import doubt

# Cone weights count up to this many times the ratio of the payoffs' ranges. The lower end needs a cap, because a dual
# point that is feasible only up to rounding (1e-16) says nothing about infinite ones.
WEIGHT_CAP = 1e6
NEGLIGIBLE = 1e-12
_LARGEST = 1e150


class Fit(eqx.Module):
    """Payoffs laid out for an alignment fit; members that do not take part hold zeros."""

    user: Float[Array, "member part row"]
    provider: Float[Array, "provider member part row"]


def lay_out(
    user_value: Float[Array, "member action state"],
    provider_value: Float[Array, "provider member action state"],
    offset: str,
) -> Fit:
    """Arranges payoffs in parts and rows, measured from each part's first row (offsets absorb that shift)."""
    if offset == "state":
        user, provider = jnp.swapaxes(user_value, -1, -2), jnp.swapaxes(provider_value, -1, -2)
    else:
        user = user_value.reshape(user_value.shape[0], 1, -1)
        provider = provider_value.reshape(*provider_value.shape[:2], 1, -1)
    return Fit(user - user[..., :1], provider - provider[..., :1])


def payoff_range(rows: Float[Array, "... part row"]) -> Float[Array, "..."]:
    """Largest range of the payoffs within a part."""
    return (rows.max(axis=-1) - rows.min(axis=-1)).max(axis=-1)


def largest_weights(fit: Fit) -> Float[Array, " provider"]:
    """Computes the largest cone weights that count; an indifferent provider's changes nothing."""
    provider_range = payoff_range(fit.provider).max(axis=-1)
    return WEIGHT_CAP * payoff_range(fit.user).max() / jnp.where(provider_range > 0, provider_range, 1.0)


def fit_error(fit: Fit, weights: Float[Array, " provider"], scale: Float[Array, " member"]) -> Float[Array, " member"]:
    """Computes each member's error at these weights and scales: an upper bound on the least one, for ANY candidate.

    The weights that rounding is not to matter at are finite (`usable_weights`).
    """
    size = jnp.einsum("i,impr->mpr", weights, jnp.abs(fit.provider)) + scale[:, None, None] * jnp.abs(fit.user)
    residual = jnp.einsum("i,impr->mpr", weights, fit.provider) - scale[:, None, None] * fit.user
    return payoff_range(residual) / 2 + doubt(size.max(axis=(-2, -1)), fit.provider.shape[0])


def usable_weights(weights: Float[Array, " provider"], hull: bool) -> Float[Array, " provider"]:
    """Turns ANY numbers into weights; those that are none, or too large for sums to hold, count as none at all."""
    known = jnp.isfinite(weights) & (weights >= 0) & (weights <= _LARGEST)
    weights = jnp.where(known, weights, 0.0)
    if not hull:
        return weights
    total = weights.sum()
    return jnp.where(total > 0, weights / jnp.where(total > 0, total, 1.0), 1.0 / weights.shape[0])


def fit_offset(fit: Fit, weights: Float[Array, " provider"], scale: Float[Array, " member"]) -> Array:
    """Computes the best offset of each part, to be added to `sum_i w_i v_i`, relative to each part's first row."""
    residual = scale[:, None, None] * fit.user - jnp.einsum("i,impr->mpr", weights, fit.provider)
    return (residual.max(axis=-1) + residual.min(axis=-1)) / 2


def fit_lower(
    fit: Fit,
    direction: Float[Array, "member part row"],
    hull: bool,
    free_scale: bool,
) -> Float[Array, ""]:
    """Bounds `max_j eps_j / beta_j` from below over all weights and scales, for ANY direction.

    For any D with `sum_r D = 0` in each part and total absolute sum at most 1, the half range of the residual is at
    least `<D, beta u - sum_i w_i v_i>`; the least of that over weights (and scales of at least 1) is the bound. Cone
    weights are those up to `largest_weights`.
    """
    direction = direction - direction.mean(axis=-1, keepdims=True)
    member_size = jnp.abs(direction).sum(axis=(-2, -1))
    size = member_size.sum()
    # Rounding leaves traces on members that the direction does not use; their ratios would be noise.
    used = member_size > NEGLIGIBLE * size
    direction = jnp.where(used[:, None, None], _unit(direction, size), 0.0)
    member_size = jnp.where(used, _unit(member_size, size), 0.0)
    member_value = jnp.einsum("mpr,mpr->m", direction, fit.user)
    slope = jnp.einsum("mpr,impr->i", direction, fit.provider)
    penalty = slope.max() if hull else (largest_weights(fit) * jnp.maximum(slope, 0.0)).sum()
    bound = member_value.sum() - penalty
    if free_scale:
        # Scaling up member j must not pay either: <D_j, u_j> >= bound * |D_j|.
        ratio = jnp.where(used, member_value / jnp.where(used, member_size, 1.0), jnp.inf)
        bound = jnp.minimum(bound, ratio.min())
    # An error is never negative; NaN, where numbers overflow, proves nothing.
    return jnp.where(bound > 0, bound, 0.0)


def _unit(values: Array, size: Float[Array, ""]) -> Array:
    return values / jnp.where(size > 0, size, 1.0)


def fit_value_at(
    fit: Fit,
    weights: Float[Array, " provider"],
    scale: Float[Array, " member"],
    direction: Float[Array, "member part row"],
) -> Float[Array, ""]:
    """Computes the fit's Lagrangian ratio at a candidate: its derivatives are the optimum's (envelope theorem)."""
    direction = direction - direction.mean(axis=-1, keepdims=True)
    member_size = jnp.abs(direction).sum(axis=(-2, -1))
    value = scale @ jnp.einsum("mpr,mpr->m", direction, fit.user)
    value = value - weights @ jnp.einsum("mpr,impr->i", direction, fit.provider)
    size = scale @ member_size
    return value / jnp.where(size > 0, size, 1.0)
