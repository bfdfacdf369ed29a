"""The exact host solver: HiGHS through SciPy, for the rare programme that the batched solver gives up on."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import linprog

from ._program import RESIDUAL_TOLERANCE, LinearProgram, Outcome, Solution, residual

# The tightest tolerances that HiGHS accepts.
_OPTIONS = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}


def solve_one_on_host(program: LinearProgram) -> Solution:
    """Solves one programme with concrete arrays; never raises on a programme that cannot be solved."""
    matrix, limit, cost = (np.asarray(leaf) for leaf in (program.matrix, program.limit, program.cost))
    rows, columns = matrix.shape
    primal, dual, outcome = np.zeros(columns), np.zeros(rows), Outcome.UNSOLVED
    if columns == 0:
        outcome = Outcome.RESCUED
    elif all(np.isfinite(leaf).all() for leaf in (matrix, limit, cost)):
        answer = linprog(-cost, A_ub=matrix, b_ub=limit, method="highs", options=_OPTIONS)
        if answer.status == 3:
            outcome = Outcome.UNBOUNDED
        elif answer.x is not None:
            primal, dual = np.maximum(answer.x, 0.0), np.maximum(-answer.ineqlin.marginals, 0.0)
            # HiGHS stops at its own tolerances, a little wider than ours.
            close = float(residual(*jax.tree.map(jnp.asarray, (program, primal, dual)))) <= 100 * RESIDUAL_TOLERANCE
            outcome = Outcome.RESCUED if close else Outcome.UNSOLVED
    return Solution(jnp.asarray(primal), jnp.asarray(dual), jnp.int32(outcome), jnp.int32(0))
