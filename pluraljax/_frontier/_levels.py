"""What providers can get at given levels of a user's utility: persuasion, and the curves behind the frontier."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jaxtyping import Array, Float, Int

from .._answer import Answer, Readable
from .._arguments import checked
from .._bounds import (
    best_response_line,
    least_value,
    obeyed,
    optimal_play,
    outcome_lower,
    silent_play,
    value_of,
)
from .._bracket import Bracket
from .._candidates import (
    LinearProgram,
    OutcomeTask,
    Solution,
    Solver,
    SolverStatus,
    pose_outcome,
    read_outcome,
    simplex,
)
from .._market import Market, market_status, one_market
from .._precision import float64_scope, in_float64
from .._stakes import Multipliers, fold_actions
from .._status import Status
from .._ties import EPSILON, Sized, doubt
from ._search import curve_task
from ._stakes import UserStakes, lay_out, where_valid, with_strict_truth


class Persuasion(Answer):
    """The most that each provider can get from each user who has no better offer than `floor`.

    `value` is per unit of the user's mass; `outcome`, the `witness`, reaches its lower end. `status` is a `Status`
    code; where the market's data are invalid, every number is NaN.
    """

    attained_by = "outcome"

    value: Bracket
    outcome: Float[Array, "provider user type evidence action"]
    status: Int[Array, "provider user"]


@checked(market=one_market)
@float64_scope
def persuasion(market: Market, floor: Any = None, *, solver: Solver = simplex) -> Persuasion:
    """Brackets `phi_ij = max {<V_ij, q> : <U_j, q> >= floor_j}` over what user j may be brought to do.

    With one type this is Bayesian persuasion (Kamenica and Gentzkow 2011) with a participation constraint; with several
    types it is the best menu of policies that she reports into.

    **Arguments:**

    - `market`: one market; use `jax.vmap` for a batch.
    - `floor`: `[user]`, the utility that she can get elsewhere; default none, where any policy will do. Read as the
      aligned utility where it is higher than that. A floor of NaN is `NOT_FINITE`.
    - `solver`: proposes candidates; the brackets are valid whatever it returns.

    **Returns:** a `Persuasion`. Where `status` is `OPEN` the bracket is valid but wider than 1e-6 of the range of the
    provider's payoffs from that user.

    Example::

        market = plx.families.gaussian(providers=2, users=2)(jax.random.key(0))
        plx.persuasion(market).value  # the most that each provider can get of each user
    """
    stakes = lay_out(market, jnp.zeros((), jnp.float64))
    floor = jnp.full(market.user_value.shape[0], -jnp.inf) if floor is None else jnp.asarray(floor, jnp.float64)
    if floor.shape != (market.user_value.shape[0],):
        raise ValueError(f"floor must be [user] = ({market.user_value.shape[0]},), got shape {floor.shape}.")
    stakes, floor = lax.stop_gradient((with_strict_truth(stakes, solver), floor))
    levels = _levels_of(stakes, floor)
    return _collect_persuasion(market, stakes, levels, jnp.isnan(floor), solver(_pose_levels(stakes, levels.level)))


class _Levels(eqx.Module):
    """Levels of users' utility, and how far they may be from what was asked for."""

    level: Float[Array, "*batch"]
    off: Float[Array, "*batch"]


@in_float64
def _levels_of(stakes: UserStakes, floor: Float[Array, " user"]) -> _Levels:
    """Reads floors: no lower than silent utility, which every policy is worth, and no higher than aligned."""

    def one(stakes: UserStakes, floor: Array) -> _Levels:
        level = stakes.units.level_of(floor)
        size = (jnp.abs(floor) + jnp.abs(stakes.units.user_baseline)) / stakes.units.user
        off = doubt(size, stakes.receiver.states) + stakes.rounding
        asked = level > stakes.silent - off
        read = jnp.where(asked, jnp.clip(level, stakes.silent, stakes.aligned), stakes.silent)
        return _Levels(read[None], jnp.where(asked & (level < jnp.inf), off, stakes.rounding)[None])

    return jax.vmap(one)(stakes, floor)


class FrontierCurve(Readable):
    """The curves behind a frontier, at some levels of each user's utility.

    At `level`, `provider_value` brackets phi_i, the most that a provider gets by an offer worth at least that much, and
    `gap` the least of the largest gain from deviating, over outcomes that are worth exactly that much; both per unit of
    the user's mass. Some delta-equilibrium gives user j this level exactly when `gap <= delta / mass[j]`, and the
    aligned level always. `status` is a `Status` code per user; where the market's data are invalid, every number is
    NaN.
    """

    level: Float[Array, "user level"]
    provider_value: Bracket
    gap: Bracket
    status: Int[Array, " user"]


def _levels(name: str, value: Any, _: dict[str, Any]) -> Any:
    """The check of shares: a row of them, from silent to aligned."""
    if not isinstance(value, Tracer):
        value = np.asarray(value, np.float64)
    if value.ndim != 1:
        raise ValueError(f"{name} must be [level], got shape {value.shape}.")
    if not isinstance(value, Tracer) and not np.all((value >= 0) & (value <= 1)):
        raise ValueError(f"{name} must be between 0 (silent) and 1 (aligned), got {value}.")
    return value


@checked(market=one_market, shares=_levels)
@float64_scope
def frontier_curve(market: Market, shares: Any, *, solver: Solver = simplex) -> FrontierCurve:
    """Computes phi_i and the gap of every user on a grid, for plots; `frontier` finds what a grid misses.

    **Arguments:**

    - `market`: one market; use `jax.vmap` for a batch.
    - `shares`: `[level]`, levels of utility as shares of the way from silent (0) to aligned (1).
    - `solver`: proposes candidates; the brackets are valid whatever it returns.

    **Returns:** a `FrontierCurve` with brackets `[provider user level]` and `[user level]`. Where `status` is `OPEN`, a
    bracket is valid but wider than 1e-6 of the largest range of a provider's payoffs.

    Example::

        market = plx.families.gaussian(providers=2, users=2)(jax.random.key(0))
        plx.frontier_curve(market, [0.0, 0.5, 1.0])  # at silent utility, half way to aligned, and there
    """
    shares = jnp.asarray(shares, jnp.float64)
    stakes = lax.stop_gradient(with_strict_truth(lay_out(market, jnp.zeros((), jnp.float64)), solver))
    levels = _shares_of(stakes, shares)
    values = solver(_pose_levels(stakes, levels.level))
    if market.num_providers > 1:
        beaten, beaten_values = levels, values
    else:
        # A single provider's deviations do not have to beat anybody.
        beaten = _shares_of(stakes, jnp.zeros_like(shares))
        beaten_values = solver(_pose_levels(stakes, beaten.level))
    best = _read_levels(stakes, beaten, beaten_values)[0]
    gaps = solver(_pose_gaps(stakes, levels.level, best))
    return _collect_curve(market, stakes, levels, values, best, gaps)


@in_float64
def _shares_of(stakes: UserStakes, shares: Float[Array, " level"]) -> _Levels:
    def one(stakes: UserStakes) -> _Levels:
        level = stakes.silent + shares * stakes.span
        return _Levels(level, jnp.broadcast_to(stakes.rounding, level.shape))

    return jax.vmap(one)(stakes)


def _below(stakes: UserStakes, level: Float[Array, ""]) -> Float[Array, ""]:
    """Keeps a level where rounding leaves room for an outcome."""
    return jnp.minimum(level, stakes.aligned - stakes.near)


@in_float64
def _pose_levels(stakes: UserStakes, level: Float[Array, "user level"]) -> LinearProgram:
    """One programme per user, level and provider."""

    def one(stakes: UserStakes, level: Array) -> LinearProgram:
        return jax.vmap(lambda v: pose_outcome(curve_task(stakes, v, _below(stakes, level))))(stakes.provider)

    return jax.vmap(jax.vmap(one, in_axes=(None, 0)))(stakes, level)


@in_float64
def _read_levels(stakes: UserStakes, levels: _Levels, solutions: Solution) -> tuple[Bracket, Array]:
    """Brackets of phi, and outcomes: [user level provider ...]."""

    def one(stakes: UserStakes, provider: Sized, levels: _Levels, solution: Solution):
        candidate = read_outcome(curve_task(stakes, provider.value, _below(stakes, levels.level)), solution)
        informed = optimal_play(stakes.receiver, provider.value)
        outcome = obeyed(stakes.receiver, candidate.outcome, stakes.strict, informed)
        outcome = _lifted(stakes, outcome, levels.level + levels.off, informed)
        prices = candidate.multipliers
        height, slope = best_response_line(stakes.receiver, provider, prices)
        most = height - slope * (levels.level - levels.off)
        return Bracket(least_value(stakes.receiver, provider, outcome), most), outcome

    def at_level(stakes: UserStakes, levels: _Levels, solutions: Solution):
        return jax.vmap(one, in_axes=(None, 0, None, 0))(stakes, stakes.providers, levels, solutions)

    return jax.vmap(jax.vmap(at_level, in_axes=(None, 0, 0)))(stakes, levels, solutions)


def _lifted(stakes: UserStakes, outcome: Array, level: Float[Array, ""], informed: Array) -> Array:
    """Mixes an outcome with full information until it is worth a level for certain; all are worth silent utility."""
    value = value_of(stakes.user, outcome)
    short = jnp.where(level > stakes.silent + 2 * stakes.rounding, level + stakes.rounding - value, 0.0)
    room = stakes.aligned - value
    share = jnp.where(short > 0, short / jnp.where(short > 0, jnp.maximum(room, short), 1.0), 0.0)
    return (1 - share) * outcome + share * informed


def _lowered(stakes: UserStakes, outcome: Array, level: Float[Array, ""]) -> Array:
    """Mixes an outcome with no information until it is worth no more than a level, up to rounding."""
    silent, value = silent_play(stakes.receiver), value_of(stakes.user, outcome)
    above, room = value - level - 4 * stakes.rounding, value - stakes.silent
    share = jnp.where(above > 0, above / jnp.where(above > 0, jnp.maximum(room, above), 1.0), 0.0)
    return obeyed(stakes.receiver, (1 - share) * outcome + share * silent, stakes.strict, stakes.informed())


# Providers whose unit is less than this share of the largest one make no difference to the largest gain.
_SMALLEST_UNIT = 2.0**-60


def _softness(stakes: UserStakes) -> Float[Array, " provider"]:
    """What a gain in the largest unit of all providers is in the unit of each."""
    return 1.0 / jnp.maximum(stakes.units.provider / stakes.units.provider.max(), _SMALLEST_UNIT)


def _gap_task(stakes: UserStakes, level: Float[Array, ""], best: Float[Array, " provider"]) -> OutcomeTask:
    """The least t with `<V_i, q> + t >= best_i` for all i, over outcomes worth exactly the level."""
    soft = jnp.concatenate([_softness(stakes), jnp.zeros(2, jnp.float64)])
    floors = jnp.concatenate([best, level[None], -level[None]])
    return OutcomeTask(
        stakes.user, stakes.probability, jnp.zeros_like(stakes.user), _gap_required(stakes).value, floors, soft=soft
    )


def _gap_required(stakes: UserStakes) -> Sized:
    user = stakes.receiver.stakes
    return Sized(
        jnp.concatenate([stakes.provider, user.value[None], -user.value[None]]),
        jnp.concatenate([stakes.providers.size, user.size[None], user.size[None]]),
    )


@in_float64
def _pose_gaps(stakes: UserStakes, level: Float[Array, "user level"], best: Bracket) -> LinearProgram:
    def one(stakes: UserStakes, level: Array, best: Array) -> LinearProgram:
        return pose_outcome(_gap_task(stakes, _below(stakes, level), best))

    return jax.vmap(jax.vmap(one, in_axes=(None, 0, 0)))(stakes, level, best.lower)


def _gap_bracket(stakes: UserStakes, levels: _Levels, best: Bracket, solution: Solution) -> Bracket:
    """Any multipliers bound the gap from below, any outcome worth the level from above; in the providers' own units."""
    level, off, softness = levels.level, levels.off, _softness(stakes)
    candidate = read_outcome(_gap_task(stakes, _below(stakes, level), best.lower), solution)
    found = candidate.multipliers
    heard = jnp.where(softness < 1 / _SMALLEST_UNIT, found.required[:-2], 0.0)
    required = jnp.concatenate([heard, found.required[-2:]])
    total = heard @ softness
    unit = lambda leaf: leaf / jnp.where(total > 0, total * (1 + 8 * EPSILON), 1.0)
    prices = Multipliers(*map(unit, (found.obedience, found.truth, found.recoding, required)))
    floors = jnp.concatenate([best.lower, (level - off)[None], -(level + off)[None]])
    nothing = Sized.of(jnp.zeros_like(stakes.user))
    least = outcome_lower(stakes.receiver, nothing, _gap_required(stakes), floors, prices)
    outcome = obeyed(stakes.receiver, candidate.outcome, stakes.strict, stakes.informed())
    outcome = _lowered(stakes, _lifted(stakes, outcome, level, stakes.informed()), level)
    most = ((best.upper - stakes.brings(outcome)) * stakes.units.provider).max()
    least = jnp.where(total > 0, jnp.maximum(least, 0.0), 0.0) * stakes.units.provider.max()
    return Bracket(least, jnp.maximum(most, 0.0))


def _status(market: Market, closed: Array, rescued: Array) -> Array:
    status = market_status(market)
    solved = jnp.where(rescued, jnp.int32(Status.RESCUED), jnp.int32(Status.OK))
    row = jnp.where(closed, solved, jnp.int32(Status.OPEN))
    return jnp.asarray(jnp.where(status < Status.NOT_FINITE, row, status))


@in_float64
def _collect_persuasion(
    market: Market, stakes: UserStakes, levels: _Levels, unknown: Array, solutions: Solution
) -> Persuasion:
    bracket, outcome = _read_levels(stakes, levels, solutions)
    rescued = (solutions.status == SolverStatus.RESCUED)[:, 0].T
    bracket = jax.tree.map(lambda end: end[:, 0].T, bracket)
    status = _status(market, bracket.is_exact(stakes.payoff_range.T), rescued)
    unheard = (status < Status.NOT_FINITE) & unknown[None]
    status = jnp.asarray(jnp.where(unheard, jnp.int32(Status.NOT_FINITE), status))
    outcome = fold_actions(jnp.moveaxis(outcome[:, 0], 1, 0), market.user_value.shape[-2])
    bracket = jax.tree.map(lambda end: end * stakes.units.provider.T + stakes.units.provider_baseline.T, bracket)
    hide = lambda leaf: jnp.where(unknown.reshape(1, -1, *(1,) * (leaf.ndim - 2)), jnp.nan, leaf)
    bracket, outcome = jax.tree.map(hide, (bracket, outcome))
    return Persuasion(where_valid(market, bracket), where_valid(market, outcome), status)


@in_float64
def _collect_curve(
    market: Market, stakes: UserStakes, levels: _Levels, values: Solution, best: Bracket, gaps: Solution
) -> FrontierCurve:
    value, _ = _read_levels(stakes, levels, values)
    gap = jax.vmap(jax.vmap(_gap_bracket, in_axes=(None, 0, 0, 0)))(stakes, levels, best, gaps)
    size = (stakes.payoff_range * stakes.units.provider).max(axis=1)
    closed = value.is_exact(stakes.payoff_range[:, None]).all(axis=(1, 2)) & gap.is_exact(size[:, None]).all(axis=1)
    rescued = (values.status == SolverStatus.RESCUED).any(axis=(1, 2)) | (gaps.status == SolverStatus.RESCUED).any(
        axis=1
    )
    status = _status(market, closed, rescued)
    own = lambda end: end * stakes.units.provider[:, None] + stakes.units.provider_baseline[:, None]
    value = jax.tree.map(lambda end: jnp.transpose(own(end), (2, 0, 1)), value)
    level = jax.vmap(lambda s, hers: s.units.own_level(hers))(stakes, levels.level)
    return FrontierCurve(where_valid(market, level), where_valid(market, value), where_valid(market, gap), status)
