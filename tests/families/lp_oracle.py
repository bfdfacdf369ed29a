"""Alignment errors by SciPy's linear programming, straight from their definition: slow, and shares no code."""

import numpy as np
from scipy.optimize import linprog


def alignment_error(user_value, provider_value, *, hull=False, state_offset=False):
    """Least t with |sum_i w_i v_ij + c_j - u_j| <= t for all users, actions and states; one w >= 0 for all users."""
    user_value, provider_value = np.asarray(user_value), np.asarray(provider_value)
    providers, users, actions, states = provider_value.shape
    offsets = users * states if state_offset else users
    group = np.arange(users)[:, None, None] * (states if state_offset else 1)
    group = np.broadcast_to(group + (np.arange(states) if state_offset else 0), (users, actions, states))
    shift = np.eye(offsets)[group.ravel()]
    fit = np.hstack([provider_value.reshape(providers, -1).T, shift])
    margin = np.ones((fit.shape[0], 1))
    total = np.r_[np.ones(providers), np.zeros(offsets + 1)]
    found = linprog(
        np.r_[np.zeros(providers + offsets), 1.0],
        A_ub=np.block([[fit, -margin], [-fit, -margin]]),
        b_ub=np.r_[user_value.ravel(), -user_value.ravel()],
        A_eq=total[None] if hull else None,
        b_eq=[1.0] if hull else None,
        bounds=[(0, None)] * providers + [(None, None)] * offsets + [(0, None)],
    )
    assert found.status == 0, found.message
    return found.fun


def in_hull(point, corners):
    """Whether a point is a convex combination of the rows of `corners`."""
    corners = np.asarray(corners)
    found = linprog(
        np.zeros(len(corners)),
        A_eq=np.vstack([corners.T, np.ones(len(corners))]),
        b_eq=np.r_[point, 1.0],
        bounds=[(0, None)] * len(corners),
    )
    assert found.status in (0, 2), found.message
    return found.status == 0


def half_range(values):
    """Half the distance between the largest and the least entry: the error of the best constant."""
    return (np.max(values) - np.min(values)) / 2
