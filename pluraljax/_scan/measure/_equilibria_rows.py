"""Measures one market's equilibria: the worst ones, and whether silence is one."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ..._bracket import Bracket
from ..._candidates import Solver, highs, simplex
from ..._compiling._rarely import run_rarely
from ..._deviation import silence_decision
from ..._frontier import worst_equilibria
from ..._market import Market, benchmarks
from ..._precision import float64_scope, in_float64
from ..._segments import anonymous, personalized
from ..._served import CROSSED, UNDECIDED
from ..._status import Status
from ..._worst_shared import base_bracket
from ._conditions_rows import decide, ends

# What counts as aligned, as a share of a user's payoff range.
ALIGNED = CROSSED


@float64_scope
def measure_equilibria(
    market: Market,
    delta: Float[Array, ""] | float,
    alone: Bool[Array, ""] | bool,
    known: Mapping[str, Array],
    *,
    solver: Solver = simplex,
) -> dict[str, Array]:
    """Computes all of `EQUILIBRIA` for one market, and its status; works under `jit` and `vmap`.

    **Arguments:**

    - `market`: one market, possibly with twins of its providers.
    - `delta`: slack of the equilibria; >= 0.
    - `alone`: whether its providers are all twins of a single one, so that nobody competes.
    - `known`: the columns that `Equilibria` needs, of the same market.
    - `solver`: proposes candidates.

    **Returns:** an array per column, `[]` or `[user]`. Anonymous brackets and silence may stay open by their nature,
    and do not count in the status.
    """
    users = market.user_value.shape[0]
    delta = jnp.asarray(delta, jnp.float64)
    return _rows(
        market,
        known,
        worst=worst_equilibria(market, delta, alone, solver=solver),
        apart=silence_decision(market, personalized(users), delta, solver=solver),
        together=silence_decision(market, anonymous(users), delta, solver=solver),
    )


def measure_equilibria_again(market: Market, delta: float, alone: bool, known: Mapping[str, Any]) -> dict[str, Array]:
    """Measures one market with the exact host solver: the second pass for rows that came back `OPEN`."""
    return run_rarely(_on_host, market, delta, alone, dict(known))


def _on_host(market: Market, delta: Float[Array, ""], alone: Bool[Array, ""], known: dict[str, Array]):
    return measure_equilibria(market, delta, alone, known, solver=highs)


@in_float64
def _rows(market: Market, known, worst, apart, together) -> dict[str, Array]:
    marks = benchmarks(market)
    scale = market.user_value.max(axis=(-2, -1)) - market.user_value.min(axis=(-2, -1))
    anonym = base_bracket(market, known["anonymous_guarantee_lower"], together).value
    aligned = lambda bracket: _reaches(bracket, marks.aligned - ALIGNED * scale)
    broken = (worst.value.upper < known["personalized_bound"] - ALIGNED * scale) | (
        anonym.upper < known["anonymous_bound"] - ALIGNED * scale
    )
    events = {
        "personalized_worst_aligned": aligned(worst.value),
        "anonymous_worst_aligned": aligned(anonym),
        "personalized_silence": apart.holds,
        "anonymous_silence": together.holds,
        "equilibria_theorem": decide(~broken, broken),
    }
    valid = marks.status < Status.NOT_FINITE
    undecided = jnp.full((), UNDECIDED, jnp.int32)
    rows: dict[str, Any] = {
        **ends("personalized_worst", worst.value),
        **ends("anonymous_worst", anonym),
        **{name: jnp.asarray(jnp.where(valid, event, undecided)).astype(jnp.int8) for name, event in events.items()},
        "status": jnp.max(worst.status).astype(jnp.int8),
    }
    return rows


def _reaches(bracket: Bracket, level: Array) -> Array:
    return decide(bracket.lower >= level, bracket.upper < level)
