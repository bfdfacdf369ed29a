"""Evaluates the bounds of each segment at the candidates, and puts each user's numbers in her place."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from .._bounds import Fit, fit_error, fit_lower, fit_offset, fit_value_at, payoff_range
from .._bracket import Bracket
from .._candidates import FitCandidate, answered
from .._market import Market, market_status, with_zeros_if_invalid
from .._precision import in_float64
from .._segments import Block, Labels, blocks
from .._status import Status
from ._answer import Alignment
from ._units import Units, in_units, units_of


@in_float64
def collect(
    market: Market, labels: Labels, fits: list[Fit], found: list, hull: bool, free: bool, offset: str
) -> Alignment:
    """Evaluates the bounds at the candidates, and puts each user's numbers in her place."""
    status = market_status(market)
    valid = status < Status.NOT_FINITE
    users, _, states = market.user_value.shape
    providers = market.provider_value.shape[0]
    empty = lambda *shape: jnp.full((users, *shape), jnp.nan, jnp.float64)
    result = Alignment(
        value=Bracket(empty(), empty()),
        user_error=empty(),
        weights=empty(providers),
        scale=empty(),
        offset=empty(states),
        direction=empty(*fits[0].user.shape[2:]),
        status=jnp.zeros(users, jnp.int32),
    )
    for block, fit, (candidate, outcome) in zip(blocks(labels), fits, found, strict=True):
        user, provider = in_units(with_zeros_if_invalid(market, status), block, hull)
        first = user[:, :, 0], provider[:, :, :, 0]
        evaluate = lambda *args: _evaluate(*args, hull=hull, free=free, offset=offset)
        block_result = jax.vmap(evaluate)(fit, lax.stop_gradient(candidate), outcome, *first)
        result = _scatter(result, block, _in_own_units(block_result, units_of(market, block, hull)))
    masked = jax.tree.map(lambda leaf: jnp.where(valid, leaf, jnp.nan), eqx.filter(result, eqx.is_inexact_array))
    return eqx.tree_at(lambda r: r.status, eqx.combine(masked, result), jnp.where(valid, result.status, status))


def _in_own_units(found: Alignment, unit: Units) -> Alignment:
    """Takes the results of a block back to the units of its users and providers."""

    def one(found: Alignment, user: Array, weight: Array) -> Alignment:
        utility = lambda leaf: leaf * user
        return Alignment(
            value=jax.tree.map(utility, found.value),
            user_error=utility(found.user_error),
            weights=found.weights * weight[None],
            scale=found.scale,
            offset=utility(found.offset),
            direction=found.direction,
            status=found.status,
        )

    return jax.vmap(one)(found, unit.user, unit.weight)


def _evaluate(fit: Fit, candidate: FitCandidate, outcome, user_first, provider_first, *, hull, free, offset):
    """Evaluates one segment; every leaf of the result has a leading member axis."""
    members = fit.user.shape[0]
    errors = fit_error(fit, candidate.weights, candidate.scale)
    lower = fit_lower(fit, candidate.direction, hull, free)
    bracket = Bracket(lower, (errors / candidate.scale).max())
    bracket = bracket.with_derivative_of(fit_value_at(fit, candidate.weights, candidate.scale, candidate.direction))
    # Hull weights leave providers' payoffs in the residual even where the user's own are constant.
    size = payoff_range(fit.user).max()
    size = jnp.maximum(size, payoff_range(fit.provider).max()) if hull else size
    closed = bracket.is_exact(size)
    base = candidate.scale[:, None] * user_first - jnp.einsum("i,imy->my", candidate.weights, provider_first)
    base = base if offset == "state" else base[:, :1]
    shift = fit_offset(fit, candidate.weights, candidate.scale) + base
    status = jnp.asarray(jnp.where(closed, answered(outcome), jnp.int32(Status.OPEN)))
    return Alignment(
        value=jax.tree.map(lambda end: jnp.broadcast_to(end, members), bracket),
        user_error=errors,
        weights=jnp.broadcast_to(candidate.weights, (members, candidate.weights.shape[0])),
        scale=candidate.scale,
        offset=jnp.broadcast_to(shift, user_first.shape),
        direction=candidate.direction,
        status=jnp.broadcast_to(status, members),
    )


def _scatter(result: Alignment, block: Block, values: Alignment) -> Alignment:
    return jax.tree.map(lambda old, new: old.at[block.users].set(new[block.row, block.place]), result, values)
