"""Small convex quadratic programmes on the host, by Clarabel's interior-point method (Goulart and Chen 2024)."""

from dataclasses import dataclass
from typing import Any

import clarabel
import numpy as np
from scipy.sparse import csc_array

# A native module, of which type checkers see nothing.
_clarabel: Any = clarabel

# Of Clarabel's gap and residuals, for programmes with entries of order one.
_TOLERANCE = 1e-11


@dataclass(frozen=True)
class Optimum:
    """A point, the multipliers of `Gx <= h` and `Ax = b` there, and whether the method converged."""

    point: np.ndarray
    duals: np.ndarray
    prices: np.ndarray
    solved: bool


def least_norm_programme(
    user: np.ndarray, provider: np.ndarray, mass: np.ndarray, target: float, least: float, by_action: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Lays out the least payment of one segment as `min x'Px/2, Gx <= h, Ax = b` with x = (payment, weights, c, beta).

    Entries should be of order one. `user[j, a, y]`, `provider[i, j, a, y]` and `mass[j]` are those of its
    members. Returns P, G, h, A, b.
    """
    members, actions, states = user.shape
    rows, providers = actions * states, provider.shape[0]
    paid = np.kron(np.eye(actions), np.ones((states, 1))) if by_action else np.eye(rows)
    count = members * paid.shape[1]
    size = count + providers + members + 1
    residual = np.zeros((members * rows, size))
    residual[:, :count] = np.kron(np.eye(members), paid)
    residual[:, count : count + providers] = provider.reshape(providers, -1).T
    residual[:, count + providers : -1] = np.kron(np.eye(members), np.ones((rows, 1)))
    residual[:, -1] = -user.reshape(-1)
    if target > 0:
        allowed = np.zeros_like(residual)
        allowed[:, -1] = target
        fit, equal = np.concatenate([residual - allowed, -residual - allowed]), np.zeros((0, size))
    else:
        # An interior needs room: an exact fit is an equation.
        fit, equal = np.zeros((0, size)), residual
    bounds = np.zeros((providers + 1, size))
    bounds[:providers, count : count + providers] = -np.eye(providers)
    bounds[-1, -1] = -1.0
    limits = np.concatenate([np.zeros(len(fit) + providers), [-least]])
    simplex = np.zeros((1, size))
    simplex[0, count : count + providers] = 1.0
    square = np.zeros(size)
    square[:count] = np.repeat(mass, paid.shape[1]) * (states if by_action else 1)
    return (
        np.diag(square),
        np.concatenate([fit, bounds]),
        limits,
        np.concatenate([simplex, equal]),
        np.concatenate([[1.0], np.zeros(len(equal))]),
    )


def solve_quadratic(
    square: np.ndarray, rows: np.ndarray, limits: np.ndarray, equal: np.ndarray, values: np.ndarray
) -> Optimum:
    """Minimises `x'Px/2` subject to `Gx <= h` and `Ax = b`."""
    settings = _clarabel.DefaultSettings()
    settings.verbose = False
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = _TOLERANCE
    cones = [_clarabel.ZeroConeT(len(values)), _clarabel.NonnegativeConeT(len(limits))]
    matrices = csc_array(square), csc_array(np.concatenate([equal, rows]))
    solver = _clarabel.DefaultSolver(
        matrices[0], np.zeros(len(square)), matrices[1], np.concatenate([values, limits]), cones, settings
    )
    found = solver.solve()
    solved = found.status in (_clarabel.SolverStatus.Solved, _clarabel.SolverStatus.AlmostSolved)
    prices, duals = np.split(np.array(found.z), [len(values)])
    return Optimum(np.array(found.x), duals, prices, solved)
