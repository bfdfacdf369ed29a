"""A pool of policies that a provider may try on one segment, and the best of them as users respond to it."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from .._bounds import Audience, deviation_value
from .._conversation import normalised, respond

# With at most this many evidences every set of them is tried as the set that is told; with more, the small and the
# large ones.
_ALL_SETS = 4
# Shares of full information that are mixed in, so that users at a tie prefer the offer.
_SHARES = (0.0, 1e-9, 1e-7, 1e-5, 1e-3)


class Policies(eqx.Module):
    """Policies for one segment with common numbers of queries and signals; -1 recommends nothing."""

    policy: Float[Array, "*batch evidence query signal"]
    recommended: Int[Array, "*batch member type query signal"]


class Reply(eqx.Module):
    """The best deviation found in one segment: what it brings, and how; -1 recommends nothing."""

    value: Float[Array, "*batch"]
    policy: Float[Array, "*batch evidence query signal"]
    recommended: Int[Array, "*batch member type query signal"]


def padded(
    policy: Float[Array, "*batch evidence query signal"],
    recommended: Int[Array, "*batch member type query signal"] | None,
    shape: tuple[int, int, int, int],
) -> Policies:
    """Brings policies to common numbers of (members, types, queries, signals). Queries not in use repeat the first."""
    members, types, queries, signals = shape
    *lead, _, asked, heard = policy.shape
    repeat = (np.arange(queries) * (np.arange(queries) < asked)).astype(np.int32)
    widen = lambda leaf, blank: jnp.concatenate(
        [leaf, jnp.full((*leaf.shape[:-1], signals - heard), blank, leaf.dtype)], axis=-1
    )
    if recommended is None:
        recommended = jnp.full((*lead, members, types, asked, heard), -1, jnp.int32)
    return Policies(
        widen(jnp.take(policy, repeat, axis=-2), 0.0), widen(jnp.take(recommended, repeat, axis=-2), np.int32(-1))
    )


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


def join(*pools: Policies) -> Policies:
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *pools)


def best_reply(audience: Audience, pool: Policies) -> Reply:
    """Lets users respond to every policy of a pool, with small shares of full information mixed in; keeps the best."""
    pool = eqx.tree_at(lambda p: p.policy, pool, normalised(pool.policy))
    evidences, queries = pool.policy.shape[-3:-1]
    full = jnp.broadcast_to(jnp.eye(evidences, dtype=jnp.float64)[:, None], (evidences, queries, evidences))
    heard = _hear(audience, full, None)
    found = jax.vmap(lambda one: _hear(audience, one.policy, one.recommended))(pool)
    shares = jnp.asarray(_SHARES, jnp.float64)[:, None, None]
    mixed = tuple(
        (1 - shares) * some[None] + shares * all_[None, None] for some, all_ in zip(found, heard, strict=True)
    )
    value = jax.vmap(jax.vmap(lambda worth, earned: deviation_value(audience, worth, earned)))(*mixed)
    at_share, at_policy = _first_place(value == value.max())
    share = jnp.asarray(_SHARES, jnp.float64)[at_share]
    policy = jnp.concatenate([(1 - share) * pool.policy[at_policy], share * full], axis=-1)
    told = pool.recommended[at_policy]
    blank = jnp.full((*told.shape[:-1], evidences), -1, jnp.int32)
    return Reply(value.max(), policy, jnp.concatenate([told, blank], axis=-1))


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
