"""The worst equilibrium of every user when the users of a segment share a policy, bracketed."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from .._deviation import silence
from .._guarantee import guarantee
from .._market import Market
from .._precision import float64_scope, in_float64
from .._segments import anonymous, as_labels
from ._base import base_frontier
from ._result import AnonymousFrontier

# The least patience of a provider, as a share of the range of its objective: below it, rounding would decide.
LEAST_PATIENCE = 1e-9


@float64_scope
def anonymous_frontier(market: Market, delta: Any = 0.0, segments: Any = None, budget: int = 0) -> AnonymousFrontier:
    """Brackets each user's utility in her worst delta-equilibrium when the users of a segment share a policy.

    **Arguments:**

    - `market`: one market; use `jax.vmap` for a batch.
    - `delta`: how much a provider may leave on the table in an equilibrium, in units of its objective; >= 0. Never read
      as less than 1e-9 of the range of its objective in a segment.
    - `segments`: an integer label per user, not traced; equal labels share a policy. Default: all users share one.
    - `budget`: the number of boxes to look at for each user, not traced.

    **Returns:** an `AnonymousFrontier`. Where `status` is `OPEN` the bracket is valid but wider than 1e-3 of the
    distance between silent and aligned utility.
    """
    users = market.user_value.shape[0]
    labels = as_labels(anonymous(users) if segments is None else segments, users)
    if not isinstance(labels, tuple):
        raise ValueError("The segments of an anonymous frontier must be known: pass labels that are not traced.")
    if not isinstance(delta, Tracer) and not np.all(np.asarray(delta) >= 0):
        raise ValueError(f"delta must be >= 0, got {delta}.")
    if isinstance(budget, Tracer) or budget < 0:
        raise ValueError(f"budget must be a number of boxes known before compilation and >= 0, got {budget}.")
    delta = jnp.asarray(delta, jnp.float64)
    places, found = [], []
    for label in sorted(set(labels)):
        members = [user for user in range(users) if labels[user] == label]
        places += members
        found.append(_in_segment(_part(market, tuple(members)), delta, int(budget)))
    order = np.argsort(places).astype(np.int32)
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves)[order], *found)


@in_float64
def _part(market: Market, members: tuple[int, ...]) -> Market:
    """The market of some users only. Policies for others do not matter to them."""
    take = np.array(members, np.int32)
    return Market(market.prior[take], market.user_value[take], market.provider_value[:, take], market.mass[take])


@in_float64
def patience_of(market: Market, delta: Float[Array, ""]) -> Float[Array, " provider"]:
    """How much each provider may leave on the table."""
    values = market.provider_value
    spread = values.max(axis=(-2, -1)) - values.min(axis=(-2, -1))
    return jnp.maximum(delta, LEAST_PATIENCE * (spread @ market.mass))


def _in_segment(market: Market, delta: Float[Array, ""], budget: int) -> AnonymousFrontier:
    together = anonymous(market.user_value.shape[0])
    sure = guarantee(market, together, patience_of(market, delta).max())
    return base_frontier(market, sure, silence(market, together, delta))
