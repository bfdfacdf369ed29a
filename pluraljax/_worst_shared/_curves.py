"""What a provider can get by winning a set of users, in terms of what users have elsewhere: points and tangents.

For each provider and set of users it is concave in the room: mixing two policies mixes what they cost users and bring.
Every programme that is solved gives a point below the curve and a tangent above it. Tangents are kept: where one is low
enough, nothing needs to be solved.
"""

import itertools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from .._bounds import winning_lower, winning_upper
from .._candidates import Programmes
from .._signals import Crowd
from ._pool import Steps

# How much better than their room users are offered who are to be won, so that they come for it.
MARGIN = 1e-7
# A room so large that nothing is asked of a policy by it.
ANYTHING = 2.0
# How far tangents are moved, one after the other, until there is a policy to touch.
_MOVES = (0.0, 0.02, 0.2, 1.0)
# Tangents that are lower by less than this where they touch are not kept.
_LOWER = 1e-9


def sets_of(users: int) -> Bool[np.ndarray, "set user"]:
    """Lists the non-empty sets of users, everybody last."""
    return np.array(list(itertools.product((False, True), repeat=users)), bool)[1:]


class Curves:
    """The curves of one market, each point computed once, and the tangents known so far.

    With `keeps_policies`, the policies of the points are kept, for proofs: their corners and the weights of these.
    """

    def __init__(self, crowd: Crowd, keeps_policies: bool = False):
        self.crowd = crowd
        self.policies: dict[tuple[bytes, int, int], tuple[np.ndarray, np.ndarray]] | None = (
            {} if keeps_policies else None
        )
        self.sets = sets_of(crowd.num_users)
        sign = np.where(self.sets, 1.0, -1.0)
        lost = sign[:, :, None] * crowd.lost.T
        evidence = np.broadcast_to(crowd.belief.T, (len(self.sets), *crowd.belief.T.shape))
        self._matrix = np.concatenate([evidence, lost], axis=1)
        self._earned = np.moveaxis(crowd.earned, 1, 2)
        shape = (crowd.num_providers, len(self.sets))
        every = np.indices(shape).reshape(2, -1).T
        self.pairs: Int[np.ndarray, "pair 2"] = every
        self.known: dict[bytes, np.ndarray] = {}
        self._height, self._slope = np.zeros((*shape, 0)), np.zeros((*shape, 0, crowd.num_users))
        self._price = np.zeros((*shape, 0, crowd.num_evidences))
        self._count = np.zeros(shape, int)
        self.asked = 0

    def points(
        self, rooms: Float[np.ndarray, "point user"], pairs: Int[np.ndarray, "pair 2"]
    ) -> Steps[Float[np.ndarray, "point pair"]]:
        """Bounds the curves of (provider, set) pairs from below at some points; -infinity where nobody can be won."""
        tables, own = [self._table(room) for room in rooms], (pairs[:, 0], pairs[:, 1])
        values = np.array([table[own] for table in tables]).reshape(len(rooms), len(pairs))
        place, pair = np.nonzero(np.isnan(values))
        if len(place):
            values[place, pair] = yield from self._solve(rooms[place], pairs[pair])
            for table, row in zip(tables, values, strict=True):
                table[own] = row
        return values

    def _table(self, room: Float[np.ndarray, " user"]) -> Float[np.ndarray, "provider set"]:
        return self.known.setdefault(room.tobytes(), np.full(self._count.shape, np.nan))

    def _solve(self, rooms: np.ndarray, pairs: np.ndarray) -> Steps[np.ndarray]:
        """Users to be won are offered a little more than they have."""
        provider, which = pairs.T
        won = self.sets[which]
        full = won & (rooms <= MARGIN)
        bound = won | (rooms > 0)
        matrix = self._matrix[which]
        evidences = self.crowd.num_evidences
        matrix[:, evidences:] *= bound[:, :, None]
        limit = np.where(won, np.where(full, 0.0, rooms - MARGIN), np.where(bound, -rooms, 0.0))
        limit = np.concatenate([np.ones((len(won), evidences)), limit], axis=1)
        cost = np.einsum("nj,njc->nc", (won & ~full).astype(float), self._earned[provider])
        (answers,) = yield [Programmes(matrix, limit, cost)]
        self.asked += len(won)
        lower = winning_lower(self.crowd, provider, won, rooms, answers.primal)
        touched = answers.feasible & ~full.any(axis=1)
        self._keep(pairs[touched], rooms[touched], answers.dual[touched])
        if self.policies is not None:
            for room, pair, weight in zip(rooms, pairs, answers.primal, strict=True):
                used = np.flatnonzero(weight > 0)
                self.policies[(room.tobytes(), int(pair[0]), int(pair[1]))] = used, weight[used]
        return np.where(answers.feasible, lower, -np.inf)

    def _keep(self, pairs: np.ndarray, rooms: np.ndarray, dual: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Adds tangents to those known, where they are lower than these."""
        provider, which = pairs.T
        price, dear = np.split(dual, [self.crowd.num_evidences], axis=1)
        height, slope = winning_upper(self.crowd, provider, self.sets[which], price, dear)
        at = height + (slope * rooms).sum(axis=1)
        known = (self._height[provider, which] + np.einsum("npj,nj->np", self._slope[provider, which], rooms)).min(
            axis=1, initial=np.inf
        )
        for one in np.flatnonzero(at < known - _LOWER):
            place = (provider[one], which[one])
            if self._count[place] == self._height.shape[-1]:
                self._grow()
            self._height[place][self._count[place]] = height[one]
            self._slope[place][self._count[place]] = slope[one]
            self._price[place][self._count[place]] = price[one]
            self._count[place] += 1
        return height, slope

    def _grow(self) -> None:
        more = max(8, self._height.shape[-1])
        widen = lambda leaf, blank: np.concatenate([leaf, np.full((*leaf.shape[:2], more, *leaf.shape[3:]), blank)], 2)
        self._height, self._slope = widen(self._height, np.inf), widen(self._slope, 0.0)
        self._price = widen(self._price, 0.0)

    def above(self, room: Float[np.ndarray, " user"]) -> Float[np.ndarray, "provider set"]:
        """The lowest of the known tangents at a point."""
        return (self._height + self._slope @ room).min(axis=-1, initial=np.inf)

    def lowest(
        self, rooms: Float[np.ndarray, "pair user"], pairs: Int[np.ndarray, "pair 2"]
    ) -> tuple[Float[np.ndarray, " pair"], Float[np.ndarray, "pair user"]]:
        """(height, slope) of the known tangents that are lowest at some points, for each pair; infinite without any."""
        lowest = self._lowest(rooms, pairs)
        return self._height[lowest], self._slope[lowest]

    def prices(
        self, rooms: Float[np.ndarray, "pair user"], pairs: Int[np.ndarray, "pair 2"]
    ) -> tuple[Float[np.ndarray, "pair evidence"], Float[np.ndarray, "pair user"]]:
        """The multipliers of `winning_upper`, evidence and users, that make the lowest of the known tangents."""
        lowest = self._lowest(rooms, pairs)
        return self._price[lowest], abs(self._slope[lowest])

    def _lowest(self, rooms: np.ndarray, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        provider, which = pairs.T
        if not self._height.shape[-1]:
            self._grow()
        at = self._height[provider, which] + np.einsum("npj,nj->np", self._slope[provider, which], rooms)
        return provider, which, at.argmin(axis=1)

    def tangents(
        self, rooms: Float[np.ndarray, "pair user"], pairs: Int[np.ndarray, "pair 2"]
    ) -> Steps[tuple[Float[np.ndarray, " pair"], Float[np.ndarray, "pair user"]]]:
        """(height, slope) of affine functions of the room, above the curve of each pair, that touch it at a point."""
        height, slope = np.full(len(pairs), np.nan), np.zeros(rooms.shape)
        for move in _MOVES:
            (left,) = np.nonzero(np.isnan(height))
            if not len(left):
                break
            answers = yield from self._pose_tangents(rooms[left], pairs[left], move)
            done = answers.feasible | (move == _MOVES[-1])
            height[left[done]], slope[left[done]] = self._keep(pairs[left[done]], rooms[left[done]], answers.dual[done])
        return height, slope

    def touch(self, room: Float[np.ndarray, " user"]) -> Steps[None]:
        """Makes tangents known that touch all curves at a point."""
        yield from self.tangents(np.broadcast_to(room, (len(self.pairs), len(room))), self.pairs)

    def _pose_tangents(self, rooms: np.ndarray, pairs: np.ndarray, move: float):
        won = self.sets[pairs[:, 1]]
        rooms = np.where(won, np.minimum(rooms + move, 1.0), np.maximum(rooms - move, 0.0))
        limit = np.concatenate([np.ones((len(won), self.crowd.num_evidences)), np.where(won, rooms, -rooms)], axis=1)
        cost = np.einsum("nj,njc->nc", won.astype(float), self._earned[pairs[:, 0]])
        (answers,) = yield [Programmes(self._matrix[pairs[:, 1]], limit, cost)]
        self.asked += len(won)
        return answers


def pairs_of(some: Sequence[tuple[int, int]]) -> Int[np.ndarray, "pair 2"]:
    return np.array(some, int).reshape(-1, 2)


def marked(where: Bool[np.ndarray, "provider set"]) -> list[tuple[int, int]]:
    return [(int(provider), int(which)) for provider, which in np.argwhere(where)]
