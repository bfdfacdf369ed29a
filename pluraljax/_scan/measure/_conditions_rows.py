"""Measures one market: alignment conditions and what they guarantee, from the public questions."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ..._alignment import strong_alignment, weak_alignment
from ..._bracket import Bracket
from ..._candidates import Solver, highs, simplex
from ..._compiling._rarely import run_rarely
from ..._guarantee import guarantee, tie_slack
from ..._market import LEAST_SLACK, Market, benchmarks, provider_range, slack_of
from ..._precision import float64_scope, in_float64
from ..._segments import anonymous, personalized
from ..._served import NO, UNDECIDED, YES, ZERO
from ..._status import Status


@float64_scope
def measure(market: Market, delta: Float[Array, ""] | float, *, solver: Solver = simplex) -> dict[str, Array]:
    """Computes all of `CONDITIONS` for one market; works under `jit` and `vmap`.

    **Arguments:**

    - `market`: one market.
    - `delta`: slack of the equilibria that guarantees speak of; >= 0.
    - `solver`: proposes candidates.

    **Returns:** an array per column, `[]` or `[user]`. An invalid market has a status, NaN values, undecided events.
    """
    users = market.user_value.shape[0]
    return _rows(
        market,
        jnp.asarray(delta, jnp.float64),
        weak=weak_alignment(market, solver=solver),
        hull=weak_alignment(market, weights="hull", solver=solver),
        strong=strong_alignment(market, solver=solver),
        scaled=strong_alignment(market, scale="free", solver=solver),
        personal=guarantee(market, personalized(users), delta, solver=solver),
        anonym=guarantee(market, anonymous(users), delta, solver=solver),
    )


def measure_again(market: Market, delta: float) -> dict[str, Array]:
    """Measures one market with the exact host solver: the second pass for rows that came back `OPEN`."""
    return run_rarely(_on_host, market, delta)


def _on_host(market: Market, delta: Float[Array, ""]) -> dict[str, Array]:
    return measure(market, delta, solver=highs)


@in_float64
def _rows(market: Market, delta: Float[Array, ""], weak, hull, strong, scaled, personal, anonym) -> dict[str, Array]:
    marks = benchmarks(market)
    scale = market.user_value.max(axis=(-2, -1)) - market.user_value.min(axis=(-2, -1))
    allowed = jnp.maximum(delta / market.mass[:, None], LEAST_SLACK * provider_range(market).T)
    shortfall = 2 * weak.value.upper + (weak.weights * allowed).sum(axis=-1) + tie_slack(market, weak.weights)
    shared = jnp.maximum(
        _segment_bound(market, marks.aligned, strong, delta), _segment_bound(market, marks.aligned, scaled, delta)
    )
    statuses = [jnp.max(found.status) for found in (weak, hull, strong, scaled, personal, anonym)]
    rows: dict[str, Any] = {
        "status": jnp.stack([jnp.asarray(status, jnp.int32) for status in statuses]).max(),
        "aligned": marks.aligned,
        "silent": marks.silent,
        "payoff_range": jnp.where(marks.status < Status.NOT_FINITE, scale, jnp.nan),
        **ends("weak_error", weak.value),
        "weak_weight": weak.weights.sum(axis=-1),
        **ends("hull_error", hull.value),
        **ends("strong_error", strong.value),
        **ends("scaled_error", scaled.value),
        **ends("personalized_guarantee", personal),
        **ends("anonymous_guarantee", anonym),
        "personalized_bound": marks.aligned - shortfall,
        "anonymous_bound": shared,
    }
    events = {
        "weakly_aligned": _is_zero(weak.value, scale),
        "hull_aligned": _is_zero(hull.value, scale),
        "strongly_aligned": _is_zero(strong.value, scale.max()),
        "scaled_aligned": _is_zero(scaled.value, scale.max()),
        "personalized_guaranteed": _reaches(personal, marks.aligned, scale),
        "anonymous_guaranteed": _reaches(anonym, marks.aligned, scale),
        "personalized_theorem": _reaches(personal, marks.aligned - shortfall, scale),
        "anonymous_theorem": _reaches(anonym, shared, scale),
    }
    valid = marks.status < Status.NOT_FINITE
    undecided = jnp.full((), UNDECIDED, jnp.int32)
    rows |= {name: jnp.where(valid, event, undecided).astype(jnp.int8) for name, event in events.items()}
    rows["status"] = rows["status"].astype(jnp.int8)
    return rows


def _segment_bound(market: Market, aligned: Array, alignment: Any, delta: Array) -> Float[Array, " user"]:
    """The theorem's bound for one segment, read for one user at a time.

    `sum_l mass_l beta_l (OPT_l - u_l) <= 2 sum_l mass_l eps_l + delta sum_i w_i`, plus what ties lose.
    """
    weights = jnp.broadcast_to(alignment.weights, (market.mass.shape[0], alignment.weights.shape[0]))
    lost = 2 * alignment.user_error + tie_slack(market, weights)
    slack = market.mass @ lost + slack_of(market, delta) @ alignment.weights
    return aligned - slack / (market.mass * alignment.scale)


def ends(name: str, bracket: Any) -> dict[str, Array]:
    """The two columns of a bracket."""
    return {f"{name}_lower": bracket.lower, f"{name}_upper": bracket.upper}


def decide(yes: Bool[Array, "*users"], no: Bool[Array, "*users"]) -> Int[Array, ""]:
    """The event holds if it does for every user, and fails if it does for any."""
    return jnp.where(jnp.any(no), jnp.int32(NO), jnp.where(jnp.all(yes), jnp.int32(YES), jnp.int32(UNDECIDED)))


def _is_zero(error: Bracket, scale: Array) -> Int[Array, ""]:
    return decide(error.upper <= ZERO * scale, error.lower > ZERO * scale)


def _reaches(bracket: Any, level: Array, scale: Array) -> Int[Array, ""]:
    return decide(bracket.lower >= level - ZERO * scale, bracket.upper < level - ZERO * scale)
