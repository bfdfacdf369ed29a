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

    Where it is one, both ends are what she gets with no conversation. `least` may say more there, if it is read with a
    delta below the least one, with which silence is an equilibrium.
    """
    base = benchmarks(market)
    upper = jnp.where(silence.is_equilibrium, base.silent, base.aligned)
    lower = jnp.where(silence.is_equilibrium, base.silent, jnp.maximum(least, base.silent))
    return report(base, payoff_size(market), Bracket(lower, upper), jnp.zeros(base.silent.shape, jnp.int32))


def payoff_size(market: Market) -> Float[Array, " user"]:
    """The most that an action makes of a difference to each user in any state, which rounding is relative to."""
    return action_range(market.user_value).max(axis=-1)
