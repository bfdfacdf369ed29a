"""What the search needs to know about a segment whose users share policies, all of it in expected utility."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from .._bounds import Offers, lay_out_offers
from .._candidates import count_places, find_atoms
from .._candidates._atoms import MOST_PLACES
from .._counted import counted, optimal_play_of
from .._market import (
    Market,
    market_status,
    objective_range,
    patience,
    stakes,
    with_two_actions,
    with_zeros_if_invalid,
)
from .._precision import in_float64

# Levels of utility closer than this are not told apart: shares of the span, and of the size of the user's stakes.
_NEAR = 1e-9
_ROUNDING = 1e-12


class Shared(eqx.Module):
    """One segment of users of one type each. Payoffs count from those of the first action, `baseline` for users.

    `provider` and all that follows from it are weighted by the users' masses. `best`, `first` and `worst` are what a
    provider gets from a user who is told the evidence, if she takes, among her optimal actions, the one that it likes
    most, the first one, or the one that it likes least. `offers` counts from `best`, and `told` from `first`. In no
    delta-equilibrium does user j get less than `least[j]`.
    """

    user: Float[Array, "*batch member evidence action"]
    provider: Float[Array, "*batch provider member evidence action"]
    baseline: Float[Array, "*batch member"]
    share: Float[Array, "*batch evidence"]
    patience: Float[Array, "*batch provider"]
    payoff_range: Float[Array, "*batch provider"]
    least: Float[Array, "*batch member"]
    offers: Offers
    action: Int[Array, "*batch member atom"]
    told: Float[Array, "*batch provider member atom"]
    best: Float[Array, "*batch provider member"]
    first: Float[Array, "*batch provider member"]
    worst: Float[Array, "*batch provider member"]

    @property
    def silent(self) -> Float[Array, "*batch member"]:
        return self.user.sum(axis=-2).max(axis=-1)

    @property
    def aligned(self) -> Float[Array, "*batch member"]:
        return self.user.max(axis=-1).sum(axis=-1)

    @property
    def span(self) -> Float[Array, "*batch member"]:
        """How much conversation is worth to each user at most."""
        return jnp.maximum(self.aligned - self.silent, 0.0)

    @property
    def near(self) -> Float[Array, "*batch member"]:
        return _NEAR * self.span + _ROUNDING * jnp.abs(self.user).max(axis=-1).sum(axis=-1)

    @property
    def num_providers(self) -> int:
        return self.provider.shape[-4]

    @property
    def num_members(self) -> int:
        return self.user.shape[-3]


def is_searchable(market: Market) -> bool:
    """Tells whether a market is small enough for the search; its users have one type, and at least two of them."""
    users, actions, _ = market.user_value.shape
    _, types, evidences, _ = market.prior.shape
    return users > 1 and types == 1 and count_places(users, evidences, max(actions, 2)) <= MOST_PLACES


@in_float64
def lay_out(market: Market, delta: Float[Array, ""], least: Float[Array, " member"]) -> Shared:
    """Lays a segment out; `least` bounds every user's utility from below. Invalid markets become zeros."""
    market = with_zeros_if_invalid(market, market_status(market))
    found = counted(market)
    payoffs = stakes(found.market)
    optimal = optimal_play_of(found, payoffs.user)
    user = with_two_actions(payoffs.user[:, 0] * found.user_unit[:, None, None])
    weight = found.objective_unit[:, None, None, None] * found.market.mass[None, :, None, None]
    provider = with_two_actions(payoffs.provider[:, :, 0] * weight)
    share = market.prior.sum(axis=(1, 3)).mean(axis=0)
    share = jnp.where(share > 0, share, 1.0)
    baseline = found.user_baseline
    atoms = find_atoms(user, share)
    ties = jnp.broadcast_to(optimal.action, user.shape)
    worst = jnp.where(ties[None], provider, jnp.inf).min(axis=-1)
    # A tie in doubt does not help a provider.
    best = jnp.where(optimal.is_exact[None], jnp.where(ties[None], provider, -jnp.inf).max(axis=-1), worst)
    actions = jnp.arange(user.shape[-1], dtype=jnp.int32)
    first = jnp.min(jnp.where(user == user.max(axis=-1, keepdims=True), actions[None, None], actions[-1]), axis=-1)
    told = jnp.where((first[..., None] == actions[None, None])[None], provider, 0.0).sum(axis=-1)
    from_best = lay_out_offers(user, provider, best, atoms.signal, atoms.action)
    from_first = lay_out_offers(user, provider, told, atoms.signal, atoms.action)
    silent, aligned = user.sum(axis=-2).max(axis=-1), user.max(axis=-1).sum(axis=-1)
    least = jnp.where(jnp.isfinite(least), least - baseline, silent)
    return Shared(
        user=user,
        provider=provider,
        baseline=baseline,
        share=share,
        patience=patience(market, delta),
        payoff_range=objective_range(market),
        least=jnp.clip(least, silent, aligned),
        offers=from_best,
        action=atoms.action,
        told=from_first.earned,
        best=best.sum(axis=-1),
        first=told.sum(axis=-1),
        worst=worst.sum(axis=-1),
    )
