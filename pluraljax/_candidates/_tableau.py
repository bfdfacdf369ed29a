"""Many small linear programmes on the host: a dense primal simplex method, one programme after the other.

Each has a few hundred numbers, and shapes differ from one to the next. Numba compiles the loops once for all of them,
and keeps what it compiled beside this file or, where that cannot be written to, in the user's cache.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import no_type_check

import numba
import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import linprog

# Reduced costs and pivots below this are zero. Programmes are posed in units in which numbers are of order one.
_ZERO = 1e-9
# How far off a programme may be at the end of its first phase to count as feasible.
_FEASIBLE = 1e-9
# Right-hand sides are moved by about this much in ratio tests, so that ties do not make it cycle.
_NUDGE = 1e-11
_MOST_TURNS = 400
_OPTIMAL, _INFEASIBLE, _UNSOLVED = 0, 1, 2


@dataclass(frozen=True)
class Programmes:
    """Programmes of one shape: max cost x subject to matrix x <= limit, x >= 0."""

    matrix: Float[np.ndarray, "programme row column"]
    limit: Float[np.ndarray, "programme row"]
    cost: Float[np.ndarray, "programme column"]

    def __len__(self) -> int:
        return len(self.limit)


@dataclass(frozen=True)
class Answers:
    """Candidates: nothing here is to be believed before it is evaluated.

    Where `feasible` is False, `dual` holds multipliers that say so.
    """

    primal: Float[np.ndarray, "programme column"]
    dual: Float[np.ndarray, "programme row"]
    feasible: Bool[np.ndarray, " programme"]


def solve_programmes(asked: Sequence[Programmes]) -> list[Answers]:
    """Solves programmes of any shapes."""
    return [_solve(programmes) for programmes in asked]


def _solve(asked: Programmes) -> Answers:
    count, rows, columns = asked.matrix.shape
    primal, dual, status = np.zeros((count, columns)), np.zeros((count, rows)), np.full(count, _UNSOLVED)
    posed = (np.ascontiguousarray(leaf, float) for leaf in (asked.matrix, asked.limit, asked.cost))
    _simplex(*posed, primal, dual, status)
    for place in np.flatnonzero(status == _UNSOLVED):
        found = linprog(-asked.cost[place], A_ub=asked.matrix[place], b_ub=asked.limit[place], method="highs")
        status[place] = _INFEASIBLE if found.x is None else _OPTIMAL
        primal[place] = 0.0 if found.x is None else np.maximum(found.x, 0.0)
        dual[place] = 0.0 if found.x is None else np.maximum(-found.ineqlin.marginals, 0.0)
    return Answers(primal, dual, status == _OPTIMAL)


def _compiled(function: Callable) -> Callable:
    """Compiles at the first call; where no folder can be written to, that is not kept for the next process."""
    # Checks of types at run time would hide functions from Numba: they are `no_type_check`.
    # Without exceptions for divisions by zero, loops become vector instructions.
    options = {"nogil": True, "error_model": "numpy"}
    try:
        return numba.njit(function, cache=True, **options)
    except RuntimeError:
        return numba.njit(function, **options)


@no_type_check
@_compiled
def _simplex(matrix, limit, cost, primal, dual, status):
    """Writes what it finds about each programme into the last three arrays."""
    for place in range(len(limit)):
        rows, columns = matrix[place].shape
        table, basis, free = _tableau(matrix[place], limit[place], cost[place])
        first_phase = len(free) > columns
        for turn in range(_MOST_TURNS):
            if first_phase:
                off = 0.0
                for row in range(rows):
                    if basis[row] == columns + rows:
                        off += table[row, -2]
                first_phase = off > _FEASIBLE
            prices = table[rows + 1 if first_phase else rows]
            entering, best = -1, _ZERO
            for column in range(len(free)):
                if prices[column] > best:
                    # After many turns the first column that pays, which cannot cycle.
                    entering, best = column, prices[column] if turn < _MOST_TURNS // 2 else np.inf
            if entering < 0:
                status[place] = _INFEASIBLE if first_phase else _OPTIMAL
                _read(table, basis, free, prices, primal[place], dual[place])
                break
            leaving = _leaving(table, basis, entering, first_phase, columns + rows)
            if leaving < 0:
                break
            _pivot(table, entering, leaving, basis[leaving] == columns + rows)
            basis[leaving], free[entering] = free[entering], basis[leaving]


@no_type_check
@_compiled
def _tableau(matrix, limit, cost):
    """The tableau [row column] of what is not basic: rows of constraints, the cost, then what is infeasible.

    Columns are non-basic variables (`free` says which: variables, then slacks), limits, and limits that are nudged. An
    artificial variable has no column: it is basic (the number of all others) until it leaves for good.
    """
    rows, columns = matrix.shape
    extra = columns
    for row in range(rows):
        extra += limit[row] < 0
    table = np.zeros((rows + 2, extra + 2))
    basis, free = np.empty(rows, np.int64), np.empty(extra, np.int64)
    for column in range(columns):
        free[column], table[rows, column] = column, cost[column]
    extra = columns
    for row in range(rows):
        sign = -1.0 if limit[row] < 0 else 1.0
        for column in range(columns):
            table[row, column] = sign * matrix[row, column]
        table[row, -2] = sign * limit[row]
        nudge = _NUDGE * (1.0 + (row * 7919 % 97) / 97.0) * (1.0 + abs(limit[row]))
        table[row, -1] = table[row, -2] + nudge
        basis[row] = columns + row
        if limit[row] < 0:
            # The slack is not basic, and an artificial variable is.
            table[row, extra] = -1.0
            free[extra], basis[row] = columns + row, columns + rows
            extra += 1
            for column in range(table.shape[1]):
                table[rows + 1, column] += table[row, column]
    return table, basis, free


@no_type_check
@_compiled
def _leaving(table, basis, entering, first_phase, artificial):
    """The row that limits the entering variable most, the first of several; -1 if none does."""
    leaving, least = -1, np.inf
    for row in range(len(basis)):
        body = table[row, entering]
        if basis[row] == artificial and not first_phase and abs(body) > _ZERO:
            # An artificial variable that is zero leaves before it can grow again.
            ratio = -1.0
        elif body > _ZERO:
            ratio = max(table[row, -1], 0.0) / body
        else:
            continue
        if ratio < least:
            leaving, least = row, ratio
    return leaving


@no_type_check
@_compiled
def _pivot(table, entering, leaving, gone):
    """The entering column becomes that of the variable that leaves; an artificial one is `gone` for good."""
    pivot = table[leaving, entering]
    row = np.empty(table.shape[1])
    for column in range(len(row)):
        row[column] = table[leaving, column] / pivot
    row[entering] = 0.0 if gone else 1.0 / pivot
    for other in range(len(table)):
        share = table[other, entering]
        if other != leaving and share != 0.0:
            table[other, entering] = 0.0
            for column in range(len(row)):
                table[other, column] -= share * row[column]
    for column in range(len(row)):
        table[leaving, column] = row[column]


@no_type_check
@_compiled
def _read(table, basis, free, prices, primal, dual):
    columns, rows = len(primal), len(dual)
    for row in range(rows):
        if basis[row] < columns:
            primal[basis[row]] = max(table[row, -2], 0.0)
    for column in range(len(free)):
        if columns <= free[column] < columns + rows:
            dual[free[column] - columns] = max(-prices[column], 0.0)
