"""Many small linear programmes at once on the host: a dense primal simplex method, vectorised over programmes.

All programmes of a batch take their pivots together; each sees its own numbers only, so that its solution does not
depend on its neighbours. NumPy only: nothing is compiled, and shapes may differ from call to call.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.optimize import linprog

# Reduced costs and pivots below this are zero. Programmes are posed in units in which numbers are of order one.
_ZERO = 1e-9
# How far off a programme may be at the end of its first phase to count as feasible.
_FEASIBLE = 1e-9
# Right-hand sides are moved by about this much in ratio tests, so that ties do not make it cycle.
_NUDGE = 1e-11
_MOST_TURNS = 400
# Numbers in all tableaux of a batch.
_MOST_NUMBERS = 2_000_000


@dataclass(frozen=True)
class Programme:
    """max cost x subject to matrix x <= limit, x >= 0."""

    matrix: Float[np.ndarray, "row column"]
    limit: Float[np.ndarray, " row"]
    cost: Float[np.ndarray, " column"]


@dataclass(frozen=True)
class Answer:
    """A candidate: nothing here is to be believed before it is evaluated.

    Where `feasible` is False, `dual` holds multipliers that say so.
    """

    primal: Float[np.ndarray, " column"]
    dual: Float[np.ndarray, " row"]
    feasible: bool


def solve_programmes(programmes: Sequence[Programme]) -> list[Answer]:
    """Solves programmes of any shapes; those of about the same shape share a batch."""
    groups: dict[tuple[int, int], list[int]] = {}
    for place, programme in enumerate(programmes):
        rows, columns = programme.matrix.shape
        groups.setdefault((-(-rows // 4) * 4, -(-columns // 32) * 32), []).append(place)
    answers: list[Answer | None] = [None] * len(programmes)
    for (rows, columns), places in groups.items():
        most = max(1, _MOST_NUMBERS // ((rows + 2) * (columns + rows + 2)))
        for start in range(0, len(places), most):
            part = places[start : start + most]
            for place, answer in zip(part, _solve_padded([programmes[p] for p in part], rows, columns), strict=True):
                answers[place] = answer
    return [answer for answer in answers if answer is not None]


def _solve_padded(programmes: list[Programme], rows: int, columns: int) -> list[Answer]:
    """Pads a batch with rows that hold anyway and columns that bring nothing, and solves it."""
    matrix = np.zeros((len(programmes), rows, columns))
    limit, cost = np.ones((len(programmes), rows)), np.zeros((len(programmes), columns))
    for place, programme in enumerate(programmes):
        own_rows, own_columns = programme.matrix.shape
        matrix[place, :own_rows, :own_columns] = programme.matrix
        limit[place, :own_rows] = programme.limit
        cost[place, :own_columns] = programme.cost
    primal, dual, status = _simplex(matrix, limit, cost)
    answers = []
    for place, programme in enumerate(programmes):
        own_rows, own_columns = programme.matrix.shape
        if status[place] == _UNSOLVED:
            answers.append(_by_highs(programme))
        else:
            feasible = bool(status[place] == _OPTIMAL)
            answers.append(Answer(primal[place, :own_columns], dual[place, :own_rows], feasible))
    return answers


_OPTIMAL, _INFEASIBLE, _UNSOLVED = 0, 1, 2


class _Tableaux:
    """Tableaux [programme row column]: rows of constraints, the cost, then what is infeasible.

    Columns are variables, slacks, limits, and limits that are nudged. An artificial variable has no column: it is basic
    (`num_columns`) until it leaves for good.
    """

    def __init__(self, matrix: np.ndarray, limit: np.ndarray, cost: np.ndarray):
        count, rows, columns = matrix.shape
        flipped = np.asarray(limit < 0)
        sign = np.where(flipped, -1.0, 1.0)
        self.width = columns + rows
        table = np.zeros((count, rows + 2, self.width + 2))
        table[:, :rows, :columns] = matrix * sign[..., None]
        row = np.arange(rows)
        table[:, row, columns + row] = sign
        table[:, :rows, -2] = limit * sign
        table[:, :rows, -1] = table[:, :rows, -2] + _NUDGE * (1.0 + (row * 7919 % 97) / 97.0) * (1.0 + np.abs(limit))
        table[:, rows, :columns] = cost
        table[:, rows + 1] = np.where(flipped[..., None], table[:, :rows], 0.0).sum(axis=1)
        self.table = table
        self.basis = np.where(flipped, self.width, columns + row[None])
        self.first_phase = np.asarray(flipped.any(axis=1))
        self.place = np.arange(count)

    def keep(self, which: np.ndarray) -> None:
        if not which.all():
            self.table, self.basis = self.table[which], self.basis[which]
            self.first_phase, self.place = self.first_phase[which], self.place[which]


def _simplex(matrix: np.ndarray, limit: np.ndarray, cost: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    count, rows, columns = matrix.shape
    primal, dual = np.zeros((count, columns)), np.zeros((count, rows))
    status = np.full(count, _UNSOLVED)
    state = _Tableaux(matrix, limit, cost)
    for turn in range(_MOST_TURNS):
        entering, ended = _price(state, rows, turn)
        if ended.any():
            _read(state, ended, rows, columns, (primal, dual, status))
            state.keep(~ended)
            entering = entering[~ended]
        if not len(state.place):
            break
        stuck = ~_pivot(state, entering, rows)
        if stuck.any():
            state.keep(~stuck)
    return primal, dual, status


def _price(state: _Tableaux, rows: int, turn: int) -> tuple[np.ndarray, np.ndarray]:
    """Picks the entering columns, and marks the programmes that have ended. Ends first phases."""
    table, width = state.table, state.width
    every = np.arange(len(table))
    off = np.where(state.basis == width, table[:, :rows, -2], 0.0).sum(axis=1)
    state.first_phase = state.first_phase & (off > _FEASIBLE)
    cost = np.where(state.first_phase[:, None], table[:, rows + 1, :width], table[:, rows, :width])
    # After many turns the first column that pays, which cannot cycle.
    entering = cost.argmax(axis=1) if turn < _MOST_TURNS // 2 else (cost > _ZERO).argmax(axis=1)
    return entering, cost[every, entering] <= _ZERO


def _read(state: _Tableaux, ended: np.ndarray, rows: int, columns: int, out: tuple[np.ndarray, ...]) -> None:
    primal, dual, status = out
    place, table = state.place[ended], state.table[ended]
    infeasible = np.asarray(state.first_phase[ended])
    status[place] = np.where(infeasible, _INFEASIBLE, _OPTIMAL)
    values = np.zeros((len(place), state.width + 1))
    np.put_along_axis(values, state.basis[ended], table[:, :rows, -2], axis=1)
    primal[place] = np.maximum(values[:, :columns], 0.0)
    cost = np.where(infeasible[:, None], table[:, rows + 1], table[:, rows])
    dual[place] = np.maximum(-cost[:, columns : columns + rows], 0.0)


def _pivot(state: _Tableaux, entering: np.ndarray, rows: int) -> np.ndarray:
    """Takes one pivot each; returns which programmes had one."""
    table, every = state.table, np.arange(len(state.table))
    column = table[every, :, entering]
    body = column[:, :rows]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(body > _ZERO, np.maximum(table[:, :rows, -1], 0.0) / body, np.inf)
    # An artificial variable that is zero leaves before it can grow again.
    leaves = (state.basis == state.width) & ~state.first_phase[:, None] & (np.abs(body) > _ZERO)
    ratio = np.where(leaves, -1.0, ratio)
    leaving = ratio.argmin(axis=1)
    good = np.isfinite(ratio[every, leaving])
    pivot = np.where(good, column[every, leaving], 1.0)
    row = table[every, leaving] / pivot[:, None]
    column[every, leaving] = 0.0
    table -= column[:, :, None] * row[:, None, :]
    table[every, leaving] = row
    state.basis[every, leaving] = entering
    return good


def _by_highs(programme: Programme) -> Answer:
    """The exact host solver, for a programme that was given up."""
    rows, columns = programme.matrix.shape
    found = linprog(-programme.cost, A_ub=programme.matrix, b_ub=programme.limit, method="highs")
    if found.x is None:
        return Answer(np.zeros(columns), np.zeros(rows), feasible=False)
    return Answer(np.maximum(found.x, 0.0), np.maximum(-found.ineqlin.marginals, 0.0), feasible=True)
