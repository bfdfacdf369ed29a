"""Licences: which providers to admit, at most so many."""

from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._market import Market
from ._instrument import Instrument, error_of_weights


@dataclass(frozen=True)
class Licence(Instrument):
    """Admits the `most` providers that users' alignment weights need, found with a group penalty.

    The relaxation is the mean alignment error at weights of every user's own, which are tuned, plus `sparsity` times
    `sum_i sqrt(mean_j w_ji^2)`; hardening admits the providers with the largest groups. A market has as many providers
    as before: those without a licence become twins of the first one admitted, which is the same for every user.

    **Arguments:**

    - `most`: how many to admit; >= 1.
    - `sparsity`: weight of the penalty; >= 0.
    """

    most: int = 2
    sparsity: float = 0.02
    only_per_market = True

    def __post_init__(self):
        if self.most < 1 or not self.sparsity >= 0:
            raise ValueError(f"Licence needs most >= 1 and sparsity >= 0, got {self.most} and {self.sparsity}.")

    def start(self, market: Market) -> Any:
        users, providers = market.mass.shape[0], market.provider_value.shape[0]
        return jnp.full((users, providers), 1.0 / providers, jnp.float64)

    def admitted(self, parameters: Any) -> Array:
        """Which providers have a licence: `[provider]`."""
        size = (parameters**2).sum(axis=0)
        ahead = size[None, :] > size[:, None]
        order = jnp.arange(size.shape[0], dtype=jnp.int32)
        tied = (size[None, :] == size[:, None]) & (order[None, :] < order[:, None])
        return (ahead | tied).sum(axis=1) < self.most

    def apply(self, parameters: Any, market: Market) -> Market:
        admitted = self.admitted(parameters)
        order = jnp.arange(admitted.shape[0], dtype=jnp.int32)
        first = jnp.min(jnp.asarray(jnp.where(admitted, order, jnp.int32(order.shape[0] - 1))))
        twin = ((order == first).astype(jnp.float64)[:, None, None, None] * market.provider_value).sum(axis=0)
        kept = jnp.where(admitted[:, None, None, None], market.provider_value, twin[None])
        return eqx.tree_at(lambda m: m.provider_value, market, kept)

    def relaxed(self, parameters: Any, market: Market) -> Float[Array, ""]:
        groups = jnp.sqrt((parameters**2).mean(axis=0) + 1e-12).sum()
        share = market.mass / market.mass.sum()
        return share @ error_of_weights(market, parameters) + self.sparsity * groups

    def project(self, parameters: Any, market: Market) -> Any:
        return jnp.maximum(parameters, 0.0)
