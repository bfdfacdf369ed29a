"""Coverage: whether providers together lose from every deviation that a user loses from."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int

from ._answer import Answer
from ._arguments import checked, described
from ._bounds import Stand, coverage_cap, coverage_lower, coverage_upper
from ._bracket import Bracket
from ._candidates import LinearProgram, Solution, Solver, answered, pose_guarantee, read_guarantee, simplex
from ._market import Market, action_range, market_status, one_market
from ._precision import float64_scope, in_float64
from ._stakes import SegmentStakes, View, view
from ._status import Status


class Coverage(Answer):
    """How far each user is from being covered.

    `value` brackets the least violation, in expected utility: 0 where she is covered. `weights` reach its upper end,
    and `deviation` its lower one: the probability with which she leaves the baseline for each action. `status` is a
    `Status` code per user; where the market's data are invalid, every number is NaN.
    """

    attained_by = "weights"
    proved_by = "deviation"

    value: Bracket
    weights: Float[Array, "*user provider"]
    deviation: Float[Array, "*user type evidence action"]
    status: Int[Array, "*user"]


def known_baseline(name: str, value: Any, arguments: dict[str, Any]) -> Any:
    """The check of a baseline: nothing, or an action per user, type and evidence."""
    if value is None:
        return None
    market: Market = arguments["market"]
    wanted, actions = market.prior.shape[:3], market.user_value.shape[1]
    shape = np.shape(value)
    dtype = getattr(value, "dtype", None) or np.asarray(value).dtype
    if shape != wanted or not np.issubdtype(dtype, np.integer):
        raise ValueError(
            f"{name} must hold an action per [user,type,evidence], shape {wanted}, got {described(value)}."
        )
    if not isinstance(value, Tracer):
        value = np.asarray(value, np.int32)
        if ((value < 0) | (value >= actions)).any():
            raise ValueError(f"{name} must hold actions from 0 to {actions - 1}, got {value.min()} to {value.max()}.")
    return value


@checked(market=one_market, baseline=known_baseline)
@float64_scope
def coverage(market: Market, baseline: Any = None, *, solver: Solver = simplex) -> Coverage:
    """Measures how far each user is from being covered by non-negative weights on providers.

    She is covered when `U(base) - U(q) <= sum_i w_i (V_i(base) - V_i(q))` for some w >= 0 and every outcome q: the
    one-sided condition of "Delegating Authorization to Misaligned Agents" (Collina, Goel, Roth, Sengupta). The error is
    `min_w max_q` of the difference of the two sides. With aligned play as the baseline it is `aligned - guarantee`
    where policies are personalized and delta is 0 (docs/mathematics.md, section 13).

    **Arguments:**

    - `market`: one market; use `jax.vmap` for a batch.
    - `baseline`: the action that deviations start from, `[user type evidence]`. Default: aligned play; among several
      optimal actions each provider counts from the one that is worst for it.
    - `solver`: proposes candidates; the bracket is valid whatever it returns.

    **Returns:** a `Coverage`. Where `status` is `OPEN` the bracket is valid but wider than 1e-6 of the payoff range;
    it is `IN_DOUBT` where that may be because optimal actions differ by less than sums are exact to. Weights count up
    to 1e6 times the ratio of the payoffs' ranges, as in alignment errors.

    Example::

        market = plx.families.gaussian(providers=5)(jax.random.key(0))
        covered = plx.robust.coverage(market).value.upper <= 1e-8
    """
    program = _pose(market, baseline)
    return _collect(market, baseline, solver(program))


class _Base(eqx.Module):
    """The baseline, as an action in each situation, and the actions that providers may count from."""

    action: Int[Array, "*user situation"]
    least: Bool[Array, "*user situation action"]
    is_exact: Bool[Array, "*user situation"]


def _base_of(seen: View, user: Array, baseline: Any) -> _Base:
    actions = jnp.arange(user.shape[-1], dtype=jnp.int32)[None, None]
    if baseline is None:
        best = user == user.max(axis=-1, keepdims=True)
        action = jnp.where(best, actions, actions.max()).min(axis=-1)
        optimal = seen.optimal()
        return _Base(action, optimal.action, optimal.is_exact)
    action = jnp.asarray(baseline, jnp.int32).reshape(user.shape[:2])
    chosen = actions == action[..., None]
    return _Base(action, chosen, jnp.ones(action.shape, bool))


def _flat(values: Array, axis: int) -> Array:
    return values.reshape(*values.shape[:axis], -1, values.shape[-1])


def _stand(seen: View, baseline: Any) -> tuple[Stand, _Base]:
    """Lays out every user's losses, in the units of `counted`; one row per user."""
    market = seen.market
    by_user = lambda leaf: jnp.swapaxes(_flat(leaf, 2), 0, 1)
    user, user_size = _flat(seen.user.value, 1), _flat(seen.user.size, 1)
    provider, provider_size = by_user(seen.provider.value), by_user(seen.provider.size)
    base = _base_of(seen, user, baseline)
    at = lambda values: jnp.take_along_axis(values, base.action[..., None], axis=-1)
    least = jnp.where(base.least[:, None], provider, jnp.inf).min(axis=-1, keepdims=True)
    most = jnp.where(base.least[:, None], provider, -jnp.inf).max(axis=-1, keepdims=True)
    most = jnp.where(base.is_exact[:, None, :, None], least, most)
    base_size = jnp.where(base.least[:, None], provider_size, 0.0).max(axis=-1, keepdims=True)
    stays = jnp.arange(user.shape[-1], dtype=jnp.int32)[None, None] == base.action[..., None]
    reach = lambda value: action_range(value).max(axis=-1)
    cap = jax.vmap(coverage_cap)(reach(market.user_value), reach(market.provider_value).T)
    stand = Stand(
        user_loss=at(user) - user,
        provider_loss=least - provider,
        provider_most=most - provider,
        user_size=jnp.where(stays, 0.0, user_size + at(user_size)),
        provider_size=provider_size + base_size,
        cap=cap,
        terms=market.prior.shape[-1] + provider.shape[1] + user.shape[-2],
    )
    return stand, base


def _probability(market: Market) -> Array:
    return market.prior.sum(axis=-1).reshape(market.prior.shape[0], -1)


def _only_member() -> Array:
    """The target of a segment of one."""
    return jnp.ones(1, jnp.float64)


def _alone(stand: Stand, probability: Array) -> SegmentStakes:
    """One user's payoffs, counted from the baseline's, as the stakes of a segment."""
    return SegmentStakes.of_one(-stand.user_loss, -stand.provider_loss, probability)


@in_float64
def _pose(market: Market, baseline: Any) -> LinearProgram:
    seen = view(market)
    stand, base = _stand(seen, baseline)

    def one(stand: Stand, action: Array, probability: Array) -> LinearProgram:
        # What providers have at the baseline above what they count from.
        taken = jnp.take_along_axis(stand.provider_loss, action[None, :, None], axis=-1)[..., 0]
        spare = jnp.maximum(-taken.sum(axis=-1), 0.0)
        return pose_guarantee(_alone(stand, probability), action[None], spare, jnp.zeros_like(spare), _only_member())

    return jax.vmap(one)(stand, base.action, _probability(seen.market))


@in_float64
def _collect(market: Market, baseline: Any, solutions: Solution) -> Coverage:
    status, seen = market_status(market), view(market)
    found = seen.counted
    stand, base = _stand(seen, baseline)
    shape = (*market.prior.shape[1:3], market.user_value.shape[1])

    def one(stand: Stand, base: _Base, probability: Array, scale: Array, solution: Solution) -> Coverage:
        action = base.action
        read = read_guarantee(_alone(stand, probability), action[None], _only_member(), solution)
        weights = jnp.where(jnp.isfinite(read.multipliers), jnp.maximum(read.multipliers, 0.0), 0.0)
        weights = jnp.minimum(weights, stand.cap)
        ends = Bracket(coverage_lower(stand, read.outcome[0]), coverage_upper(stand, weights))
        none = coverage_upper(stand, jnp.zeros_like(weights))
        weights = jnp.where(none < ends.upper, 0.0, weights)
        ends = Bracket(ends.lower, jnp.minimum(ends.upper, none))
        left = jnp.where(jnp.arange(shape[-1], dtype=jnp.int32)[None] == action[:, None], 0.0, read.outcome[0])
        closed = ends.is_exact(scale)
        # Where it is in doubt which actions are optimal, so is what providers count from.
        wide = jnp.where(base.is_exact.all(), jnp.int32(Status.OPEN), jnp.int32(Status.IN_DOUBT))
        return Coverage(
            ends, weights, left.reshape(shape), jnp.asarray(jnp.where(closed, answered(solution.status), wide))
        )

    scale = action_range(found.market.user_value).max(axis=-1)
    solutions = lax.stop_gradient(solutions)
    result = jax.vmap(one)(stand, base, _probability(found.market), scale, solutions)
    unit, valid = found.user_unit, status < Status.NOT_FINITE
    result = Coverage(
        jax.tree.map(lambda end: end * unit, result.value),
        result.weights * unit[:, None] / found.provider_unit[None],
        result.deviation,
        jnp.where(valid, result.status, status),
    )
    hide = lambda leaf: jnp.asarray(jnp.where(valid, leaf, jnp.nan))
    return Coverage(
        jax.tree.map(hide, result.value), hide(result.weights), hide(result.deviation), jnp.asarray(result.status)
    )
