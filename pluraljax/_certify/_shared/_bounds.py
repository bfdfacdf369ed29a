"""What users lose together in a part at most, by any multipliers: the formula of docs/mathematics.md, section 11.

Policies with which providers could win sets of users, at the corners of the part's simplex, are candidates, too: they
are moved until they win exactly whom they mean to, and count for what they then bring.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from .._rational import ZERO, Rationals, as_float, candidate, multipliers, short_fraction
from ._cover import Part
from ._duals import most_of_a_policy
from ._policies import winning_policy
from ._rays import Crowd, nearest_rays


@dataclass(frozen=True)
class Inequality:
    """A provider gains at most its slack by winning a set of users.

    It could have at least `brings[corner]`, and as much as an affine function with these values in between.
    """

    provider: int
    won: tuple[bool, ...]
    price: Fraction
    brings: list[Fraction]


@dataclass(frozen=True)
class Loss:
    """In a part, `sum_j goal_j loss_j <= most`, for these multipliers; it holds nothing where 0 is too much."""

    part: Part
    goal: list[Fraction]
    most: Fraction
    inequalities: list[Inequality]
    slope: list[Fraction]
    envy: Rationals
    evidence: Rationals

    @property
    def is_empty(self) -> bool:
        return not any(self.goal) and self.most < 0


class Winnings:
    """The policies of candidates by which providers win sets of users, each moved and evaluated once for a corner."""

    def __init__(self, crowd: Crowd, belief: Any, winning: Sequence[Any]):
        self.crowd, self.winning = crowd, winning
        self._nearest = nearest_rays(crowd, belief)
        self._known: dict[tuple[int, tuple[Fraction, ...]], Fraction | None] = {}

    def brings(self, place: int, part: Part, corner: int) -> Fraction | None:
        """What a policy brings at least at a corner, where users lose so much; None where it does not win them."""
        losses = part.corners[corner] if part.corners else ()
        if (place, losses) not in self._known:
            value = self._found(self.winning[place], losses)
            self._known[place, losses] = None if value is None else short_fraction(value, up=False)
        return self._known[place, losses]

    def _found(self, winning: Any, losses: Sequence[Fraction]) -> Fraction | None:
        crowd, i, won = self.crowd, int(winning.provider), [bool(comes) for comes in winning.won]
        if not losses and crowd.num_providers > 1:
            # Everything is told, which wins whoever does not have it yet, whatever users lose.
            return sum((crowd.told_least(i, j) for j in range(crowd.num_users)), ZERO) if all(won) else None
        nearest = [self._nearest[int(n)] for n in winning.belief]
        if not all(nearest):
            return None
        rays = [near[0] for near in nearest]
        # A single provider has everybody, whatever it says: nothing is asked of its policy.
        alone = crowd.num_providers == 1
        limit = [share * way for share, way in zip(losses, crowd.way, strict=True)] if losses else []
        policy = winning_policy(crowd, rays, winning.weight, [] if alone else won, [] if alone else limit)
        if policy is None:
            return None
        full = [bool(limit) and not most for most in limit] or [False] * crowd.num_users
        return sum(
            (crowd.told_least(i, j) if full[j] else policy.paid(crowd, i, j) for j in range(crowd.num_users) if won[j]),
            ZERO,
        )


def bound_losses(crowd: Crowd, part: Part, winnings: Winnings, refuted: Any) -> Loss | None:
    """Evaluates a candidate's multipliers in a part; None where they are of inequalities that do not hold there.

    Or of another number of policies, or of a simplex with another number of corners.
    """
    envy, evidence = multipliers(refuted.envy), candidate(refuted.evidence)
    policies = max(part.heard) + 1
    if envy.shape != (crowd.num_users, policies) or evidence.shape != (policies, crowd.num_evidences):
        return None
    inequalities = []
    for places, price in zip(refuted.winning, multipliers(refuted.price).tolist(), strict=True):
        first = winnings.winning[int(places[0])]
        won = tuple(bool(comes) for comes in first.won)
        same = all(_same(first, winnings.winning[int(place)]) for place in places)
        if not same or len(places) != max(len(part.corners), 1) or not part.holds(int(first.provider), won):
            return None
        brings = [winnings.brings(int(place), part, corner) for corner, place in enumerate(places)]
        if any(value is None for value in brings):
            return None
        known = [value for value in brings if value is not None]
        inequalities.append(Inequality(int(first.provider), won, price, known))
    goal = [Fraction(as_float(1 / way)) if j in refuted.targets and way else ZERO for j, way in enumerate(crowd.way)]
    slope = candidate(refuted.slope).tolist() if part.corners else [ZERO] * crowd.num_users
    most = _most(crowd, part, goal, inequalities, slope, envy, evidence)
    return Loss(part, goal, short_fraction(most, up=True), inequalities, slope, envy, evidence)


def _same(one: Any, other: Any) -> bool:
    return one.provider == other.provider and bool(np.array_equal(one.won, other.won))


def _most(
    crowd: Crowd,
    part: Part,
    goal: Sequence[Fraction],
    inequalities: Sequence[Inequality],
    slope: Sequence[Fraction],
    envy: Rationals,
    evidence: Rationals,
) -> Fraction:
    """The weak dual: the goal, plus multipliers times slacks, is at most this at all profiles of the part.

    Between corners the inequalities together ask for no less than an affine function of losses with this slope, whose
    height is what the corners leave for it.
    """
    users, policies = range(crowd.num_users), range(max(part.heard) + 1)
    weight = [[ZERO] * crowd.num_users for _ in range(crowd.num_providers)]
    total = ZERO
    for each in inequalities:
        total += each.price * crowd.slack[each.provider]
        for j in users:
            if each.won[j]:
                weight[each.provider][j] += each.price
                total += each.price * sum(crowd.told_first(each.provider, j).tolist(), ZERO)
    total -= min(_asked(crowd, corner, inequalities, c, slope) for c, corner in enumerate(part.corners or ((),)))
    for policy in policies:
        own = [hers == policy for hers in part.heard]
        others = [sum((envy[j, b] for b in policies if b != policy), ZERO) for j in users]
        loss = [goal[j] - slope[j] - others[j] if own[j] else envy[j, policy] for j in users]
        paid = [[value if hears else ZERO for value, hears in zip(row, own, strict=True)] for row in weight]
        total += most_of_a_policy(crowd, loss, paid, evidence[policy])
    return total


def _asked(
    crowd: Crowd, corner: Sequence[Fraction], inequalities: Sequence[Inequality], place: int, slope: Sequence[Fraction]
) -> Fraction:
    """What inequalities together ask for at a corner, less what the slope accounts for there."""
    by_losses = sum((by * share * way for by, share, way in zip(slope, corner, crowd.way, strict=False)), ZERO)
    return sum((each.price * each.brings[place] for each in inequalities), ZERO) - by_losses
