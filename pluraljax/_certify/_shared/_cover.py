"""A cover of everything that a segment's profiles may be, part by part, as candidates split it.

A part is a simplex of what users lose, and for each user the providers that she may talk to. The first parts cover all
losses; how they are split further is up to the candidate, because any split covers what was split.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from .._rational import ONE, ZERO, candidate

Path = tuple[int, ...]


@dataclass(frozen=True)
class Part:
    """Profiles in which users talk to providers in `allowed[user]`, and lose shares of `way` within a simplex.

    `corners[corner][user]`; the part that is everything, the first of all, has none.
    """

    path: Path
    allowed: tuple[frozenset[int], ...]
    corners: tuple[tuple[Fraction, ...], ...]

    @property
    def heard(self) -> tuple[int, ...]:
        """The policy that each user hears: users who surely talk to the same provider hear the same one."""
        found: dict[frozenset[int], int] = {}
        places: list[int] = []
        for who in self.allowed:
            new = max(places, default=-1) + 1
            places.append(found.setdefault(who, new) if len(who) == 1 else new)
        return tuple(places)

    def holds(self, provider: int, won: Sequence[bool]) -> bool:
        """Whether winning a set of users changes nobody else's choice: the provider may serve nobody outside."""
        return all(comes or provider not in who for who, comes in zip(self.allowed, won, strict=True))


def everything(users: int, providers: int) -> Part:
    """The part that is all profiles."""
    return Part((), (frozenset(range(providers)),) * users, ())


def simplices(whole: Part, cares: Sequence[bool]) -> list[Part]:
    """Covers what users may lose by simplices: one for each order in which their losses fall.

    Users whom nothing can be told lose nothing.
    """
    parts = []
    for place, order in enumerate(itertools.permutations([j for j, hers in enumerate(cares) if hers])):
        corners = [
            tuple(ONE if j in order[:last] else ZERO for j in range(len(cares))) for last in range(len(order) + 1)
        ]
        parts.append(replace(whole, path=(place,), corners=tuple(corners)))
    return parts


def parts_of(part: Part, split: Any) -> list[Part]:
    """The parts that a candidate splits a part into; the part itself where the split makes no sense."""
    if hasattr(split, "share"):
        return _in_space(part, tuple(split.ends), candidate(split.share).item())
    return _by_server(part, int(split.provider), [bool(comes) for comes in split.won])


def _in_space(part: Part, ends: tuple[int, ...], share: Fraction) -> list[Part]:
    """Either end of an edge is replaced by a point between them: both parts together are the simplex."""
    one, other = (part.corners[end] for end in ends)
    if ends[0] == ends[1] or not ZERO <= share <= ONE:
        return [part]
    middle = tuple(share * a + (1 - share) * b for a, b in zip(one, other, strict=True))
    found = []
    for place, end in enumerate(ends):
        corners = tuple(middle if c == end else corner for c, corner in enumerate(part.corners))
        found.append(replace(part, path=(*part.path, place), corners=corners))
    return found


def _by_server(part: Part, provider: int, won: Sequence[bool]) -> list[Part]:
    """The provider serves nobody outside a set of users, or some of these, the first of whom tells the parts apart."""
    outside = [j for j, comes in enumerate(won) if not comes]
    found = []
    for place, first in enumerate([None, *outside]):
        before = outside if first is None else outside[: outside.index(first)]
        allowed = tuple(who - {provider} if j in before else who for j, who in enumerate(part.allowed))
        allowed = tuple(who & {provider} if j == first else who for j, who in enumerate(allowed))
        if all(allowed):
            found.append(replace(part, path=(*part.path, place), allowed=allowed))
    return found


def leaves(whole: Part, roots: Sequence[Part], splits: Mapping[Path, Any]) -> Iterator[list[Part]]:
    """Goes through the parts that are not split further, each with those that it is in, the largest first."""
    waiting = [[whole, root] for root in reversed(roots)]
    while waiting:
        line = waiting.pop()
        split = splits.get(line[-1].path)
        found = [line[-1]] if split is None else parts_of(line[-1], split)
        if found == [line[-1]]:
            yield line
        else:
            waiting += [[*line, part] for part in reversed(found)]
