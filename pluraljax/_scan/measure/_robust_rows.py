"""Measures what is left of one market's alignment and coverage after the worst exits."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._bracket import Bracket
from ..._candidates import Solver, simplex
from ..._market import Market, market_status
from ..._precision import float64_scope, in_float64
from ..._robust import after_exits
from ..._served import UNDECIDED, ZERO
from ..._status import Status
from ._conditions_rows import decide
from ._exits import Exits


@float64_scope
def measure_robust(market: Market, exits: Exits, *, solver: Solver = simplex) -> dict[str, Array]:
    """Computes all of `ROBUST` for one market; works under `jit` and `vmap`.

    **Arguments:**

    - `market`: one market, with no twins of its providers: a twin may stay where the other leaves.
    - `exits`: how many providers leave.
    - `solver`: proposes candidates.

    **Returns:** an array per column, `[]` or `[user]`.
    """
    numbers = tuple(min(number, market.num_providers) for number in exits.removed)
    return _rows(
        market,
        exits.removed,
        after_exits(market, numbers, "weak", solver=solver),
        after_exits(market, numbers, "coverage", solver=solver),
    )


@in_float64
def _rows(market: Market, numbers: tuple[int, ...], weak: Bracket, cover: Bracket) -> dict[str, Array]:
    scale = market.user_value.max(axis=(-2, -1)) - market.user_value.min(axis=(-2, -1))
    near, valid = ZERO * scale, market_status(market) < Status.NOT_FINITE
    rows: dict[str, Any] = {}
    for name, found in (("aligned", weak), ("covered", cover)):
        rows[f"robustly_{name}_error"] = jnp.where(valid, found.upper[-1], jnp.nan)
        survived = _survived(found, near, numbers)
        rows[f"robustly_{name}_exits"] = jnp.where(valid, survived, jnp.nan)
        event = decide(found.upper[-1] <= near, found.lower[-1] > near)
        rows[f"robustly_{name}"] = jnp.asarray(jnp.where(valid, event, jnp.int32(UNDECIDED))).astype(jnp.int8)
    return rows


def _survived(found: Bracket, near: Float[Array, " user"], numbers: tuple[int, ...]) -> Float[Array, " user"]:
    """The largest of the numbers that is survived for sure; -1 where none is."""
    survived = jnp.full(near.shape, -1.0, jnp.float64)
    for row, number in enumerate(numbers):
        survived = jnp.where(found.upper[row] <= near, jnp.float64(number), survived)
    return survived
