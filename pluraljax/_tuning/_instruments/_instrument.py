"""What every instrument is."""

from abc import ABC, abstractmethod
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._market import Market


class Instrument(ABC):
    """A rule of the market with parameters to tune; instruments are frozen dataclasses of plain settings.

    Methods take one market and work under `jax.vmap`. Parameters are trees of float64 arrays.
    """

    # Whether the parameters can only be tuned for markets one by one.
    only_per_market: bool = False

    @abstractmethod
    def start(self, market: Market) -> Any:
        """Parameters to start from; only the shapes of the market count."""

    @abstractmethod
    def apply(self, parameters: Any, market: Market) -> Market:
        """The market under the rule, exactly as it is certified."""

    def relaxed(self, parameters: Any, market: Market) -> Float[Array, ""] | None:
        """A relaxation of the objective of its own; `None` where the objective of the applied rule has derivatives."""
        return None

    def segments(self, parameters: Any, market: Market) -> Any | None:
        """The segments under the rule; `None` where it leaves them alone."""
        return None

    def project(self, parameters: Any, market: Market) -> Any:
        """The nearest parameters that are allowed."""
        return parameters

    def cost(self, parameters: Any, market: Market) -> Float[Array, ""]:
        """What the rule costs."""
        return jnp.zeros((), jnp.float64)


def user_range(market: Market) -> Float[Array, " user"]:
    """The range of each user's payoffs, 1 where it is 0."""
    size = market.user_value.max(axis=(-2, -1)) - market.user_value.min(axis=(-2, -1))
    return jnp.where(size > 0, size, 1.0)


def error_of_weights(market: Market, weights: Float[Array, "user provider"]) -> Float[Array, " user"]:
    """Each user's alignment error at given weights, as a share of her payoff range."""
    rest = jnp.einsum("ji,ijay->jay", weights, market.provider_value) - market.user_value
    return (rest.max(axis=(-2, -1)) - rest.min(axis=(-2, -1))) / 2 / user_range(market)
