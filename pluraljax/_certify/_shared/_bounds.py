"""What users lose together in a part at most, by any multipliers: the formula of docs/mathematics.md, section 11.

Policies with which providers could win sets of users, at the corners of the part's simplex, are candidates, too: they
are moved until they win exactly whom they mean to, and count for what they then bring.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import Any

import numpy as np

from .._rational import ONE, ZERO, Rationals, as_float, candidate, multipliers, short_fraction, zeros
from ._cover import Part
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
            return sum((least_told(crowd, i, j) for j in range(crowd.num_users)), ZERO) if all(won) else None
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
            (
                least_told(crowd, i, j) if full[j] else policy.paid(crowd, i, j)
                for j in range(crowd.num_users)
                if won[j]
            ),
            ZERO,
        )


def least_told(crowd: Crowd, i: int, j: int) -> Fraction:
    """What a provider gets from a user who is told everything and does what is worst for it of what is best for her."""
    told = crowd.told(j)
    return sum((min(crowd.provider[i, j][x][told[x]].tolist()) for x in range(crowd.num_evidences)), ZERO)


def most_told(crowd: Crowd, i: int, j: int) -> Rationals:
    """What a provider gets from a user at each evidence if she does what it likes most of what is best for her."""
    told = crowd.told(j)
    return np.array([max(crowd.provider[i, j][x][told[x]].tolist()) for x in range(crowd.num_evidences)], object)


def first_told(crowd: Crowd, i: int, j: int) -> Rationals:
    """What a provider gets from a user at each evidence if she does the first of her optimal actions."""
    return np.array([crowd.provider[i, j][x][crowd.told(j)[x]][0] for x in range(crowd.num_evidences)], object)


def bound_losses(crowd: Crowd, part: Part, winnings: Winnings, refuted: Any) -> Loss | None:
    """Evaluates a candidate's multipliers in a part; None where they are of inequalities that do not hold there."""
    inequalities = []
    for places, price in zip(refuted.winning, multipliers(refuted.price).tolist(), strict=True):
        first = winnings.winning[int(places[0])]
        won = tuple(bool(comes) for comes in first.won)
        same = all(_same(first, winnings.winning[int(place)]) for place in places)
        brings = [winnings.brings(int(place), part, corner) for corner, place in enumerate(places)]
        fits = same and len(brings) == max(len(part.corners), 1) and part.holds(int(first.provider), won)
        if not fits or any(value is None for value in brings):
            return None
        known = [value for value in brings if value is not None]
        inequalities.append(Inequality(int(first.provider), won, price, known))
    goal = [Fraction(as_float(1 / way)) if j in refuted.targets and way else ZERO for j, way in enumerate(crowd.way)]
    slope = candidate(refuted.slope).tolist() if part.corners else [ZERO] * crowd.num_users
    envy, evidence = multipliers(refuted.envy), candidate(refuted.evidence)
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

    In between corners the inequalities together ask for no less than an affine function of losses with this slope, whose
    height is what the corners leave for it.
    """
    heard, users = part.heard, range(crowd.num_users)
    weight = [[ZERO] * crowd.num_users for _ in range(crowd.num_providers)]
    total = ZERO
    for each in inequalities:
        total += each.price * crowd.slack[each.provider]
        for j in users:
            if each.won[j]:
                weight[each.provider][j] += each.price
    for i in range(crowd.num_providers):
        total += sum((weight[i][j] * sum(first_told(crowd, i, j).tolist()) for j in users if weight[i][j]), ZERO)
    asked = [sum((each.price * each.brings[c] for each in inequalities), ZERO) for c in range(max(len(part.corners), 1))]
    for c, corner in enumerate(part.corners):
        asked[c] -= sum((slope[j] * corner[j] * crowd.way[j] for j in users), ZERO)
    total -= min(asked)
    for policy in range(max(heard) + 1):
        own = [j for j in users if heard[j] == policy]
        loss = [
            goal[j] - slope[j] - sum((envy[j, b] for b in range(max(heard) + 1) if b != policy), ZERO)
            if j in own
            else envy[j, policy]
            for j in users
        ]
        total += most_of_a_policy(crowd, loss, [[row[j] if j in own else ZERO for j in users] for row in weight], evidence[policy])
    return total


def most_of_a_policy(
    crowd: Crowd,
    loss: Sequence[Fraction],
    weight: Sequence[Sequence[Fraction]],
    evidence: Rationals,
    liked: bool = False,
) -> Fraction:
    """The most of `sum_j loss_j lost_j + sum_ij weight_ij (paid_ij - told)` over public policies, by prices of evidence.

    `told` is what users bring who are told everything and do the first of their optimal actions, or with `liked` what
    the provider likes most of these. Prices are raised until no ray is worth more than it uses up; each is worth most
    with the best actions that make it so.
    """
    told = zeros(crowd.num_evidences)
    for i, j in np.ndindex(crowd.num_providers, crowd.num_users):
        if weight[i][j]:
            told = told + weight[i][j] * (most_told(crowd, i, j) if liked else first_told(crowd, i, j))
    prices = evidence + told
    terms = [*loss, *(value for row in weight for value in row), *prices.tolist()]
    scale = lcm(*(value.denominator for value in terms))
    whole = lambda value: int(value * scale)
    score = np.zeros(len(crowd.rays), object)
    for j in range(crowd.num_users):
        if loss[j]:
            score = score + crowd.lost[j] * whole(loss[j])
        paid = [crowd.paid[i][j] * whole(weight[i][j]) for i in range(crowd.num_providers) if weight[i][j]]
        if paid:
            best = [max(row[marks].tolist()) for row, marks in zip(sum(paid[1:], paid[0]), crowd.best[j], strict=True)]
            score = score + np.array(best, object)
    cost = [sum(whole(p) * v for p, v in zip(prices.tolist(), ray, strict=True)) * crowd.unit for ray in crowd.rays]
    over = [(value - price, sum(ray)) for value, price, ray in zip(score.tolist(), cost, crowd.rays, strict=True)]
    raise_by = max((Fraction(miss, size) for miss, size in over if miss > 0), default=ZERO) / (scale * crowd.unit)
    used = sum(evidence.tolist(), ZERO) + crowd.num_evidences * short_fraction(raise_by, up=True)
    return used
