"""Exact errors of alignment weights, and exact lower bounds on the least error (docs/mathematics.md, section 7)."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from .._market import ExactMarket
from .._rational import ONE, ZERO, Rationals, candidate, dot, floats, multipliers, nearby_solution, total

# Cone weights count up to this many times the ratio of the payoffs' ranges.
WEIGHT_CAP = 10**6
_NOTHING, _TIGHT = 1e-12, 1e-9


@dataclass(frozen=True)
class Fit:
    """Payoffs of a segment's users, in rows that share an offset: `user[member part row]`, `provider[i member ...]`."""

    user: Rationals
    provider: Rationals


def lay_out(market: ExactMarket, users: list[int], offset: str) -> Fit:
    """A part is a user, or a user and a state where the offset may depend on the state."""
    user, provider = market.user_value[users], market.provider_value[:, users]
    if offset == "state":
        return Fit(np.swapaxes(user, -1, -2), np.swapaxes(provider, -1, -2))
    return Fit(user.reshape(len(users), 1, -1), provider.reshape(*provider.shape[:2], 1, -1))


def allowed_weights(fit: Fit, weights: Any, hull: bool) -> Rationals:
    """Candidate weights as rationals that are allowed: not negative, up to the caps, or summing to 1 in the hull."""
    values = multipliers(weights)
    if not hull:
        return np.array([min(pair) for pair in zip(values.tolist(), _caps(fit), strict=True)], object)
    whole = total(values)
    return values / whole if whole else np.full(len(values), Fraction(1, len(values)), object)


def errors_at(fit: Fit, weights: Rationals, scale: Rationals) -> list[Fraction]:
    """Each user's error: half the range of `sum_i w_i v_i - scale u`, the largest over the parts."""
    errors = []
    for member in range(len(fit.user)):
        residual = -scale[member] * fit.user[member]
        for weight, values in zip(weights.tolist(), fit.provider[:, member], strict=True):
            if weight:
                residual = residual + weight * values
        errors.append(max((max(row) - min(row)) / 2 for row in residual.tolist()))
    return errors


@dataclass(frozen=True)
class Direction:
    """A proof that no weights do better than `bound`: numbers D that add up to 0 in each part.

    `slopes[i]` is `<D, v_i>`. Where one is positive, the bound holds for weights up to `caps[i]` only.
    """

    bound: Fraction
    values: Rationals
    slopes: list[Fraction]
    caps: list[Fraction] | None


def error_below(fit: Fit, direction: Any, hull: bool, free_scale: bool) -> Direction:
    """Bounds the least `max_j error_j / scale_j` from below, by any direction, after an exact repair of it."""
    values = _repaired(fit, np.asarray(direction, np.float64), hull)
    sizes = [total(abs(member)) for member in values]
    slopes = [dot(values, provider) for provider in fit.provider]
    gains = [dot(member, user) for member, user in zip(values, fit.user, strict=True)]
    caps = None if hull or max(slopes) <= 0 else _caps(fit)
    penalty = max(slopes) if hull else sum((c * max(s, ZERO) for c, s in zip(caps or [], slopes, strict=False)), ZERO)
    bound = sum(gains, ZERO) - penalty
    if free_scale:
        # Scaling up a user must not pay either: <D_j, u_j> >= bound |D_j|.
        bound = min([bound, *(gain / size for gain, size in zip(gains, sizes, strict=True) if size)])
    return Direction(max(bound, ZERO), values, slopes, caps)


def _repaired(fit: Fit, direction: np.ndarray, hull: bool) -> Rationals:
    """Makes each part add up to 0, slopes of cone weights that are almost 0 be 0, and scales to sum |D| = 1."""
    start = floats(candidate(direction))
    start = start - start.mean(axis=-1, keepdims=True)
    size = np.abs(start).sum()
    if size == 0:
        return candidate(np.zeros_like(start))
    start = np.where(np.abs(start) > _NOTHING * size, start / size, 0.0)
    point, shape = start.reshape(-1), start.shape
    equations = []
    for part in np.arange(point.size).reshape(-1, shape[-1]):
        if np.any(point[part]):
            equations.append((_ones(part, point.size), ZERO))
    for values in fit.provider:
        row = values.reshape(-1)
        near = _TIGHT * float(np.abs(floats(row)).max(initial=0.0))
        if not hull and abs(float(np.dot(floats(row), point))) <= near:
            equations.append((row, ZERO))
    solution = nearby_solution(point, equations, np.flatnonzero(point).tolist()).reshape(shape)
    # Equations that could not be solved for are made up for where that is always possible.
    for part in solution.reshape(-1, shape[-1]):
        part -= total(part) / len(part)
    whole = total(abs(solution))
    return solution / whole if whole else solution


def _ones(places: np.ndarray, size: int) -> Rationals:
    row = np.full(size, ZERO, object)
    row[places] = ONE
    return row


def _caps(fit: Fit) -> list[Fraction]:
    """The largest weights; an indifferent provider's changes nothing."""
    return [WEIGHT_CAP * _range(fit.user) / (_range(values) or ONE) for values in fit.provider]


def _range(values: Rationals) -> Fraction:
    rows = values.reshape(-1, values.shape[-1]).tolist()
    return max(max(row) - min(row) for row in rows)
