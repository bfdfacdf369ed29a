"""What a provider can get by winning a set of users, in terms of what users have elsewhere: points and tangents.

For each provider and set of users it is concave in the room: mixing two policies mixes what they cost users and bring.
Requests for linear programmes are yielded to the pool, which solves those of many markets together.
"""

import itertools
from collections.abc import Generator, Iterable, Sequence
from typing import Any, TypeAlias, TypeVar

import numpy as np
from jaxtyping import Bool, Float

from .._bounds import winning_lower, winning_upper
from .._candidates import Answer, Programme
from .._signals import Crowd

Result = TypeVar("Result")
# A search in steps: programmes go out, their answers come back.
Steps: TypeAlias = Generator[list[Programme], Sequence[Answer], Result]

# How much better than their room users are offered who are to be won, so that they come for it.
MARGIN = 1e-7
# How far tangents are moved, one after the other, until there is a policy to touch.
_MOVES = (0.0, 0.02, 0.2, 1.0)


def sets_of(users: int) -> Bool[np.ndarray, "set user"]:
    """Lists the non-empty sets of users, everybody last."""
    return np.array(list(itertools.product((False, True), repeat=users)), bool)[1:]


class Curves:
    """The curves of one market, each point computed once."""

    def __init__(self, crowd: Crowd):
        self.crowd = crowd
        self.sets = sets_of(crowd.num_users)
        self.known: dict[tuple[Any, ...], float] = {}
        self.asked = 0

    def _key(self, room: np.ndarray, loyal: np.ndarray, provider: int, which: int) -> tuple[Any, ...]:
        return (room.tobytes(), loyal.tobytes(), provider, which)

    def points(
        self, room: Float[np.ndarray, " user"], pairs: Iterable[tuple[int, int]], loyal: Bool[np.ndarray, " user"]
    ) -> Steps[Float[np.ndarray, " pair"]]:
        """Bounds the curves of (provider, set) pairs from below at one point."""
        return (yield from self.grid([room], pairs, loyal))[0]

    def grid(
        self, rooms: Sequence[np.ndarray], pairs: Iterable[tuple[int, int]], loyal: Bool[np.ndarray, " user"]
    ) -> Steps[Float[np.ndarray, "point pair"]]:
        pairs = list(pairs)
        new = [
            (room, provider, which)
            for room in rooms
            for provider, which in pairs
            if self._key(room, loyal, provider, which) not in self.known
        ]
        if new:
            answers = yield [self._pose(provider, self.sets[which], room, loyal) for room, provider, which in new]
            self.asked += len(new)
            for (room, provider, which), answer in zip(new, answers, strict=True):
                value = -np.inf
                if answer.feasible:
                    value = winning_lower(self.crowd, provider, self.sets[which], room, loyal, answer.primal)
                self.known[self._key(room, loyal, provider, which)] = value
        values = [[self.known[self._key(room, loyal, *pair)] for pair in pairs] for room in rooms]
        return np.array(values).reshape(len(rooms), len(pairs))

    def _pose(self, provider: int, won: np.ndarray, room: np.ndarray, loyal: np.ndarray) -> Programme:
        """The programme of a point: users to be won are offered a little more than they have."""
        crowd, full = self.crowd, won & (room <= MARGIN)
        allowed = np.where(full, 0.0, room - MARGIN)
        needed = np.where(loyal, room + MARGIN, room)
        bound = won | loyal | (room > 0)
        matrix = np.vstack([crowd.belief.T, np.where(won, 1.0, -1.0)[:, None] * crowd.lost.T * bound[:, None]])
        limit = np.concatenate([np.ones(crowd.num_evidences), np.where(won, allowed, np.where(bound, -needed, 0.0))])
        return Programme(matrix, limit, crowd.earned[provider][:, won & ~full].sum(axis=1))

    def tangents(
        self, asked: Sequence[tuple[int, int, Float[np.ndarray, " user"]]]
    ) -> Steps[list[tuple[float, Float[np.ndarray, " user"]]]]:
        """Affine functions (height, slope) of the room, above the curve everywhere, for (provider, set, room)."""
        found: list[tuple[float, np.ndarray] | None] = [None] * len(asked)
        for move in _MOVES:
            open_places = [place for place, one in enumerate(found) if one is None]
            if not open_places:
                break
            answers = yield [self._pose_tangent(*asked[place], move) for place in open_places]
            self.asked += len(open_places)
            for place, answer in zip(open_places, answers, strict=True):
                if answer.feasible or move == _MOVES[-1]:
                    provider, which, _ = asked[place]
                    price, dear = np.split(answer.dual, [self.crowd.num_evidences])
                    found[place] = winning_upper(self.crowd, provider, self.sets[which], price, dear)
        return [one for one in found if one is not None]

    def _pose_tangent(self, provider: int, which: int, room: np.ndarray, move: float) -> Programme:
        crowd, won = self.crowd, self.sets[which]
        room = np.where(won, np.minimum(room + move, 1.0), np.maximum(room - move, 0.0))
        sign = np.where(won, 1.0, -1.0)
        matrix = np.vstack([crowd.belief.T, sign[:, None] * crowd.lost.T])
        limit = np.concatenate([np.ones(crowd.num_evidences), sign * room])
        return Programme(matrix, limit, crowd.earned[provider][:, won].sum(axis=1))
