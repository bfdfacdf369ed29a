"""Exact bounds on what every equilibrium gives a user: the guarantee, and the alignment theorems.

docs/mathematics.md, sections 5 to 7: inequality (1), its dual (3), and (4) with the tie term.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from .._market import ExactMarket
from .._rational import ONE, ZERO, Rationals, dot, multipliers, total, zeros
from .._repair import as_outcome, repaired


@dataclass(frozen=True)
class Segment:
    """A segment's users, `user[member type evidence action]` and so on; `floors`: what providers get at least."""

    members: list[int]
    mass: Rationals
    user: Rationals
    provider: Rationals
    optimal: np.ndarray
    floors: list[Fraction]


def segment_of(market: ExactMarket, members: list[int], delta: Fraction) -> Segment:
    """Lays out a segment."""
    optimal = np.stack([market.optimal(j) for j in members])
    mass, provider = market.mass[members], market.provider[:, members]
    floors = []
    for values in provider:
        worst = [_least(values[m], optimal[m]) for m in range(len(members))]
        floors.append(dot(mass, np.array(worst, object)) - delta)
    return Segment(members, mass, market.user[members], provider, optimal, floors)


def _least(values: Rationals, allowed: np.ndarray) -> Fraction:
    """Adds up the least allowed value of every (type, evidence)."""
    rows, masks = values.reshape(-1, values.shape[-1]), allowed.reshape(-1, values.shape[-1])
    return sum((min(row[mask].tolist()) for row, mask in zip(rows, masks, strict=True)), ZERO)


@dataclass(frozen=True)
class Dual:
    """A lower end: `multipliers @ floors + remainder`, see (3)."""

    bound: Fraction
    multipliers: Rationals
    remainder: Fraction


def guarantee_below(segment: Segment, member: int, candidate: Any) -> Dual:
    """Bounds one member's utility in every equilibrium from below, by any multipliers of the providers' floors."""
    omega = multipliers(candidate)
    remainder = ZERO
    for m in range(len(segment.members)):
        tempted = segment.user[m] if m == member else zeros(*segment.user[m].shape)
        for weight, values in zip(omega.tolist(), segment.provider[:, m], strict=True):
            if weight:
                tempted = tempted - segment.mass[m] * weight * values
        remainder += _least(tempted, np.ones(tempted.shape, bool))
    floors = sum((w * floor for w, floor in zip(omega.tolist(), segment.floors, strict=True)), ZERO)
    return Dual(floors + remainder, omega, remainder)


def guarantee_above(
    segment: Segment, member: int, outcome: Any, inner: Any | None = None
) -> tuple[Fraction, Rationals]:
    """Bounds the guarantee from above by an outcome that meets every floor, after an exact repair of it.

    What it misses is made up for by mixing with aligned play, or with `inner`, if that clears floors which aligned play
    only just meets.
    """
    weighted = [np.stack([rho * v for rho, v in zip(segment.mass, values, strict=True)]) for values in segment.provider]
    rows = [(values.reshape(-1), floor) for values, floor in zip(weighted, segment.floors, strict=True)]
    shape = segment.user.shape
    groups = list(np.arange(int(np.prod(shape))).reshape(-1, shape[-1]))
    start, aligned = np.asarray(outcome, np.float64).reshape(-1), _aligned_play(segment).reshape(-1)
    safe = [aligned]
    if inner is not None:
        clear = as_outcome(np.asarray(inner, np.float64).reshape(-1), groups, aligned)
        safe += [clear] * all(dot(row, clear) >= floor for row, floor in rows)
    found = [repaired(start, groups, lambda _: rows, each).reshape(shape) for each in safe]
    return min(((dot(segment.user[member], each[member]), each) for each in found), key=lambda pair: pair[0])


def _aligned_play(segment: Segment) -> Rationals:
    play = zeros(*segment.user.shape)
    for place in np.ndindex(segment.user.shape[:-1]):
        row = segment.user[place].tolist()
        play[*place, row.index(max(row))] = ONE
    return play


@dataclass(frozen=True)
class Theorem:
    """The bound (4): all users' losses, weighted by `mass * scale`, are at most `allowed` together."""

    bound: Fraction
    aligned: Fraction
    errors: Fraction
    slack: Fraction
    ties: Fraction


def theorem_bound(
    market: ExactMarket,
    segment: Segment,
    member: int,
    weights: Rationals,
    scale: Rationals,
    errors: list[Fraction],
    delta: Fraction,
) -> Theorem:
    """Bounds one member's utility from below by (4), for any weights and the errors that they have exactly.

    `2 eps` counts as often as the stored prior adds up to.
    """
    loss, ties = ZERO, ZERO
    for m, user in enumerate(segment.members):
        loss += segment.mass[m] * 2 * errors[m] * market.probability(user)
        ties += segment.mass[m] * _tie_term(segment, m, weights)
    slack = delta * total(weights)
    whole = segment.mass[member] * scale[member]
    aligned = total(segment.user[member].max(axis=-1))
    parts = [part / whole for part in (loss, slack, ties)]
    return Theorem(aligned - sum(parts, ZERO), aligned, *parts)


def _tie_term(segment: Segment, m: int, weights: Rationals) -> Fraction:
    """How much more the weighted providers get from one optimal play than each fears for itself; 0 without ties."""
    optimal = segment.optimal[m]
    mixed = zeros(*segment.user[m].shape)
    apart = ZERO
    for weight, values in zip(weights.tolist(), segment.provider[:, m], strict=True):
        if weight:
            mixed = mixed + weight * values
            apart += weight * _least(values, optimal)
    return _least(mixed, optimal) - apart
