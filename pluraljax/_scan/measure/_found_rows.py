"""Measures which equilibria play finds in one market, and holds them against what is proved of all of them."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from ..._candidates import Annealing
from ..._equilibrium import Equilibrium, equilibrium
from ..._market import Market, benchmarks
from ..._precision import float64_scope, in_float64
from ..._segments import anonymous, personalized
from ..._served import NO, UNDECIDED, YES
from ..._status import Status
from ..._truth import Truth
from ._equilibria_rows import ALIGNED
from ._search import Search


@float64_scope
def measure_found(
    market: Market, delta: float, key: Array, proved: Mapping[str, Array], search: Search
) -> dict[str, Array]:
    """Computes all of `FOUND` for one market, and its status; works under `jit` and `vmap`.

    **Arguments:**

    - `market`: one market, with no twins of its providers.
    - `delta`: slack of the equilibria; >= 0.
    - `key`: a PRNG key for the starts.
    - `proved`: the columns that `Found` needs, of the same market.
    - `search`: how to look.

    **Returns:** an array per column, `[]` or `[user]`. Where no start ended in a certified equilibrium, values are NaN
    and events undecided.
    """
    users = market.user_value.shape[0]
    ask = lambda segments: equilibrium(
        market,
        segments,
        key=key,
        method=search.method,
        starts=search.starts,
        annealing=Annealing(steps=search.steps),
        rounds=search.rounds,
        delta=delta,
    )
    return _rows(market, proved, ask(personalized(users)), ask(anonymous(users)))


@in_float64
def _rows(market: Market, proved: Mapping[str, Array], apart: Equilibrium, together: Equilibrium) -> dict[str, Array]:
    marks = benchmarks(market)
    room = ALIGNED * (market.user_value.max(axis=(-2, -1)) - market.user_value.min(axis=(-2, -1)))
    least = lambda scheme: jnp.maximum(proved[f"{scheme}_guarantee_lower"], proved[f"{scheme}_worst_lower"])
    rows: dict[str, Any] = {}
    broken, seen = jnp.array(False), jnp.array(False)
    for scheme, found in (("personalized", apart), ("anonymous", together)):
        certified = found.found.holds == Truth.HOLDS
        some = found.holds == Truth.HOLDS
        value = found.found.user_value
        order = (value <= (marks.aligned + room)[None]) & (value >= (least(scheme) - room)[None])
        broken, seen = broken | (certified[:, None] & ~order).any(), seen | some
        rows[f"{scheme}_found"] = jnp.where(some, found.user_value, jnp.nan)
        rows[f"{scheme}_found_gain"] = jnp.where(some, found.value.upper.max(), jnp.nan)
        rows[f"{scheme}_found_share"] = certified.mean(dtype=jnp.float64)
        aligned = (found.user_value >= marks.aligned - room).all()
        rows[f"{scheme}_found_aligned"] = _event(some, aligned)
    rows["found_theorem"] = _event(seen, ~broken)
    valid = marks.status < Status.NOT_FINITE
    for name in rows:
        if name.endswith(("_aligned", "_theorem")):
            rows[name] = jnp.where(valid, rows[name], jnp.int32(UNDECIDED)).astype(jnp.int8)
        else:
            rows[name] = jnp.where(valid, rows[name], jnp.nan)
    return rows


def _event(known: Array, holds: Array) -> Array:
    return jnp.where(known, jnp.where(holds, jnp.int32(YES), jnp.int32(NO)), jnp.int32(UNDECIDED))
