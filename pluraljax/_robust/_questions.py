"""Alignment, coverage, guarantees and worst equilibria after the worst exit of some providers."""

import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from .._alignment import Offset, Weights, weak_alignment
from .._arguments import checked
from .._bracket import Bracket
from .._candidates import Solver, simplex
from .._coverage import coverage, known_baseline
from .._frontier import worst_equilibria
from .._guarantee import guarantee
from .._market import Market, action_range, benchmarks, market_status, one_market, slack, stakes
from .._precision import float64_scope, in_float64
from .._segments import known_labels, personalized
from ._answer import Robust, settle, worst_loss
from ._removals import (
    all_removals,
    ask_all,
    check_known,
    copies,
    num_removed,
    positive_budget,
    staying,
)
from ._search import Ask, Losses, Worst, find_worst

_BUDGET = 4096


@checked(market=one_market, removed=num_removed, budget=positive_budget)
@float64_scope
def robust_alignment(
    market: Market,
    removed: int,
    weights: Weights = "cone",
    offset: Offset = "constant",
    *,
    budget: int = _BUDGET,
    solver: Solver = simplex,
) -> Robust:
    """Measures each user's weak alignment error after the worst exit of some providers.

    `max_R eps_j(R)` over all sets R of `removed` providers, where `eps_j(R)` is `weak_alignment` among those that stay:
    k-robust alignment. For 0 it is `weak_alignment` itself, and it grows with the number. Where there are at most
    `budget` sets each is asked about, in one batch. Otherwise a search brackets the worst: weights prove an error for
    every exit that misses their support, so that a worse one takes a provider of the support away.

    **Arguments:**

    - `market`: one market; use `jax.vmap` for a batch (where all sets are asked about).
    - `removed`: how many providers leave. All of them may with cone weights; the error is then half her payoffs' range.
    - `weights`, `offset`, `solver`: as for `weak_alignment`.
    - `budget`: the most removals to ask about, for each user.

    **Returns:** a `Robust` whose `removed` is a worst exit for each user. Where `status` is `OPEN` the bracket is valid
    but wider than 1e-6 of the payoff range.

    Example::

        market = plx.families.spatial(providers=6)(jax.random.key(0))
        plx.robust_alignment(market, 2).value.upper
    """
    providers = market.num_providers
    if weights == "hull" and removed == providers:
        raise ValueError(
            f"removed must leave a provider whose weight can be 1: at most {providers - 1}, got {removed}."
        )
    scale = _range(market, weights == "hull")
    if (count := math.comb(providers, removed)) <= budget:
        gone = all_removals(providers, removed)
        found = ask_all(market, gone, lambda m: weak_alignment(m, weights, offset, solver=solver).value)
        return worst_loss(found, gone, scale, market_status(market))
    check_known(market, "robust_alignment", removed, count, budget)
    swing = np.asarray(_provider_range(market)) / 2

    def read(user: np.ndarray, gone: np.ndarray, part: Market) -> Losses:
        answer = weak_alignment(part, weights, offset, solver=solver)
        own = _own_weights(np.asarray(answer.weights), gone)
        upper, most = np.asarray(answer.value.upper), np.asarray(scale)[user] / 2
        if weights == "hull":
            return Losses(np.asarray(answer.value.lower), upper, own, np.where(own > 0, np.inf, 0.0), np.inf * most)
        own, upper = _drop_traces(own, swing[:, user].T, upper, most)
        return Losses(np.asarray(answer.value.lower), upper, own, own * swing[:, user].T, most)

    found = find_worst(_asker(market, read), market.num_users, providers, removed, budget)
    return _of_search(market, found, scale, is_gain=False)


@checked(market=one_market, removed=num_removed, baseline=known_baseline, budget=positive_budget)
@float64_scope
def robust_coverage(
    market: Market, removed: int, baseline: Any = None, *, budget: int = _BUDGET, solver: Solver = simplex
) -> Robust:
    """Measures how far each user is from being covered after the worst exit of some providers.

    `coverage` in the place of the alignment error: k-robust coalitional alignment, as in "Delegating Authorization to
    Misaligned Agents" (Collina, Goel, Roth, Sengupta), where the value is 0.

    **Arguments:**

    - `market`, `removed`, `budget`, `solver`: as for `robust_alignment`.
    - `baseline`: as for `coverage`; known before compilation.

    **Returns:** a `Robust`, as `robust_alignment` does.

    Example::

        market = plx.families.gaussian(providers=4, users=2)(jax.random.key(0))
        plx.robust.robust_coverage(market, 1).value  # after the exit of the worst provider
    """
    providers, scale = market.num_providers, _range(market, False)
    if (count := math.comb(providers, removed)) <= budget:
        gone = all_removals(providers, removed)

        def ask(part: Market) -> Bracket:
            return coverage(part, _repeated(baseline, part), solver=solver).value

        found = ask_all(market, gone, ask)
        return worst_loss(found, gone, scale, market_status(market))
    check_known(market, "robust_coverage", removed, count, budget)
    swing = np.asarray(_stake_range(market))
    most = np.asarray(_most_violation(market))

    def read(user: np.ndarray, gone: np.ndarray, part: Market) -> Losses:
        answer = coverage(part, None if baseline is None else np.asarray(baseline)[user], solver=solver)
        own = _own_weights(np.asarray(answer.weights), gone)
        own, upper = _drop_traces(own, swing[:, user].T, np.asarray(answer.value.upper), most[user])
        return Losses(np.asarray(answer.value.lower), upper, own, own * swing[:, user].T, most[user])

    found = find_worst(_asker(market, read), market.num_users, providers, removed, budget)
    return _of_search(market, found, scale, is_gain=False)


@checked(market=one_market, segments=known_labels, removed=num_removed, delta=slack, budget=positive_budget)
@float64_scope
def robust_guarantee(
    market: Market,
    segments: Any,
    removed: int,
    delta: Any = 0.0,
    *,
    budget: int = _BUDGET,
    solver: Solver = simplex,
) -> Robust:
    """Bounds each user's utility in every delta-equilibrium after the worst exit of some providers.

    `min_R` of `guarantee` among those that stay; it falls with the number that leaves.

    **Arguments:**

    - `market`, `removed`, `budget`: as for `robust_alignment`.
    - `segments`: as for `guarantee`; known before compilation.
    - `delta`, `solver`: as for `guarantee`.

    **Returns:** a `Robust` whose `removed` is a worst exit for each user.

    Example::

        market = plx.families.gaussian(providers=4, users=2)(jax.random.key(0))
        plx.robust.robust_guarantee(market, plx.personalized(2), 1).value  # what is left after the worst exit
    """
    providers, users = market.num_providers, market.num_users
    scale = action_range(market.user_value).max(axis=-1)

    def of_copies(part: Market) -> Any:
        copied = part.num_users // users
        labels = np.concatenate([np.asarray(segments) + (max(segments) - min(segments) + 1) * c for c in range(copied)])
        return guarantee(part, labels, delta, solver=solver)

    if (count := math.comb(providers, removed)) <= budget:
        gone = all_removals(providers, removed)
        found = ask_all(market, gone, lambda part: _ends(of_copies(part)))
        return worst_loss(found, gone, scale, market_status(market), is_gain=True)
    check_known(market, "robust_guarantee", removed, count, budget)

    most = np.asarray(_most_violation(market)) - np.asarray(benchmarks(market).aligned)

    def ask(user: np.ndarray, gone: np.ndarray) -> Losses:
        # Users of a segment share providers, so that each row asks about all of them, and reads its own.
        padded = _padded(len(user))
        every, kept = np.tile(np.arange(users), len(padded)), np.repeat(staying(gone[padded]), users, axis=0)
        answer = of_copies(copies(market, every.astype(np.int32), kept))
        mine = np.arange(len(user)) * users + user
        lower, upper = -np.asarray(answer.upper)[mine], -np.asarray(answer.lower)[mine]
        own = _own_weights(np.asarray(answer.weights)[mine], gone)
        return Losses(lower, upper, own, np.where(own > 0, np.inf, 0.0), most[user])

    found = find_worst(ask, users, providers, removed, budget)
    return _of_search(market, found, scale, is_gain=True)


@checked(market=one_market, removed=num_removed, delta=slack, budget=positive_budget)
@float64_scope
def robust_worst_equilibrium(
    market: Market, removed: int, delta: Any = 0.0, *, budget: int = 256, solver: Solver = simplex
) -> Robust:
    """Brackets what each user has in the worst personalized equilibrium after the worst exit of some providers.

    `min_R` of `frontier` among those that stay. It can only fall while two stay; one that is left alone may give a user
    more than two, since it has nobody's offer to hide behind (docs/mathematics.md, section 9).

    **Arguments:**

    - `market`: one market; use `jax.vmap` for a batch (where all sets are asked about).
    - `removed`: how many providers leave; one has to stay.
    - `delta`, `solver`: as for `frontier`.
    - `budget`: the most removals to ask about. With more of them the upper end is that of the removals which are worst
      for the guarantee, and the lower end is `robust_guarantee`, or what silence is worth.

    **Returns:** a `Robust` whose `removed` is a worst exit for each user.

    Example::

        market = plx.families.gaussian(providers=3, users=2)(jax.random.key(0))
        plx.robust.robust_worst_equilibrium(market, 1).value
    """
    providers, users = market.num_providers, market.num_users
    if removed == providers:
        raise ValueError(f"removed must leave a provider: at most {providers - 1}, got {removed}.")
    marks = benchmarks(market)
    scale = action_range(market.user_value).max(axis=-1)
    alone = np.array(providers - removed == 1)
    ask = lambda part: worst_equilibria(part, delta, alone, solver=solver).value
    if (count := math.comb(providers, removed)) <= budget:
        gone = all_removals(providers, removed)
        found = ask_all(market, gone, ask)
        return worst_loss(found, gone, scale, market_status(market), is_gain=True)
    check_known(market, "robust_worst_equilibrium", removed, count, budget)
    least = robust_guarantee(market, personalized(users), removed, delta, budget=_BUDGET, solver=solver)
    gone = np.unique(np.asarray(least.removed), axis=0)
    found = ask_all(market, gone, ask)
    lower = jnp.maximum(least.value.lower, marks.silent)
    shown = worst_loss(found, gone, scale, market_status(market), is_gain=True)
    ends = Bracket(-shown.value.upper, -lower)
    return settle(ends, shown.removed, scale, market_status(market), True)


def _ends(found: Any) -> Bracket:
    return Bracket(found.lower, found.upper)


def _repeated(baseline: Any, part: Market) -> Any:
    if baseline is None:
        return None
    baseline = jnp.asarray(baseline, jnp.int32)
    return jnp.tile(baseline, (part.num_users // baseline.shape[0], 1, 1))


@in_float64
def _range(market: Market, hull: bool) -> Float[Array, " user"]:
    reach = lambda value: value.max(axis=(-2, -1)) - value.min(axis=(-2, -1))
    own = reach(market.user_value)
    return jnp.maximum(own, reach(market.provider_value).max(axis=0)) if hull else own


@in_float64
def _provider_range(market: Market) -> Float[Array, "provider user"]:
    return market.provider_value.max(axis=(-2, -1)) - market.provider_value.min(axis=(-2, -1))


@in_float64
def _stake_range(market: Market) -> Float[Array, "provider user"]:
    return action_range(jnp.swapaxes(stakes(market).provider, -2, -1)).sum(axis=(-2, -1))


@in_float64
def _most_violation(market: Market) -> Float[Array, " user"]:
    return action_range(jnp.swapaxes(stakes(market).user, -2, -1)).sum(axis=(-2, -1))


def _padded(count: int) -> np.ndarray:
    """Rows up to a power of two, the last one repeated, so that few sizes are compiled."""
    return np.minimum(np.arange(max(8, 1 << (count - 1).bit_length())), count - 1)


def _asker(market: Market, read: Callable[[np.ndarray, np.ndarray, Market], Losses]) -> Ask:
    def ask(user: np.ndarray, gone: np.ndarray) -> Losses:
        rows = _padded(len(user))
        part = copies(market, user[rows].astype(np.int32), staying(gone[rows]))
        found = read(user[rows], gone[rows], part)
        return Losses(*(each[: len(user)] for each in vars(found).values()))

    return ask


def _own_weights(weights: np.ndarray, gone: Bool[np.ndarray, "row provider"]) -> np.ndarray:
    """Gives the weights of twins to the provider that they are twins of."""
    own = np.where(gone, 0.0, weights)
    own[np.arange(len(own)), np.argmin(gone, axis=1)] += np.where(gone, weights, 0.0).sum(axis=1)
    return own


def _drop_traces(own: np.ndarray, swing: np.ndarray, upper: np.ndarray, most: np.ndarray):
    """Leaves out weights that are next to nothing, and counts what that can do against the bound."""
    traces = (own > 0) & (own * swing < 1e-13 * most[:, None])
    return np.where(traces, 0.0, own), upper + np.where(traces, own * swing, 0.0).sum(axis=1)


def _of_search(market: Market, found: Worst, scale: Any, is_gain: bool) -> Robust:
    ends = Bracket(jnp.asarray(found.lower), jnp.asarray(found.upper))
    return settle(ends, jnp.asarray(found.removed), scale, market_status(market), is_gain)
