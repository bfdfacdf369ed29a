"""Weights on models that cover a prompt whoever leaves, by branch and bound with HiGHS.

Weights that cover a prompt cover it after every removal that misses their support. So a removal that leaves it
uncovered has to take a model of the support away, and so on for what is left. The weights that are met on the way are
a proof that anybody can check; where a prompt has many answers this is also how the fewest models are found.
"""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from scipy.optimize import linprog

from ._prompt import Prompt

# What violates a condition by no more than this share of the largest number in it does not count as violated.
_NEARLY = 1e-9
MOST_PROGRAMMES = 2_000


@dataclass(frozen=True)
class Survival:
    """How many models a prompt survives the loss of, between two ends, as far as was looked.

    Every removal of `lower` models misses the support of one of `weights`, each of which covers the prompt in exact
    arithmetic (lower is -1 where not even all models do). After `removed`, of `upper + 1` models, none does; nobody is
    removed where none was found, and `upper` is the number of models then.
    """

    lower: int
    upper: int
    removed: np.ndarray
    weights: tuple[np.ndarray, ...]


def survival(prompt: Prompt, most: int, programmes: int = MOST_PROGRAMMES) -> Survival:
    """Brackets how many models may leave, up to `most` of them."""
    models = len(prompt.scores)
    if not (prompt.stakes > 0).any():
        return Survival(models, models, np.zeros(models, bool), (np.zeros(models),))
    search = _Search(prompt, programmes)
    lower, proof = -1, ()
    for number in range(min(most, models) + 1):
        weights, removed, proved = search.after(frozenset(), frozenset(), number)
        if removed is not None:
            gone = np.zeros(models, bool)
            gone[list(removed)] = True
            return Survival(lower, max(number, len(removed)) - 1, gone, proof)
        if not proved:
            break
        lower, proof = number, tuple(weights)
    return Survival(lower, models, np.zeros(models, bool), proof)


class _Search:
    def __init__(self, prompt: Prompt, programmes: int):
        self._prompt, self._left = prompt, programmes
        self._known: dict[frozenset, tuple[np.ndarray | None, bool]] = {}
        self._exact = prompt.exact()

    def after(self, gone: frozenset, held: frozenset, more: int):
        """Weights that cover the prompt after any `more` further removals, or one that uncovers it, and if proved."""
        weights, proved = self._cover(gone)
        if weights is None:
            return [], gone if proved else None, False
        found, everything = [weights], proved
        if more == 0:
            return found, None, everything
        kept = held
        for each in np.argsort(-weights, kind="stable"):
            if weights[each] <= 0:
                break
            if each in held:
                continue
            rest, removed, sure = self.after(gone | {int(each)}, kept, more - 1)
            if removed is not None:
                return [], removed, False
            found, everything, kept = found + rest, everything and sure, kept | {int(each)}
        return found, None, everything

    def _cover(self, gone: frozenset) -> tuple[np.ndarray | None, bool]:
        """Weights without some models: None where there are none, and whether that, or they, can be relied on."""
        if gone not in self._known:
            if self._left == 0:
                return None, False
            self._left -= 1
            self._known[gone] = self._solve(gone)
        return self._known[gone]

    def _solve(self, gone: frozenset) -> tuple[np.ndarray | None, bool]:
        """Solves `max <mu, stakes>` over mixtures of other answers that all models left like at least as well."""
        losses, stakes = self._prompt.losses, self._prompt.stakes
        stay = np.array([each for each in range(len(losses)) if each not in gone], int)
        size = np.abs(losses[stay]).max(axis=1, initial=0.0)
        stay, size = stay[size > 0], size[size > 0]
        unit = np.abs(stakes).max()
        matrix = np.concatenate([losses[stay] / size[:, None], np.ones((1, len(stakes)))])
        limit = np.r_[np.zeros(len(stay)), 1.0]
        answer = linprog(-stakes / unit, A_ub=matrix, b_ub=limit, method="highs")
        if answer.x is None:
            return None, False
        if -answer.fun > _NEARLY:
            return None, True
        weights = np.zeros(len(losses))
        weights[stay] = np.maximum(-answer.ineqlin.marginals[:-1], 0.0) * unit / size
        return self._sure(weights)

    def _sure(self, weights: np.ndarray) -> tuple[np.ndarray, bool]:
        """Weights that cover the prompt in exact arithmetic, if a little more of them does."""
        for factor in (1.0, 1.0 + 1e-9, 1.0 + 1e-6):
            if covers(self._exact, self._prompt, factor * weights):
                return factor * weights, True
        return weights, False


def covers(exact: tuple[np.ndarray, np.ndarray], prompt: Prompt, weights: np.ndarray) -> bool:
    """Whether weights cover a prompt, in rational arithmetic."""
    losses, stakes = exact
    units = _unit(prompt.scores), _unit(prompt.wanted)
    used = [(Fraction(float(weight)), row) for weight, row in zip(weights, losses, strict=True) if weight > 0]
    return all(
        sum((weight * int(row[other]) for weight, row in used), Fraction(0)) / units[0]
        >= Fraction(int(stakes[other])) / units[1]
        for other in range(len(stakes))
    )


def _unit(values: np.ndarray) -> int:
    """What whole numbers of `Prompt.exact` count in: that many make one."""
    return max((float(value).as_integer_ratio()[1] for value in values.ravel()), default=1)
