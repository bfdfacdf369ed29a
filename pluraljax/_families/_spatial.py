"""Spatial markets: quadratic losses around ideal points."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float

from .._market import Market, observed_market
from .._precision import in_float64
from ._draws import normals, ordered_sum, state_prior
from ._parameters import Spatial


@in_float64
def draw(family: Spatial, key: Array) -> Market:
    """Draws one market with `u_j(a,y) = -|a - y - theta_j|^2` and `v_ij(a,y) = -|a - y - beta_ij|^2` (design 7)."""
    point_key, prior_key = jr.split(key)
    users, providers, dimension = family.users, family.providers, family.dimension
    ideal, point = normals(point_key, (users, dimension), (providers, 1, dimension))
    ideal, point = family.user_spread * ideal, family.provider_spread * point
    if family.bias == "relative":
        point = point + ideal[None]
    point = jnp.broadcast_to(point, (providers, users, dimension))
    actions = grid(family.actions_per_side, family.action_extent, dimension)
    states = grid(family.states_per_side, family.state_extent, dimension)
    move = actions[:, None] - states[None]
    prior = state_prior(prior_key, family.prior, users, states.shape[0])
    return observed_market(_loss(move, ideal), _loss(move, point), prior)


def grid(points_per_side: int, extent: float, dimension: int) -> Float[np.ndarray, "point dimension"]:
    """Lists the points of a cubic grid on `[-extent, extent]^dimension`; the last coordinate varies fastest."""
    side = np.linspace(-extent, extent, points_per_side)
    return np.stack(np.meshgrid(*[side] * dimension, indexing="ij"), axis=-1).reshape(-1, dimension)


def _loss(
    move: Float[np.ndarray, "action state dimension"], point: Float[Array, "*batch dimension"]
) -> Float[Array, "*batch action state"]:
    move = move.reshape((1,) * (point.ndim - 1) + move.shape)
    miss = move - point[..., None, None, :]
    return -ordered_sum(jnp.moveaxis(miss**2, -1, 0))
