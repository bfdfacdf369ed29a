"""Rounds of exact best replies, each profile certified before the next."""

from dataclasses import fields
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from .._answer import Decided
from .._arguments import checked
from .._bracket import Bracket
from .._conversation import Conversation, Profile, check_profile
from .._deviation import Deviation, deviation_of_fixed_shape
from .._market import Market, one_market, slack
from .._precision import float64_scope, in_float64
from .._segments import known_labels
from .._truth import Truth
from ._menus import (
    Menus,
    blank,
    from_profile,
    informative,
    is_personalized,
    menu_shape,
    with_best_reply,
    with_next_equilibria,
)


class Looked(eqx.Module):
    """What was certified of one profile."""

    user_value: Float[Array, " user"]
    provider_value: Float[Array, " provider"]
    choice: Int[Array, " user"]
    value: Bracket
    most: Float[Array, " provider"]
    holds: Int[Array, ""]
    status: Int[Array, " provider"]


def look(
    market: Market, labels: tuple[int, ...], menus: Menus, delta: Array, replies: Array | None = None
) -> tuple[Looked, Deviation]:
    """Certifies one profile; each provider tries its policies in `replies`, too."""
    found = deviation_of_fixed_shape(market, labels, menus.profile(), delta, replies=replies)
    return Looked(*(getattr(found, each.name) for each in fields(Looked))), found


def play_rounds(
    market: Market, labels: tuple[int, ...], menus: Menus, rounds: int, delta: Array, raise_by: float
) -> tuple[Menus, Looked]:
    """Plays replies until nobody gains for sure, or for so many rounds; returns the last profile, and every look."""

    def advance(menus: Menus, turn: Array) -> tuple[Menus, Looked]:
        looked, found = look(market, labels, menus, delta)
        moved = with_best_reply(market, labels, menus, found, raise_by)
        still = (looked.holds != Truth.FAILS) | (turn >= rounds)
        return jax.tree.map(lambda old, new: jnp.where(still, old, new), menus, moved), looked

    # The last turn only looks: a second copy of the programme would cost more to compile than its reply to compute.
    return lax.scan(advance, menus, jnp.arange(rounds + 1, dtype=jnp.int32))


def jump(market: Market, labels: tuple[int, ...], menus: Menus, delta: Array) -> tuple[Menus, Looked]:
    """Goes on to the next equilibria of personalized segments, unless the profile is one."""
    to = with_next_equilibria(market, labels, menus, delta)

    def advance(state: tuple[Menus, Menus], turn: Array) -> tuple[tuple[Menus, Menus], Looked]:
        menus, to = state
        looked = look(market, labels, menus, delta)[0]
        return (jax.tree.map(lambda old, new: jnp.where(looked.holds == Truth.HOLDS, old, new), menus, to), to), looked

    (menus, _), looked = lax.scan(advance, (menus, to), jnp.arange(2, dtype=jnp.int32))
    return menus, looked


class Play(Decided):
    """Best-response play, a row per round: the first is the profile that it starts from.

    `user_value` is what each user gets, `choice` the provider that she talks to, `provider_value` each provider's
    objective, and `value` brackets its best deviation; `holds` is a `Truth` code: whether nobody gains more than delta.
    Play has `converged` where its last profile, `profile`, is an equilibrium; it stays there, after `ended` replies
    (one more than there were, where it has not). It also stays where that is open. `status` is a `Status`
    code per round and provider; where market or start are invalid, numbers are NaN.
    """

    attained_by = "profile"

    user_value: Float[Array, "round user"]
    provider_value: Float[Array, "round provider"]
    choice: Int[Array, "round user"]
    value: Bracket
    holds: Int[Array, " round"]
    converged: Bool[Array, ""]
    ended: Int[Array, ""]
    profile: Profile
    status: Int[Array, "round provider"]


@checked(market=one_market, segments=known_labels, delta=slack)
@float64_scope
def best_response_play(
    market: Market,
    segments: Any,
    start: Profile | str = "silent",
    *,
    rounds: int = 20,
    raise_by: float = 0.05,
    delta: Any = 0.0,
) -> Play:
    """Lets providers play exact best replies, in turn the one that gains most, while users pick the best provider.

    This is best-AI selection: users evaluate each provider, pick one and stay while no other is strictly better. A
    reply has a query per type, and tells as much as it likes.

    **Arguments:**

    - `market`: one market; use `jax.vmap` for a batch.
    - `segments`: an integer label per user, not traced; equal labels share a policy.
    - `start`: `"silent"`, `"informative"`, or a profile of one round.
    - `rounds`: replies at most; >= 1.
    - `raise_by`: the share of full information mixed into a reply where it still gains then, in [0, 1]. Without it a
      reply that wins users is better for them by next to nothing, and play creeps; with it users get more than they
      would from replies that are optimal to the last.
    - `delta`: how much a provider may leave on the table in an equilibrium, in units of its objective; >= 0.

    **Returns:** a `Play`. Raises `ValueError` for anything that makes no sense.

    Example::

        market = plx.families.gaussian(providers=2, users=2)(jax.random.key(0))
        played = plx.play.best_response_play(market, plx.personalized(2), rounds=3)
        played.value, played.holds
    """
    labels: tuple[int, ...] = segments
    if rounds < 1 or not 0 <= raise_by <= 1:
        raise ValueError(f"rounds must be >= 1 and raise_by in [0, 1], got {rounds} and {raise_by}.")
    if isinstance(start, str) and start not in ("silent", "informative"):
        raise ValueError(f'start must be "silent", "informative" or a Profile, got {start!r}.')
    if isinstance(start, Profile):
        check_profile(start, market, len(set(labels)))
        if len(start.rounds) > 1:
            raise ValueError(f"start must be a profile of one round, got {len(start.rounds)} rounds.")
    return _best_response_play(market, labels, start, rounds, float(raise_by), jnp.asarray(delta, jnp.float64))


@in_float64(optimised=True)
def _best_response_play(
    market: Market, labels: tuple[int, ...], start: Profile | str, rounds: int, raise_by: float, delta: Array
) -> Play:
    if isinstance(start, str):
        shape = menu_shape(market, labels, Conversation(signals=1))
        menus = informative(market, labels, shape) if start == "informative" else blank(market, labels, shape)
    else:
        queries, signals = start.rounds[0].shape[-2:]
        shape = menu_shape(market, labels, Conversation(queries=queries, signals=signals))
        menus = from_profile(market, labels, shape, start)
    menus, looked = play_rounds(market, labels, menus, rounds, delta, raise_by)
    ended = looked.holds == Truth.HOLDS
    return Play(
        user_value=looked.user_value,
        provider_value=looked.provider_value,
        choice=looked.choice,
        value=looked.value,
        holds=looked.holds,
        converged=ended[-1],
        ended=jnp.where(ended, 0, 1).sum(dtype=jnp.int32),
        profile=menus.profile(),
        status=looked.status,
    )


def certifies(labels: tuple[int, ...], conversation: Conversation, looked: Looked, slack: Array) -> Array:
    """Whether a profile is an equilibrium, also against queries if there are any: they could set users apart."""
    if is_personalized(labels) or conversation.queries == 1:
        return looked.holds == Truth.HOLDS
    return (looked.holds == Truth.HOLDS) & (looked.most <= slack).all(axis=-1)
