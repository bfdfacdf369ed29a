"""Small convex quadratic programmes on the host, by a primal-dual interior-point method (Mehrotra 1992)."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Answer:
    """A point, the multipliers of `Gx <= h` and `Ax = b` there, and whether the method converged."""

    point: np.ndarray
    duals: np.ndarray
    prices: np.ndarray
    solved: bool


def least_norm_programme(
    user: np.ndarray, provider: np.ndarray, mass: np.ndarray, target: float, least: float, by_action: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Lays out the least payment of one segment as `min x'Px/2, Gx <= h, Ax = b` with x = (payment, weights, c, beta).

    `user[j, a, y]`, `provider[i, j, a, y]` and `mass[j]` are those of its members. Returns P, G, h, A, b.
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


# Iterates of a programme without a solution grow without bound: they end the method, `solved` false.
@np.errstate(over="ignore", divide="ignore", invalid="ignore")
def solve_quadratic(
    square: np.ndarray, rows: np.ndarray, limits: np.ndarray, equal: np.ndarray, values: np.ndarray, steps: int = 80
) -> Answer:
    """Minimises `x'Px/2` subject to `Gx <= h` and `Ax = b`."""
    size, unit = len(square), max(1e-300, float(np.diag(square).max()))
    square = square / unit
    point, prices = np.zeros(size), np.zeros(len(values))
    slack, duals = np.ones(len(limits)), np.ones(len(limits))
    solved = False
    for _ in range(steps):
        lost = square @ point + rows.T @ duals + equal.T @ prices
        short, missed = rows @ point + slack - limits, equal @ point - values
        gap = slack @ duals
        worst = max(float(np.abs(each).max(initial=0.0)) for each in (lost, short, missed))
        if gap <= 1e-11 + 1e-10 * (point @ square @ point) and worst <= 1e-9:
            solved = True
            break
        if not (slack > 0).all():
            break
        solve = _newton(square, rows, equal, slack, duals)
        try:
            _, _, near_slack, near_duals = solve(lost, short, missed, slack * duals)
        except np.linalg.LinAlgError:  # the iterates of a programme without a solution, far out
            break
        reach = min(_longest(slack, near_slack), _longest(duals, near_duals))
        after = (slack + reach * near_slack) @ (duals + reach * near_duals)
        centre = gap / len(slack) * (after / gap) ** 3
        by = solve(lost, short, missed, slack * duals + near_slack * near_duals - centre)
        reach = 0.99 * min(_longest(slack, by[2]), _longest(duals, by[3]))
        point, prices = point + reach * by[0], prices + reach * by[1]
        slack, duals = slack + reach * by[2], duals + reach * by[3]
        if not all(np.isfinite(each).all() for each in (point, prices, slack, duals)):
            break
    return Answer(point, unit * duals, unit * prices, solved)


def _newton(square: np.ndarray, rows: np.ndarray, equal: np.ndarray, slack: np.ndarray, duals: np.ndarray):
    """Prepares one Newton system, for two right-hand sides."""
    size, ties = len(square), len(equal)
    ratio = duals / slack
    matrix = np.zeros((size + ties, size + ties))
    matrix[:size, :size] = square + (rows.T * ratio) @ rows + 1e-13 * np.eye(size)
    matrix[:size, size:], matrix[size:, :size] = equal.T, equal
    matrix[size:, size:] = -1e-13 * np.eye(ties)

    def solve(lost, short, missed, product):
        right = -lost - rows.T @ (ratio * short - product / slack)
        by = np.linalg.solve(matrix, np.concatenate([right, -missed]))
        by_slack = -short - rows @ by[:size]
        return by[:size], by[size:], by_slack, -(product + duals * by_slack) / slack

    return solve


def _longest(values: np.ndarray, change: np.ndarray) -> float:
    """The longest step of at most 1 that keeps values positive."""
    falling = change < 0
    return min(1.0, float((-values[falling] / change[falling]).min(initial=1.0)))
