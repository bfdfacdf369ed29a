"""Derivatives of certified optima: the worst personalized equilibrium's by duality, and one-sided ones at kinks.

`weak_alignment`, `segment_alignment`, `strong_alignment` and `guarantee` carry the derivatives of their optimum
already: those of the Lagrangian at the certified candidates (envelope theorem). This module adds the frontier's.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from .._answer import Readable
from .._arguments import checked
from .._bounds import value_of
from .._bracket import Bracket
from .._candidates import OutcomeTask, pose_outcome, read_outcome, simplex
from .._frontier import frontier
from .._frontier._stakes import UserStakes, lay_out, where_valid
from .._market import Market, one_market, slack
from .._on_scale import UtilityAnswer
from .._precision import float64_scope, in_float64
from .._stakes import Multipliers

# Shares of the span: how far the linearised programme may miss the certified value before it counts as a kink, and how
# close to aligned utility the worst equilibrium counts as the aligned one.
_MISSED = 1e-6
_ALIGNED = 1e-7


class WorstValue(UtilityAnswer):
    """What the worst personalized equilibrium gives each user, with derivatives.

    `value` is the certified bracket of `frontier`; both ends carry the derivative of the optimum. Where `kink` is set,
    the optimum has no two-sided derivative there (or the duals found do not reproduce it): then the derivative is that
    of one piece and must not be trusted. `status` is that of `frontier`.
    """

    value: Bracket
    kink: Bool[Array, " user"]
    status: Int[Array, " user"]


@checked(market=one_market, delta=slack)
@float64_scope
def worst_value(market: Market, delta: Any = 0.0) -> WorstValue:
    """Brackets each user's worst personalized equilibrium as `frontier` does, and differentiates it.

    At the worst value r*, replace each curve `phi_i` by its tangent `h_i - s_i r`. Then r* is the value of the linear
    programme `min <U, q>` subject to `<V_i + s_i U, q> >= h_i - delta / mass`, whose multipliers w, with those of
    obedience and of the programmes of the tangents, make a Lagrangian in the market's arrays alone. Its partial
    derivatives are those of r*, by the implicit function theorem on `r = G(r)` with `G` the programme at fixed floors.

    **Arguments:**

    - `market`: one market; use `jax.vmap` for a batch.
    - `delta`: as for `frontier`.

    **Returns:** a `WorstValue`; where the market's data are invalid, every number is NaN.

    Example::

        market = plx.families.gaussian(providers=2, users=2)(jax.random.key(0))
        plx.tuning.worst_value(market).value  # its derivatives are those of the worst equilibrium
    """
    found = frontier(lax.stop_gradient(market), delta)
    value, kink = _lagrangian(market, jnp.asarray(delta, jnp.float64), lax.stop_gradient(found.value.upper))
    return WorstValue(found.value.with_derivative_of(value), kink, found.status)


@in_float64
def _lagrangian(market: Market, delta: Array, level: Array) -> tuple[Array, Array]:
    stakes = lay_out(market, delta)
    value, missed = jax.vmap(_one_user)(stakes, jax.vmap(lambda s, own: s.units.level_of(own))(stakes, level))
    return where_valid(market, jax.vmap(lambda s, found: s.units.own_level(found))(stakes, value)), missed


def _one_user(stakes: UserStakes, level: Array) -> tuple[Array, Array]:
    fixed = lax.stop_gradient(stakes)
    aligned_task = lambda provider: OutcomeTask(
        fixed.user, fixed.probability, -provider, fixed.user[None], jnp.where(fixed.alone, fixed.silent, level)[None]
    )
    tangents = simplex(jax.vmap(lambda provider: pose_outcome(aligned_task(provider)))(fixed.provider))
    read = jax.vmap(lambda provider, found: read_outcome(aligned_task(provider), found))(fixed.provider, tangents)
    read = lax.stop_gradient(read)
    slope = read.multipliers.required[:, 0]

    def height(user: Array, provider: Array, candidate: Any) -> Array:
        prices = candidate.multipliers
        return -(_priced(user, -provider, user[None], candidate.outcome, prices))

    heights = jax.vmap(height, in_axes=(None, 0, 0))(stakes.user, stakes.provider, read)
    silent = jnp.where(fixed.alone, stakes.silent, 0.0)
    # One provider alone has to get what silence would let it reach, whatever this gives the user.
    floors = jnp.where(fixed.alone, heights - slope * silent, heights) - stakes.slack
    slope = jnp.where(fixed.alone, 0.0, slope)
    required = stakes.provider + slope[:, None, None, None] * stakes.user[None]
    task = OutcomeTask(
        fixed.user, fixed.probability, fixed.user, lax.stop_gradient(required), lax.stop_gradient(floors)
    )
    posed = jax.tree.map(lambda leaf: leaf[None], pose_outcome(task))
    solution = jax.tree.map(lambda leaf: leaf[0], simplex(posed))
    least = lax.stop_gradient(read_outcome(task, solution))
    prices = least.multipliers
    value = prices.required @ floors + _priced(stakes.user, stakes.user, required, least.outcome, prices)
    top = ~fixed.alone & (level >= fixed.aligned - _ALIGNED * fixed.span)
    missed = (jnp.abs(value - level) > _MISSED * fixed.span) & ~top
    return jnp.where(top, stakes.aligned, value), lax.stop_gradient(missed)


def _priced(user: Array, target: Array, required: Array, outcome: Array, prices: Multipliers) -> Array:
    """The Lagrangian `<target - prices' rows, q>` at fixed prices and outcome: bilinear in the stakes."""
    swap = prices.obedience * (1.0 - np.eye(user.shape[-1]))[None]
    obeyed = user * swap.sum(axis=-1)[:, None, :] - jnp.einsum("tab,txb->txa", swap, user)
    score = target - jnp.einsum("m,mtxa->txa", prices.required, required) - obeyed
    if user.shape[0] > 1:
        lies = 1.0 - np.eye(user.shape[0])
        recoding = prices.recoding * lies[:, :, None, None] * (1.0 - np.eye(user.shape[-1]))
        truth = prices.truth * lies
        kept = truth[:, :, None] - recoding.sum(axis=-1)
        mapped = recoding + kept[..., None] * np.eye(user.shape[-1])
        score = score - truth.sum(axis=1)[:, None, None] * user + jnp.einsum("tsab,txb->sxa", mapped, user)
    return value_of(score, outcome)


class Slopes(Readable):
    """One-sided derivatives of a question along a direction, per unit of it.

    `ahead` is the right derivative and `behind` the left one; `kink` says where they differ.
    """

    ahead: Float[Array, "..."]
    behind: Float[Array, "..."]
    kink: Bool[Array, "..."]


@checked(market=one_market, direction=one_market)
@float64_scope
def one_sided_slopes(
    question: Callable[[Market], Array], market: Market, direction: Market, step: float = 1e-6
) -> Slopes:
    """Computes both one-sided derivatives of a piecewise smooth quantity, and flags kinks.

    Alignment errors, guarantees and frontier values are smooth on pieces. The derivatives a small `step` to either
    side of the market are those of the pieces that meet there, up to the curvature of the pieces times the step.

    **Arguments:**

    - `question`: market to an array, differentiable (`lambda m: plx.weak_alignment(m).value.upper`).
    - `market`, `direction`: where, and along what; leaves of the same shapes.
    - `step`: how far to either side, in units of the direction; > 0.

    **Returns:** `Slopes`; `kink` where the two differ by more than 1e-4 of their size plus 1e-7.

    Example::

        market = plx.families.gaussian(providers=2, users=2)(jax.random.key(0))
        question = lambda market: plx.weak_alignment(market).upper[0]
        plx.tuning.one_sided_slopes(question, market, market)
    """
    if not step > 0:
        raise ValueError(f"step must be > 0, got {step}.")
    moved = lambda length: jax.tree.map(lambda leaf, by: leaf + length * by, market, direction)
    slope = lambda length: jax.jvp(question, (moved(length),), (direction,))[1]
    ahead, behind = slope(step), slope(-step)
    size = jnp.maximum(jnp.abs(ahead), jnp.abs(behind))
    return Slopes(ahead, behind, jnp.abs(ahead - behind) > 1e-4 * size + 1e-7)
