"""Exact bounds on what a provider gains by deviating: a reply from below, multipliers from above.

A user without the provider is won by strictly more than her best other offer, one with it stays at a tie. Only
equality is a tie.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np

from .._conversations import Stakes, Standing
from .._outcomes import User, line_above, read_multipliers
from .._rational import ZERO, Rationals, multipliers, total


@dataclass(frozen=True)
class Rival:
    """A provider who may deviate, and the users of one segment as they stand; `near` as in `Stakes`."""

    members: list[int]
    user: list[Rationals]
    provider: list[Rationals]
    near: list[Fraction]
    outside: list[Fraction]
    elsewhere: list[Fraction]
    loyal: list[bool]
    present: Fraction

    def winnable(self, m: int) -> bool:
        """Whether some offer is good enough for a user: full information is the best."""
        return self.loyal[m] or self.outside[m] < total(self.user[m].max(axis=-1))

    def losable(self, m: int) -> bool:
        """Whether some offer is bad enough for a user: silence is the worst."""
        silent = total(self.user[m].sum(axis=1).max(axis=-1))
        return not self.loyal[m] or self.outside[m] > silent

    def comes(self, m: int, value: Fraction) -> bool:
        """Whether a user comes, or stays, for an offer worth so much to her."""
        return value >= self.outside[m] if self.loyal[m] else value > self.outside[m]


def rival(stakes: Stakes, standing: Standing, provider: int, members: list[int]) -> Rival:
    """Lays out one provider and one segment."""
    row = lambda leaf: [leaf[provider][j] for j in members]
    return Rival(
        members,
        [stakes.user[j] for j in members],
        [stakes.provider[provider, j] for j in members],
        [stakes.near[j] for j in members],
        row(standing.outside),
        row(standing.elsewhere),
        row(standing.loyal),
        sum(row(standing.present), ZERO),
    )


@dataclass(frozen=True)
class Ceiling:
    """Upper ends for one segment: with one public signal for its users, and with any conversation at all."""

    public: Fraction
    private: Fraction
    lines: list[tuple[Fraction, Fraction]]


def ceiling(found: Rival, prices: Any, provider: int, public: Any) -> Ceiling:
    """Bounds what a provider gets from a segment by any policy.

    `prices` holds multipliers `[provider user ...]` of the most that it can get from each user alone, and `public`, if
    it is there, those of one policy for all, for each set of users who may be won: `obedience[set profile member
    action]` and `participation[set member]`.
    """
    lines = []
    for m, user in enumerate(found.members):
        own = User(found.user[m], found.provider[m][None])
        lines.append(line_above(own, 0, read_multipliers(prices, provider, user)))
    win = [height - slope * found.outside[m] for m, (height, slope) in enumerate(lines)]
    ways = [[win[m]] * found.winnable(m) + [found.elsewhere[m]] * found.losable(m) for m in range(len(found.members))]
    private = sum((max(way) for way in ways if way), ZERO)
    if public is None:
        return Ceiling(private, private, lines)
    sets = _possible_sets(found, win)
    best = None
    for place, won, bound in sorted(sets, key=lambda row: -row[2]):
        if best is not None and bound <= best:
            break
        tight = _public_bound(found, won, public.obedience[place], public.participation[place])
        bound = min(bound, tight)
        best = bound if best is None else max(best, bound)
    return Ceiling(private if best is None else min(best, private), private, lines)


def _possible_sets(found: Rival, win: Sequence[Fraction]) -> list[tuple[int, tuple[bool, ...], Fraction]]:
    """Lists the sets of users who may be won, in the order of the multipliers, with the private bound of each."""
    rows = []
    for place, won in enumerate(product((False, True), repeat=len(found.members))):
        if all(found.winnable(m) if w else found.losable(m) for m, w in enumerate(won)):
            bound = sum((win[m] if w else found.elsewhere[m] for m, w in enumerate(won)), ZERO)
            rows.append((place, won, bound))
    return rows


def _public_bound(found: Rival, won: Sequence[bool], obedience: Any, participation: Any) -> Fraction:
    """Bounds a policy with one public signal that wins exactly these users (of one type each), by any multipliers.

    By the revelation principle a signal is a profile of actions, the last member's fastest. For each evidence the best
    profile counts.
    """
    obey, take_part = multipliers(obedience), multipliers(participation)
    members = range(len(found.members))
    evidences, actions = found.user[0].shape[1:]
    left = ZERO
    score = []
    for m in members:
        user = found.user[m][0]
        sign = take_part[m] if won[m] else -take_part[m]
        score.append(sign * user + (found.provider[m][0] if won[m] else ZERO))
        left -= sign * found.outside[m]
        left += ZERO if won[m] else found.elsewhere[m]
    best = [None] * evidences
    for place, profile in enumerate(product(range(actions), repeat=len(found.members))):
        value = sum((score[m][:, profile[m]] for m in members), np.full(evidences, ZERO, object))
        for m, c in product(members, range(actions)):
            if obey[place, m, c] and c != profile[m]:
                user = found.user[m][0]
                value = value + obey[place, m, c] * (user[:, profile[m]] - user[:, c])
        best = [v if b is None else max(b, v) for b, v in zip(best, value.tolist(), strict=True)]
    return sum((b for b in best if b is not None), ZERO) + left
