"""Searches for a user's worst equilibrium from the left, clearing intervals of her value that hold none.

On an interval where `phi_i(r) >= h_i - s_i r` (chords, from outcomes that were found), every delta-equilibrium meets
`<V_i, q> >= h_i - s_i <U, q> - delta` for all i. These are linear in q, so one programme finds the least <U, q> that is
left, and its multipliers prove that nothing lies below. Where the chords are the curves themselves, the outcome found
is an equilibrium, which lines above the curves prove. Otherwise each curve is looked at where its chord is worst.
"""

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from .._bounds import best_response_line, least_value, obeyed, optimal_play, outcome_lower, value_of
from .._candidates import (
    LANES_ON_CPU,
    LinearProgram,
    OutcomeTask,
    Solution,
    Solver,
    SolverStatus,
    Step,
    pose_outcome,
    read_outcome,
    run_search,
    simplex,
)
from .._precision import float64_scope, in_float64
from .._stakes import Multipliers
from .._ties import Sized
from ._envelope import Envelope, Point, add_point, chord_from, empty_envelope, next_probe, upper_at
from ._stakes import UserStakes, with_strict_truth

# Rounds of the search at most, each with one programme per provider and one for the user.
MAX_TURNS = 30
# Shares of the span: the width at which a bracket counts as closed, and how far beyond an interval its programme looks.
_CLOSED = 1e-8
_FOUND = 1e-7
_BEYOND = 0.1
# Shares of a provider's payoff range: how much less slack outcomes are posed with than proofs, because of rounding,
# at first and at most, and the distance from chord to curve that counts as none.
_ROOM = 2e-12
_MORE_ROOM = 6.0
_MOST_ROOM = 1e-10
_EXACT = 1e-13


class Search(eqx.Module):
    """Everything below `lower` is proved to hold no equilibrium (from where it starts); `outcome` is worth `upper`."""

    lower: Float[Array, ""]
    upper: Float[Array, ""]
    outcome: Float[Array, "type evidence action"]
    ended: Bool[Array, ""]
    rescued: Bool[Array, ""]
    envelope: Envelope
    probe: Float[Array, " provider"]
    reach: Float[Array, ""]
    room: Float[Array, ""]
    turn: Int[Array, ""]


def start(stakes: UserStakes) -> Search:
    """Starts with [silent, aligned] open, or what is above a level in it.

    Full information is an equilibrium: no offer is strictly better.

    Where optimal actions tie, she does what the first provider likes most, which then has nothing to gain from her.
    """
    make = lambda value: empty_envelope(MAX_TURNS + 1, stakes.aligned - stakes.rounding, value)
    return Search(
        lower=jnp.clip(stakes.above, jnp.minimum(stakes.silent, stakes.aligned), stakes.aligned),
        upper=stakes.aligned,
        outcome=optimal_play(stakes.receiver, stakes.provider[0]),
        ended=jnp.array(False),
        rescued=jnp.array(False),
        envelope=jax.vmap(make)(stakes.informed_value()),
        probe=jnp.full(stakes.num_providers, stakes.silent),
        reach=jnp.zeros((), jnp.float64),
        room=jnp.full((), _ROOM, jnp.float64),
        turn=jnp.int32(0),
    )


def finished(stakes: UserStakes, search: Search) -> Bool[Array, ""]:
    closed = search.upper - search.lower <= _CLOSED * stakes.span + 2 * stakes.near
    return closed | search.ended | (search.turn >= MAX_TURNS)


def curve_task(
    stakes: UserStakes, provider: Float[Array, "type evidence action"], level: Float[Array, ""]
) -> OutcomeTask:
    """The programme of phi(level): the least of `-<V, q>` over outcomes worth `level` to the user."""
    return OutcomeTask(stakes.user, stakes.probability, -provider, stakes.user[None], level[None])


def pose_curves(stakes: UserStakes, search: Search) -> LinearProgram:
    """One programme per provider, at its probe."""

    def one(provider: Array, probe: Array) -> LinearProgram:
        idle = jnp.isnan(probe) | finished(stakes, search)
        return pose_outcome(curve_task(stakes, provider, jnp.where(idle, stakes.silent, probe))).idle_where(idle)

    return jax.vmap(one)(stakes.provider, search.probe)


def read_point(stakes: UserStakes, provider: Sized, level: Float[Array, ""], solution: Solution) -> Point:
    """Reads a point below phi and a line above it off a solution of `curve_task`."""
    candidate = read_outcome(curve_task(stakes, provider.value, level), solution)
    outcome = obeyed(stakes.receiver, candidate.outcome, stakes.strict, stakes.informed())
    prices = candidate.multipliers
    height, slope = best_response_line(stakes.receiver, provider, prices)
    return Point(stakes.worth(outcome), least_value(stakes.receiver, provider, outcome), height, slope)


def learn(stakes: UserStakes, search: Search, solutions: Solution) -> Search:
    def one(envelope: Envelope, provider: Sized, probe: Array, solution: Solution) -> Envelope:
        point = read_point(stakes, provider, jnp.where(jnp.isnan(probe), stakes.silent, probe), solution)
        point = jax.tree.map(lambda leaf: jnp.where(jnp.isnan(probe), jnp.nan, leaf), point)
        return add_point(envelope, search.turn + jnp.int32(1), point)

    envelope = jax.vmap(one)(search.envelope, stakes.providers, search.probe, solutions)
    rescued = search.rescued | (solutions.status == SolverStatus.RESCUED).any()
    return eqx.tree_at(lambda s: (s.envelope, s.rescued), search, (envelope, rescued))


class Interval(eqx.Module):
    """The interval from `lower` on, up to `end`, and what is asked of the equilibria in it, per provider."""

    height: Float[Array, " provider"]
    slope: Float[Array, " provider"]
    end: Float[Array, ""]


def next_interval(stakes: UserStakes, search: Search) -> Interval:
    height, slope, end = jax.vmap(chord_from, in_axes=(0, None, None, None))(
        search.envelope, search.lower, search.reach, stakes.near
    )
    # A single provider's deviations do not have to beat anybody: what counts is phi(silent), all the way.
    height = jnp.where(stakes.alone, search.envelope.value[:, 1], height)
    slope, end = jnp.where(stakes.alone, 0.0, slope), jnp.where(stakes.alone, stakes.aligned, end)
    return Interval(height, slope, end.min())


def _required(stakes: UserStakes, interval: Interval) -> Sized:
    """What providers get, and the user on top as the chords fall; then the user."""
    user, slope = stakes.receiver.stakes, interval.slope[:, None, None, None]
    user = Sized(user.value[None], user.size[None])
    raised = stakes.providers + user.times(slope)
    both = lambda first, second: jnp.concatenate([first, second])
    return Sized(both(raised.value, user.value), both(raised.size, user.size))


def interval_task(stakes: UserStakes, search: Search, interval: Interval) -> OutcomeTask:
    """The programme of the least value left on the interval."""
    floors = interval.height - stakes.slack + search.room * stakes.payoff_range
    return OutcomeTask(
        stakes.user,
        stakes.probability,
        stakes.user,
        _required(stakes, interval).value,
        jnp.concatenate([floors, search.lower[None]]),
        cap=interval.end + _BEYOND * stakes.span,
    )


def cleared_by(stakes: UserStakes, search: Search, interval: Interval, prices: Multipliers) -> Float[Array, ""]:
    """Bounds from below what is left on the interval, by ANY prices."""
    floors = jnp.concatenate([interval.height - stakes.most_slack, search.lower[None]])
    return outcome_lower(stakes.receiver, stakes.receiver.stakes, _required(stakes, interval), floors, prices)


def pose_interval(stakes: UserStakes, search: Search) -> LinearProgram:
    task = interval_task(stakes, search, next_interval(stakes, search))
    return pose_outcome(task).idle_where(finished(stakes, search))


def excess(stakes: UserStakes, search: Search, outcome: Float[Array, "type evidence action"]) -> Array:
    """Bounds from above what each provider could gain over an outcome that all of them offer: [provider]."""
    level = jnp.where(stakes.alone, stakes.silent - stakes.rounding, stakes.worth(outcome))
    most = jax.vmap(upper_at, in_axes=(0, None))(search.envelope, level)
    return most - stakes.brings(outcome)


def advance(stakes: UserStakes, search: Search, solution: Solution) -> Search:
    """Moves both ends by what the programme of the interval proves, and picks where to look next."""
    interval = next_interval(stakes, search)
    candidate, end = read_outcome(interval_task(stakes, search, interval), solution), interval.end
    prices = candidate.multipliers
    cleared = cleared_by(stakes, search, interval, prices)
    idle = finished(stakes, search)
    lower = jnp.where(idle, search.lower, jnp.maximum(search.lower, jnp.minimum(cleared, end)))
    outcome = obeyed(stakes.receiver, candidate.outcome, stakes.strict, stakes.informed())
    value = value_of(stakes.user, outcome)
    # Long steps as long as they clear everything, shorter ones where something is left.
    reach = jnp.where(cleared >= end, 2.0 * (end - search.lower), 0.0)
    holds = (excess(stakes, search, outcome) <= stakes.least_slack).all() & (value < search.upper) & ~idle
    probe = jax.vmap(next_probe, in_axes=(0, None, None, 0))(
        search.envelope, lower, stakes.near, _EXACT * stakes.payoff_range
    )
    upper = jnp.where(holds, value, search.upper)
    # Nothing to learn and nothing cleared: another turn would be the same one, unless rounding was in the way.
    stuck = jnp.isnan(probe).all() & (search.reach == 0) & (lower <= search.lower) & (upper >= search.upper)
    return Search(
        lower=lower,
        upper=upper,
        outcome=jnp.where(holds, outcome, search.outcome),
        ended=search.ended | (stuck & (search.room > _MOST_ROOM)) | (upper - lower <= _FOUND * stakes.span),
        rescued=search.rescued | (solution.status == SolverStatus.RESCUED),
        envelope=search.envelope,
        probe=jnp.where(idle, jnp.nan, probe),
        reach=reach,
        room=jnp.where(stuck, _MORE_ROOM * search.room, search.room),
        turn=search.turn + (~idle).astype(jnp.int32),
    )


@dataclass(frozen=True)
class FrontierSearch:
    """The search, as its driver takes it: first the curves at their probes, then what is left on the interval."""

    lanes_on_cpu = LANES_ON_CPU
    steps = (Step(pose_curves, learn), Step(pose_interval, advance))
    start = staticmethod(start)
    finished = staticmethod(finished)


SEARCH = FrontierSearch()


@in_float64
def _search_compiled(stakes: UserStakes) -> Search:
    return run_search(SEARCH, with_strict_truth(stakes, simplex))


@float64_scope
def find_worst(stakes: UserStakes, solver: Solver = simplex) -> Search:
    """Searches for every user of a group (leading axis)."""
    stakes = lax.stop_gradient(stakes)
    if solver is simplex:
        return _search_compiled(stakes)
    return run_search(SEARCH, with_strict_truth(stakes, solver), solver)
