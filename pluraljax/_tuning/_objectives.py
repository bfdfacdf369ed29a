"""What to minimise: one number per market, with envelope derivatives."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from .._alignment import segment_alignment, weak_alignment
from .._guarantee import guarantee
from .._market import Market, benchmarks
from .._served import has_way
from ._envelope import worst_value
from ._instruments._instrument import user_range

OBJECTIVES = ("weak_error", "segment_error", "guarantee", "worst")


def objective_of(
    objective: str | Callable[[Market, Any], Array], labels: tuple[int, ...], delta: float
) -> Callable[[Market, Market], Float[Array, ""]]:
    """Makes a function of the market under a rule, and the market without it, which gives the scale of the users."""
    if not isinstance(objective, str):
        return lambda ruled, _: objective(ruled, labels)
    averaged = lambda values, market: market.mass / market.mass.sum() @ values

    def loss(ruled: Market, market: Market) -> Array:
        scale = lax.stop_gradient(user_range(market))
        if objective == "weak_error":
            return averaged(weak_alignment(ruled).value.upper / scale, market)
        if objective == "segment_error":
            return averaged(segment_alignment(ruled, labels).value.upper / scale, market)
        found = (
            guarantee(ruled, labels, delta).value.lower
            if objective == "guarantee"
            else worst_value(ruled, delta).value.upper
        )
        return averaged(share_lost(found, market), market)

    return loss


def share_lost(value: Float[Array, " user"], market: Market) -> Float[Array, " user"]:
    """How far a user is from what an aligned model gives her, 1 at silent; 0 where conversation is worth nothing."""
    marks = benchmarks(market)
    span = marks.aligned - marks.silent
    wide = has_way(marks.silent, marks.aligned, marks.payoff_range)
    return jnp.where(wide, (marks.aligned - value) / jnp.where(wide, span, 1.0), 0.0)
