"""What providers can get at given levels of a user's utility: persuasion, and the curves behind the frontier."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jaxtyping import Array, Float, Int

from .._arguments import checked
from .._bounds import Prices, best_response_line, compatible, optimal_play, outcome_lower, value_of, worth
from .._bracket import Bracket
from .._candidates import LinearProgram, Outcome, OutcomeTask, Solution, Solver, pose_outcome, read_outcome, solve
from .._market import Market, market_status, one_market
from .._precision import float64_scope, in_float64
from .._status import Status
from ._search import curve_task
from ._stakes import UserStakes, fold_actions, lay_out, where_valid


class Persuasion(eqx.Module):
    """The most that each provider can get from each user who has no better offer than `floor`.

    `value` is per unit of the user's mass; `outcome` reaches its lower end. `status` is a `Status` code; where the
    market's data are invalid, every number is NaN.
    """

    value: Bracket
    outcome: Float[Array, "provider user type evidence action"]
    status: Int[Array, "provider user"]


@checked(market=one_market)
@float64_scope
def persuasion(market: Market, floor: Any = None, *, solver: Solver = solve) -> Persuasion:
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
    """
    stakes = lay_out(market, jnp.zeros((), jnp.float64))
    floor = jnp.full(market.user_value.shape[0], -jnp.inf) if floor is None else jnp.asarray(floor, jnp.float64)
    if floor.shape != (market.user_value.shape[0],):
        raise ValueError(f"floor must be [user] = ({market.user_value.shape[0]},), got shape {floor.shape}.")
    stakes, floor = lax.stop_gradient((stakes, floor))
    level = _levels_of(stakes, floor)[:, None]
    return _collect_persuasion(market, stakes, level, jnp.isnan(floor), solver(_pose_levels(stakes, level)))


@in_float64
def _levels_of(stakes: UserStakes, floor: Float[Array, " user"]) -> Float[Array, " user"]:
    """Reads floors: no lower than silent utility, which every policy is worth, and no higher than aligned."""
    silent, aligned = jax.vmap(lambda s: (s.silent, s.aligned))(stakes)
    return jnp.asarray(jnp.where(jnp.isnan(floor), silent, jnp.minimum(jnp.maximum(floor, silent), aligned)))


class FrontierCurve(eqx.Module):
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
def frontier_curve(market: Market, shares: Any, *, solver: Solver = solve) -> FrontierCurve:
    """Computes phi_i and the gap of every user on a grid, for plots; `frontier` finds what a grid misses.

    **Arguments:**

    - `market`: one market; use `jax.vmap` for a batch.
    - `shares`: `[level]`, levels of utility as shares of the way from silent (0) to aligned (1).
    - `solver`: proposes candidates; the brackets are valid whatever it returns.

    **Returns:** a `FrontierCurve` with brackets `[provider user level]` and `[user level]`. Where `status` is `OPEN`, a
    bracket is valid but wider than 1e-6 of the largest range of a provider's payoffs.
    """
    shares = jnp.asarray(shares, jnp.float64)
    stakes = lax.stop_gradient(lay_out(market, jnp.zeros((), jnp.float64)))
    level = jax.vmap(lambda s: s.silent + shares * s.span)(stakes)
    # A single provider's deviations do not have to beat anybody.
    beaten = level if market.num_providers > 1 else jnp.broadcast_to(level[:, :1] * 0 + _silent(stakes), level.shape)
    values = solver(_pose_levels(stakes, level))
    beaten_values = values if market.num_providers > 1 else solver(_pose_levels(stakes, beaten))
    beaten_bracket = _read_levels(stakes, beaten, beaten_values)[0]
    gaps = solver(_pose_gaps(stakes, level, beaten_bracket))
    return _collect_curve(market, stakes, level, values, beaten_bracket, gaps)


def _silent(stakes: UserStakes) -> Float[Array, "user 1"]:
    return jax.vmap(lambda s: s.silent)(stakes)[:, None]


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
def _read_levels(stakes: UserStakes, level: Float[Array, "user level"], solutions: Solution) -> tuple[Bracket, Array]:
    """Brackets of phi, and outcomes: [user level provider ...]."""

    def one(stakes: UserStakes, provider: Array, level: Array, solution: Solution):
        candidate = read_outcome(curve_task(stakes, provider, _below(stakes, level)), solution)
        informed = optimal_play(stakes.user, provider)
        outcome = compatible(stakes.user, candidate.outcome, jnp.minimum(level, stakes.aligned), informed)
        prices = Prices(candidate.obedience, candidate.truth, candidate.recoding, candidate.required)
        height, slope = best_response_line(stakes.user, provider, prices)
        return Bracket(value_of(provider, outcome), height - slope * level), outcome

    def at_level(stakes: UserStakes, level: Array, solutions: Solution):
        return jax.vmap(one, in_axes=(None, 0, None, 0))(stakes, stakes.provider, level, solutions)

    return jax.vmap(jax.vmap(at_level, in_axes=(None, 0, 0)))(stakes, level, solutions)


def _gap_task(stakes: UserStakes, level: Float[Array, ""], best: Float[Array, " provider"]) -> OutcomeTask:
    """The least t with `<V_i, q> + t >= best_i` for all i, over outcomes worth exactly the level."""
    providers = stakes.num_providers
    required = jnp.concatenate([stakes.provider, stakes.user[None], -stakes.user[None]])
    soft = jnp.concatenate([jnp.ones(providers, jnp.float64), jnp.zeros(2, jnp.float64)])
    floors = jnp.concatenate([best, level[None], -level[None]])
    nothing = jnp.zeros_like(stakes.user)
    return OutcomeTask(stakes.user, stakes.probability, nothing, required, floors, soft=soft)


@in_float64
def _pose_gaps(stakes: UserStakes, level: Float[Array, "user level"], best: Bracket) -> LinearProgram:
    def one(stakes: UserStakes, level: Array, best: Array) -> LinearProgram:
        return pose_outcome(_gap_task(stakes, _below(stakes, level), best))

    return jax.vmap(jax.vmap(one, in_axes=(None, 0, 0)))(stakes, level, best.lower)


def _gap_bracket(stakes: UserStakes, level: Array, lower: Array, upper: Array, solution: Solution) -> Bracket:
    """Any multipliers bound the gap from below, any outcome worth the level from above."""
    candidate = read_outcome(_gap_task(stakes, _below(stakes, level), lower), solution)
    task = _gap_task(stakes, level, lower)
    total = candidate.required[: stakes.num_providers].sum()
    unit = lambda leaf: leaf / jnp.where(total > 0, total, 1.0)
    prices = Prices(*map(unit, (candidate.obedience, candidate.truth, candidate.recoding, candidate.required)))
    least = outcome_lower(stakes.user, task.target, task.required, task.floors, prices)
    outcome = compatible(stakes.user, candidate.outcome, jnp.minimum(level, stakes.aligned), stakes.informed())
    outcome = worth(stakes.user, outcome, level)
    most = (upper - value_of(stakes.provider, outcome)).max()
    return Bracket(jnp.maximum(jnp.where(total > 0, least, 0.0), 0.0), jnp.maximum(most, 0.0))


def _status(market: Market, closed: Array, rescued: Array) -> Array:
    status = market_status(market)
    solved = jnp.where(rescued, jnp.int32(Status.RESCUED), jnp.int32(Status.OK))
    row = jnp.where(closed, solved, jnp.int32(Status.OPEN))
    return jnp.asarray(jnp.where(status < Status.NOT_FINITE, row, status))


@in_float64
def _collect_persuasion(
    market: Market, stakes: UserStakes, level: Array, unknown: Array, solutions: Solution
) -> Persuasion:
    bracket, outcome = _read_levels(stakes, level, solutions)
    rescued = (solutions.outcome == Outcome.RESCUED)[:, 0].T
    bracket = jax.tree.map(lambda end: end[:, 0].T, bracket)
    status = _status(market, bracket.is_exact(stakes.payoff_range.T), rescued)
    unheard = (status < Status.NOT_FINITE) & unknown[None]
    status = jnp.asarray(jnp.where(unheard, jnp.int32(Status.NOT_FINITE), status))
    outcome = fold_actions(jnp.moveaxis(outcome[:, 0], 1, 0), market.user_value.shape[-2])
    hide = lambda leaf: jnp.where(unknown.reshape(1, -1, *(1,) * (leaf.ndim - 2)), jnp.nan, leaf)
    bracket, outcome = jax.tree.map(hide, (bracket, outcome))
    return Persuasion(where_valid(market, bracket), where_valid(market, outcome), status)


@in_float64
def _collect_curve(
    market: Market, stakes: UserStakes, level: Array, values: Solution, beaten: Bracket, gaps: Solution
) -> FrontierCurve:
    value, _ = _read_levels(stakes, level, values)
    by_level = jax.vmap(_gap_bracket, in_axes=(None, 0, 0, 0, 0))
    gap = jax.vmap(by_level)(stakes, level, beaten.lower, beaten.upper, gaps)
    size = stakes.payoff_range.max(axis=1)
    closed = value.is_exact(size[:, None, None]).all(axis=(1, 2)) & gap.is_exact(size[:, None]).all(axis=1)
    rescued = (values.outcome == Outcome.RESCUED).any(axis=(1, 2)) | (gaps.outcome == Outcome.RESCUED).any(axis=1)
    status = _status(market, closed, rescued)
    value = jax.tree.map(lambda end: jnp.transpose(end, (2, 0, 1)), value)
    return FrontierCurve(where_valid(market, level), where_valid(market, value), where_valid(market, gap), status)
