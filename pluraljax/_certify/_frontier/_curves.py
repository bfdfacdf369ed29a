"""Exact bounds on a user's worst personalized equilibrium, from candidate chains, outcomes and lines.

docs/mathematics.md, section 9: (5) at an outcome bounds it from above, a chain of intervals with (6) from below.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import permutations
from typing import Any

import numpy as np

from .._outcomes import Multipliers, User, least_score, line_above, read_multipliers
from .._rational import ZERO, Rationals, dot, multipliers


@dataclass(frozen=True)
class Point:
    """An outcome that the user can be brought to, what it is worth to her, and what a provider gets by it."""

    outcome: Rationals
    level: Fraction
    value: Fraction


@dataclass(frozen=True)
class Line:
    """`phi(r) <= height - slope r` for every r."""

    height: Fraction
    slope: Fraction
    prices: Multipliers

    def at(self, level: Fraction) -> Fraction:
        return self.height - self.slope * level


@dataclass(frozen=True)
class Link:
    """An interval without equilibria: `[start, end)`.

    On it `phi_i(r) >= heights[i] - slopes[i] r`, by chords between a few outcomes of provider i, and the multipliers
    prove `<U, q> >= cleared` for all q that are left.
    """

    start: Fraction
    end: Fraction
    reach: Fraction
    cleared: Fraction
    heights: list[Fraction]
    slopes: list[Fraction]
    chords: list[list[Point]]
    prices: Multipliers


class Frontiers:
    """Checks candidates of one user's frontier; repairs an outcome when it is first needed."""

    def __init__(self, user: User, slack: Sequence[Fraction], points: Any):
        self.user, self.slack = user, list(slack)
        self._points = points
        self._repaired: dict[tuple[int, int], Point] = {}
        self._lines: dict[tuple[int, int], Line] = {}

    @property
    def num_providers(self) -> int:
        return len(self.user.provider)

    def point(self, provider: int, place: int) -> Point:
        """An outcome below a provider's curve, repaired exactly."""
        if (provider, place) not in self._repaired:
            outcome = self.user.repair(self._points.outcome[place, provider])
            level, value = dot(self.user.stakes, outcome), dot(self.user.provider[provider], outcome)
            self._repaired[provider, place] = Point(outcome, level, value)
        return self._repaired[provider, place]

    def line(self, provider: int, place: int) -> Line:
        """A line above a provider's curve."""
        if (provider, place) not in self._lines:
            prices = read_multipliers(self._points.prices, place, provider)
            self._lines[provider, place] = Line(*line_above(self.user, provider, prices), prices)
        return self._lines[provider, place]

    def _places(self, provider: int) -> list[int]:
        return [int(place) for place in np.flatnonzero(np.asarray(self._points.known)[:, provider])]

    def least_line(self, provider: int, level: Fraction) -> Line:
        """The line that bounds a curve best at a level."""
        lines = [self.line(provider, place) for place in self._places(provider)]
        return min(lines, key=lambda line: line.at(level))

    def best_point(self, provider: int) -> Point:
        """The outcome that gives a provider most."""
        return max((self.point(provider, place) for place in self._places(provider)), key=lambda point: point.value)


def chain(frontiers: Frontiers, links: Any) -> tuple[Fraction, list[Link]]:
    """Follows candidate intervals from silent utility on: no equilibrium is worth less than where they lead.

    Those that prove nothing are left out. A user never gets less than with silence: she may ignore what she is told.
    """
    reached, proof = frontiers.user.silent, []
    for n in range(len(np.asarray(links.known))):
        if not links.known[n]:
            continue
        link = _link(frontiers, reached, links, n)
        if link is not None and link.reach > reached:
            proof.append(link)
            reached = link.reach
    return reached, proof


def _link(frontiers: Frontiers, start: Fraction, links: Any, n: int) -> Link | None:
    prices = read_multipliers(links.prices, n)
    if frontiers.num_providers == 1:
        # A single provider's deviations do not have to beat anybody: what counts is the most that it can get at all.
        chords = [[frontiers.best_point(0)]]
        slopes, heights, end = [ZERO], [chords[0][0].value], frontiers.user.aligned
    else:
        places = [sorted({int(place) for place in row if place >= 0}) for row in np.asarray(links.chord[n])]
        if not all(places):
            return None
        chords = [[frontiers.point(i, place) for place in row] for i, row in enumerate(places)]
        end = min(max(point.level for point in chord) for chord in chords)
        if end <= start:
            return None
        slopes = multipliers(links.slope[n]).tolist()
        heights = [
            min(curve_below(chord, level) + slope * level for level in (start, end))
            for slope, chord in zip(slopes, chords, strict=True)
        ]
    if end <= start:
        return None
    cleared = cleared_level(frontiers.user, frontiers.slack, start, heights, slopes, prices)
    return Link(start, end, min(cleared, end), cleared, heights, slopes, chords, prices)


def curve_below(points: Sequence[Point], level: Fraction) -> Fraction:
    """Bounds phi(level) from below by points below the curve: by chords, and because phi falls."""
    bounds = [point.value for point in points if point.level >= level]
    if not bounds:
        raise ValueError("Nothing is known of the curve beyond its last point.")
    for first, last in permutations(points, 2):
        if first.level < level < last.level:
            share = (last.level - level) / (last.level - first.level)
            bounds.append(last.value + share * (first.value - last.value))
    return max(bounds)


def cleared_level(
    user: User,
    slack: Sequence[Fraction],
    start: Fraction,
    heights: Sequence[Fraction],
    slopes: Sequence[Fraction],
    prices: Multipliers,
) -> Fraction:
    """Bounds `<U, q>` from below over outcomes worth at least `start` with (6), by any multipliers."""
    required = [v + s * user.stakes for v, s in zip(user.provider, slopes, strict=True)] + [user.stakes]
    floors = [h - p for h, p in zip(heights, slack, strict=True)] + [start]
    bound = sum((y * f for y, f in zip(prices.floors.tolist(), floors, strict=True)), ZERO)
    return bound + least_score(user.stakes, user.stakes, np.stack(required), prices)


@dataclass(frozen=True)
class Equilibrium:
    """An outcome that all providers offer, and for each the line that bounds what another offer could bring it."""

    outcome: Rationals
    level: Fraction
    lines: list[Line]
    gains: list[Fraction]
    is_aligned: bool


def equilibrium_at(frontiers: Frontiers, outcome: Any) -> Equilibrium:
    """Bounds what each provider could gain over an outcome, after an exact repair of it.

    Where no offer is strictly better for the user there is nothing to gain for anybody, unless a provider is alone.
    """
    user, alone = frontiers.user, frontiers.num_providers == 1
    outcome = np.asarray(outcome, np.float64)
    if outcome.shape[-1] == 1:
        outcome = np.concatenate([outcome, np.zeros_like(outcome)], axis=-1)
    found = user.repair(outcome)
    level = dot(user.stakes, found)
    beaten = user.silent if alone else level
    lines = [frontiers.least_line(i, beaten) for i in range(frontiers.num_providers)]
    gains = [line.at(beaten) - dot(values, found) for line, values in zip(lines, user.provider, strict=True)]
    return Equilibrium(found, level, lines, gains, level == user.aligned and not alone)
