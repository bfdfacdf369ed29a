"""The bracket that needs no search: guarantees from below; silence, or telling everything, from above."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from .._bracket import Bracket
from .._deviation import Silence, silence
from .._guarantee import guarantee
from .._market import Benchmarks, Market, action_range, benchmarks, slack_of
from .._precision import in_float64
from .._segments import anonymous
from .._status import Status

# A bracket counts as closed within this share of the way from silent to aligned utility, and of the size of payoffs.
TOLERANCE = 1e-3
_ROUNDING = 2.0**-40
# The least delta is 1e-9 of a range; this is what it is worth to a user at multipliers of 1,000.
_LEAST_DELTA_IS_WORTH = 1e-6


class Unsearched(eqx.Module):
    """A bracket of the least that a delta-equilibrium gives each user; `status` is `OPEN` where it is wide."""

    value: Bracket
    status: Int[Array, " user"]


@in_float64
def base_bracket(market: Market, least: Float[Array, " user"], silence: Silence) -> Unsearched:
    """Brackets each user's worst delta-equilibrium by what is already known of the market.

    She gets at least her guarantee, and at least what she gets with no conversation. She gets no more than the latter
    where silence is an equilibrium; otherwise the worst is at most aligned, which she gets where two or more providers
    tell her everything, and which is the most that any equilibrium can give. `least`, what is guaranteed, and `silence`
    are those of the same market, segments and delta; with several segments, silence has to be an equilibrium in all of
    them to count.

    `least` may be read with a delta below the least one, with which silence is an equilibrium, and say a little more
    than that: as much counts as nothing. Ends that contradict each other by more stay as they are, and open.
    """
    base, size = benchmarks(market), action_range(market.user_value).max(axis=-1)
    upper = jnp.where(silence.is_equilibrium, base.silent, base.aligned)
    nothing = silence.is_equilibrium & (least <= base.silent + _LEAST_DELTA_IS_WORTH * size)
    lower = jnp.where(nothing, base.silent, jnp.maximum(least, base.silent))
    return _reported(base, size, Bracket(lower, upper))


def _reported(base: Benchmarks, size: Float[Array, " user"], value: Bracket) -> Unsearched:
    valid = base.status < Status.NOT_FINITE
    span = base.aligned - base.silent
    # Ends that meet may cross by rounding.
    closed = value.is_within(TOLERANCE * span + _ROUNDING * size, size)
    value = Bracket(jnp.where(closed, jnp.minimum(value.lower, value.upper), value.lower), value.upper)
    status = jnp.where(closed, jnp.int32(Status.OK), jnp.int32(Status.OPEN))
    return Unsearched(
        value=jax.tree.map(lambda end: jnp.where(valid, end, jnp.nan), value),
        status=jnp.asarray(jnp.where(valid, status, base.status)),
    )


def unsearched(market: Market, labels: tuple[int, ...], delta: Float[Array, ""]) -> Unsearched:
    """The bracket without a search, segment by segment; works under `jit` and `vmap`."""
    users = range(len(labels))
    members_of = [tuple(user for user in users if labels[user] == label) for label in sorted(set(labels))]
    found = [_in_segment(part_of(market, members), delta) for members in members_of]
    order = np.argsort(np.concatenate(members_of)).astype(np.int32)
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves)[order], *found)


@in_float64
def part_of(market: Market, members: tuple[int, ...]) -> Market:
    """The market of some users. Policies for others do not matter to them."""
    take = np.array(members, np.int32)
    return Market(market.prior[take], market.user_value[take], market.provider_value[:, take], market.mass[take])


def _in_segment(market: Market, delta: Float[Array, ""]) -> Unsearched:
    together = anonymous(market.user_value.shape[0])
    sure = guarantee(market, together, _least_delta(market, delta))
    return base_bracket(market, sure.value.lower, silence(market, together, delta))


@in_float64
def _least_delta(market: Market, delta: Any) -> Float[Array, ""]:
    """The delta at which every provider is as patient as it is read at least."""
    least = slack_of(market, delta).max()
    # An invalid market has no such delta, and its status says so.
    return jnp.asarray(jnp.where(jnp.isfinite(least), least, delta))
