"""A provider's best deviation in segments of many users, at a cost that is linear in users: a pool, and private bounds.

Providers are looked at one after the other, and the pool does not grow with the segment: some disclosures, the private
optima of those few members who promise most, and what the caller has to try.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from .._bounds import Audience, private_upper
from .._bracket import Bracket
from .._segments import Block
from .._ties import doubt
from ._policies import Policies, Reply, best_reply, disclosures, hear, join, padded, recommending
from ._private import Private
from ._segment import SegmentGain
from ._standing import Standing

# Segments of so many users are crowds. Smaller ones pad replies to what a programme of theirs would take.
_CROWD = 8
# How many members' private optima are tried, and from how many evidences on only silence and full information are.
_FAVOURITES, _MANY_EVIDENCES = 16, 8


def is_crowd(members: int) -> bool:
    return members >= _CROWD


def has_crowd(labels: tuple[int, ...]) -> bool:
    """Tells whether some policy is for so many users that their deviations are searched by a pool of a fixed size."""
    return any(is_crowd(labels.count(label)) for label in set(labels))


def look_at_crowds(
    block: Block,
    standing: Standing,
    private: Private,
    tried: Float[Array, "segment policy evidence query signal"] | None,
    replies: Float[Array, "segment provider evidence query signal"] | None,
    shape: tuple[int, int],
) -> SegmentGain:
    """Brackets the best deviation for each segment and provider of a block, in policies of (queries, signals)."""
    segments, providers = block.members.shape[0], standing.tie.shape[0]

    def one(place: tuple[Array, Array]) -> tuple[Array, Reply]:
        segment, provider = place
        members, present = block.members[segment], block.present[segment]
        audience = _audience(standing, provider, members, present)
        line = lambda leaf: jnp.asarray(jnp.where(present, leaf[provider, members], 0.0))
        height, slope = line(private.height), line(private.slope)
        own = None if replies is None else replies[segment, provider][None]
        more = [None if tried is None else tried[segment], own]
        favourites = _favourites(audience, height - slope * audience.outside)
        outcome = private.outcome[provider, members[favourites]]
        pool = _pool(members.shape[0], outcome, more, shape)
        reply = best_reply(audience, pool, hear(audience, pool, together=False))
        unsure = _rounding(audience, height, slope)
        most = private_upper(audience, height, slope) + unsure
        return most, Reply(reply.value - unsure, reply.policy, reply.recommended)

    place = np.indices((segments, providers), dtype=np.int32).reshape(2, -1)
    found = lax.map(one, (jnp.asarray(place[0]), jnp.asarray(place[1])))
    most, reply = jax.tree.map(lambda leaf: leaf.reshape(segments, providers, *leaf.shape[1:]), found)
    return SegmentGain(Bracket(reply.value, most), most, reply, None)


def _audience(
    standing: Standing, provider: Int[Array, ""], members: Int[Array, " member"], present: Bool[Array, " member"]
) -> Audience:
    """A segment's audience of one provider. Nobody can win or lose an absent member."""

    def of_member(leaf: Array) -> Array:
        taken = jnp.take(leaf, members, axis=0)
        if jnp.issubdtype(leaf.dtype, jnp.integer):
            return taken
        here = present.reshape(-1, *(1,) * (taken.ndim - 1))
        return taken & here if leaf.dtype == bool else jnp.where(here, taken, 0.0)

    found = jax.tree.map(of_member, standing.audience_of(provider))
    return found.without(~present)


def _rounding(audience: Audience, height: Float[Array, " member"], slope: Float[Array, " member"]) -> Float[Array, ""]:
    """How far off a sum over so many members may be."""
    ends = (audience.now.low, audience.now.high, audience.stay.low, audience.stay.high)
    size = sum(jnp.abs(end) for end in ends) + jnp.abs(height) + jnp.abs(slope * audience.outside)
    return doubt(jnp.asarray(size).sum(), height.shape[0])


def _favourites(audience: Audience, brings: Float[Array, " member"]) -> Int[Array, " favourite"]:
    """The members with whom the provider could gain most if it could treat them apart."""
    gain = jnp.where(audience.winnable(), brings - audience.now.low - jnp.maximum(audience.stay.high, 0.0), -jnp.inf)
    return lax.top_k(gain, min(_FAVOURITES, gain.shape[0]))[1]


def _pool(
    members: int,
    outcome: Float[Array, "favourite type evidence action"],
    more: list[Float[Array, "_ evidence _ _"] | None],
    shape: tuple[int, int],
) -> Policies:
    """The policies that are tried."""
    _, types, evidences, _ = outcome.shape
    some = disclosures(evidences)
    some = some if evidences <= _MANY_EVIDENCES else some[[0, -1]]
    policies = [jnp.asarray(some, jnp.float64), recommending(outcome), *(each for each in more if each is not None)]
    return join(*(padded(each, None, (members, types, *shape)) for each in policies))
