"""The linear programme of one part of the space of profiles: what users lose at most where no provider gains.

Rows are added as they are missed. One compiled loop poses a programme, solves it, bounds it by its multipliers, and
asks which inequalities are missed where it ends.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from .._bounds import outcomes_upper
from .._candidates import OPTIMAL, host_simplex
from .._loops import compiled_loops
from ._curves import MISSED, Curves, missed_at, points_at
from ._rows import Heard

# At most so many inequalities are added between two solutions, so often.
_ADDED, _SOLUTIONS = 6, 6
_ROUNDING = 1e-11


class Simplex(NamedTuple):
    """What users lose is a mixture of corners: row c of `shares` maps (1, losses) to the share of corner c.

    `is_wall` says whether that is a condition, or is known anyway.
    """

    corners: Float[np.ndarray, "corner user"]
    shares: Float[np.ndarray, "corner term"]
    is_wall: bool = True

    def mixture(self, room: Float[np.ndarray, " user"]) -> Float[np.ndarray, " corner"]:
        return np.clip(self.shares[:, 0] + self.shares[:, 1:] @ room, 0.0, 1.0)


class Multipliers(NamedTuple):
    """Of the best bound: `price` of inequalities, of the rest in the order of rows; `slope`: what all ask of losses."""

    price: Float[np.ndarray, "provider set"]
    evidence: Float[np.ndarray, " evidences"]
    envy: Float[np.ndarray, " rival"]
    slope: Float[np.ndarray, " user"]


class End(NamedTuple):
    """Where a programme ends: what users lose there, and by how much each provider gains if it wins each set of users.

    `used` are the inequalities that were added. Where the programme was not solved, `ended` is False and `room` the
    middle of the simplex; where nothing meets it, `is_feasible` is False, and the bound is below zero. The bound is
    infinite, and its multipliers zero, if nothing is known.
    """

    bound: float
    is_feasible: bool
    ended: bool
    room: Float[np.ndarray, " user"]
    missed: Float[np.ndarray, "provider set"]
    used: Bool[np.ndarray, "provider set"]
    by: Multipliers


class Side(NamedTuple):
    """What providers get from users who are told everything, and leave on the table."""

    told_first: Float[np.ndarray, "provider user"]
    slack: Float[np.ndarray, " provider"]


class Bounds(NamedTuple):
    """How far a programme is taken: until `enough`, with inequalities `among` some added as they are missed."""

    enough: float
    among: Bool[np.ndarray, "provider set"]
    solutions: int = _SOLUTIONS


def end_of(
    curves: Curves,
    heard: Heard,
    simplex: Simplex,
    goal: Float[np.ndarray, " column"],
    first: Bool[np.ndarray, "provider set"],
    bounds: Bounds,
) -> End:
    """Solves a programme, and says where it ends; `first` are the inequalities that it has from the beginning."""
    places = curves.places(simplex.corners)
    crowd = curves.crowd
    side = Side(crowd.told_first, crowd.slack)
    found = _end(crowd.offers, curves.known, side, heard.laid_out, simplex, places, goal, first, bounds)
    (bound, feasible, ended), room, missed, used, price, dual, slope = found
    count = heard.laid_out.used.shape[0]
    by = Multipliers(price, dual[:count], dual[count:], slope)
    return End(float(bound), bool(feasible), bool(ended), room, missed, used, by)


@compiled_loops(calls=(host_simplex, outcomes_upper, points_at, missed_at))
def _end(offers, known, side, heard, simplex, places, goal, first, bounds):
    providers, sets = first.shape
    users, columns = heard.lost.shape
    evidences, calm = len(heard.used), len(heard.envy)
    most = min(providers * sets, len(_marked(first)) + _ADDED * bounds.solutions)
    rows, limit, slope, start = _started(heard, simplex, most)
    pair_of = np.empty((len(rows), 2), np.int64)
    used, fresh, missed = np.zeros((providers, sets), np.bool_), first, np.zeros((providers, sets))
    bound, is_feasible, has_ended = np.inf, True, True
    room = _middle(simplex.corners)
    price, dual, total = np.zeros((providers, sets)), np.zeros(evidences + calm), np.zeros(users)
    count, nothing = start, np.zeros(columns)
    for turn in range(bounds.solutions):
        before = count
        pairs = _marked(fresh)
        values = points_at(offers, known, simplex.corners, places, pairs)
        for pair in range(len(pairs)):
            one, won = pairs[pair, 0], pairs[pair, 1]
            used[one, won] = True
            height, is_known = _through(simplex.corners, simplex.shares, values, pair, slope[count])
            if is_known:
                _inequality(rows[count], heard, known.sets[won], one, slope[count])
                limit[count] = side.slack[one] - height
                for user in range(users):
                    if known.sets[won, user]:
                        limit[count] += side.told_first[one, user]
                pair_of[count, 0], pair_of[count, 1] = one, won
                count += 1
        if turn and count == before:
            break
        primal, prices, status = host_simplex(rows[:count], limit[:count], goal)
        is_solved = status == OPTIMAL
        aim = goal if is_solved else nothing
        above = outcomes_upper(heard.belief, heard.policy, aim, rows[evidences:count], limit[evidences:count], prices)
        if not is_solved and not above < -_ROUNDING:
            has_ended, room, missed = False, _middle(simplex.corners), np.zeros((providers, sets))
            break
        if not is_solved or above < bound:
            bound = above
            _share_out(prices, slope, pair_of, start, dual, price, total)
        if not is_solved:
            is_feasible = False
            break
        room = _mixed(heard.lost, primal)
        for user in range(users):
            room[user] = min(max(room[user], 0.0), 1.0)
        if bound <= bounds.enough or bounds.solutions == 1:
            break
        missed = missed_at(offers, known, room, _now(heard, side, known.sets, primal))
        fresh = worst_of(bounds.among, missed, used)
    return (bound, is_feasible, has_ended), room, missed, used, price, dual, total


@compiled_loops(inlined=True)
def _started(heard, simplex, most):
    """The rows that a programme has before any inequality is added, their limits, and what they ask of losses."""
    shares = simplex.shares
    used, envy, lost = heard.used, heard.envy, heard.lost
    evidences, calm, corners = len(used), len(envy), len(simplex.corners)
    users, columns = lost.shape
    start = evidences + calm + (corners if simplex.is_wall else 0)
    rows, limit, slope = np.zeros((start + most, columns)), np.zeros(start + most), np.zeros((start + most, users))
    for row in range(evidences):
        limit[row] = 1.0
        for column in range(columns):
            rows[row, column] = used[row, column]
    for row in range(calm):
        for column in range(columns):
            rows[evidences + row, column] = envy[row, column]
    for row in range(evidences + calm, start):
        corner = row - evidences - calm
        limit[row] = shares[corner, 0] + _ROUNDING
        for user in range(users):
            slope[row, user] = -shares[corner, 1 + user]
            for column in range(columns):
                rows[row, column] += slope[row, user] * lost[user, column]
    return rows, limit, slope, start


@compiled_loops(inlined=True)
def _share_out(prices, slope, pair_of, start, dual, price, total):
    """Writes multipliers where they belong: the first rows, the inequalities, and what all ask of losses."""
    for row in range(len(dual)):
        dual[row] = max(prices[row], 0.0)
    for one in range(price.shape[0]):
        for won in range(price.shape[1]):
            price[one, won] = 0.0
    for user in range(len(total)):
        total[user] = 0.0
    for row in range(len(dual), len(prices)):
        worth = max(prices[row], 0.0)
        if row >= start:
            price[pair_of[row, 0], pair_of[row, 1]] = worth
        for user in range(len(total)):
            total[user] += worth * slope[row, user]


@compiled_loops(inlined=True)
def _marked(where):
    count = 0
    for one in range(where.shape[0]):
        for won in range(where.shape[1]):
            count += where[one, won]
    pairs = np.empty((count, 2), np.int64)
    count = 0
    for one in range(where.shape[0]):
        for won in range(where.shape[1]):
            if where[one, won]:
                pairs[count, 0], pairs[count, 1] = one, won
                count += 1
    return pairs


@compiled_loops(inlined=True)
def _middle(corners):
    middle = np.zeros(corners.shape[1])
    for corner in range(len(corners)):
        for user in range(len(middle)):
            middle[user] += corners[corner, user] / len(corners)
    return middle


@compiled_loops(inlined=True)
def _through(corners, shares, values, pair, slope):
    """Writes the slope of an affine function nowhere above values at the corners; its height, if they are finite."""
    height, over = 0.0, 0.0
    for user in range(len(slope)):
        slope[user] = 0.0
    for corner in range(len(values)):
        if not np.isfinite(values[corner, pair]):
            return 0.0, False
        height += values[corner, pair] * shares[corner, 0]
        for user in range(len(slope)):
            slope[user] += values[corner, pair] * shares[corner, 1 + user]
    for corner in range(len(values)):
        there = height - values[corner, pair]
        for user in range(len(slope)):
            there += slope[user] * corners[corner, user]
        over = max(over, there)
    return height - over, True


@compiled_loops(inlined=True)
def _inequality(row, heard, won, provider, slope):
    """What some users bring a provider, and its slack, is no less than an affine function of losses."""
    lost, earned = heard.lost, heard.earned
    for column in range(len(row)):
        row[column] = 0.0
    for user in range(len(won)):
        for column in range(len(row)):
            row[column] += slope[user] * lost[user, column]
        if won[user]:
            for column in range(len(row)):
                row[column] -= earned[provider, user, column]


@compiled_loops(inlined=True)
def _mixed(worth, primal):
    total = np.zeros(len(worth))
    for column in range(len(primal)):
        if primal[column] != 0.0:
            for row in range(len(worth)):
                total[row] += primal[column] * worth[row, column]
    return total


@compiled_loops(inlined=True)
def _now(heard, side, sets, primal):
    """What each provider gets from each set of users, and what it leaves on the table."""
    now = np.empty((len(side.slack), len(sets)))
    for provider in range(len(now)):
        brings = _mixed(heard.earned[provider], primal)
        for won in range(len(sets)):
            now[provider, won] = side.slack[provider]
            for user in range(len(brings)):
                if sets[won, user]:
                    now[provider, won] += side.told_first[provider, user] + brings[user]
    return now


@compiled_loops(inlined=True)
def worst_of(among, missed, used):
    """Marks the inequalities [provider set] that are missed most among some that are not used yet."""
    chosen = np.zeros(among.shape, np.bool_)
    for _ in range(_ADDED):
        best, which, most = 0, 0, MISSED
        for one in range(among.shape[0]):
            for won in range(among.shape[1]):
                free = among[one, won] and not used[one, won] and not chosen[one, won]
                if free and missed[one, won] > most:
                    best, which, most = one, won, missed[one, won]
        if most > MISSED:
            chosen[best, which] = True
    return chosen
