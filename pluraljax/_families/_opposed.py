"""Opposed markets: every provider wants what the user wants, or the opposite, more or less strongly."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float

from .._market import Market, observed_market
from .._precision import in_float64
from ._draws import normals, state_prior, uniforms
from ._parameters import Opposed


@in_float64
def draw(family: Opposed, key: Array) -> Market:
    """Draws one market with `v_ij = s_ij u_j` (design 7)."""
    value_key, sign_key, prior_key = jr.split(key, 3)
    problems = 1 if family.common_decision else family.users
    shape = (family.actions, family.states)
    user_value, log_size = normals(value_key, (problems, *shape), (family.providers, family.users))
    prior = state_prior(prior_key, family.prior, problems, family.states)
    user_value = jnp.broadcast_to(user_value, (family.users, *shape))
    prior = jnp.broadcast_to(prior, (family.users, family.states))
    provider_value = _scales(family, sign_key, log_size)[:, :, None, None] * user_value[None]
    return observed_market(user_value, provider_value, prior)


def _scales(family: Opposed, key: Array, log_size: Float[Array, "provider user"]) -> Float[Array, "provider user"]:
    """Makes `s_ij` from a random sign, positive with probability `positive`, and a size, unless they are given."""
    if family.scales is not None:
        return jnp.asarray(np.array(family.scales, dtype=np.float64))
    size = jnp.exp(family.log_spread * log_size)
    (chance,) = uniforms(key, log_size.shape)
    return jnp.where(chance < family.positive, size, -size)
