"""What the search for a user's worst equilibrium needs to know about her, all of it in expected utility."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from .._bounds import optimal_play, value_of
from .._market import (
    LEAST_PATIENCE,
    Market,
    market_status,
    provider_range,
    stakes,
    with_two_actions,
    with_zeros_if_invalid,
)
from .._precision import in_float64
from .._status import Status

# Shares of the span and of the size of the user's stakes.
_NEAR = 1e-9
_ROUNDING = 1e-14


class UserStakes(eqx.Module):
    """One user's side of a market; the functions of this package take one, and groups of them through `jax.vmap`.

    `patience` is what each provider may leave on the table with her: delta per unit of her mass. Where `alone`, there
    is a single provider, or every provider is its twin, and nobody competes. Levels of her utility below `above` are
    not looked at.
    """

    user: Float[Array, "type evidence action"]
    provider: Float[Array, "provider type evidence action"]
    probability: Float[Array, " evidence"]
    patience: Float[Array, " provider"]
    payoff_range: Float[Array, " provider"]
    alone: Bool[Array, ""]
    above: Float[Array, ""]

    @property
    def silent(self) -> Float[Array, ""]:
        """What she gets with no conversation."""
        return self.user.sum(axis=-2).max(axis=-1).sum()

    @property
    def aligned(self) -> Float[Array, ""]:
        """What a perfectly aligned model gives her."""
        return self.user.max(axis=-1).sum()

    @property
    def span(self) -> Float[Array, ""]:
        """How much conversation is worth to her at most."""
        return jnp.maximum(self.aligned - self.silent, 0.0)

    @property
    def near(self) -> Float[Array, ""]:
        """Levels of her utility closer than this are not told apart."""
        return _NEAR * self.span + _ROUNDING * jnp.abs(self.user).max(axis=-1).sum()

    @property
    def num_providers(self) -> int:
        return self.provider.shape[-4]

    def informed(self) -> Float[Array, "type evidence action"]:
        """The fully informative outcome."""
        return optimal_play(self.user, self.user)

    def informed_value(self) -> Float[Array, " provider"]:
        """What each provider gets from her optimal play; among several, from the best one for that provider."""
        return jax.vmap(lambda v: value_of(v, optimal_play(self.user, v)))(self.provider)


@in_float64
def lay_out(
    market: Market,
    delta: Float[Array, ""],
    alone: Bool[Array, ""] | None = None,
    above: Float[Array, " user"] | None = None,
) -> UserStakes:
    """Lays out every user's stakes, with a leading user axis. Invalid markets become zeros.

    `alone` says whether nobody competes, for markets padded with twins; by default one provider is alone.
    """
    market = with_zeros_if_invalid(market, market_status(market))
    payoffs = stakes(market)
    payoff_range = provider_range(market).T
    mass = jnp.where(market.mass > 0, market.mass, 1.0)
    providers, users = market.provider_value.shape[:2]
    return jax.vmap(UserStakes)(
        with_two_actions(payoffs.user),
        jnp.moveaxis(with_two_actions(payoffs.provider), 0, 1),
        market.prior.sum(axis=(-3, -1)),
        jnp.maximum(delta / mass[:, None], LEAST_PATIENCE * payoff_range),
        payoff_range,
        jnp.broadcast_to(jnp.array(providers == 1) if alone is None else alone, (users,)),
        jnp.full(users, -jnp.inf) if above is None else above,
    )


def fold_actions(outcome: Float[Array, "..."], actions: int) -> Float[Array, "..."]:
    """Undoes the doubling of an only action."""
    return outcome.sum(axis=-1, keepdims=True) if actions == 1 else outcome


def where_valid(market: Market, tree: Any) -> Any:
    """Replaces all numbers by NaN where the market's data are invalid."""
    valid = market_status(market) < Status.NOT_FINITE
    return jax.tree.map(lambda leaf: jnp.where(valid, leaf, jnp.nan), tree)
