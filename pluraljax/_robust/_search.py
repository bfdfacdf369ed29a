"""Looks for the worst removal by branch and bound where there are too many to ask about each. Runs on the host.

A loss can only grow when providers leave. Weights that prove that a loss is at most t prove it for every removal that
misses their support, so that a worse one has to take a provider of the support away: branch over which. Whatever is not
looked at keeps an upper bound, so the bracket is valid whenever the search stops.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int


@dataclass(frozen=True)
class Losses:
    """Brackets of losses after some removals, and weights of those that stay that prove the upper ends.

    `fall[row, i]` is by how much the upper end rises at most when provider i of the support leaves as well and the
    other weights stay; `most` is what no removal exceeds.
    """

    lower: Float[np.ndarray, " row"]
    upper: Float[np.ndarray, " row"]
    weights: Float[np.ndarray, "row provider"]
    fall: Float[np.ndarray, "row provider"]
    most: Float[np.ndarray, " row"]


# Asks about users after removals.
Ask = Callable[[Int[np.ndarray, " row"], Bool[np.ndarray, "row provider"]], Losses]


@dataclass(frozen=True)
class Worst:
    """A bracket of each user's loss after the worst removal, one that attains the lower end, and what was asked."""

    lower: Float[np.ndarray, " user"]
    upper: Float[np.ndarray, " user"]
    removed: Bool[np.ndarray, "user provider"]
    asked: int


def find_worst(ask: Ask, users: int, providers: int, removed: int, budget: int) -> Worst:
    """Brackets the largest loss after `removed` providers leave; asks at most about `budget` removals a user."""
    search = _Search(users, providers, removed)
    user, gone = np.arange(users), np.zeros((users, providers), bool)
    held = np.zeros_like(gone)
    left = np.full(users, budget - 1)
    for depth in range(removed + 1):
        found = ask(user, gone)
        search.see(user, gone, found)
        if depth == removed:
            break
        user, gone, held, bound, promise = _branch(search, user, gone, held, found, removed - depth)
        user, gone, held = search.choose(user, gone, held, bound, promise, left, removed - depth)
        if len(user) == 0:
            break
        left = left - np.bincount(user, minlength=users)
    return Worst(search.lower, np.maximum(search.upper, search.lower), search.filled(), search.asked)


class _Search:
    """The best removal and the largest bound so far."""

    def __init__(self, users: int, providers: int, removed: int):
        self.lower, self.upper = np.full(users, -np.inf), np.full(users, -np.inf)
        self.best = np.zeros((users, providers), bool)
        self.removed, self.asked = removed, 0

    def see(self, user: np.ndarray, gone: np.ndarray, found: Losses) -> None:
        """A removal's loss is a lower end; its upper end covers every larger removal that misses the support."""
        self.asked += len(user)
        np.maximum.at(self.upper, user, found.upper)
        for row in np.argsort(found.lower, kind="stable"):
            if found.lower[row] >= self.lower[user[row]]:
                self.lower[user[row]], self.best[user[row]] = found.lower[row], gone[row]

    def choose(self, user, gone, held, bound, promise, left, more):
        """Keeps the most promising branches that the budget allows; what is dropped leaves its bound."""
        useful = bound > np.maximum(self.lower[user], 0.0) * (1 + 1e-12)
        np.maximum.at(self.upper, user[~useful], bound[~useful])
        keep = np.zeros(len(user), bool)
        for each in np.unique(user[useful]):
            # The last levels are what shows the worst removal: some of the budget is left for them.
            (mine,) = np.nonzero(useful & (user == each))
            room = max(int(left[each]) // more, 0)
            order = mine[np.argsort(-promise[mine], kind="stable")]
            keep[order[:room]] = True
            for row in order[room:]:
                self.upper[each] = max(self.upper[each], bound[row])
        return user[keep], gone[keep], held[keep]

    def filled(self) -> np.ndarray:
        """The best removals, with any others that make up the number: a loss can only grow."""
        filled = self.best.copy()
        for row in filled:
            row[np.nonzero(~row)[0][: self.removed - int(row.sum())]] = True
        return filled


def _branch(search: _Search, user, gone, held, found: Losses, more: int):
    """Makes a branch for every provider of a support that may leave; those before it are held back.

    Returns users, removals, held providers, what no removal of the branch exceeds, and how promising each is.
    """
    parts: list[tuple] = []
    for row in range(len(user)):
        weights, fall = found.weights[row], found.fall[row]
        (support,) = np.nonzero((weights > 0) & ~held[row] & ~gone[row])
        support = support[np.argsort(-fall[support] if np.isfinite(fall).all() else -weights[support], kind="stable")]
        bound = found.upper[row] + np.sort(fall[support])[::-1][:more].sum()
        bound = min(bound, found.most[row])
        kept = held[row].copy()
        for place, each in enumerate(support):
            if kept.sum() + search.removed > len(kept):
                break  # nobody is left to leave
            now = gone[row].copy()
            now[each] = True
            parts.append((user[row], now, kept.copy(), bound, found.lower[row] - 1e-9 * place))
            kept[each] = True
    if not parts:
        nothing = np.zeros((0, gone.shape[1]), bool)
        return np.zeros(0, int), nothing, nothing, np.zeros(0), np.zeros(0)
    columns = zip(*parts, strict=True)
    return tuple(np.array(column) for column in columns)
