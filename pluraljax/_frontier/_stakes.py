"""What the search for a user's worst equilibrium needs to know about her, all of it in expected utility."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from .._bounds import both_strictly, least_value, optimal_play, strictly, value_of
from .._candidates import (
    LinearProgram,
    Solution,
    Solver,
    pose_outcome,
    read_outcome,
    strict_recommendations,
    truthful_task,
)
from .._counted import OptimalPlay
from .._market import LEAST_SLACK, Market, action_range, market_status
from .._precision import float64_scope, in_float64
from .._stakes import Receiver, view, with_two_actions
from .._status import Status
from .._ties import EPSILON, Sized, doubt

# Share of the span.
_NEAR = 1e-9
# What providers may leave is known up to a few roundings.
_A_FEW = 8 * EPSILON


class Units(eqx.Module):
    """How one user's stakes are written: payoffs are counted from the first action, in powers of two."""

    user: Float[Array, ""]
    user_baseline: Float[Array, ""]
    provider: Float[Array, " provider"]
    provider_baseline: Float[Array, " provider"]

    def own_level(self, level: Float[Array, "..."]) -> Float[Array, "..."]:
        """A user's utility as it is reported."""
        return level * self.user + self.user_baseline

    def level_of(self, own: Float[Array, "..."]) -> Float[Array, "..."]:
        """A utility that is given, as it is counted here."""
        return (own - self.user_baseline) / self.user


class UserStakes(eqx.Module):
    """One user's side of a market; the functions of this package take one, and groups of them through `jax.vmap`.

    `slack` is what each provider may leave on the table with her: delta per unit of her mass. Where `alone`, there
    is a single provider, or every provider is its twin, and nobody competes. Levels of her utility below `above` are
    not looked at. `strict` recommends every action where it is obeyed as clearly as possible.
    """

    receiver: Receiver
    providers: Sized
    probability: Float[Array, " evidence"]
    slack: Float[Array, " provider"]
    payoff_range: Float[Array, " provider"]
    alone: Bool[Array, ""]
    above: Float[Array, ""]
    strict: Float[Array, "type evidence action"]
    units: Units

    @property
    def user(self) -> Float[Array, "type evidence action"]:
        return self.receiver.user

    @property
    def provider(self) -> Float[Array, "provider type evidence action"]:
        return self.providers.value

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
    def rounding(self) -> Float[Array, ""]:
        """How far off float64 may be about what outcomes are worth to her."""
        return doubt(self.receiver.size, self.receiver.terms)

    @property
    def near(self) -> Float[Array, ""]:
        """Levels of her utility closer than this are not told apart."""
        return _NEAR * self.span + 2 * self.rounding

    @property
    def num_providers(self) -> int:
        return self.provider.shape[-4]

    @property
    def most_slack(self) -> Float[Array, " provider"]:
        """Slack for proofs that something is no equilibrium."""
        return self.slack * (1 + _A_FEW)

    @property
    def least_slack(self) -> Float[Array, " provider"]:
        """Slack for proofs that something is an equilibrium."""
        return self.slack * (1 - _A_FEW)

    def informed(self) -> Float[Array, "type evidence action"]:
        """The fully informative outcome."""
        return optimal_play(self.receiver, self.user)

    def worth(self, outcome: Float[Array, "type evidence action"]) -> Float[Array, ""]:
        """What an outcome is worth to her at least."""
        return value_of(self.user, outcome) - self.rounding

    def brings(self, outcome: Float[Array, "type evidence action"]) -> Float[Array, " provider"]:
        """What an outcome brings each provider at least."""
        return least_value(self.receiver, self.providers, outcome)

    def informed_value(self) -> Float[Array, " provider"]:
        """What each provider gets from her optimal play; among several, from the best one for that provider."""

        def one(provider: Sized) -> Array:
            return least_value(self.receiver, provider, optimal_play(self.receiver, provider.value))

        return jax.vmap(one)(self.providers)


@in_float64
def lay_out(
    market: Market,
    delta: Float[Array, ""],
    alone: Bool[Array, "*each"] | None = None,
    above: Float[Array, " user"] | None = None,
) -> UserStakes:
    """Lays out every user's stakes, with a leading user axis, in the units of `counted`. Invalid markets become zeros.

    `alone` says whether nobody competes, for markets padded with twins, of all users or of each; by default one
    provider is alone.
    """
    seen = view(with_two_actions(market))
    found, market = seen.counted, seen.market
    providers, users = market.provider_value.shape[:2]
    by_user = lambda leaf: jnp.moveaxis(leaf, 0, 1)
    optimal, payoffs = seen.optimal(), seen.user.value
    receivers = jax.vmap(lambda *hers: Receiver(*hers, states=seen.num_states))(
        seen.user,
        seen.leads(),
        OptimalPlay(optimal.action.reshape(payoffs.shape), optimal.is_exact.reshape(payoffs.shape[:3])),
    )
    units = jax.vmap(Units)(
        found.user_unit,
        found.user_baseline,
        jnp.broadcast_to(found.provider_unit, (users, providers)),
        found.provider_baseline.T,
    )
    payoff_range = action_range(market.provider_value).max(axis=-1).T
    mass = jnp.where(market.mass > 0, market.mass, 1.0)
    nothing_excluded = jnp.full(users, -jnp.inf, jnp.float64)
    return jax.vmap(UserStakes)(
        receivers,
        jax.tree.map(by_user, seen.provider),
        seen.evidence_probability,
        jnp.maximum(found.delta(delta)[None] / mass[:, None], LEAST_SLACK * payoff_range),
        payoff_range,
        jnp.broadcast_to(jnp.array(providers == 1) if alone is None else alone, (users,)),
        nothing_excluded if above is None else jax.vmap(Units.level_of)(units, above),
        jax.vmap(_strict)(receivers),
        units,
    )


def _strict(receiver: Receiver) -> Float[Array, "type evidence action"]:
    rays = strict_recommendations(lax.stop_gradient(receiver.lead.value))
    return strictly(receiver, rays, optimal_play(receiver, receiver.user))


@float64_scope
def with_strict_truth(stakes: UserStakes, solver: Solver) -> UserStakes:
    """Makes truth pay in `strict`, by one more programme for each user of several types."""
    if stakes.receiver.stakes.value.shape[-3] == 1:
        return stakes
    solution = solver(_pose_truthful(stakes))
    return _read_truthful(stakes, solution)


@in_float64
@jax.vmap
def _pose_truthful(stakes: UserStakes) -> LinearProgram:
    return pose_outcome(truthful_task(stakes.user, stakes.probability))


@in_float64
@jax.vmap
def _read_truthful(stakes: UserStakes, solution: Solution) -> UserStakes:
    truthful = read_outcome(truthful_task(stakes.user, stakes.probability), solution).outcome
    return eqx.tree_at(lambda s: s.strict, stakes, both_strictly(stakes.receiver, stakes.strict, truthful))


def where_valid(market: Market, tree: Any) -> Any:
    """Replaces all numbers by NaN where the market's data are invalid."""
    valid = market_status(market) < Status.NOT_FINITE
    return jax.tree.map(lambda leaf: jnp.where(valid, leaf, jnp.nan), tree)
