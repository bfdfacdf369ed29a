"""Subsidies and taxes: a payment to whoever serves a user, for what she then does."""

from dataclasses import dataclass
from typing import Any, Literal

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._market import Market
from ..._printable import quoted
from .._intervention import pay
from ._instrument import Instrument


@dataclass(frozen=True)
class Subsidy(Instrument):
    """Payments `s_j(a)` or `s_j(a, y)` to every provider, negative ones being taxes.

    **Arguments:**

    - `by`: `"action"`, or `"outcome"` for one payment per action and state.
    - `budget`: the largest norm allowed, `sqrt(sum_j mass_j |s_j|^2)`; `inf` for none.
    """

    by: Literal["action", "outcome"] = "action"
    budget: float = float("inf")

    def __post_init__(self):
        if self.by not in ("action", "outcome"):
            raise ValueError(f'Subsidy.by must be "action" or "outcome", got {quoted(self.by)}.')
        if not self.budget > 0:
            raise ValueError(f"Subsidy.budget must be > 0, got {self.budget}.")

    def start(self, market: Market) -> Any:
        shape = market.user_value.shape
        return jnp.zeros(shape if self.by == "outcome" else (*shape[:2], 1), jnp.float64)

    def apply(self, parameters: Any, market: Market) -> Market:
        return pay(market, jnp.broadcast_to(parameters, market.user_value.shape))

    def project(self, parameters: Any, market: Market) -> Any:
        size = jnp.sqrt(2 * self.cost(parameters, market))
        return parameters * jnp.minimum(1.0, self.budget / jnp.where(size > 0, size, 1.0))

    def cost(self, parameters: Any, market: Market) -> Float[Array, ""]:
        """Half the mass-weighted sum of squares."""
        paid = jnp.broadcast_to(parameters, market.user_value.shape)
        return 0.5 * (market.mass[:, None, None] * paid**2).sum()
