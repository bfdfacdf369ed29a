"""Poses programmes over public policies that are mixtures of given signals, and reads the weights off a solution.

The programme is `max <gain, w>` over weights w >= 0 of the signals, with `<spent[m], w> <= limit[m]` and
`<needed[n], w> >= need[n]`. It is posed around w = 0, which tells the evidence always; needs that this does not meet
are met as far as possible first.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ._program import LinearProgram, Solution

# What meeting a need is worth, against gains of at most one per unit of the largest weight.
_PENALTY = 1e4
# Shares of a need's size that may be missed.
_MISS = 1e-10


class OfferTask(eqx.Module):
    """A programme over mixtures of signals; `limit` holds no negative numbers."""

    signal: Float[Array, "*batch atom evidence"]
    gain: Float[Array, "*batch atom"]
    spent: Float[Array, "*batch row atom"]
    limit: Float[Array, "*batch row"]
    needed: Float[Array, "*batch need atom"]
    need: Float[Array, "*batch need"]


class OfferCandidate(eqx.Module):
    """Weights of the signals, whether they meet the needs, and prices.

    At a solution the optimum is at most `top` for these limits and needs, and changes with them by at most the prices:
    `top + <spent, more limit> - <needed, more need>` bounds it everywhere.
    """

    weight: Float[Array, "*batch atom"]
    met: Bool[Array, "*batch"]
    top: Float[Array, "*batch"]
    spent: Float[Array, "*batch row"]
    needed: Float[Array, "*batch need"]


def _unit(rows: Array) -> Array:
    largest = jnp.abs(rows).max(axis=-1, initial=0.0)
    return jnp.where(largest > 0, largest, 1.0)


def pose_offer(task: OfferTask) -> LinearProgram:
    """Columns: weights, then how far each need is met. Rows: evidences, limits, needs, and that none is met twice."""
    evidences, needs = task.signal.shape[1], task.need.shape[0]
    spent_unit, need_unit = _unit(task.spent), _unit(task.needed)
    largest = jnp.abs(task.gain).max(initial=0.0)
    met = jnp.eye(needs, dtype=jnp.float64)
    blank = lambda rows, columns: jnp.zeros((rows, columns), jnp.float64)
    need = task.need / need_unit
    matrix = jnp.concatenate(
        [
            jnp.concatenate([task.signal.T, blank(evidences, needs)], axis=1),
            jnp.concatenate([task.spent / spent_unit[:, None], blank(task.limit.shape[0], needs)], axis=1),
            jnp.concatenate([-task.needed / need_unit[:, None], met], axis=1),
            jnp.concatenate([blank(needs, task.gain.shape[0]), met], axis=1),
        ]
    )
    limit = [
        jnp.ones(evidences, jnp.float64),
        jnp.maximum(task.limit / spent_unit, 0.0),
        jnp.maximum(-need, 0.0),
        jnp.maximum(need, 0.0),
    ]
    gain = task.gain / jnp.where(largest > 0, largest, 1.0)
    return LinearProgram(
        matrix, jnp.concatenate(limit), jnp.concatenate([gain, jnp.full(needs, _PENALTY, jnp.float64)])
    )


def read_offer(task: OfferTask, solution: Solution) -> OfferCandidate:
    """Reads the candidate off a solution of `pose_offer` (whether or not the solver claims success)."""
    solution = solution.finite()
    evidences, rows, needs = task.signal.shape[1], task.limit.shape[0], task.need.shape[0]
    weight = solution.primal[: task.gain.shape[0]]
    short = task.need - task.needed @ weight
    largest = jnp.abs(task.gain).max(initial=0.0)
    price = solution.dual * jnp.where(largest > 0, largest, 1.0)
    spent = price[evidences : evidences + rows] / _unit(task.spent)
    needed = price[evidences + rows : evidences + rows + needs] / _unit(task.needed)
    return OfferCandidate(
        weight=weight,
        met=(short <= _MISS * _unit(task.needed)).all(),
        top=price[:evidences].sum() + spent @ jnp.maximum(task.limit, 0.0) - needed @ task.need,
        spent=spent,
        needed=needed,
    )
