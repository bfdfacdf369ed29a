"""Outcomes that clear the floors of all providers by as much as can be: what others are mixed with to meet them."""

import numpy as np
from jaxtyping import Float
from scipy.optimize import linprog

# A share of what a provider has at stake that is rounding.
_ROUNDING = 1e-12


def inner_outcome(
    brings: Float[np.ndarray, "provider group action"], floors: Float[np.ndarray, " provider"]
) -> Float[np.ndarray, "group action"] | None:
    """Finds the outcome that clears every floor by the largest share of what the provider has at stake.

    Each group of actions gets a probability for each. `brings` is what an action brings a provider, and `floors` what
    it gets at least in all. None where no outcome was found that clears every floor by more than rounding.
    """
    _, groups, actions = brings.shape
    size = np.abs(brings).sum(axis=(1, 2))
    counts = np.flatnonzero(size)
    if not len(counts):
        return None
    rows = -brings[counts].reshape(len(counts), -1) / size[counts, None]
    found = linprog(
        np.append(np.zeros(groups * actions), -1.0),
        A_ub=np.column_stack([rows, np.ones(len(counts))]),
        b_ub=-floors[counts] / size[counts],
        A_eq=np.column_stack([np.kron(np.eye(groups), np.ones(actions)), np.zeros(groups)]),
        b_eq=np.ones(groups),
        bounds=[*[(0.0, None)] * (groups * actions), (None, None)],
        method="highs",
    )
    if found.x is None or found.x[-1] <= _ROUNDING:
        return None
    return found.x[:-1].reshape(groups, actions)
