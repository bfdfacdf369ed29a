"""A provider's best reply by gradient, in any conversation, held against the certified optimum."""

from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from .._answer import Answer
from .._arguments import checked, instance_of
from .._bracket import Bracket
from .._candidates import Annealing, gradient_reply, in_common_units, starting_logits
from .._conversation import Conversation, Profile, Rational, as_kernels, check_profile, normalised
from .._deviation import Deviation, deviation
from .._market import Market, objective_range, one_market
from .._payoff import Game, converse, evaluate, lay_out_game
from .._precision import float64_scope, in_float64
from .._segments import known_labels
from .._status import Status
from ._menus import is_personalized


class BestResponse(Answer):
    """Every provider's best reply to a profile, as gradients find it, and what can be gained at all.

    `gain` is what each provider gains by its reply when users respond rationally, never negative (it may stay), and
    `relaxed_gain` what the softened users of the last step would have given it (they err, so it may be above the
    optimum by about their temperature). `value` brackets the gain of the best reply with as many signals as it takes,
    as `deviation` does, or with queries for users who share a policy bounds it as `most` does; a conversation that is
    too small may not reach it. `ratio` is `gain` over its upper end (1 where that is zero up to 1e-9 of the range of
    the provider's objective). `reply` holds the policies, in the row of their provider; where `gain` is zero they may
    be worse than staying. `status` is a `Status` code per provider; where the market's data are invalid, every number
    is NaN.
    """

    attained_by = "reply"

    gain: Float[Array, " provider"]
    relaxed_gain: Float[Array, " provider"]
    value: Bracket
    ratio: Float[Array, " provider"]
    reply: Profile
    status: Int[Array, " provider"]


@checked(market=one_market, segments=known_labels, conversation=instance_of(Conversation), profile=instance_of(Profile))
@float64_scope
def best_response(
    market: Market,
    segments: Any,
    conversation: Conversation,
    profile: Profile,
    key: Any = None,
    *,
    starts: int = 32,
    annealing: Annealing | None = None,
) -> BestResponse:
    """Improves each provider's policies by gradients of its objective while the other providers' stay as they are.

    Users are softened, with temperatures that fall, and made rational at the end; the best of all starts is kept. The
    exact optimum comes from `deviation`. With one type per user and one query it is the best policy; queries can set
    users of a segment apart, and there the upper end is the bound for any conversation.

    **Arguments:**

    - `market`: one market; use `jax.vmap` for a batch.
    - `segments`: an integer label per user, not traced; equal labels share a policy.
    - `conversation`: the shape of the replies, and of the profile.
    - `profile`: everybody's policies now.
    - `key`: a PRNG key for the starts; default `jax.random.key(0)`.
    - `starts`: the first is silent, the second fully informative, the others random; >= 1.
    - `annealing`: how the gradient steps go; default `Annealing(steps=3000)`.

    **Returns:** a `BestResponse`. Raises `ValueError` where shapes do not fit.

    Example::

        market = plx.families.gaussian(providers=2, users=2)(jax.random.key(0))
        everyone, told = plx.anonymous(2), plx.Conversation(signals=2)
        profile = plx.play.silent_profile(market, everyone, told)
        found = plx.best_response(market, everyone, told, profile, jax.random.key(1), starts=4)
        found.value, found.ratio  # what each provider gains at most, and how much of it play reaches
    """
    labels: tuple[int, ...] = segments
    check_profile(profile, market, len(set(labels)))
    shapes = [tuple(kernel.shape) for kernel in profile.rounds]
    if shapes != conversation.kernel_shapes(market, np.asarray(labels)):
        wanted = conversation.kernel_shapes(market, np.asarray(labels))
        raise ValueError(f"The profile must have kernels of shapes {wanted} for this conversation, got {shapes}.")
    if starts < 1:
        raise ValueError(f"starts must be >= 1, got {starts}.")
    key = jr.key(0) if key is None else key
    found = deviation(market, np.asarray(labels), profile)
    annealing = Annealing(steps=3000) if annealing is None else annealing
    return _best_response(market, labels, conversation, profile, found, key, starts, annealing)


@in_float64(optimised=True)
def _best_response(
    market: Market,
    labels: tuple[int, ...],
    conversation: Conversation,
    profile: Profile,
    found: Deviation,
    key: Array,
    starts: int,
    annealing: Annealing,
) -> BestResponse:
    market, profile = lax.stop_gradient((market, profile))
    game = lay_out_game(market, labels)
    kernels = as_kernels(tuple(normalised(kernel) for kernel in profile.rounds))
    told = as_kernels(tuple(jnp.asarray(k) for k in conversation.informative(market, np.asarray(labels))))
    unit = in_common_units(game)
    offers = converse(unit, kernels, Rational(), profile)
    now = evaluate(game, kernels, Rational(), profile)
    scale = _unit_of(game, unit)

    def improve(provider: Array, start: Array) -> tuple[list[Array], Array, Array]:
        logits = starting_logits(jr.fold_in(jr.fold_in(key, start), provider), told, start)
        own = [each[:1] for each in logits]
        reply, relaxed = gradient_reply(unit, offers, provider, own, annealing)
        value = _value_of_reply(game, kernels, profile, found.choice, provider, reply)
        return reply, value, relaxed * scale[provider] - (now.provider_value - game.provider_baseline)[provider]

    everyone = jnp.arange(game.provider.shape[0], dtype=jnp.int32)
    numbers = jnp.arange(starts, dtype=jnp.int32)
    replies, values, relaxed = jax.vmap(lambda i: jax.vmap(lambda n: improve(i, n))(numbers))(everyone)
    best = values == values.max(axis=1, keepdims=True)
    place = jnp.where(best, numbers[None], np.int32(starts)).min(axis=1)
    take = lambda leaf: jax.vmap(lambda row, at: row[at])(leaf, place)
    gain = jnp.maximum(take(values) - now.provider_value, 0.0)
    asks = conversation.queries > 1 and not is_personalized(labels)
    optimum = Bracket(jnp.maximum(found.value.lower, gain), found.most if asks else found.value.upper)
    room = 1e-9 * objective_range(market)
    ratio = jnp.where(optimum.upper <= room, 1.0, gain / jnp.where(optimum.upper <= room, 1.0, optimum.upper))
    hide = lambda tree: jax.tree.map(lambda leaf: jnp.where(found.status < Status.NOT_FINITE, leaf, jnp.nan), tree)
    policy = tuple(
        take(reply)[:, 0].reshape(kernel.shape) for reply, kernel in zip(replies, profile.rounds, strict=True)
    )
    return BestResponse(hide(gain), hide(take(relaxed)), hide(optimum), hide(ratio), Profile(policy), found.status)


def _unit_of(game: Game, unit: Game) -> Float[Array, " provider"]:
    """What one of the common units is worth to each provider."""
    size = lambda values: jnp.abs(values).max(axis=(1, 2, 3, 4))
    common = size(unit.provider)
    return jnp.where(common > 0, size(game.provider) / jnp.where(common > 0, common, 1.0), 1.0)


def _value_of_reply(
    game: Game, kernels: list[Array], profile: Profile, choice: Array, provider: Array, reply: list[Array]
) -> Float[Array, ""]:
    """What a provider gets by a reply, `[1 segment ...]`, when users respond rationally and stay at a tie."""
    mine = jnp.arange(game.provider.shape[0], dtype=jnp.int32) == provider
    row = lambda leaf: mine.reshape(-1, *(1,) * (leaf.ndim - 1))
    tried = [jnp.where(row(old), new, old) for new, old in zip(reply, kernels, strict=True)]
    forget = lambda leaf: jnp.where(row(leaf), np.int32(-1), leaf)
    told, asked = jax.tree.map(forget, (profile.recommended, profile.asked))
    changed = Profile(profile.policy, told, asked, choice)
    return evaluate(game, tried, Rational(), changed).provider_value[provider]
