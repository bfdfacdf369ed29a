"""The slow twin of the audit: every removal, one linear programme each."""

import itertools

import numpy as np
from scipy.optimize import linprog


def covered(losses, stakes):
    """Whether some non-negative weights on models make up for all that the user loses."""
    if len(losses) == 0:
        return bool((stakes <= 0).all())
    return linprog(np.ones(len(losses)), A_ub=-losses.T, b_ub=-stakes, method="highs").status == 0


def fewest(prompt, most=None):
    """The fewest models whose removal leaves a prompt uncovered; one more than is looked at where there are none."""
    models = len(prompt.scores)
    most = models if most is None else most
    for number in range(most + 1):
        for gone in itertools.combinations(range(models), number):
            if not covered(np.delete(prompt.losses, gone, axis=0), prompt.stakes):
                return number
    return most + 1
