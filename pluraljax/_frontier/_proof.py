"""Replays the search for users' worst equilibria turn by turn, and keeps the candidates that its proof is made of.

The batched search only keeps its two ends: what proves them is looked at for single markets.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from .._arguments import checked
from .._bounds import optimal_play
from .._candidates import LinearProgram, OutcomeCandidate, Solution, Solver, read_outcome, run_search, simplex
from .._market import Market, one_market, slack
from .._precision import float64_scope, in_float64
from .._stakes import Multipliers
from ._envelope import chord_from, chord_points
from ._levels import Persuasion, persuasion
from ._search import SEARCH, Interval, Search, curve_task, finished, interval_task, next_interval
from ._stakes import UserStakes, lay_out, with_strict_truth
from ._worst import Frontier, collect


class Points(eqx.Module):
    """Outcomes below the curves phi, and multipliers of lines above them, as candidates.

    The first point is the user's optimal play (no multipliers). `known` marks the places in use.
    """

    known: Bool[Array, "*batch provider"]
    outcome: Float[Array, "*batch provider type evidence action"]
    prices: Multipliers


class Links(eqx.Module):
    """Intervals that hold no equilibrium, as candidates: one after the other, from silent utility on.

    On the interval that ends where the first chord ends, the curve of provider i is claimed to lie above
    a line of slope `slope[i]`, because of its points `chord[i]` (-1: none), whose last is where the chord ends.
    `prices.required` holds the multipliers of the providers' inequalities, then of the user's utility.
    """

    known: Bool[Array, "*batch"]
    slope: Float[Array, "*batch provider"]
    chord: Int[Array, "*batch provider 3"]
    prices: Multipliers


class FrontierProof(eqx.Module):
    """A frontier with the candidates that prove it: points `[user point provider ...]` and links `[user link ...]`.

    An only action is written twice in them. Multipliers and slopes are in the market's own units. Nothing in here is to
    be trusted; every number is a candidate.
    """

    frontier: Frontier
    points: Points
    links: Links


@checked(market=one_market, delta=slack)
@float64_scope
def frontier_proof(market: Market, delta: Any = 0.0, *, solver: Solver = simplex) -> FrontierProof:
    """Computes `frontier` of one market in Python, and keeps what proves it. Needs concrete arrays.

    **Arguments:**

    - `market`: one market, with concrete arrays.
    - `delta`, `solver`: as for `frontier`.

    **Returns:** a `FrontierProof` with NumPy arrays.
    """
    stakes = lax.stop_gradient(with_strict_truth(lay_out(market, jnp.asarray(delta, jnp.float64)), solver))
    points, links = [_first_points(stakes)], []

    def watch(step: int, search: Search, solutions: Solution) -> None:
        if step == 0:
            points.append(_read_points(stakes, search, solutions))
        else:
            links.append(_read_link(stakes, search, solutions))

    search = run_search(SEARCH, stakes, solver, watch)
    links = links or [_no_link(stakes)]
    stack = lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves], axis=1)
    return FrontierProof(
        jax.tree.map(np.asarray, collect(market, stakes, search)),
        jax.tree.map(stack, *points),
        jax.tree.map(stack, *links),
    )


def _prices(candidate: OutcomeCandidate, unit: Array, floor_unit: Array) -> Multipliers:
    """Multipliers in own units: `unit` is what those of the user's incentives count in, then those of the floors."""

    def own(leaf: Array, unit: Array) -> Array:
        return jnp.where(jnp.isfinite(leaf * unit), leaf * unit, 0.0)

    found = candidate.multipliers
    return Multipliers(
        own(found.obedience, unit),
        own(found.truth, unit),
        own(found.recoding, unit),
        own(found.required, floor_unit),
    )


def _no_prices(stakes: UserStakes, floors: int) -> Multipliers:
    types, _, actions = stakes.user.shape
    nothing = lambda *shape: jnp.zeros(shape, jnp.float64)
    return Multipliers(
        nothing(types, actions, actions),
        nothing(types, types),
        nothing(types, types, actions, actions),
        nothing(floors),
    )


@in_float64
@jax.vmap
def _first_points(stakes: UserStakes) -> Points:
    outcome = jax.vmap(optimal_play, in_axes=(None, 0))(stakes.receiver, stakes.provider)
    each = lambda leaf: jnp.broadcast_to(leaf, (stakes.num_providers, *leaf.shape))
    return Points(jnp.ones(stakes.num_providers, bool), outcome, jax.tree.map(each, _no_prices(stakes, 1)))


@in_float64
@jax.vmap
def _read_points(stakes: UserStakes, search: Search, solutions: Solution) -> Points:
    def one(provider: Array, unit: Array, probe: Array, solution: Solution) -> tuple[Array, Multipliers]:
        return _read_point(stakes, provider, unit, jnp.where(jnp.isnan(probe), stakes.silent, probe), solution)

    outcome, prices = jax.vmap(one)(stakes.provider, stakes.units.provider, search.probe, solutions)
    return Points(~jnp.isnan(search.probe), outcome, prices)


def _read_point(
    stakes: UserStakes, provider: Array, unit: Array, level: Array, solution: Solution
) -> tuple[Array, Multipliers]:
    candidate = read_outcome(curve_task(stakes, provider, level), solution)
    in_utility = unit / stakes.units.user
    return candidate.outcome, _prices(candidate, in_utility, in_utility)


@in_float64
@jax.vmap
def _read_link(stakes: UserStakes, search: Search, solution: Solution) -> Links:
    interval = next_interval(stakes, search)
    _, _, end = jax.vmap(chord_from, in_axes=(0, None, None, None))(
        search.envelope, search.lower, search.reach, stakes.near
    )
    chord = jax.vmap(chord_points, in_axes=(0, None, 0))(search.envelope, search.lower, end)
    if stakes.num_providers == 1:
        # What counts is the most that the provider can get at all, which is what the first probe looks for.
        chord = jnp.ones_like(chord)
    return Links(
        ~finished(stakes, search),
        _own_slope(stakes, interval),
        chord,
        _link_prices(stakes, read_outcome(interval_task(stakes, search, interval), solution)),
    )


def _own_slope(stakes: UserStakes, interval: Interval) -> Array:
    slope = jnp.where(stakes.num_providers == 1, 0.0, interval.slope) * stakes.units.provider / stakes.units.user
    return jnp.where(jnp.isfinite(slope), slope, 0.0)


def _link_prices(stakes: UserStakes, candidate: OutcomeCandidate) -> Multipliers:
    unit = jnp.ones((), jnp.float64)
    return _prices(candidate, unit, jnp.concatenate([stakes.units.user / stakes.units.provider, unit[None]]))


@in_float64
@jax.vmap
def _no_link(stakes: UserStakes) -> Links:
    nowhere = jnp.full((stakes.num_providers, 3), -1, jnp.int32)
    slope = jnp.zeros(stakes.num_providers, jnp.float64)
    return Links(jnp.array(False), slope, nowhere, _no_prices(stakes, stakes.num_providers + 1))


@checked(market=one_market)
@float64_scope
def persuasion_proof(market: Market, *, solver: Solver = simplex) -> tuple[Persuasion, Points]:
    """Computes `persuasion` without floors, and keeps its candidates: points `[user provider ...]`."""
    stakes = lax.stop_gradient(lay_out(market, jnp.zeros((), jnp.float64)))
    kept = []

    def keep(programs: LinearProgram) -> Solution:
        kept.append(solver(programs))
        return kept[-1]

    found = persuasion(market, solver=keep)
    points = _read_silent_points(stakes, jax.tree.map(lambda leaf: leaf[:, 0], kept[-1]))
    return jax.tree.map(np.asarray, (found, points))


@in_float64
@jax.vmap
def _read_silent_points(stakes: UserStakes, solutions: Solution) -> Points:
    level = jnp.minimum(stakes.silent, stakes.aligned - stakes.near)
    read = jax.vmap(_read_point, in_axes=(None, 0, 0, None, 0))
    outcome, prices = read(stakes, stakes.provider, stakes.units.provider, level, solutions)
    return Points(jnp.ones(stakes.num_providers, bool), outcome, prices)
