"""Profiles of one round with fixed numbers of queries and signals, and the moves between them.

The last signals, one per evidence, are kept for telling the evidence itself.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from .._conversation import (
    Conversation,
    Profile,
    Rational,
    as_kernels,
    informative_profile,
    menu_from_kernels,
    menu_of_plans,
)
from .._deviation import Deviation, reply_shape
from .._frontier import next_equilibria
from .._market import Market, benchmarks
from .._payoff import Payoffs, evaluate, lay_out_game
from .._segments import segment_of


class Menus(eqx.Module):
    """A profile whose every provider has one menu of policies per segment; -1 wants nothing."""

    policy: Float[Array, "provider segment evidence query signal"]
    recommended: Int[Array, "provider user type query signal"]
    asked: Int[Array, "provider user type"]
    choice: Int[Array, " user"]

    def profile(self) -> Profile:
        return Profile(self.policy, self.recommended, self.asked, self.choice)


def is_personalized(labels: tuple[int, ...]) -> bool:
    return len(set(labels)) == len(labels)


def menu_shape(market: Market, labels: tuple[int, ...], conversation: Conversation) -> tuple[int, int]:
    """Queries and signals that hold this conversation in one round, and every reply to it."""
    queries, signals = reply_shape(market, labels)
    evidences, own = market.prior.shape[2], conversation.num_signals(market)
    plans, answers = menu_of_plans(conversation.rounds, conversation.queries, own, evidences)
    if answers + evidences > signals:
        signals = max(answers, signals) + evidences
    return max(queries, plans), signals


def blank(market: Market, labels: tuple[int, ...], shape: tuple[int, int]) -> Menus:
    """Silence."""
    providers, users = market.provider_value.shape[:2]
    _, types, evidences, _ = market.prior.shape
    policy = np.zeros((providers, len(set(labels)), evidences, *shape))
    policy[..., 0] = 1.0
    nothing = lambda *axes: jnp.full(axes, -1, jnp.int32)
    return Menus(
        jnp.asarray(policy, jnp.float64),
        nothing(providers, users, types, *shape),
        nothing(providers, users, types),
        nothing(users),
    )


def _pad(policy: Array, shape: tuple[int, int], filler: float | int) -> Array:
    """Adds signals that are never sent, and queries that repeat the first."""
    *lead, asked, heard = policy.shape
    policy = jnp.concatenate([policy, jnp.full((*lead, asked, shape[1] - heard), filler, policy.dtype)], axis=-1)
    return jnp.take(policy, jnp.asarray(np.arange(shape[0]) * (np.arange(shape[0]) < asked), jnp.int32), axis=-2)


def from_kernels(market: Market, labels: tuple[int, ...], shape: tuple[int, int], kernels: list[Array]) -> Menus:
    """The conversation of some kernels, `[provider segment evidence history query signal]` per round, in one round."""
    policy = jax.vmap(jax.vmap(menu_from_kernels))(kernels)
    return eqx.tree_at(lambda m: m.policy, blank(market, labels, shape), _pad(policy, shape, 0.0))


def from_profile(market: Market, labels: tuple[int, ...], shape: tuple[int, int], profile: Profile) -> Menus:
    """A profile of one round, with what it recommends."""
    menus = blank(market, labels, shape)
    (policy,) = profile.rounds
    told, asked, choice = profile.recommended, profile.asked, profile.choice
    return Menus(
        _pad(policy, shape, 0.0),
        menus.recommended if told is None else _pad(told.astype(jnp.int32), shape, -1),
        menus.asked if asked is None else jnp.asarray(asked, jnp.int32),
        menus.choice if choice is None else choice.astype(jnp.int32),
    )


def informative(market: Market, labels: tuple[int, ...], shape: tuple[int, int]) -> Menus:
    """Everybody tells everything."""
    (policy,) = informative_profile(market, np.asarray(labels)).rounds
    menus = blank(market, labels, shape)
    return eqx.tree_at(lambda m: m.policy, menus, _pad(jnp.asarray(policy, jnp.float64), shape, 0.0))


def with_everybody_offering(
    menus: Menus, labels: tuple[int, ...], outcome: Float[Array, "user type evidence action"]
) -> Menus:
    """Everybody offers each user the same outcome, as a recommendation to her. For personalized segments."""
    providers, _, _, queries, signals = menus.policy.shape
    users, types, _, actions = outcome.shape
    own = jnp.moveaxis(outcome, 1, 2)[np.argsort(np.asarray(segment_of(labels)))]
    everyone = lambda leaf: jnp.broadcast_to(leaf[None], (providers, *leaf.shape))
    signal = np.arange(signals)
    told = np.where(signal < actions, signal, -1).astype(np.int32)
    return Menus(
        everyone(_pad(own, (queries, signals), 0.0)),
        jnp.broadcast_to(jnp.asarray(told), (providers, users, types, queries, signals)),
        jnp.broadcast_to(jnp.arange(types, dtype=jnp.int32), (providers, users, types)),
        jnp.full(users, -1, jnp.int32),
    )


def play(market: Market, labels: tuple[int, ...], menus: Menus) -> Payoffs:
    """Lets rational users respond."""
    kernels = as_kernels(menus.policy)
    return evaluate(lay_out_game(market, labels), kernels, Rational(), menus.profile())


def _earned(market: Market, labels: tuple[int, ...], payoffs: Payoffs) -> Float[Array, "provider user"]:
    provider = lay_out_game(market, labels).provider
    return (provider * payoffs.outcome[None]).sum(axis=(2, 3, 4))


def _choice_of(payoffs: Payoffs) -> Int[Array, " user"]:
    everyone = jnp.arange(payoffs.choice.shape[0], dtype=jnp.int32)[:, None]
    return jnp.where(payoffs.choice > 0, everyone, np.int32(0)).sum(axis=0, dtype=jnp.int32)


def with_best_reply(market: Market, labels: tuple[int, ...], menus: Menus, found: Deviation, raise_by: float) -> Menus:
    """The provider that gains most changes its policies, in the segments in which that helps it.

    A share `raise_by` of full information is mixed into its reply, if it still gains then: a reply that is only just
    better for her than what she has makes for endless rounds.
    """
    best = found.value.lower
    everyone = jnp.arange(best.shape[0], dtype=jnp.int32)
    mover = everyone == jnp.where(best == best.max(), everyone, np.int32(best.shape[0])).min()
    shape = (menus.policy.shape[-2], menus.policy.shape[-1])
    (reply,) = found.reply.rounds
    reply, told = _pad(reply, shape, 0.0), _pad(jnp.asarray(found.reply.recommended), shape, -1)
    now = play(market, labels, menus)
    before = jnp.where(mover[:, None], _earned(market, labels, now), 0.0).sum(axis=0)
    member = np.asarray(segment_of(labels))[:, None] == np.arange(len(set(labels)))[None]
    in_segments = lambda values: (jnp.asarray(member, jnp.float64) * values[:, None]).sum(axis=0)

    def change(share: float) -> tuple[Menus, Array]:
        evidences = reply.shape[2]
        tell = np.concatenate([np.zeros((evidences, shape[1] - evidences)), np.eye(evidences)], axis=1)
        policy = (1 - share) * reply + share * jnp.asarray(tell, jnp.float64)[None, None, :, None, :]
        tried = _replace(menus, mover, jnp.ones(member.shape[1], bool), member, policy, told, _choice_of(now))
        after = jnp.where(mover[:, None], _earned(market, labels, play(market, labels, tried)), 0.0).sum(axis=0)
        better = in_segments(after - before) > 0
        return _replace(menus, mover, better, member, policy, told, _choice_of(now)), better.any()

    bold, helps = change(raise_by)
    careful, _ = change(0.0)
    chosen = jax.tree.map(lambda a, b: jnp.where(helps, a, b), bold, careful)
    return eqx.tree_at(lambda m: m.choice, chosen, _choice_of(play(market, labels, chosen)))


def _replace(
    menus: Menus,
    mover: Bool[Array, " provider"],
    where: Bool[Array, " segment"],
    member: np.ndarray,
    policy: Array,
    told: Array,
    choice: Array,
) -> Menus:
    """Gives one provider other policies in some segments; users who are as well off stay where they are."""
    users = (jnp.asarray(member) & where[None]).any(axis=1)
    here, there = mover[:, None] & where[None], mover[:, None] & users[None]
    pick = lambda mask, new, old: jnp.where(mask.reshape(*mask.shape, *(1,) * (old.ndim - 2)), new, old)
    return Menus(
        pick(here, policy, menus.policy),
        pick(there, told, menus.recommended),
        pick(there, jnp.full_like(menus.asked, -1), menus.asked),
        choice,
    )


# How far below what users have now the search for equilibria starts, as a share of the way from silent to aligned.
_BACK = 0.01


def with_next_equilibria(market: Market, labels: tuple[int, ...], menus: Menus, delta: Array) -> Menus:
    """Everybody offers each user the least equilibrium outcome that is worth what she has. For personalized segments.

    A way to come to rest near where play has led, not where replies would end: those may also lower what users have.
    """
    marks = benchmarks(market)
    now = play(market, labels, menus)
    above = now.user_value - _BACK * (marks.aligned - marks.silent)
    found = next_equilibria(market, above, delta / market.user_value.shape[0])
    return with_everybody_offering(menus, labels, found.outcome)
