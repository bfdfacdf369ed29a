"""The signals that public policies for a few users may be made of, found in integers, and what each does to everybody.

A signal leaves a belief over the evidence, and only its direction matters: a ray of integers. Where everybody's best
actions are fixed, beliefs form a cone, and the rays of these cones are all that has to be looked at: on each cone what
is bounded here is linear (docs/mathematics.md, section 11). Only what is equal is a tie.
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from .._rational import Rationals, as_float, total

Ray = tuple[int, ...]
# A plane on which evidence is ruled out (the actions are None), or a user is indifferent between two actions.
_Why = tuple[int, int | None, int | None]
# A belief of floats stands for a ray of the same direction, up to this.
_SAME = 1e-7


@dataclass(frozen=True)
class Crowd:
    """The users of one segment, of one type each: `user[user evidence action]`, providers' stakes weighted by masses.

    `slack[provider]` is what it may gain in an equilibrium. Everything about rays is an integer: `worth[user]` and
    `paid[provider][user]`, `[ray action]`, are stakes times `unit`; where an action is not best they do not count.
    `lost[user][ray]` is what she misses by the signal that full information would give her, in the same units.
    """

    user: Rationals
    provider: Rationals
    slack: list[Fraction]
    rays: list[Ray]
    unit: int
    best: list[np.ndarray]
    lost: list[np.ndarray]
    paid: list[list[np.ndarray]]

    @property
    def num_users(self) -> int:
        return len(self.user)

    @property
    def num_providers(self) -> int:
        return len(self.provider)

    @property
    def num_evidences(self) -> int:
        return self.user.shape[1]

    @cached_property
    def aligned(self) -> list[Fraction]:
        return [total(hers.max(axis=-1)) for hers in self.user]

    @cached_property
    def way(self) -> list[Fraction]:
        """What conversation is worth to each user: she loses all of it in silence."""
        return [most - max(hers.sum(axis=0).tolist()) for most, hers in zip(self.aligned, self.user, strict=True)]

    def told(self, j: int) -> np.ndarray:
        """Marks the optimal actions of a user who is told the evidence: [evidence action]."""
        return np.asarray(self.user[j] == self.user[j].max(axis=-1, keepdims=True), bool)

    def _told(self, i: int, j: int) -> list[list[Fraction]]:
        """What a provider gets from a user at each evidence by each of her optimal actions."""
        told = self.told(j)
        return [self.provider[i, j][x][told[x]].tolist() for x in range(self.num_evidences)]

    def told_first(self, i: int, j: int) -> Rationals:
        """What a provider gets at each evidence from a user who does the first of her optimal actions."""
        return np.array([values[0] for values in self._told(i, j)], object)

    def told_most(self, i: int, j: int) -> Rationals:
        """The same if she does what it likes most of what is best for her."""
        return np.array([max(values) for values in self._told(i, j)], object)

    def told_least(self, i: int, j: int) -> Fraction:
        """All that a provider gets from a user who is told everything, and does what is worst for it of her best."""
        return sum((min(values) for values in self._told(i, j)), Fraction(0))


def crowd_of(user: Rationals, provider: Rationals, slack: list[Fraction]) -> Crowd:
    """Lays a segment out, and finds its rays."""
    unit = math.lcm(*(value.denominator for leaf in (user, provider) for value in leaf.ravel().tolist()))
    whole, pays = _integers(user, unit), _integers(provider, unit)
    rays = find_rays(whole)
    beliefs = np.array(rays, object)
    worth = [beliefs @ hers for hers in whole]
    best = [np.asarray(value == value.max(axis=1, keepdims=True), bool) for value in worth]
    lost = [beliefs @ hers.max(axis=1) - value.max(axis=1) for hers, value in zip(whole, worth, strict=True)]
    paid = [[beliefs @ values for values in row] for row in pays]
    return Crowd(user, provider, slack, rays, unit, best, lost, paid)


def _integers(values: Rationals, unit: int) -> np.ndarray:
    result = np.empty(values.shape, object)
    result.ravel()[:] = [int(value * unit) for value in values.ravel().tolist()]
    return result


def find_rays(user: np.ndarray) -> list[Ray]:
    """Lists rays of all cones of beliefs on which everybody's best actions are fixed: `user[user evidence action]`.

    At a ray so many planes meet that nothing but scale is left free: evidence ruled out, or two of a user's actions
    that tie. Where those planes are of actions that are not best there, it is no ray of a cone, and left out.
    """
    planes: dict[Ray, list[_Why]] = {}
    users, evidences, actions = user.shape
    for x in range(evidences):
        planes[tuple(int(x == other) for other in range(evidences))] = [(x, None, None)]
    for j, (a, b) in itertools.product(range(users), itertools.combinations(range(actions), 2)):
        normal = _primitive((user[j, :, a] - user[j, :, b]).tolist())
        if any(normal):
            planes.setdefault(max(normal, tuple(-value for value in normal)), []).append((j, a, b))
    basis = [tuple(int(x == other) for other in range(evidences)) for x in range(evidences)]
    found: dict[Ray, None] = {}
    for ray, why in _meetings(list(planes.items()), basis):
        if ray not in found and _is_of_a_cone(user, ray, why):
            found[ray] = None
    return list(found)


def _meetings(
    planes: list[tuple[Ray, list[_Why]]], free: list[Ray], start: int = 0
) -> Iterator[tuple[Ray, list[list[_Why]]]]:
    """Goes through independent planes that leave one direction free, if that is a belief; `free` spans what is left."""
    if len(free) == 1:
        ray = _primitive(free[0])
        if all(value <= 0 for value in ray):
            ray = tuple(-value for value in ray)
        if all(value >= 0 for value in ray):
            yield ray, []
        return
    for place in range(start, len(planes)):
        normal, why = planes[place]
        left = _within(normal, free)
        if left is not None:
            for ray, others in _meetings(planes, left, place + 1):
                yield ray, [why, *others]


def _within(normal: Ray, free: list[Ray]) -> list[Ray] | None:
    """The directions among those spanned that lie in a plane; None if all do."""
    height = [sum(n * v for n, v in zip(normal, each, strict=True)) for each in free]
    pivot = next((place for place, value in enumerate(height) if value), None)
    if pivot is None:
        return None
    return [
        _primitive([v * height[pivot] - p * h for v, p in zip(each, free[pivot], strict=True)])
        for place, (each, h) in enumerate(zip(free, height, strict=True))
        if place != pivot
    ]


def _primitive(values: list[int] | Ray) -> Ray:
    divisor = math.gcd(*values)
    return tuple(value // divisor for value in values) if divisor else tuple(values)


def _is_of_a_cone(user: np.ndarray, ray: Ray, why: list[list[_Why]]) -> bool:
    """Whether every plane that makes a ray is one of best actions there, or rules evidence out."""
    belief = np.array(ray, object)
    values = [belief @ hers for hers in user]
    most = [max(each.tolist()) for each in values]
    return all(any(a is None or values[j][a] == most[j] for j, a, _ in reasons) for reasons in why)


def nearest_rays(crowd: Crowd, beliefs: np.ndarray) -> list[list[int]]:
    """The rays that beliefs of floats may stand for, the nearest first."""
    sums = [sum(ray) for ray in crowd.rays]
    known = np.array([[as_float(Fraction(v, s)) for v in ray] for ray, s in zip(crowd.rays, sums, strict=True)])
    rows = []
    for belief in np.asarray(beliefs, np.float64):
        whole = belief.sum()
        apart = abs(known - belief / (whole if whole > 0 else 1.0)).max(axis=1)
        order = np.argsort(apart, kind="stable")
        rows.append([int(place) for place in order if apart[place] <= _SAME])
    return rows
