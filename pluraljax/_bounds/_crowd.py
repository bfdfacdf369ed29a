"""Evaluates what can be won from users who share policies, at given candidates. Imports no solver.

Units are those of `Crowd`: `room` is what a user loses against full information by the best offer that she has
elsewhere, in shares of what conversation is worth to her.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from .._signals import Crowd

# Levels of utility closer than this share of what conversation is worth to a user are not told apart.
NEAR = 1e-9


def usable(crowd: Crowd, weight: Float[np.ndarray, "... corner"]) -> Float[np.ndarray, "... corner"]:
    """Turns ANY numbers into weights of signals: what is left of every evidence is told."""
    weight = np.where(np.isfinite(weight), np.maximum(weight, 0.0), 0.0)
    belief = crowd.belief if weight.shape[-1] == len(crowd.belief) else crowd.signal_belief
    return weight / np.maximum(1.0, (weight @ belief).max(axis=-1, keepdims=True))


def winning_lower(
    crowd: Crowd,
    provider: int | Int[np.ndarray, "..."],
    won: Bool[np.ndarray, "... user"],
    room: Float[np.ndarray, "... user"],
    weight: Float[np.ndarray, "... corner"],
) -> Float[np.ndarray, "..."]:
    """Bounds what a provider gets from the users `won` by a policy that wins exactly them, from below, at ANY weights.

    Those won have to lose strictly less than `room`, and the others at least as much. A user who has no room cannot be
    won: she does as she likes best anyway, if she hears everything, so count the optimal action that is worst.
    -infinity if the policy is not one.
    """
    weight = usable(crowd, weight)
    lost = weight @ crowd.lost
    full = won & (room <= NEAR)
    wins = np.where(full, lost <= 1e-3 * NEAR, lost < room - 1e-3 * NEAR)
    leaves = (lost >= room - NEAR) | (room <= NEAR)
    earned = crowd.told_best[provider] + np.einsum("...n,...nj->...j", weight, crowd.earned[provider])
    worth = np.where(full, crowd.told_worst[provider], earned)
    exactly = np.where(won, wins, leaves).all(axis=-1)
    return np.asarray(np.where(exactly, np.where(won, worth, 0.0).sum(axis=-1), -np.inf))


def winning_upper(
    crowd: Crowd,
    provider: int | Int[np.ndarray, "..."],
    won: Bool[np.ndarray, "... user"],
    price: Float[np.ndarray, "... evidence"],
    dear: Float[np.ndarray, "... user"],
) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "... user"]]:
    """Bounds the same from above for every room: by `height + slope @ room`, at ANY prices (weak duality).

    `dear` are multipliers of what users may lose; those not won have to lose at least their room.
    """
    slope = np.where(won, 1.0, -1.0) * np.maximum(dear, 0.0)
    score = np.einsum("...nj,...j->...n", crowd.earned[provider], won.astype(float)) - slope @ crowd.lost.T
    told = np.where(won, crowd.told_best[provider], 0.0).sum(axis=-1)
    return np.asarray(told + _repaired(price, crowd.belief, score).sum(axis=-1)), slope


def outcomes_upper(
    beliefs: Sequence[np.ndarray],
    goal: Float[np.ndarray, " column"],
    rows: Float[np.ndarray, "row column"],
    limit: Float[np.ndarray, " row"],
    dual: Float[np.ndarray, " row"],
    price: Float[np.ndarray, "policy evidence"],
) -> float:
    """Bounds a goal that is linear in the signals of several policies that meet inequalities, from above.

    Columns are the weights of the signals of the first policy, with `beliefs[0]`, then of the others. Each row says
    that `row @ weights <= limit`. Valid for ANY multipliers `dual` and `price` (weak duality).
    """
    dual = np.where(np.isfinite(dual), np.maximum(dual, 0.0), 0.0)
    score, total, start = goal - dual @ rows, float(dual @ limit), 0
    for belief, own in zip(beliefs, price, strict=True):
        total += float(_repaired(own, belief, score[start : start + len(belief)]).sum())
        start += len(belief)
    return total


def _repaired(price: np.ndarray, belief: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Raises prices of evidence until no signal is worth more than it uses up."""
    price = np.where(np.isfinite(price), np.maximum(price, 0.0), 0.0)
    return price + np.maximum(0.0, (score - price @ belief.T).max(axis=-1, keepdims=True))
