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
from .._candidates import (
    Annealing,
    advised_reply,
    advises_all,
    earned,
    followed_advice,
    full_advice,
    gradient_reply,
    in_common_units,
    relaxed_value,
    rivals_of,
    starting_logits,
)
from .._conversation import Conversation, Logit, Profile, Rational, Response, as_kernels, check_profile, normalised
from .._deviation import Deviation, deviation
from .._families._draws import normals
from .._market import Market, objective_range, one_market
from .._payoff import Game, converse, evaluate, lay_out_game
from .._precision import float64_scope, in_float64
from .._segments import known_labels
from .._status import Status
from ._menus import is_personalized


class BestResponse(Answer):
    """Every provider's best reply to a profile, as gradients find it, and what can be gained at all.

    `gain` is what each provider gains by its reply when users respond rationally, never negative (it may stay), and
    `relaxed_gain` what users who err, at the coldest temperature, would have given it. `value` brackets the gain of the
    best reply with as many signals as it takes, as `deviation` does, or with queries for users who share a policy
    bounds it as `most` does; a conversation that is too small may not reach it. `ratio` is `gain` over its upper end (1
    where that is zero up to 1e-9 of the range of the provider's objective). `reply` holds the policies, in the row of
    their provider; where `gain` is zero they may be worse than staying. `status` is a `Status` code per provider; where
    the market's data are invalid, every number is NaN.
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
    starts: int = 8,
    annealing: Annealing | None = None,
) -> BestResponse:
    """Improves each provider's policies by gradients of its objective while the other providers' stay as they are.

    A reply is advice: what users are to do after each transcript, and a price on what they lose by doing so, at which
    gradient steps make it worth following (`_candidates/_advice.py`). With a query per type and a signal per action,
    and policies that are not shared, no other advice is better; elsewhere, what users do after play with softened users
    is the advice. Rational users judge; the best policy of each segment is kept. The exact optimum comes from
    `deviation`. With one type per user and one query it is the best policy; queries can set users of a segment apart,
    and there the upper end is the bound for any conversation.

    **Arguments:**

    - `market`: one market; use `jax.vmap` for a batch.
    - `segments`: an integer label per user, not traced; equal labels share a policy.
    - `conversation`: the shape of the replies, and of the profile.
    - `profile`: everybody's policies now.
    - `key`: a PRNG key for the starts; default `jax.random.key(0)`.
    - `starts`: how many; >= 1. They differ in noise, prices and steps, and in where play with softened users starts
      (silent, fully informative, random).
    - `annealing`: how the gradient steps go (`rate` is that of softened play alone); default `Annealing(steps=1000)`.

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
    annealing = Annealing(steps=1000) if annealing is None else annealing
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

    everyone = jnp.arange(game.provider.shape[0], dtype=jnp.int32)
    replies = jax.vmap(
        lambda i: reply_by_gradient(unit, conversation, labels, offers, found.choice, told, i, key, starts, annealing)
    )(everyone)
    values = jax.vmap(lambda i, reply: _value_of_reply(game, kernels, profile, found.choice, i, reply))(
        everyone, replies
    )
    errs = jax.vmap(lambda i, reply: relaxed_value(unit, offers, i, reply, Logit(annealing.coldest)))(everyone, replies)
    relaxed = errs * scale - (now.provider_value - game.provider_baseline)
    asks = conversation.queries > 1 and not is_personalized(labels)
    upper = found.most if asks else found.value.upper
    # Near-ties are read for the provider, which may count for 1e-8 or so more than there is.
    gain = jnp.clip(values - now.provider_value, 0.0, jnp.maximum(upper, 0.0))
    optimum = Bracket(jnp.maximum(found.value.lower, gain), upper)
    room = 1e-9 * objective_range(market)
    ratio = jnp.where(optimum.upper <= room, 1.0, gain / jnp.where(optimum.upper <= room, 1.0, optimum.upper))
    hide = lambda tree: jax.tree.map(lambda leaf: jnp.where(found.status < Status.NOT_FINITE, leaf, jnp.nan), tree)
    policy = tuple(reply[:, 0].reshape(kernel.shape) for reply, kernel in zip(replies, profile.rounds, strict=True))
    return BestResponse(hide(gain), hide(relaxed), hide(optimum), hide(ratio), Profile(policy), found.status)


def reply_by_gradient(
    game: Game,
    conversation: Conversation,
    labels: tuple[int, ...],
    offers: Response,
    choice: Int[Array, " user"],
    told: list[Array],
    provider: Array,
    key: Array,
    starts: int,
    annealing: Annealing,
) -> list[Array]:
    """One provider's best policies of all starts, segment by segment, `[1 segment ...]`; payoffs in common units."""
    rivals = rivals_of(game, offers, provider, choice)
    _, types, _, actions = game.user.shape
    signals = told[0].shape[-1]
    shapes = [each[:1].shape for each in told]
    full = advises_all(conversation, labels, types, actions, signals)
    if full and conversation.rounds == 1:
        # More signals than actions tell nothing more.
        signals = min(signals, actions)
        shapes = [(*shape[:-1], signals) for shape in shapes]

    def improve(start: Array) -> tuple[list[Array], Array]:
        seed = jr.fold_in(jr.fold_in(key, start), provider)
        if full:
            logits = [_NOISE * each for each in normals(seed, *shapes)]
            return advised_reply(game, rivals, full_advice(game, conversation, signals), logits, start, annealing)
        logits = [each[:1] for each in starting_logits(seed, told, start)]
        near = gradient_reply(game, offers, provider, logits, annealing)
        advice = followed_advice(game, rivals, near)
        logits = [jnp.log(jnp.maximum(each, _RARE)) for each in near]
        return advised_reply(game, rivals, advice, logits, start, annealing)

    found, values = jax.vmap(improve)(jnp.arange(starts, dtype=jnp.int32))
    found = [_padded(each, like.shape[-1]) for each, like in zip(found, told, strict=True)]
    plain = [jnp.stack([_silent(each[:1]), each[:1]]) for each in told]
    found = [jnp.concatenate(both) for both in zip(plain, found, strict=True)]
    values = jnp.concatenate([jax.vmap(lambda policy: earned(game, rivals, policy))(plain), values])
    numbers = jnp.arange(values.shape[0], dtype=jnp.int32)[:, None]
    place = jnp.where(values == values.max(axis=0, keepdims=True), numbers, np.int32(values.shape[0])).min(axis=0)
    pick = jax.vmap(lambda column, at: column[at], in_axes=(2, 0), out_axes=1)
    return [pick(each, place) for each in found]


# The spread of logits at the starts, and the least chance of a signal where advice takes over.
_NOISE, _RARE = 0.5, 1e-3


def _silent(kernel: Array) -> Array:
    return jnp.zeros_like(kernel).at[..., 0].set(1.0)


def _padded(kernel: Array, signals: int) -> Array:
    """Adds signals that are never sent."""
    return jnp.concatenate([kernel, jnp.zeros((*kernel.shape[:-1], signals - kernel.shape[-1]), kernel.dtype)], axis=-1)


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
