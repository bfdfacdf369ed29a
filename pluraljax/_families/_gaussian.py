"""Gaussian markets: a provider's payoff is the user's, plus a bias that all share, plus one of its own."""

import jax.random as jr
from jaxtyping import Array

from .._market import Market, observed_market
from .._precision import in_float64
from ._draws import normals, state_prior
from ._parameters import Gaussian


@in_float64
def draw(family: Gaussian, key: Array) -> Market:
    """Draws one market with `v_ij = alignment * u_j + shared * B_j + idiosyncratic * Z_ij` (design 7)."""
    value_key, prior_key = jr.split(key)
    shape = (family.users, family.actions, family.states)
    user_value, shared, own = normals(value_key, shape, shape, (family.providers, *shape))
    common = family.alignment * user_value + family.shared * shared
    prior = state_prior(prior_key, family.prior, family.users, family.states)
    return observed_market(user_value, common[None] + family.idiosyncratic * own, prior)
