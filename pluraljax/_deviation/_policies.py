"""A pool of policies that a provider may try on one segment, and the best of them as users respond to it."""

from typing import TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from .._bounds import Audience, gain_if_meant, sure_gain
from .._conversation import choices, normalised, respond
from .._ties import MEANT
from ._firm import firm, snap
from ._heard import surely_heard

T = TypeVar("T")

# With at most this many evidences every set of them is tried as the set that is told; with more, the small and the
# large ones.
_ALL_SETS = 4
# Shares of full information that are mixed in, so that users at a tie prefer the offer. Powers of two, so that exact
# ties stay exact.
_SHARES = (0.0, 2.0**-30, 2.0**-23, 2.0**-17, 2.0**-10)


class Policies(eqx.Module):
    """Policies for one segment with common numbers of queries and signals; -1 recommends nothing."""

    policy: Float[Array, "*batch evidence query signal"]
    recommended: Int[Array, "*batch member type query signal"]


class Reply(eqx.Module):
    """The best deviation found in one segment: what it surely gains, and how."""

    value: Float[Array, "*batch"]
    policy: Float[Array, "*batch evidence query signal"]
    recommended: Int[Array, "*batch member type query signal"]


def padded(
    policy: Float[Array, "*batch evidence query signal"],
    recommended: Int[Array, "*batch member type query signal"] | None,
    shape: tuple[int, int, int, int],
) -> Policies:
    """Makes policies of ANY numbers, with common numbers of (members, types, queries, signals).

    Queries not in use repeat the first.
    """
    members, types, queries, signals = shape
    *lead, _, asked, heard = policy.shape
    repeat = (np.arange(queries) * (np.arange(queries) < asked)).astype(np.int32)
    widen = lambda leaf, blank: jnp.concatenate(
        [leaf, jnp.full((*leaf.shape[:-1], signals - heard), blank, leaf.dtype)], axis=-1
    )
    if recommended is None:
        recommended = jnp.full((*lead, members, types, asked, heard), -1, jnp.int32)
    at = lambda leaf: jnp.take(leaf, repeat, axis=-2)
    return Policies(normalised(widen(at(policy), 0.0)), widen(at(recommended), np.int32(-1)))


def disclosures(evidences: int) -> Float[np.ndarray, "policy evidence query signal"]:
    """Policies that tell some evidences and are silent about the others: none first, all last."""
    told = np.indices((2,) * evidences).reshape(evidences, -1).T.astype(bool) if evidences <= _ALL_SETS else None
    if told is None:
        one = np.eye(evidences, dtype=bool)
        told = np.concatenate([np.zeros((1, evidences), bool), one, ~one, np.ones((1, evidences), bool)])
    policy = np.zeros((len(told), evidences, 1, evidences + 1))
    policy[:, :, 0, :evidences] = np.eye(evidences) * told[:, :, None]
    policy[:, :, 0, evidences] = ~told
    return policy


def recommending(outcome: Float[Array, "member type evidence action"]) -> Float[Array, "member evidence query signal"]:
    """Each member's menu of outcomes as a policy for everybody: queries are types, signals are her actions."""
    return jnp.moveaxis(outcome, 1, 2)


def join(*pools: T) -> T:
    """Puts pools, or what was heard of them, behind one another."""
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *pools)


class Meant(eqx.Module):
    """What each policy of a pool is worth to the members, and what it brings, if they do as it means them to."""

    worth: Float[Array, "policy member"]
    earned: Float[Array, "policy member"]

    def gain(self, audience: Audience, all_: tuple[Array, Array]) -> Float[Array, "share policy"]:
        """What the policies gain with a share of full information, which is worth and brings `all_`, mixed in."""
        shares = jnp.asarray(_SHARES, jnp.float64)[:, None, None]
        mix = lambda some, all_: (1 - shares) * some[None] + shares * all_[None, None]
        gain = jax.vmap(jax.vmap(lambda worth, earned: gain_if_meant(audience, worth, earned)))
        return gain(mix(self.worth, all_[0]), mix(self.earned, all_[1]))


def hear(audience: Audience, pool: Policies, together: bool = True) -> Meant:
    """Lets the members respond to every policy of a pool, to all together or to one after the other."""
    one = lambda tried: _hear(audience, tried.policy, tried.recommended)
    return Meant(*(jax.vmap(one)(pool) if together else lax.map(one, pool)))


def most_meant(audience: Audience, pool: Policies, meant: Meant) -> Float[Array, ""]:
    """The most that a policy of a pool gains if users do as it means them to."""
    return meant.gain(audience, _hear(audience, _telling_all(pool), None)).max()


def _telling_all(pool: Policies) -> Float[Array, "evidence query signal"]:
    evidences, queries = pool.policy.shape[-3:-1]
    return jnp.broadcast_to(jnp.eye(evidences, dtype=jnp.float64)[:, None], (evidences, queries, evidences))


def best_reply(audience: Audience, pool: Policies, meant: Meant) -> Reply:
    """Finds the policy of a pool that is best if users do as it means them to, and what it surely gains.

    Small shares of full information are mixed in. It is tried moved by next to nothing so that what users do is sure
    (`firm`), which leaves it as it is where that is sure already, and with likelihoods in simple proportions (`snap`).
    """
    full = _telling_all(pool)
    value = meant.gain(audience, _hear(audience, full, None))
    # The simplest of those that differ by rounding.
    close = MEANT * jnp.abs(audience.provider).max(axis=-1).sum()
    at_share, at_policy = _first_place(value >= value.max() - close)
    share = jnp.asarray(_SHARES, jnp.float64)[at_share]
    chosen = jax.tree.map(lambda leaf: leaf[at_policy], pool)
    none, told = jnp.zeros((*full.shape[:2], 1), jnp.float64), chosen.recommended
    moved = _firm(audience, chosen)
    exact, rest = snap((1 - share) * chosen.policy)
    apart = jnp.where(share > 0, none, rest[..., None]), jnp.where(share > 0, full * rest[..., None], 0.0)
    tried = [(moved, share), ((exact, *apart), jnp.zeros_like(share))]
    parts, share = jax.tree.map(lambda *leaves: jnp.stack(leaves), *tried)
    replies = jax.vmap(lambda parts, share: _surely(audience, parts, told, share, full))(parts, share)
    return best_of(replies)


def best_of(replies: Reply) -> Reply:
    """The best of several replies, along the first axis; the first one of those that tie."""
    places = jnp.arange(replies.value.shape[0], dtype=jnp.int32)
    first = jnp.where(replies.value == replies.value.max(), places, places[-1]).min()
    return jax.tree.map(lambda leaf: leaf[first], replies)


def _firm(audience: Audience, chosen: Policies) -> tuple[Array, Array, Array]:
    """The policy, moved until all that it means users to do they surely do, and what is left over of the evidence.

    Users who are to stay where nothing is said should do what they do uninformed, so that what is left over may not be
    told: it comes as the likelihoods of one answer, and of those that tell.
    """
    play = jax.vmap(lambda user, provider, told: choices(user, chosen.policy, provider, told))
    told, asked, value = play(audience.user, audience.provider, chosen.recommended)
    near = MEANT * audience.size
    comes = jnp.where(audience.away, value > audience.outside + near, value >= audience.outside - near)
    actions = jnp.arange(audience.user.shape[-1], dtype=jnp.int32)
    idle = jnp.where(audience.instinct.uninformed, actions[None, None], actions[-1]).min(axis=-1)[:, :, None, None]
    told = jnp.where(comes[:, None, None, None], told, idle)
    heeds = jnp.where(comes[:, None, None], asked, audience.bare[:, None, None])
    policy, rest = firm(audience, chosen.policy, told, heeds)
    hush = (~comes & audience.bare & ~audience.full).any()
    telling = jnp.eye(policy.shape[0], dtype=jnp.float64)[:, None] * rest[..., None]
    return policy, jnp.where(hush, rest, 0.0)[..., None], jnp.where(hush, 0.0, telling)


def _surely(audience: Audience, parts: tuple[Array, Array, Array], told: Array, share: Array, full: Array) -> Reply:
    """Mixes a share of full information in, and evaluates what a policy surely gains."""
    policy, quiet, telling = parts
    policy = jnp.concatenate([(1 - share) * policy, (1 - share) * quiet, (1 - share) * telling + share * full], axis=-1)
    policy = normalised(policy)
    blank = jnp.full((*told.shape[:-1], 1 + full.shape[-1]), -1, jnp.int32)
    told = jnp.concatenate([told, blank], axis=-1)
    play = jax.vmap(lambda user, provider, told: choices(user, policy, provider, told)[0])
    told = play(audience.user, audience.provider, told)
    heard = jax.vmap(lambda one, told: surely_heard(one, policy, told))(audience, told)
    return Reply(sure_gain(audience, heard), policy, told)


def _hear(audience: Audience, policy: Array, recommended: Array | None) -> tuple[Array, Array]:
    """What a policy is worth to every member, and what the provider gets from each who comes."""
    play = jax.vmap(lambda user, provider, told: respond(user, policy, provider, told), in_axes=(0, 0, 0))
    if recommended is None:
        play = jax.vmap(lambda user, provider, _: respond(user, policy, provider), in_axes=(0, 0, None))
    response = play(audience.user, audience.provider, recommended)
    return response.value, jnp.einsum("mtxa,mtxa->m", audience.provider, response.outcome)


def _first_place(mask: Array) -> tuple[Array, Array]:
    places = jnp.arange(mask.size, dtype=jnp.int32).reshape(mask.shape)
    place = jnp.where(mask, places, np.int32(mask.size - 1)).min()
    return place // np.int32(mask.shape[1]), place % np.int32(mask.shape[1])
