"""Many small linear programmes at once on the host: a dense primal simplex method, vectorised over programmes.

All programmes of a batch take their pivots together; each sees its own numbers only, so that its solution does not
depend on its neighbours. NumPy only: nothing is compiled, and shapes may differ from call to call.
"""

from collections.abc import Sequence
from dataclasses import dataclass

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
# Numbers in all tableaux of a batch: more do not fit into a core's cache.
_MOST_NUMBERS = 250_000


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
    """Solves programmes of any shapes; those of about the same shape share a batch."""
    groups: dict[tuple[int, int], list[int]] = {}
    for place, programmes in enumerate(asked):
        _, rows, columns = programmes.matrix.shape
        groups.setdefault((-(-rows // 4) * 4, -(-columns // 16) * 16), []).append(place)
    answers: list[Answers | None] = [None] * len(asked)
    for (rows, columns), places in groups.items():
        padded = _pad([asked[place] for place in places], rows, columns)
        most = max(1, _MOST_NUMBERS // ((rows + 2) * (columns + rows + 2)))
        parts = [_simplex(*(leaf[start : start + most] for leaf in padded)) for start in range(0, len(padded[0]), most)]
        primal, dual, status = (np.concatenate(leaves) for leaves in zip(*parts, strict=True)) if parts else padded
        start = 0
        for place in places:
            own = slice(start, start + len(asked[place]))
            answers[place] = _read_off(asked[place], primal[own], dual[own], status[own])
            start += len(asked[place])
    return [answer for answer in answers if answer is not None]


def _pad(asked: list[Programmes], rows: int, columns: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Stacks programmes, padded with rows that hold anyway and columns that bring nothing."""
    count, start = sum(map(len, asked)), 0
    matrix = np.zeros((count, rows, columns))
    limit, cost = np.ones((count, rows)), np.zeros((count, columns))
    for programmes in asked:
        own, (_, own_rows, own_columns) = slice(start, start + len(programmes)), programmes.matrix.shape
        matrix[own, :own_rows, :own_columns] = programmes.matrix
        limit[own, :own_rows] = programmes.limit
        cost[own, :own_columns] = programmes.cost
        start += len(programmes)
    return matrix, limit, cost


def _read_off(asked: Programmes, primal: np.ndarray, dual: np.ndarray, status: np.ndarray) -> Answers:
    _, rows, columns = asked.matrix.shape
    answers = Answers(primal[:, :columns], dual[:, :rows], status == _OPTIMAL)
    for place in np.flatnonzero(status == _UNSOLVED):
        found = linprog(-asked.cost[place], A_ub=asked.matrix[place], b_ub=asked.limit[place], method="highs")
        answers.feasible[place] = found.x is not None
        answers.primal[place] = 0.0 if found.x is None else np.maximum(found.x, 0.0)
        answers.dual[place] = 0.0 if found.x is None else np.maximum(-found.ineqlin.marginals, 0.0)
    return answers


_OPTIMAL, _INFEASIBLE, _UNSOLVED = 0, 1, 2


class _Tableaux:
    """Tableaux [programme row column] of what is not basic: rows of constraints, the cost, then what is infeasible.

    Columns are non-basic variables (`free` says which: variables, then slacks), limits, and limits that are nudged. An
    artificial variable has no column: it is basic (`width`) until it leaves for good.
    """

    def __init__(self, matrix: np.ndarray, limit: np.ndarray, cost: np.ndarray):
        count, rows, columns = matrix.shape
        flipped = np.asarray(limit < 0)
        sign = np.where(flipped, -1.0, 1.0)
        # Slacks of flipped rows are not basic: as many columns as the programme with most of them needs.
        extra = np.flatnonzero(flipped.any(axis=0))
        self.width = columns + rows
        self.columns = columns + len(extra)
        table = np.zeros((count, rows + 2, self.columns + 2))
        table[:, :rows, :columns] = matrix * sign[..., None]
        row = np.arange(rows)
        table[:, extra, columns + np.arange(len(extra))] = np.where(flipped[:, extra], -1.0, 0.0)
        table[:, :rows, -2] = limit * sign
        table[:, :rows, -1] = table[:, :rows, -2] + _NUDGE * (1.0 + (row * 7919 % 97) / 97.0) * (1.0 + np.abs(limit))
        table[:, rows, :columns] = cost
        table[:, rows + 1] = np.where(flipped[..., None], table[:, :rows], 0.0).sum(axis=1)
        self.table = table
        self.basis = np.where(flipped, self.width, columns + row[None])
        # Columns that stand for nothing (their slack is basic) are marked by the width, and hold zeros.
        free = np.where(flipped[:, extra], columns + extra[None], self.width)
        self.free = np.concatenate([np.broadcast_to(np.arange(columns), (count, columns)), free], axis=1)
        self.first_phase = np.asarray(flipped.any(axis=1))
        self.place = np.arange(count)

    def keep(self, which: np.ndarray) -> None:
        if not which.all():
            self.table, self.basis, self.free = self.table[which], self.basis[which], self.free[which]
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
    table, every = state.table, np.arange(len(state.table))
    cost = table[:, rows, : state.columns]
    if state.first_phase.any():
        off = np.where(state.basis == state.width, table[:, :rows, -2], 0.0).sum(axis=1)
        state.first_phase = state.first_phase & (off > _FEASIBLE)
        cost = np.where(state.first_phase[:, None], table[:, rows + 1, : state.columns], cost)
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
    cost = np.where(infeasible[:, None], table[:, rows + 1, : state.columns], table[:, rows, : state.columns])
    prices = np.zeros((len(place), state.width + 1))
    np.put_along_axis(prices, state.free[ended], -cost, axis=1)
    dual[place] = np.maximum(prices[:, columns : columns + rows], 0.0)


def _pivot(state: _Tableaux, entering: np.ndarray, rows: int) -> np.ndarray:
    """Takes one pivot each; returns which programmes had one."""
    table, every = state.table, np.arange(len(state.table))
    column = table[every, :, entering]
    body = column[:, :rows]
    pays = body > _ZERO
    ratio = np.full(body.shape, np.inf)
    np.divide(np.maximum(table[:, :rows, -1], 0.0), body, out=ratio, where=pays)
    if (state.basis == state.width).any():
        # An artificial variable that is zero leaves before it can grow again.
        leaves = (state.basis == state.width) & ~state.first_phase[:, None] & (np.abs(body) > _ZERO)
        ratio[leaves] = -1.0
    leaving = ratio.argmin(axis=1)
    good = np.isfinite(ratio[every, leaving])
    pivot = np.where(good, column[every, leaving], 1.0)
    row = table[every, leaving] / pivot[:, None]
    column[every, leaving] = 0.0
    # The entering column becomes that of the variable that leaves; an artificial one is gone for good.
    gone = state.basis[every, leaving] == state.width
    table[every, :, entering] = 0.0
    row[every, entering] = np.where(gone, 0.0, 1.0 / pivot)
    table -= column[:, :, None] * row[:, None, :]
    table[every, leaving] = row
    state.basis[every, leaving], state.free[every, entering] = state.free[every, entering], state.basis[every, leaving]
    return good
