"""How many providers a market survives the loss of."""

import itertools
import math
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int

from .._alignment import weak_alignment
from .._arguments import checked
from .._bracket import Bracket
from .._candidates import Solver, simplex
from .._coverage import coverage
from .._market import Market, market_status, one_market
from .._precision import float64_scope, in_float64
from .._status import Status
from ._answer import Robust, Robustness
from ._questions import robust_alignment, robust_coverage
from ._removals import all_removals, ask_all, positive_budget

Condition = Literal["coverage", "weak"]

# What counts as nothing, as a share of a user's payoff range; as in the events of a scan.
ZERO = 1e-8


@checked(market=one_market, budget=positive_budget)
@float64_scope
def robustness(
    market: Market, condition: Condition = "coverage", *, budget: int = 4096, solver: Solver = simplex
) -> Robustness:
    """Counts how many providers may leave, whoever they are, before a user is no longer covered or aligned.

    The largest k with `robust_coverage`, or `robust_alignment`, of at most 1e-8 of her payoff range. A provider more
    never makes it less, and a twin of one that is there cannot either.

    **Arguments:**

    - `market`: one market; under `jax.vmap` and `jax.jit` it has few providers (each number that may leave within the
      budget).
    - `condition`: `"coverage"`, or `"weak"` for weak alignment with error 0.
    - `budget`, `solver`: as for `robust_alignment`.

    **Returns:** a `Robustness`. Its two ends differ where a bracket, or a search, leaves it open.

    Example::

        market = plx.families.spatial(providers=6, user_spread=0.0)(jax.random.key(0))
        plx.robust.robustness(market).lower
    """
    if condition not in ("coverage", "weak"):
        raise ValueError(f"condition must be one of 'coverage', 'weak', got {condition!r}.")
    providers, known = market.num_providers, not _is_traced(market)
    if not known and (most := math.comb(providers, providers // 2)) > budget:
        raise ValueError(
            f"robustness has {most:,} removals of {providers // 2} of {providers} providers to look at, more than "
            f"budget = {budget:,}: it would search, which it cannot do under jit or vmap."
        )
    found = _start(market)
    for removed in range(providers + 1):
        if condition == "coverage":
            step = robust_coverage(market, removed, budget=budget, solver=solver)
        else:
            step = robust_alignment(market, removed, budget=budget, solver=solver)
        found = _advance(market, found, step, removed)
        # Who does not survive this many does not survive more.
        if known and not (np.asarray(found.upper) >= removed).any():
            break
    return _end(market, found)


@float64_scope
def after_exits(market: Market, numbers: tuple[int, ...], condition: Condition, *, solver: Solver = simplex) -> Bracket:
    """Brackets the error after the worst exit of each of some numbers of providers, `[number user]`, in one batch."""
    gone = [all_removals(market.num_providers, number) for number in numbers]
    if condition == "coverage":
        ask = lambda part: coverage(part, solver=solver).value
    else:
        ask = lambda part: weak_alignment(part, solver=solver).value
    return _worst_of_each(ask_all(market, np.concatenate(gone), ask), tuple(map(len, gone)))


@in_float64
def _worst_of_each(found: Bracket, sizes: tuple[int, ...]) -> Bracket:
    starts = np.cumsum((0, *sizes))
    worst = lambda end: jnp.stack([end[a:b].max(axis=0) for a, b in itertools.pairwise(starts.tolist())])
    return Bracket(worst(found.lower), worst(found.upper))


def _is_traced(market: Market) -> bool:
    return any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(market))


@in_float64
def _start(market: Market) -> Robustness:
    providers, users = market.provider_value.shape[:2]
    count = lambda value: jnp.full(users, value, jnp.int32)
    return Robustness(Bracket(count(-1), count(providers)), jnp.zeros((users, providers), bool), count(Status.OK))


@in_float64
def _advance(market: Market, found: Robustness, step: Robust, removed: int) -> Robustness:
    near = ZERO * (market.user_value.max(axis=(-2, -1)) - market.user_value.min(axis=(-2, -1)))
    yes, no = _decisions(step, near)
    number = jnp.int32(removed)
    broken = no & (found.upper >= number)
    return Robustness(
        value=Bracket(
            jnp.where(yes, jnp.maximum(found.lower, number), found.lower),
            jnp.asarray(jnp.where(broken, number - 1, found.upper)),
        ),
        removed=jnp.where(broken[:, None], step.removed, found.removed),
        status=found.status,
    )


def _decisions(step: Robust, near: Float[Array, " user"]) -> tuple[Bool[Array, " user"], Bool[Array, " user"]]:
    return step.value.upper <= near, step.value.lower > near


@in_float64
def _end(market: Market, found: Robustness) -> Robustness:
    status: Int[Array, ""] = market_status(market)
    valid = status < Status.NOT_FINITE
    closed = jnp.where(found.lower == found.upper, jnp.int32(Status.OK), jnp.int32(Status.OPEN))
    number: Any = lambda value: jnp.where(valid, value, jnp.int32(-2))
    ends = Bracket(number(found.lower), number(found.upper))
    return Robustness(ends, found.removed & valid, jnp.asarray(jnp.where(valid, closed, status)))
