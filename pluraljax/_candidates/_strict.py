"""Finds, for each action of a user, evidence after which she prefers it to every other one as clearly as possible."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from ._lanes import in_lanes

# Payoffs of games are between -1 and 1, and count from here, so that all are positive.
_SHIFT = 2.0
_OPTIMAL = 1e-12


def strict_recommendations(lead: Float[Array, "type evidence action action"]) -> Float[Array, "type evidence action"]:
    """How often to recommend each action after each evidence, so that the least of what obeying brings is largest.

    For each action this is a game: one player picks the evidence, the other the action that is compared with it. What
    matters of `lead` is its sign and its size relative to that of other evidence. Columns add up to 1 over the number
    of actions, so that all actions can be recommended together.
    """
    actions = lead.shape[-1]
    games = jnp.moveaxis(lead, 2, 1)
    size = jnp.abs(games).max(axis=-2, keepdims=True)
    # An action that is no different from the one recommended is no temptation.
    games = jnp.where(size > 0, games / jnp.where(size > 0, size, 1.0), 1.0)
    return jnp.moveaxis(_strategies(games), 1, 2) / actions


def _strategies(games: Float[Array, "type action evidence instead"]) -> Float[Array, "type action evidence"]:
    return _in_lanes(games.reshape(-1, *games.shape[2:])).reshape(games.shape[:-1])


class _Tableau(NamedTuple):
    """The other player's programme as a condensed tableau: labels below the number of columns are its variables."""

    entries: Float[Array, "row column"]
    rows: Int[Array, " row"]
    columns: Int[Array, " column"]
    turn: Int[Array, ""]


def maximin(payoff: Float[Array, "row column"]) -> Float[Array, " row"]:
    """Finds a mixed strategy of the row player whose least payoff over the columns is largest.

    For payoffs between -1 and 1. A candidate like all others: it is not said whether the simplex method ended.
    """
    rows, columns = payoff.shape
    body = jnp.concatenate([payoff + _SHIFT, jnp.ones((rows, 1), jnp.float64)], axis=1)
    goal = jnp.concatenate([-jnp.ones(columns, jnp.float64), jnp.zeros(1, jnp.float64)])
    start = _Tableau(
        jnp.concatenate([body, goal[None]]),
        jnp.arange(rows, dtype=jnp.int32) + jnp.int32(columns),
        jnp.arange(columns, dtype=jnp.int32),
        jnp.int32(0),
    )
    most = 4 * (rows + columns)
    unfinished = lambda tableau: (tableau.entries[-1, :-1].min() < -_OPTIMAL) & (tableau.turn < most)
    found = lax.while_loop(unfinished, _pivot, start)
    evidence = jnp.arange(rows, dtype=jnp.int32) + jnp.int32(columns)
    weight = jnp.where(evidence[:, None] == found.columns[None], found.entries[-1, :-1], 0.0).sum(axis=-1)
    weight = jnp.maximum(weight, 0.0)
    return weight / jnp.maximum(weight.sum(), jnp.finfo(jnp.float64).tiny)


def _pivot(tableau: _Tableau) -> _Tableau:
    entries = tableau.entries
    enter = _first(entries[-1, :-1] == entries[-1, :-1].min())
    column = entries @ jnp.concatenate([enter, jnp.zeros(1, jnp.float64)])
    usable = column[:-1] > _OPTIMAL
    ratio = jnp.where(usable, entries[:-1, -1] / jnp.where(usable, column[:-1], 1.0), jnp.inf)
    leave = _first(ratio == ratio.min())
    row = leave @ entries[:-1]
    pivot = jnp.where(leave > 0, column[:-1], 0.0).sum()
    at = jnp.concatenate([leave, jnp.zeros(1, jnp.float64)])[:, None], jnp.concatenate([enter, jnp.zeros(1)])[None]
    moved = entries - column[:, None] * row[None] / pivot
    moved = jnp.where(at[0] > 0, row[None] / pivot, jnp.where(at[1] > 0, -column[:, None] / pivot, moved))
    moved = jnp.where((at[0] > 0) & (at[1] > 0), 1.0 / pivot, moved)
    came, went = _label(tableau.columns, enter), _label(tableau.rows, leave)
    return _Tableau(
        moved,
        jnp.where(leave > 0, came, tableau.rows),
        jnp.where(enter > 0, went, tableau.columns),
        tableau.turn + jnp.int32(1),
    )


def _first(mask: Bool[Array, " place"]) -> Float[Array, " place"]:
    # Not `argmax`: float64 ones do not lower under a caller's float32 `jit`.
    places = jnp.arange(mask.shape[0], dtype=jnp.int32)
    return jnp.where(places == jnp.min(places, where=mask, initial=mask.shape[0] - 1), 1.0, 0.0)


def _label(labels: Int[Array, " place"], at: Float[Array, " place"]) -> Int[Array, ""]:
    return jnp.sum(labels, where=at > 0, dtype=jnp.int32)


# Strategies in games along a leading axis.
_in_lanes = in_lanes(jax.vmap(maximin))
