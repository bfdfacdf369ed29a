"""A public option: one more provider, whose objective is tuned."""

from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._market import Market
from ._instrument import Instrument


@dataclass(frozen=True)
class Entrant(Instrument):
    """A provider whose payoff is a mixture of what it can know without asking each user.

    The features, for user j: the mass-weighted average utility of all users; the average of what the incumbents get
    from j; the average of what they get from everybody; each counted from its mean and scaled to size 1. Only the
    direction of the three weights counts, because alignment weights scale; so they have norm 1. The average user's
    utility is `(1, 0, 0)`.
    """

    def start(self, market: Market) -> Any:
        return jnp.asarray([1.0, 0.0, 0.0], jnp.float64)

    def apply(self, parameters: Any, market: Market) -> Market:
        own = jnp.einsum("f,fjay->jay", parameters, entrant_features(market))
        with_it = jnp.concatenate([market.provider_value, own[None]])
        return eqx.tree_at(lambda m: m.provider_value, market, with_it)

    def project(self, parameters: Any, market: Market) -> Any:
        size = jnp.sqrt((parameters**2).sum())
        return parameters / jnp.where(size > 0, size, 1.0)


def entrant_features(market: Market) -> Float[Array, "feature user action state"]:
    """What an entrant's objective is mixed from; see `Entrant`."""
    share = market.mass / market.mass.sum()
    everyone = lambda values: jnp.broadcast_to(jnp.einsum("j,jay->ay", share, values)[None], values.shape)
    served = market.provider_value.mean(axis=0)
    features = jnp.stack([everyone(market.user_value), served, everyone(served)])
    features = features - features.mean(axis=(-2, -1), keepdims=True)
    size = jnp.sqrt((features**2).mean(axis=(-2, -1), keepdims=True))
    return features / jnp.where(size > 0, size, 1.0)
