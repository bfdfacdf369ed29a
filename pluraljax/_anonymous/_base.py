"""The bracket that needs no search: guarantees from below; silence, or telling everything, from above."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from .._bracket import Bracket
from .._deviation import Silence
from .._market import Market, action_range, benchmarks
from .._precision import in_float64
from ._result import AnonymousFrontier, report


@in_float64
def base_frontier(market: Market, least: Float[Array, " user"], silence: Silence) -> AnonymousFrontier:
    """Brackets each user's worst delta-equilibrium by what is already known of the market.

    She gets at least her guarantee, and at least what she gets with no conversation. She gets no more than the latter
    where silence is an equilibrium; otherwise the worst is at most aligned, which she gets where two or more providers
    tell her everything, and which is the most that any equilibrium can give. `least`, what is guaranteed, and `silence`
    are those of the same market, segments and delta; with several segments, silence has to be an equilibrium in all of
    them to count.

    `least` may be read with a delta below the least one, with which silence is an equilibrium, and say a little more
    than that: as much counts as nothing. Ends that contradict each other by more stay as they are, and open.
    """
    base, size = benchmarks(market), payoff_size(market)
    upper = jnp.where(silence.is_equilibrium, base.silent, base.aligned)
    nothing = silence.is_equilibrium & (least <= base.silent + _LEAST_DELTA_IS_WORTH * size)
    lower = jnp.where(nothing, base.silent, jnp.maximum(least, base.silent))
    return report(base, size, Bracket(lower, upper), jnp.zeros(base.silent.shape, jnp.int32))


# The least delta is 1e-9 of a range; this is what it is worth to a user at multipliers of 1,000.
_LEAST_DELTA_IS_WORTH = 1e-6


def payoff_size(market: Market) -> Float[Array, " user"]:
    """The most that an action makes of a difference to each user in any state, which rounding is relative to."""
    return action_range(market.user_value).max(axis=-1)
