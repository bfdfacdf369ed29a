"""Turns an outcome of floats into one that meets all its constraints exactly, and changes it as little as it can.

Floats miss constraints by 1e-11 or so. What is almost zero becomes zero, what almost holds with equality is made to,
and what is then still missed is made up for by mixing with an outcome that is known to meet everything.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from ._rational import ONE, ZERO, Rationals, candidate, dot, exact, floats, nearby_solution, total

# A constraint `<row, q> >= bound`.
Constraint = tuple[Rationals, Fraction]
_ROUNDS = 4
# A share of `safe` in a mixture that is as good as none.
_GOOD = 1e-11


class _Attempt(NamedTuple):
    """What counts as no probability; then, as shares of a constraint's size, what counts as no slack, and what is left.

    Something has to be left where constraints are the same up to rounding: not all of them can hold with equality.
    """

    nothing: float
    tight: float
    left: float


_ATTEMPTS = (
    _Attempt(1e-12, 1e-10, 0.0),
    _Attempt(1e-9, 1e-8, 0.0),
    _Attempt(1e-12, 1e-10, 1e-14),
    _Attempt(1e-12, 1e-10, 1e-12),
    _Attempt(1e-9, 1e-8, 1e-11),
)


def repaired(
    outcome: np.ndarray,
    groups: Sequence[np.ndarray],
    constraints_at: Callable[[Rationals], list[Constraint]],
    safe: Rationals,
) -> Rationals:
    """Returns an outcome that exactly sums to 1 over each group, is nowhere negative, and meets every constraint.

    `constraints_at` lists the constraints that matter at an outcome, all of them when they are linear. `safe` meets
    them; it is what is returned in the worst case.
    """
    start = _normalised(outcome, groups, safe)
    best, least = safe, ONE
    for attempt in _ATTEMPTS:
        moved = _snapped(start, groups, constraints_at, attempt)
        mixed, share = (safe, ONE) if moved is None else _mixed(moved, constraints_at, safe)
        if share < least:
            best, least = mixed, share
        if least <= _GOOD:
            return best
    mixed, share = _mixed(_unit(exact(start), groups), constraints_at, safe)
    return mixed if share < least else best


def as_outcome(values: np.ndarray, groups: Sequence[np.ndarray], safe: Rationals) -> Rationals:
    """Reads floats as an outcome: nowhere negative, and exactly 1 over each group."""
    return _unit(exact(_normalised(values, groups, safe)), groups)


def _normalised(outcome: np.ndarray, groups: Sequence[np.ndarray], safe: Rationals) -> np.ndarray:
    values = np.maximum(floats(candidate(outcome)), 0.0)
    for group in groups:
        whole = values[group].sum()
        values[group] = values[group] / whole if whole > 0 else floats(safe[group])
    return values


def _unit(values: Rationals, groups: Sequence[np.ndarray]) -> Rationals:
    values = values.copy()
    for group in groups:
        values[group] = values[group] / total(values[group])
    return values


def _snapped(
    start: np.ndarray,
    groups: Sequence[np.ndarray],
    constraints_at: Callable[[Rationals], list[Constraint]],
    attempt: _Attempt,
) -> Rationals | None:
    """Solves the constraints that almost hold with equality; None when that leads out of the outcomes."""
    point = np.where(start > attempt.nothing, start, 0.0)
    for _ in range(_ROUNDS):
        equations = [(_indicator(group, len(point)), ONE) for group in groups]
        here = _unit(exact(point), groups)
        for row, bound in constraints_at(here):
            size = float(np.abs(floats(row)).sum())
            if size > 0 and abs(dot(row, here) - bound) <= attempt.tight * size:
                equations.append((row, bound + Fraction(attempt.left * size)))
        solution = nearby_solution(point, equations, np.flatnonzero(point).tolist())
        negative = np.array([value < 0 for value in solution])
        if not negative.any():
            sums = [total(solution[group]) for group in groups]
            return solution if all(value == 1 for value in sums) else None
        point = np.where(negative, 0.0, point)
        if any(point[group].sum() <= 0 for group in groups):
            return None
    return None


def _indicator(group: np.ndarray, size: int) -> Rationals:
    row = np.full(size, ZERO, object)
    row[group] = ONE
    return row


def _mixed(
    outcome: Rationals, constraints_at: Callable[[Rationals], list[Constraint]], safe: Rationals
) -> tuple[Rationals, Fraction]:
    """Mixes with `safe` until every constraint holds; also returns the share of `safe`."""
    weight = ONE
    mixture = outcome
    for _ in range(_ROUNDS):
        share = ZERO
        for row, bound in constraints_at(mixture):
            miss = bound - dot(row, mixture)
            if miss > 0:
                room = dot(row, safe) - bound
                share = max(share, miss / (miss + room) if room > 0 else ONE)
        if share == 0:
            return mixture, 1 - weight
        if share == 1:
            break
        weight *= 1 - share
        mixture = (1 - share) * mixture + share * safe
    return safe, ONE
