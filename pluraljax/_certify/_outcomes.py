"""Exact bounds over the outcomes that one user can be brought to: incentives, weak duality, and repaired outcomes.

Written from the definitions (docs/mathematics.md, section 9), apart from the code whose numbers it checks.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from ._rational import ONE, ZERO, Rationals, as_float, dot, floats, multipliers, total, zeros
from ._repair import Constraint, repaired


@dataclass(frozen=True)
class Multipliers:
    """Multipliers of a user's incentives and of floors, all >= 0.

    `obedience[t, a, b]`: type t, told a, does b. `recoding[t, s, a, b]`: type t reports s and, told a, does b; for each
    t, s these add up over b to the same number for every a, so that they are a mixture of ways to lie.
    """

    obedience: Rationals
    recoding: Rationals
    floors: Rationals


def read_multipliers(prices: Any, *place: int) -> Multipliers:
    """Takes candidates at a place of arrays of them, and completes them.

    What a type does after a lie has to add up to the same for all recommendations.
    """
    obedience, truth, recoding, floors = (
        multipliers(np.asarray(getattr(prices, name))[place]) for name in ("obedience", "truth", "recoding", "required")
    )
    types, actions = obedience.shape[:2]
    obedience[:, np.arange(actions), np.arange(actions)] = ZERO
    for t in range(types):
        recoding[t, t] = ZERO
        for s in range(types):
            if s == t:
                continue
            recoding[t, s, np.arange(actions), np.arange(actions)] = ZERO
            most = max([truth[t, s]] + [total(recoding[t, s, a]) for a in range(actions)])
            for a in range(actions):
                recoding[t, s, a, a] = most - total(recoding[t, s, a])
    return Multipliers(obedience, recoding, floors)


@dataclass(frozen=True)
class User:
    """One user's stakes, exactly: `stakes[type evidence action]`, `provider[provider type evidence action]`."""

    stakes: Rationals
    provider: Rationals

    @property
    def aligned(self) -> Fraction:
        """What she gets when she is told everything."""
        return total(self.stakes.max(axis=-1))

    @property
    def silent(self) -> Fraction:
        """What she gets when she is told nothing."""
        return total(self.stakes.sum(axis=1).max(axis=-1))

    @property
    def shape(self) -> tuple[int, ...]:
        return self.stakes.shape

    def groups(self) -> list[np.ndarray]:
        """The entries that add up to 1."""
        types, evidences, actions = self.shape
        return list(np.arange(types * evidences * actions).reshape(-1, actions))

    def informed(self) -> Rationals:
        """An optimal play of the fully informed user; the first of several."""
        play = zeros(*self.shape)
        for t, x in np.ndindex(self.shape[:2]):
            row = self.stakes[t, x].tolist()
            play[t, x, row.index(max(row))] = ONE
        return play

    def repair(self, outcome: np.ndarray) -> Rationals:
        """Turns any floats into an outcome that she obeys and is truthful for, exactly."""
        flat = repaired(
            np.asarray(outcome, np.float64).reshape(-1),
            self.groups(),
            lambda point: incentives(self.stakes, point.reshape(self.shape)),
            self.informed().reshape(-1),
        )
        return flat.reshape(self.shape)


def incentives(stakes: Rationals, outcome: Rationals) -> list[Constraint]:
    """Lists the incentive constraints that matter at an outcome, over its entries: `<row, q> >= 0`.

    All of obedience; of each lie the ways to act on it that are best, or nearly so, at this outcome.
    """
    types, evidences, actions = stakes.shape
    rows: list[Constraint] = []
    for t in range(types):
        for a, b in np.ndindex(actions, actions):
            if a != b:
                row = zeros(types, evidences, actions)
                row[t, :, a] = stakes[t, :, a] - stakes[t, :, b]
                rows.append((row.reshape(-1), ZERO))
    size = float(np.abs(floats(stakes)).max(axis=-1).sum()) if types > 1 else 0.0
    for t, s in np.ndindex(types, types):
        if t != s:
            rows += _lies(stakes, outcome, t, s, 1e-9 * size)
    return rows


def _lies(stakes: Rationals, outcome: Rationals, t: int, s: int, near: float) -> list[Constraint]:
    """The ways for type t to act on the report s that are best, and those with one other act that is nearly best."""
    actions = stakes.shape[-1]
    worth = [[dot(outcome[s, :, a], stakes[t, :, b]) for b in range(actions)] for a in range(actions)]
    best = [row.index(max(row)) for row in worth]
    ways = [best]
    for a, b in np.ndindex(actions, actions):
        if b != best[a] and as_float(worth[a][best[a]] - worth[a][b]) <= near and any(outcome[s, :, a].tolist()):
            ways.append([*best[:a], b, *best[a + 1 :]])
    rows = []
    for way in ways:
        row = zeros(*stakes.shape)
        row[t] = stakes[t]
        for a in range(actions):
            row[s, :, a] -= stakes[t, :, way[a]]
        rows.append((row.reshape(-1), ZERO))
    return rows


def is_compatible(stakes: Rationals, outcome: Rationals) -> bool:
    """Whether an outcome is one: rows are probabilities, she obeys, and no lie pays."""
    rows_sum_to_one = all(total(row) == 1 for row in outcome.reshape(-1, outcome.shape[-1]))
    positive = all(value >= 0 for value in outcome.ravel().tolist())
    flat = outcome.reshape(-1)
    return rows_sum_to_one and positive and all(dot(row, flat) >= bound for row, bound in incentives(stakes, outcome))


def least_score(stakes: Rationals, target: Rationals, required: Rationals, prices: Multipliers) -> Fraction:
    """Adds up the least entries of `target - sum_m floors_m required_m - incentives`, one for each (type, evidence).

    With the floors themselves, `floors @ bounds + least_score` is at most `<target, q>` for every outcome q with
    `<required_m, q> >= bounds_m`: multipliers times slacks are not negative.
    """
    types, evidences, _ = stakes.shape
    score = target.copy()
    for m in range(len(required)):
        if prices.floors[m]:
            score = score - prices.floors[m] * required[m]
    for t, a, b in np.argwhere(prices.obedience != 0):
        score[t, :, a] -= prices.obedience[t, a, b] * (stakes[t, :, a] - stakes[t, :, b])
    for t, s, a, b in np.argwhere(prices.recoding != 0):
        score[s, :, a] += prices.recoding[t, s, a, b] * stakes[t, :, b]
    for t, s in np.ndindex(types, types):
        # What she gets by telling the truth counts once for each mixture of ways to lie.
        weight = total(prices.recoding[t, s, 0])
        if weight:
            score[t] = score[t] - weight * stakes[t]
    return sum((min(score[t, x].tolist()) for t, x in np.ndindex(types, evidences)), ZERO)


def line_above(user: User, provider: int, prices: Multipliers) -> tuple[Fraction, Fraction]:
    """A height h and a slope s with `<V, q> <= h - s r` for every outcome q that is worth at least r to the user."""
    target = -user.provider[provider]
    return -least_score(user.stakes, target, user.stakes[None], prices), prices.floors[0]
