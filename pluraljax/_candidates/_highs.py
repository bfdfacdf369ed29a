"""The exact host solver: HiGHS through SciPy, for the rare programme that the batched solver gives up on.

NumPy only: it also runs inside callbacks of compiled programmes, where JAX must not be called.
"""

from typing import Any

import numpy as np
from scipy.optimize import linprog

from ._program import RESIDUAL_TOLERANCE, SolverStatus, size_of_misses

# The tightest tolerances that HiGHS accepts.
_OPTIONS = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}


def solve_one_on_host(matrix: Any, limit: Any, cost: Any) -> tuple[np.ndarray, np.ndarray, int]:
    """Solves one programme; returns primal, dual and `SolverStatus`, and never raises on one that cannot be solved."""
    rows, columns = matrix.shape
    primal, dual, outcome = np.zeros(columns), np.zeros(rows), SolverStatus.UNSOLVED
    if columns == 0:
        outcome = SolverStatus.RESCUED
    elif all(np.isfinite(leaf).all() for leaf in (matrix, limit, cost)):
        answer = linprog(-cost, A_ub=matrix, b_ub=limit, method="highs", options=_OPTIONS)
        if answer.status == 3:
            outcome = SolverStatus.UNBOUNDED
        elif answer.x is not None:
            primal, dual = np.maximum(answer.x, 0.0), np.maximum(-answer.ineqlin.marginals, 0.0)
            # HiGHS stops at its own tolerances, a little wider than ours.
            close = size_of_misses(np, matrix, limit, cost, primal, dual) <= 100 * RESIDUAL_TOLERANCE
            outcome = SolverStatus.RESCUED if close else SolverStatus.UNSOLVED
    return primal, dual, int(outcome)


def solve_many_on_host(matrix: Any, limit: Any, cost: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Solves programmes with the same leading axes, one after the other."""
    lead = matrix.shape[:-2]
    each = [solve_one_on_host(matrix[at], limit[at], cost[at]) for at in np.ndindex(*lead)]
    primal, dual, outcome = zip(*each, strict=True) if each else ((), (), ())
    shaped = lambda values, shape: np.array(values, np.float64).reshape(shape)
    return shaped(primal, cost.shape), shaped(dual, limit.shape), np.array(outcome, np.int32).reshape(lead)
