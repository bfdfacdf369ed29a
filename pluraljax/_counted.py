"""A market as everything that compares sees it: payoffs counted from one action, in units of order one.

Every bound and solver compares payoffs of actions. What all actions have in common, in a state, is in no comparison, so
it is left out before anything is multiplied or added up, and added to what is reported at the very end. Units are
powers of two: changing them rounds nothing, and keeps numbers away from both ends of what float64 can hold.
"""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from ._float_bits import Grid, grid_of, is_exact_sum, power_of_two, product
from ._market import Market, expected_baseline, market_status, with_zeros_if_invalid
from ._precision import in_float64
from ._ties import Sized, doubt


class Counted(eqx.Module):
    """A market whose payoffs count from those of the first action in each state, in units of order one.

    Utility u of user j in `market` is `u * user_unit[j] + user_baseline[j]`. What provider i gets from user j, per unit
    of mass, is `v * provider_unit[i] + provider_baseline[i, j]`, and masses count in `mass_unit`. Invalid markets
    become zeros. `user_is_exact` says whose payoffs were counted without any rounding; `user_own` are users' payoffs in
    their units, but not counted: differences of those are zero where the payoffs are equal, and only there.
    """

    market: Market
    user_own: Float[Array, "user action state"]
    user_unit: Float[Array, " user"]
    provider_unit: Float[Array, " provider"]
    mass_unit: Float[Array, ""]
    user_is_exact: Bool[Array, " user"]
    user_baseline: Float[Array, " user"]
    provider_baseline: Float[Array, "provider user"]

    @property
    def objective_unit(self) -> Float[Array, " provider"]:
        """The unit of each provider's objective."""
        return self.provider_unit * self.mass_unit

    def delta(self, delta: Float[Array, ""]) -> Float[Array, " provider"]:
        """What a provider may leave on the table, in the unit of its objective; beyond its range more is the same."""
        return jnp.minimum(delta / self.provider_unit / self.mass_unit, _MORE_THAN_ANY_RANGE)

    def user_value(self, value: Float[Array, "*more user"]) -> Float[Array, "*more user"]:
        """What users get, in their own units and with what all actions have in common."""
        return value * self.user_unit + self.user_baseline


# Objectives are sums of payoffs below 4, over masses below 2.
_MORE_THAN_ANY_RANGE = 2.0**60


@in_float64
def counted(market: Market) -> Counted:
    """Counts a market's payoffs from its first action."""
    market = with_zeros_if_invalid(market, market_status(market))
    user, user_unit, user_is_exact = _count(market.user_value, (-2, -1))
    provider, provider_unit, _ = _count(market.provider_value, (-3, -2, -1))
    mass_unit = power_of_two(market.mass.max())
    return Counted(
        market=Market(market.prior, user, provider, market.mass / mass_unit),
        user_own=market.user_value / user_unit[:, None, None],
        user_unit=user_unit,
        provider_unit=provider_unit,
        mass_unit=mass_unit,
        user_is_exact=user_is_exact,
        user_baseline=expected_baseline(market.prior, market.user_value),
        provider_baseline=expected_baseline(market.prior, market.provider_value),
    )


def _count(value: Float[Array, "*more action state"], axes: tuple[int, ...]) -> tuple[Array, Array, Array]:
    """Counts from the first action, finds the unit, and tells whether that was exact. Scales before it subtracts."""
    spread = lambda unit: jnp.expand_dims(unit, axes)
    first = power_of_two(jnp.abs(value).max(axis=axes))
    scaled = value / spread(first)
    start = scaled[..., :1, :]
    moved = scaled - start
    # What is left of numbers of order one is zero or not below one rounding error.
    second = jnp.maximum(power_of_two(jnp.abs(moved).max(axis=axes)), SMALLEST_UNIT / first)
    # The error of a difference is itself a float64 (Knuth, The Art of Computer Programming 2, 4.2.2).
    shadow = scaled - moved
    error = (shadow - start) + (scaled - (moved + shadow))
    return moved / spread(second), first * second, (error == 0).all(axis=axes)


# No unit is below this.
SMALLEST_UNIT = 2.0**-1000


class _Terms(eqx.Module):
    """What the products of a stake are multiples of, as a power of two, and their sizes added up."""

    last: Int[Array, "user type evidence action"]
    size: Float[Array, "user type evidence action"]


def _terms(found: Counted) -> _Terms:
    prior, value = found.market.prior, found.market.user_value
    products = product(_lift(grid_of(prior), (-2,)), _lift(grid_of(value), (1, 1)))
    last = jnp.where(found.user_is_exact[:, None, None, None], products.last.min(axis=-1), -(1 << 20))
    return _Terms(last, jnp.einsum("jtxy,jay->jtxa", prior, jnp.abs(value)))


def _lift(grid: Grid, axes: tuple[int, ...]) -> Grid:
    return jax.tree.map(lambda leaf: functools.reduce(jnp.expand_dims, axes, leaf), grid)


def leads_of(own: Float[Array, "user action state"], prior: Float[Array, "user type evidence state"]) -> Sized:
    """How far each action is ahead of each other one, `[user type evidence action action]`; `own` is `user_own`."""
    apart = own[:, :, None] - own[:, None]
    weigh = lambda values: jnp.einsum("jtxy,jaby->jtxab", prior, values)
    return Sized(weigh(apart), weigh(jnp.abs(apart)))


class OptimalPlay(eqx.Module):
    """What a user may do who knows all the evidence.

    `action` marks every action that may be optimal, and `is_exact` says that those marked tie exactly, so that all of
    them are.
    """

    action: Bool[Array, "*batch situation action"]
    is_exact: Bool[Array, "*batch situation"]


def optimal_play_of(found: Counted, stakes: Float[Array, "user type evidence action"]) -> OptimalPlay:
    """Compares each action with the best one; situations (type, evidence) come as one axis."""
    prior, value, terms = found.market.prior, found.user_own, _terms(found)
    actions = lax.broadcasted_iota(jnp.int32, stakes.shape, stakes.ndim - 1)
    first = jnp.where(stakes == stakes.max(axis=-1, keepdims=True), actions, stakes.shape[-1]).min(axis=-1)
    is_best = first[..., None] == actions
    chosen = jnp.where(is_best, 1.0, 0.0)
    apart = value[:, None, None] - jnp.einsum("jtxa,jay->jtxy", chosen, value)[:, :, :, None]
    less = (prior[:, :, :, None] * apart).sum(axis=-1)
    size = (prior[:, :, :, None] * jnp.abs(apart)).sum(axis=-1)
    at_best = lambda leaf: jnp.sum(leaf, axis=-1, keepdims=True, dtype=leaf.dtype, where=is_best)
    exact = is_exact_sum(jnp.minimum(terms.last, at_best(terms.last)), terms.size + at_best(terms.size))
    unsure = jnp.where(exact, 0.0, doubt(size, prior.shape[-1]))
    may_be = less >= -unsure
    flat = lambda leaf: lax.stop_gradient(leaf).reshape(leaf.shape[0], -1, *leaf.shape[3:])
    return OptimalPlay(flat(may_be), flat((~may_be | (unsure == 0)).all(axis=-1)))
