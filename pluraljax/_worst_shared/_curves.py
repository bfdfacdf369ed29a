"""What a provider can get by winning a set of users, in terms of what users have elsewhere: points and tangents.

For each provider and set of users it is concave in the room: mixing two policies mixes what they cost users and bring.
Every programme that is solved gives a point below the curve and a tangent above it. Tangents are kept: where one is low
enough, nothing needs to be solved.
"""

import itertools
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from .._bounds import winning_lower, winning_upper
from .._candidates import OPTIMAL, host_simplex
from .._loops import compiled_loops
from .._signals import Crowd

# How much better than their room users are offered who are to be won, so that they come for it.
MARGIN = 1e-7
# A room so large that nothing is asked of a policy by it.
ANYTHING = 2.0
# How far tangents are moved, one after the other, until there is a policy to touch.
_MOVES = (0.0, 0.02, 0.2, 1.0)
# Tangents that are lower by less than this where they touch are not kept.
LOWER = 1e-9
# Inequalities that are missed by less than this share of a provider's range are met.
MISSED = 1e-7
# Space for points and, half of it free, for tangents at first.
_POINTS, _TANGENTS = 64, 32


def sets_of(users: int) -> Bool[np.ndarray, "set user"]:
    """Lists the non-empty sets of users, everybody last."""
    return np.array(list(itertools.product((False, True), repeat=users)), bool)[1:]


class Known(NamedTuple):
    """What is known of the curves of one market, for compiled loops: points in a table, and tangents, `counts` of each.

    NaN and infinity stand for what is not known.
    """

    sets: Bool[np.ndarray, "set user"]
    table: Float[np.ndarray, "point provider set"]
    counts: Int[np.ndarray, "provider set"]
    height: Float[np.ndarray, "provider set tangent"]
    slope: Float[np.ndarray, "provider set tangent user"]
    price: Float[np.ndarray, "provider set tangent row"]


class Curves:
    """The curves of one market, each point computed once, and the tangents known so far."""

    def __init__(self, crowd: Crowd):
        self.crowd, self.sets = crowd, sets_of(crowd.num_users)
        shape = (crowd.num_providers, len(self.sets))
        self.pairs: Int[np.ndarray, "pair 2"] = np.indices(shape).reshape(2, -1).T.copy()
        self._places: dict[bytes, int] = {}
        self._known = Known(
            self.sets,
            np.full((_POINTS, *shape), np.nan),
            np.zeros(shape, int),
            np.full((*shape, _TANGENTS), np.inf),
            np.zeros((*shape, _TANGENTS, crowd.num_users)),
            np.zeros((*shape, _TANGENTS, crowd.num_evidences + crowd.num_users)),
        )

    @property
    def known(self) -> Known:
        """What is known, with room for what a few more programmes tell."""
        if self._known.counts.max() + _TANGENTS // 2 > self._known.height.shape[2]:
            more = {"height": np.inf, "slope": 0.0, "price": 0.0}
            wider = {name: _doubled(getattr(self._known, name), blank, 2) for name, blank in more.items()}
            self._known = self._known._replace(**wider)
        return self._known

    def places(self, rooms: Float[np.ndarray, "point user"]) -> Int[np.ndarray, " point"]:
        """Where the table holds what is known at some points."""
        return np.array([self._place(room.tobytes()) for room in rooms])

    def _place(self, room: bytes) -> int:
        if (place := self._places.get(room)) is None:
            place = self._places[room] = len(self._places)
            if place == len(self._known.table):
                self._known = self._known._replace(table=_doubled(self._known.table, np.nan, 0))
        return place

    def points(
        self, rooms: Float[np.ndarray, "point user"], pairs: Int[np.ndarray, "pair 2"]
    ) -> Float[np.ndarray, "point pair"]:
        """Bounds the curves of (provider, set) pairs from below at some points; -infinity where nobody can be won."""
        places = self.places(rooms)
        return points_at(self.crowd.offers, self.known, rooms, places, pairs)

    def policy(self, room: Float[np.ndarray, " user"], pair: tuple[int, int]) -> Float[np.ndarray, " corner"]:
        """The weights of the corners in the policy by which a point of a curve is known."""
        return solve_point(self.crowd.offers, self.known, *pair, room)[1]

    def above(self, room: Float[np.ndarray, " user"]) -> Float[np.ndarray, "provider set"]:
        """The lowest of the known tangents at a point."""
        height, slope = lowest_tangents(self.known, np.repeat(room[None], len(self.pairs), axis=0), self.pairs)
        return (height + slope @ room).reshape(self._known.counts.shape)

    def prices(
        self, rooms: Float[np.ndarray, "pair user"], pairs: Int[np.ndarray, "pair 2"]
    ) -> Float[np.ndarray, "pair row"]:
        """The multipliers of `winning_upper`, of evidence and users, that make the lowest of the known tangents."""
        provider, which = pairs.T
        places = [_at(self.known, *pair, room)[0] for pair, room in zip(pairs.tolist(), rooms, strict=True)]
        return np.maximum(self._known.price[provider, which, places], 0.0)

    def touch(self, room: Float[np.ndarray, " user"]) -> None:
        """Makes tangents known that touch all curves at a point."""
        make_tangents(self.crowd.offers, self.known, np.repeat(room[None], len(self.pairs), axis=0), self.pairs)


def _doubled(leaf: np.ndarray, blank: float, axis: int) -> np.ndarray:
    return np.concatenate([leaf, np.full(leaf.shape, blank)], axis)


@compiled_loops(calls=(host_simplex, winning_lower, winning_upper))
def solve_point(offers, known, provider, which, room):
    """Bounds a curve from below at a room, and keeps a tangent; also returns the policy's weights.

    Users to be won are offered a little more than they have. Who has next to none is told everything, or, not to be
    won, is asked nothing.
    """
    won = known.sets[which]
    matrix, limit, cost = _laid_out(offers, provider, won)
    corners, evidences = offers.belief.shape
    is_touched = True
    for user in range(len(room)):
        row = evidences + user
        limit[row] = room[user] - MARGIN if won[user] else -room[user]
        if won[user] and room[user] <= MARGIN:
            is_touched, limit[row] = False, 0.0
            for corner in range(corners):
                cost[corner] -= offers.earned[provider, corner, user]
        elif room[user] <= 0.0:
            limit[row] = 0.0
            for corner in range(corners):
                matrix[row, corner] = 0.0
    primal, dual, status = host_simplex(matrix, limit, cost)
    if status != OPTIMAL:
        return -np.inf, primal
    if is_touched:
        height, slope = winning_upper(offers, provider, won, dual)
        _keep(known, provider, which, room, height, slope, dual)
    return winning_lower(offers, provider, won, room, primal), primal


@compiled_loops(calls=(host_simplex, winning_lower, winning_upper))
def points_at(offers, known, rooms, places, pairs):
    """Bounds the curves of some pairs at some points [point pair], which have these places in the table."""
    table = known.table
    values = np.empty((len(places), len(pairs)))
    for one in range(len(places)):
        for pair in range(len(pairs)):
            place, provider, which = places[one], pairs[pair, 0], pairs[pair, 1]
            if np.isnan(table[place, provider, which]):
                table[place, provider, which] = solve_point(offers, known, provider, which, rooms[one])[0]
            values[one, pair] = table[place, provider, which]
    return values


@compiled_loops(calls=(host_simplex, winning_lower, winning_upper))
def missed_at(offers, known, room, now):
    """By how much curves are above what providers get `now[provider set]`; zero where tangents say they are not."""
    gains = np.zeros(now.shape)
    for provider in range(now.shape[0]):
        for which in range(now.shape[1]):
            if _at(known, provider, which, room)[1] > now[provider, which] + MISSED:
                most = solve_point(offers, known, provider, which, room)[0]
                gains[provider, which] = max(most - now[provider, which], 0.0)
    return gains


@compiled_loops(calls=(host_simplex, winning_upper))
def make_tangents(offers, known, rooms, pairs):
    """Makes tangents known that touch curves, of each pair at a room of its own.

    Where no policy wins exactly these users at a room, it is moved, one move after the other.
    """
    evidences = offers.belief.shape[1]
    for place in range(len(pairs)):
        provider, which, room = pairs[place, 0], pairs[place, 1], rooms[place]
        won = known.sets[which]
        matrix, limit, cost = _laid_out(offers, provider, won)
        for move in _MOVES:
            for user in range(len(room)):
                moved = min(room[user] + move, 1.0) if won[user] else -max(room[user] - move, 0.0)
                limit[evidences + user] = moved
            _, dual, status = host_simplex(matrix, limit, cost)
            if status == OPTIMAL or move == _MOVES[-1]:
                height, slope = winning_upper(offers, provider, won, dual)
                _keep(known, provider, which, room, height, slope, dual)
                break


@compiled_loops(inlined=True)
def _laid_out(offers, provider, won):
    """A programme (matrix, limit, cost) about policies that win some users; users' limits are left to be set."""
    belief, lost, earned = offers.belief, offers.lost, offers.earned
    corners, evidences = belief.shape
    users = len(won)
    matrix = np.empty((evidences + users, corners))
    limit, cost = np.empty(evidences + users), np.zeros(corners)
    for evidence in range(evidences):
        limit[evidence] = 1.0
    for corner in range(corners):
        for evidence in range(evidences):
            matrix[evidence, corner] = belief[corner, evidence]
        for user in range(users):
            loss = lost[corner, user]
            matrix[evidences + user, corner] = loss if won[user] else -loss
            if won[user]:
                cost[corner] += earned[provider, corner, user]
    return matrix, limit, cost


@compiled_loops(inlined=True)
def _at(known, one, won, room):
    """The place of the lowest tangent at a point, and how low it is; infinite if there are none."""
    counts, height, slope = known.counts, known.height, known.slope
    best, least = 0, np.inf
    for place in range(counts[one, won]):
        value = height[one, won, place]
        for user in range(len(room)):
            value += slope[one, won, place, user] * room[user]
        if value < least:
            best, least = place, value
    return best, least


@compiled_loops
def lowest_tangents(known, rooms, pairs):
    """(height, slope) of the tangents that are lowest, of each pair at a room of its own; infinite without any."""
    height, slope = np.empty(len(pairs)), np.zeros(rooms.shape)
    for place in range(len(pairs)):
        one, won = pairs[place, 0], pairs[place, 1]
        height[place] = np.inf
        if known.counts[one, won]:
            best = _at(known, one, won, rooms[place])[0]
            height[place] = known.height[one, won, best]
            for user in range(rooms.shape[1]):
                slope[place, user] = known.slope[one, won, best, user]
    return height, slope


@compiled_loops(inlined=True)
def _keep(known, one, won, room, height, slope, price):
    """Keeps a tangent that is lower than those known where it touches, if there is space."""
    place, value = known.counts[one, won], height
    for user in range(len(room)):
        value += slope[user] * room[user]
    if place < known.height.shape[2] and value < _at(known, one, won, room)[1] - LOWER:
        known.height[one, won, place] = height
        for user in range(len(slope)):
            known.slope[one, won, place, user] = slope[user]
        for row in range(len(price)):
            known.price[one, won, place, row] = price[row]
        known.counts[one, won] += 1
