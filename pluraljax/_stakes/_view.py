"""A market's stakes in one view: what whoever lays out a programme, or evaluates a bound, starts from."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._counted import Counted, OptimalPlay, counted, leads_of, optimal_play_of
from .._market import Market, stakes
from .._ties import Sized


class View(eqx.Module):
    """Prior-weighted payoffs in the units of `counted`, each beside what it would be if no terms cancelled in it.

    That size is what the rounding of a stake is relative to. Axes are those of `Stakes`.
    """

    counted: Counted
    user: Sized
    provider: Sized

    @property
    def market(self) -> Market:
        return self.counted.market

    @property
    def num_states(self) -> int:
        """How many products add up to a stake."""
        return self.market.prior.shape[-1]

    @property
    def evidence_probability(self) -> Float[Array, "user evidence"]:
        """The probability of the evidence, over all types."""
        return self.market.prior.sum(axis=(-3, -1))

    def optimal(self) -> OptimalPlay:
        """What users may do who know all the evidence; situations (type, evidence) come as one axis."""
        return optimal_play_of(self.counted, self.user.value)

    def leads(self) -> Sized:
        """How far each action is ahead of each other one: `[user type evidence action action]`."""
        return leads_of(self.counted.user_own, self.market.prior)


def view(market: Market) -> View:
    """Counts a market's payoffs, and weighs them by the prior. Invalid markets become zeros."""
    found = counted(market)
    market = found.market
    values = stakes(market)
    sizes = stakes(Market(market.prior, jnp.abs(market.user_value), jnp.abs(market.provider_value), market.mass))
    return View(found, Sized(values.user, sizes.user), Sized(values.provider, sizes.provider))


def with_two_actions(market: Market) -> Market:
    """Writes an only action twice, because programmes move probability between actions."""
    if market.user_value.shape[-2] > 1:
        return market
    twice = lambda value: jnp.repeat(value, 2, axis=-2)
    return Market(market.prior, twice(market.user_value), twice(market.provider_value), market.mass)


def fold_actions(outcome: Float[Array, "..."], actions: int) -> Float[Array, "..."]:
    """Undoes the doubling of an only action."""
    return outcome.sum(axis=-1, keepdims=True) if actions == 1 else outcome
