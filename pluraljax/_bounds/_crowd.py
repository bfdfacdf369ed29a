"""Evaluates what can be won from users who share policies, at given candidates. Imports no solver.

Units are those of `Crowd`: `room` is what a user loses against full information by the best offer that she has
elsewhere, in shares of what conversation is worth to her.
"""

import numpy as np
from jaxtyping import Bool, Float

from .._signals import Crowd

# Levels of utility closer than this share of what conversation is worth to a user are not told apart.
NEAR = 1e-9


def usable(crowd: Crowd, weight: Float[np.ndarray, " corner"]) -> Float[np.ndarray, " corner"]:
    """Turns ANY numbers into weights of signals: what is left of every evidence is told."""
    weight = np.where(np.isfinite(weight), np.maximum(weight, 0.0), 0.0)
    belief = crowd.belief if len(weight) == len(crowd.belief) else crowd.signal_belief
    return weight / max(1.0, (weight @ belief).max())


def winning_lower(
    crowd: Crowd,
    provider: int,
    won: Bool[np.ndarray, " user"],
    room: Float[np.ndarray, " user"],
    loyal: Bool[np.ndarray, " user"],
    weight: Float[np.ndarray, " corner"],
) -> float:
    """Bounds what a provider gets from the users `won` by a policy that wins exactly them, from below, at ANY weights.

    Those won have to lose strictly less than `room`. Of the others, users who are with the provider now (`loyal`) have
    to lose strictly more, and the rest at least as much. A user who has no room cannot be won: she does as she likes
    best anyway, if she hears everything, so count the optimal action that is worst. -infinity if the policy is not one.
    """
    weight = usable(crowd, weight)
    lost = weight @ crowd.lost
    full = won & (room <= NEAR)
    wins = np.where(full, lost <= 1e-3 * NEAR, lost < room - 1e-3 * NEAR)
    leaves = np.where(loyal, lost > room + 1e-3 * NEAR, (lost >= room - NEAR) | (room <= NEAR))
    if not np.where(won, wins, leaves).all():
        return -np.inf
    earned = crowd.told_best[provider] + weight @ crowd.earned[provider]
    return float(np.where(full, crowd.told_worst[provider], earned)[won].sum())


def winning_upper(
    crowd: Crowd,
    provider: int,
    won: Bool[np.ndarray, " user"],
    price: Float[np.ndarray, " evidence"],
    dear: Float[np.ndarray, " user"],
) -> tuple[float, Float[np.ndarray, " user"]]:
    """Bounds the same from above for every room: by `height + slope @ room`, at ANY prices (weak duality).

    `dear` are multipliers of what users may lose; those not won have to lose at least their room.
    """
    slope = np.where(won, 1.0, -1.0) * np.maximum(dear, 0.0)
    score = crowd.earned[provider][:, won].sum(axis=1) - crowd.lost @ slope
    return float(crowd.told_best[provider][won].sum() + _repaired(price, crowd.belief, score).sum()), slope


def outcomes_upper(
    crowd: Crowd,
    goal: Float[np.ndarray, "policy user"],
    lost: Float[np.ndarray, "row policy user"],
    earned: Float[np.ndarray, "row policy provider user"],
    limit: Float[np.ndarray, " row"],
    dual: Float[np.ndarray, " row"],
    price: Float[np.ndarray, "policy evidence"],
) -> float:
    """Bounds a weighted sum of what users lose by several policies that meet inequalities, from above.

    Each row says that `sum(lost * losses) + sum(earned * earnings) <= limit`, earnings counted from those of users who
    are told the evidence. Valid for ANY multipliers `dual` and `price` (weak duality).
    """
    dual = np.where(np.isfinite(dual), np.maximum(dual, 0.0), 0.0)
    worth = goal - np.tensordot(dual, lost, 1)
    paid = np.tensordot(dual, earned, 1)
    total = float(dual @ limit)
    for policy in range(len(goal)):
        score = crowd.signal_lost @ worth[policy] - np.tensordot(paid[policy], crowd.signal_earned, 2)
        total += float(_repaired(price[policy], crowd.signal_belief, score).sum())
    return total


def _repaired(price: np.ndarray, belief: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Raises prices of evidence until no signal is worth more than it uses up."""
    price = np.where(np.isfinite(price), np.maximum(price, 0.0), 0.0)
    return price + max(0.0, float((score - belief @ price).max()))
