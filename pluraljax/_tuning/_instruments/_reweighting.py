"""Re-weighting: how many people each user stands for."""

import math
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._market import Market
from ._instrument import Instrument


@dataclass(frozen=True)
class Reweighting(Instrument):
    """Multiplies users' masses and rescales them to their sum; it matters where users share a policy.

    **Arguments:**

    - `most`: the largest factor, and one over the least one, before rescaling; > 1.
    """

    most: float = 10.0

    def __post_init__(self):
        if not self.most > 1:
            raise ValueError(f"Reweighting.most must be > 1, got {self.most}.")

    def start(self, market: Market) -> Any:
        return jnp.zeros(market.mass.shape, jnp.float64)

    def apply(self, parameters: Any, market: Market) -> Market:
        mass = market.mass * jnp.exp(parameters)
        return eqx.tree_at(lambda m: m.mass, market, mass * market.mass.sum() / mass.sum())

    def project(self, parameters: Any, market: Market) -> Any:
        return jnp.clip(parameters, -math.log(self.most), math.log(self.most))

    def cost(self, parameters: Any, market: Market) -> Float[Array, ""]:
        """Half the sum of squares of the factors' logarithms."""
        return 0.5 * (parameters**2).sum()
