"""Small linear programmes on the host: a dense primal simplex method, for compiled loops.

Each has a few hundred numbers, and shapes differ from one to the next.
"""

import numpy as np

from .._loops import compiled_loops

# Reduced costs and pivots below this are zero. Programmes are posed in units in which numbers are of order one.
_ZERO = 1e-9
# How far off a programme may be at the end of its first phase to count as feasible.
_FEASIBLE = 1e-9
# Right-hand sides are moved by about this much in ratio tests, so that ties do not make it cycle.
_NUDGE = 1e-11
_MOST_TURNS = 400
OPTIMAL, INFEASIBLE, _UNSOLVED = 0, 1, 2


@compiled_loops
def host_simplex(matrix, limit, cost):
    """Solves a programme: max cost x subject to matrix x <= limit, x >= 0.

    **Arguments:** `matrix[row column]`, `limit[row]`, `cost[column]`.

    **Returns:** `primal[column]` and `dual[row]`, which are candidates: nothing is to be believed before it is
    evaluated; and a status: `OPTIMAL`; or `INFEASIBLE`, where `dual` holds multipliers that say so; or another where
    nothing was found in many turns.
    """
    rows, columns = matrix.shape
    primal, dual, status = np.zeros(columns), np.zeros(rows), _UNSOLVED
    table, basis, free = _tableau(matrix, limit, cost)
    first_phase = len(free) > columns
    for turn in range(_MOST_TURNS):
        if first_phase:
            off = 0.0
            for row in range(rows):
                if basis[row] == columns + rows:
                    off += table[row, -2]
            first_phase = off > _FEASIBLE
        goal = rows + 1 if first_phase else rows
        entering, best = 0, _ZERO
        for column in range(len(free)):
            if table[goal, column] > best:
                # After many turns the first column that pays, which cannot cycle.
                entering, best = column, table[goal, column] if turn < _MOST_TURNS // 2 else np.inf
        if best == _ZERO:
            status = INFEASIBLE if first_phase else OPTIMAL
            for row in range(rows):
                if basis[row] < columns:
                    primal[basis[row]] = max(table[row, -2], 0.0)
            for column in range(len(free)):
                if columns <= free[column] < columns + rows:
                    dual[free[column] - columns] = max(-table[goal, column], 0.0)
            break
        leaving = _leaving(table, basis, entering, first_phase, columns + rows)
        if leaving == rows:
            break
        _pivot(table, entering, leaving, basis[leaving] == columns + rows)
        basis[leaving], free[entering] = free[entering], basis[leaving]
    return primal, dual, status


@compiled_loops(inlined=True)
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


@compiled_loops(inlined=True)
def _leaving(table, basis, entering, first_phase, artificial):
    """The row that limits the entering variable most, the first of several; one more than there are if none does."""
    leaving, least = len(basis), np.inf
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


@compiled_loops(inlined=True)
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
