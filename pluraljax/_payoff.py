"""What a profile of policies gives every user and provider, and the providers' gradients, for any model of people."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from ._answer import Readable
from ._arguments import checked, instance_of
from ._conversation import (
    Conversation,
    Logit,
    People,
    Profile,
    Rational,
    Response,
    as_kernels,
    check_profile,
    is_distribution,
    normalised,
    pick_provider,
    respond,
    respond_softly,
    soften_providers,
)
from ._counted import counted
from ._market import Market, market_status, one_market, stakes
from ._precision import float64_scope, in_float64
from ._segments import Labels, as_labels, segment_of, user_labels
from ._status import Status
from ._ties import MEANT

# One kernel per round: [provider segment evidence history query signal].
Kernels = Sequence[Float[Array, "_ _ _ _ _ _"]]


class Game(eqx.Module):
    """A market as conversations see it, with users in their segments.

    Payoffs count from those of the first action, which no conversation changes: the baselines are what is left out (as
    for deviations, so that both see the same ties). `provider` are stakes weighted by masses; `member[j, g]` says that
    user j is in segment g, and is `None` where every user is a segment, in their order.
    """

    user: Float[Array, "user type evidence action"]
    provider: Float[Array, "provider user type evidence action"]
    probability: Float[Array, "user type evidence"]
    member: Bool[Array, "user segment"] | None
    user_baseline: Float[Array, " user"]
    provider_baseline: Float[Array, " provider"]

    def size(self) -> Float[Array, " user"]:
        """The size of each user's payoffs."""
        return jnp.abs(self.user).max(axis=-1).sum(axis=(-2, -1))


def lay_out_game(market: Market, labels: Labels) -> Game:
    found = counted(market)
    payoffs, mass = stakes(found.market), found.market.mass[None, :, None, None, None]
    # Temperatures are in the users' own units.
    return Game(
        payoffs.user * found.user_unit[:, None, None, None],
        payoffs.provider * mass * found.objective_unit[:, None, None, None, None],
        market.prior.sum(axis=-1),
        _membership(labels),
        found.user_baseline,
        found.provider_baseline @ market.mass,
    )


def _membership(labels: Labels) -> Array | None:
    place = segment_of(labels)
    # Traced labels may be as many as users.
    segments = len(set(labels)) if isinstance(labels, tuple) else labels.shape[0]
    if isinstance(place, np.ndarray) and np.array_equal(place, np.arange(len(place))):
        return None
    return jnp.asarray(place)[:, None] == jnp.arange(segments, dtype=jnp.int32)[None]


def spread(kernel: Float[Array, "provider segment ..."], member: Bool[Array, "user _groups"] | None) -> Array:
    """Gives each user the policy of her segment: [provider user ...]."""
    if member is None:
        return kernel
    segments = kernel.shape[1]
    chosen = jnp.where(member[:, :segments], 1.0, 0.0).astype(kernel.dtype)
    ones = (1,) * (kernel.ndim - 2)
    # A sum over segments: its transpose is a sum over users, where a gather's would be a slow scatter.
    each = [chosen[None, :, g].reshape(1, -1, *ones) * kernel[:, g : g + 1] for g in range(segments)]
    return sum(each[1:], each[0])


class Payoffs(Readable):
    """What a profile gives everybody.

    `user_value` is what each user gets, and `provider_value` each provider's objective. `offer_value[i, j]` is what
    provider i's policy is worth to user j, `choice[i, j]` the probability that she talks to it, and `outcome` what she
    then does. `status` is a `Status` code; where market or profile are invalid, every number is NaN.
    """

    user_value: Float[Array, " user"]
    provider_value: Float[Array, " provider"]
    offer_value: Float[Array, "provider user"]
    choice: Float[Array, "provider user"]
    outcome: Float[Array, "user type evidence action"]
    status: Int[Array, ""]


@checked(
    market=one_market,
    segments=user_labels,
    conversation=instance_of(Conversation, type(None)),
    profile=instance_of(Profile),
    people=instance_of(Rational, Logit, type(None)),
)
@float64_scope
def payoffs(
    market: Market,
    segments: Any,
    conversation: Conversation | None,
    profile: Profile,
    people: People | None = None,
) -> Payoffs:
    """Computes what a profile of policies gives every user and provider.

    A user values each provider's policy by what she gets from conversing with it (her queries and her action by
    backward induction over transcripts), chooses a provider, and converses. Provider i gets `mass_j <V_ij, q_j>` from
    user j's outcome q_j, whoever she talks to. Differentiable in the policies, the market and the temperatures; for
    rational users with their choices held fixed (their own value then has its envelope derivative).

    **Arguments:**

    - `market`: one market; use `jax.vmap` for a batch.
    - `segments`: an integer label per user; equal labels share a policy (`personalized`, `anonymous`, or any other).
    - `conversation`: the shape that the profile must have; `None` takes what comes.
    - `profile`: everybody's policies. Choices among ties (`recommended`, `asked`, `choice`) count for rational users.
    - `people`: how users behave, `Rational()` (default) or `Logit(...)`.

    **Returns:** `Payoffs`. Where traced segments are more than the profile has policies for, the status says that a
    policy has a missing entry. Raises `ValueError` where shapes do not fit.

    Example::

        market = plx.families.gaussian(providers=2, users=2)(jax.random.key(0))
        everyone = plx.anonymous(2)
        told = plx.payoffs(market, everyone, None, plx.play.informative_profile(market, everyone))
        told.user_value, told.provider_value
    """
    labels = as_labels(segments, market.user_value.shape[0])
    check_profile(profile, market, len(set(labels)) if isinstance(labels, tuple) else None)
    if conversation is not None:
        _check_conversation(conversation, market, profile)
    return _payoffs(market, labels, profile, Rational() if people is None else people)


def _check_conversation(conversation: Conversation, market: Market, profile: Profile) -> None:
    asked = (conversation.queries, conversation.num_signals(market))
    got = [kernel.shape[-2:] for kernel in profile.rounds]
    if got != [asked] * conversation.rounds:
        raise ValueError(f"The conversation has [query signal] = {[asked] * conversation.rounds}, the profile {got}.")


@in_float64
def _payoffs(market: Market, labels: Labels, profile: Profile, people: People) -> Payoffs:
    status = market_status(market)
    sound = jnp.stack([is_distribution(kernel) for kernel in profile.rounds]).all()
    game = lay_out_game(market, labels)
    if game.member is not None:
        # Traced labels may name more segments than there are policies.
        sound = sound & game.member[:, : profile.rounds[0].shape[1]].any(axis=-1).all()
    broken = (status < Status.NOT_FINITE) & ~sound
    status = jnp.asarray(jnp.where(broken, jnp.int32(Status.POLICY_NOT_NORMALISED), status))
    kernels = as_kernels(tuple(normalised(kernel) for kernel in profile.rounds))
    found = evaluate(game, kernels, people, profile, status)
    valid = status < Status.NOT_FINITE
    return jax.tree.map(
        lambda leaf: jnp.where(valid, leaf, jnp.nan) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf, found
    )


def evaluate(
    game: Game, kernels: Kernels, people: People, profile: Profile | None = None, status: Array | int = 0
) -> Payoffs:
    """Computes payoffs from kernels that are probabilities."""
    return settle(game, converse(game, kernels, people, profile), people, profile, status)


def converse(game: Game, kernels: Kernels, people: People, profile: Profile | None = None) -> Response:
    """Lets every user converse with every provider: [provider user]."""
    policies = [spread(kernel, game.member) for kernel in kernels]
    if isinstance(people, Logit):
        each = lambda user, chance, policy: respond_softly(user, chance, policy, people)
        return jax.vmap(jax.vmap(each), in_axes=(None, None, 0))(game.user, game.probability, policies)
    told, asked = (None, None) if profile is None else (profile.recommended, profile.asked)
    each = lambda user, policy, prefer, told, asked: respond(user, policy, prefer, told, asked)
    axes = [None if leaf is None else 0 for leaf in (told, asked)]
    over_users = jax.vmap(each, in_axes=(0, 0, 0, *axes))
    over_providers = jax.vmap(over_users, in_axes=(None, 0, 0, *axes))
    return over_providers(game.user, policies, game.provider, told, asked)


def settle(
    game: Game, offers: Response, people: People, profile: Profile | None = None, status: Array | int = 0
) -> Payoffs:
    """Lets users choose providers, given what every conversation is worth and leads to."""
    if isinstance(people, Logit):
        choice = soften_providers(offers.value, game.size(), people)
    else:
        wanted = None if profile is None else profile.choice
        chosen = pick_provider(offers.value, MEANT * game.size(), wanted)
        everyone = jnp.arange(offers.value.shape[0], dtype=jnp.int32)[:, None]
        choice = jnp.where(everyone == chosen[None], 1.0, 0.0).astype(offers.value.dtype)
    outcome = (choice[:, :, None, None, None] * offers.outcome).sum(axis=0)
    return Payoffs(
        user_value=(choice * offers.value).sum(axis=0) + game.user_baseline,
        provider_value=(game.provider * outcome[None]).sum(axis=(1, 2, 3, 4)) + game.provider_baseline,
        offer_value=offers.value + game.user_baseline[None],
        choice=choice,
        outcome=outcome,
        status=jnp.asarray(status, jnp.int32),
    )


def game_gradient(game: Game, kernels: Kernels, people: Logit) -> tuple[Payoffs, list[Array]]:
    """Computes payoffs, and the gradient of each provider's objective in its own policies.

    One backward pass serves all providers: provider i's objective is first differentiated in what its own conversations
    are worth and lead to, all else held fixed, and those derivatives are then pulled back through the conversations.
    """
    offers, pull = jax.vjp(lambda policies: converse(game, policies, people), list(kernels))

    def own_objective(own: Response, provider: Array) -> Array:
        mine = jnp.arange(offers.value.shape[0], dtype=jnp.int32) == provider
        mixed = jax.tree.map(lambda new, old: jnp.where(_along(mine, old), new[None], old), own, offers)
        found = settle(game, mixed, people)
        return found.provider_value[provider]

    everyone = jnp.arange(offers.value.shape[0], dtype=jnp.int32)
    push = jax.vmap(jax.grad(own_objective))(offers, everyone)
    (gradient,) = pull(push)
    return settle(game, offers, people), gradient


def _along(mask: Bool[Array, " provider"], like: Array) -> Array:
    return mask.reshape(-1, *(1,) * (like.ndim - 1))
