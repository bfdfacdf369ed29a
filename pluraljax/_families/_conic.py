"""Conic markets: users are aligned with the providers up to a perturbation of known size."""

import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float

from .._market import Market, observed_market
from .._precision import in_float64
from ._draws import normals, ordered_sum, simplex, state_prior, uniforms
from ._parameters import Conic


@in_float64
def draw(family: Conic, key: Array) -> Market:
    """Draws one market with `u_j = sum_i w_ij v_ij + c_j + perturbation * R_j` (design 7)."""
    value_key, weight_key, residual_key, prior_key = jr.split(key, 4)
    users = family.users
    shape = (family.providers, users, family.actions, family.states)
    provider_value, offset = normals(value_key, shape, (users, 1, 1))
    draws = 1 if family.weights == "common" else users
    (chance,) = uniforms(weight_key, (family.providers, draws))
    weights = family.weight_sum * simplex(chance)
    user_value = ordered_sum(weights[:, :, None, None] * provider_value) + family.offset * offset
    if family.perturbation > 0:
        residual = _extremal if family.residual == "extremal" else _stretched
        user_value = user_value + family.perturbation * residual(residual_key, provider_value)
    prior = state_prior(prior_key, family.prior, users, family.states)
    return observed_market(user_value, provider_value, prior)


def _stretched(
    key: Array, provider_value: Float[Array, "provider user action state"]
) -> Float[Array, "user action state"]:
    """Draws uniform entries and stretches them to minimum -1 and maximum 1 per user."""
    (entries,) = uniforms(key, provider_value.shape[1:])
    low = entries.min(axis=(1, 2), keepdims=True)
    high = entries.max(axis=(1, 2), keepdims=True)
    return 2.0 * (entries - low) / (high - low) - 1.0


def _extremal(
    key: Array, provider_value: Float[Array, "provider user action state"]
) -> Float[Array, "user action state"]:
    """Draws the signs of a random direction orthogonal to constants and to every `v_ij`.

    Call the direction mu. For any weights and offset the residual has `<mu, .> = |mu|_1` times the perturbation, so
    its sup-norm is no smaller than the perturbation.
    """
    providers, users, actions, states = provider_value.shape
    entries = (users, actions * states)
    reachable = provider_value.reshape(providers, *entries)
    (direction,) = normals(key, (1, *entries))
    columns = jnp.concatenate([jnp.ones((1, *entries), jnp.float64), reachable, direction])
    basis = jnp.linalg.qr(jnp.moveaxis(columns, 0, -1))[0]
    return jnp.where(basis[..., -1] > 0, 1.0, -1.0).reshape(users, actions, states)
