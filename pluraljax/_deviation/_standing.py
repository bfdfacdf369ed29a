"""How things stand before anybody deviates: what users get, from whom, and what else they could have."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from .._bounds import Audience, value_of
from .._conversation import TIE, Profile, normalised, pick_provider, respond
from .._market import Market, counted_from_first_action, stakes, with_two_actions
from .._segments import Labels, segment_of


class Standing(eqx.Module):
    """What a profile gives everybody, and what each user does if a provider's new policy does not win her.

    All payoffs count from those of the first action, which no conversation changes: `user_baseline` and
    `provider_baseline` are what is left out. `provider` are stakes weighted by masses. `outside[i, j]` is the best that
    user j has without provider i, and `elsewhere[i, j]` what i then gets from her; `loyal[i, j]` says that she is with
    i now, and `present[i, j]` what i gets from her now.
    """

    user: Float[Array, "user type evidence action"]
    provider: Float[Array, "provider user type evidence action"]
    user_baseline: Float[Array, " user"]
    provider_baseline: Float[Array, " provider"]
    probability: Float[Array, "user evidence"]
    outside: Float[Array, "provider user"]
    elsewhere: Float[Array, "provider user"]
    loyal: Bool[Array, "provider user"]
    present: Float[Array, "provider user"]
    user_value: Float[Array, " user"]
    choice: Int[Array, " user"]

    def audience(self) -> Audience:
        """Every user as an audience of her own: [provider user member]."""
        alone = lambda leaf: leaf[:, :, None]
        user = jnp.broadcast_to(self.user[None], self.provider.shape)
        fields = (user, self.provider, self.outside, self.elsewhere, self.loyal)
        return Audience(*(alone(leaf) for leaf in fields))


def _lay_out(market: Market) -> dict[str, Array]:
    """Lays out what does not depend on what users do."""
    payoffs = stakes(counted_from_first_action(market))
    state = market.prior.sum(axis=(-3, -2))
    return {
        "user": with_two_actions(payoffs.user),
        "provider": with_two_actions(payoffs.provider * market.mass[None, :, None, None, None]),
        "user_baseline": jnp.einsum("jy,jy->j", state, market.user_value[:, 0]),
        "provider_baseline": jnp.einsum("jy,ijy,j->i", state, market.provider_value[:, :, 0], market.mass),
        "probability": market.prior.sum(axis=(-3, -1)),
    }


def _silence(user: Float[Array, "user type evidence action"]) -> tuple[Array, Array]:
    """What each user gets and does without a conversation; the first action among ties."""
    nothing = jnp.ones((user.shape[2], 1, 1), jnp.float64)
    response = jax.vmap(lambda own: respond(own, nothing, jnp.zeros_like(own)))(user)
    return response.value, response.outcome


def silent_standing(market: Market) -> Standing:
    """All providers are silent, and users at a tie keep doing what they do uninformed.

    A single provider is the only one to talk to, so that users at a tie do as it says.
    """
    primitives = _lay_out(market)
    user, provider = primitives["user"], primitives["provider"]
    value, outcome = _silence(user)
    earned = jax.vmap(jax.vmap(value_of), in_axes=(0, None))(provider, outcome)
    providers = provider.shape[0]
    return Standing(
        **primitives,
        outside=jnp.broadcast_to(value, earned.shape),
        elsewhere=earned,
        loyal=jnp.full(earned.shape, providers == 1),
        present=earned,
        user_value=value,
        choice=jnp.zeros(value.shape, jnp.int32),
    )


def profile_standing(market: Market, labels: Labels, profile: Profile) -> Standing:
    """Users respond to a profile: each talks to a best provider, and her best other offer is her outside option."""
    primitives = _lay_out(market)
    user, provider = primitives["user"], primitives["provider"]
    providers = provider.shape[0]
    policy = jax.tree.map(lambda kernel: jnp.take(normalised(kernel), segment_of(labels), axis=1), profile.policy)
    told = lambda name: None if getattr(profile, name) is None else 0
    over_users = jax.vmap(respond, in_axes=(0, 0, 0, told("recommended"), told("asked")))
    over_providers = jax.vmap(over_users, in_axes=(None, 0, 0, told("recommended"), told("asked")))
    offers = over_providers(user, policy, provider, profile.recommended, profile.asked)

    tie = TIE * jnp.abs(user).max(axis=-1).sum(axis=(-2, -1))
    everyone = jnp.arange(providers, dtype=jnp.int32)[:, None]
    best = offers.value.max(axis=0)
    choice = pick_provider(offers.value, tie, profile.choice)
    loyal = everyone == choice[None]
    # earned[i, p, j]: what provider i gets from user j when she is with provider p.
    earned = jax.vmap(lambda stakes: jax.vmap(jax.vmap(value_of), in_axes=(None, 0))(stakes, offers.outcome))(provider)
    now = {
        "loyal": loyal,
        "present": jnp.where(loyal[None], earned, 0.0).sum(axis=1),
        "user_value": best,
        "choice": choice,
    }
    if providers == 1:
        outside, outcome = _silence(user)
        elsewhere = jax.vmap(value_of)(provider[0], outcome)
        return Standing(**primitives, **now, outside=outside[None], elsewhere=elsewhere[None])
    others = ~np.eye(providers, dtype=bool)[:, :, None]
    outside = jnp.where(others, offers.value[None], -jnp.inf).max(axis=1)
    # A user who is with another provider stays there; one who is left goes to the first of the best others.
    next_best = others & (offers.value[None] >= (outside - tie[None])[:, None])
    first = jnp.where(next_best, everyone[None], np.int32(providers - 1)).min(axis=1)
    after = jnp.where(loyal, first, choice[None])
    elsewhere = jnp.where(everyone[None] == after[:, None], earned, 0.0).sum(axis=1)
    return Standing(**primitives, **now, outside=outside, elsewhere=elsewhere)
