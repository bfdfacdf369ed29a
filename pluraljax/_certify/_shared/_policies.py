"""Public policies as weights of signals, exactly; those of floats are moved until they win whom they mean to win."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from .._rational import ONE, ZERO, Rationals, as_float, candidate, nearby_solution, zeros
from ._rays import Crowd

# Weights that are rounding, and how near to a limit a loss counts as meant to meet it, as a share of that.
_NOTHING, _TIGHT = 1e-12, Fraction(1, 10**8)
_ROUNDS = 3
# What counts as no leverage of a weight on an equation: what depends on other equations does so exactly.
_NEGLIGIBLE = 1e-15


@dataclass(frozen=True)
class Policy:
    """Weights of signals: `rays` are their places, `share[n]` times the ray itself is their probability by evidence.

    What is left of each evidence, `told`, is told. `action[n]`, if there, is what users do after a signal.
    """

    rays: list[int]
    share: list[Fraction]
    told: list[Fraction]
    action: list[tuple[int, ...]] | None = None

    def lost(self, crowd: Crowd, j: int) -> Fraction:
        """What a user misses by it."""
        hers = crowd.lost[j]
        return sum((share * int(hers[n]) for n, share in zip(self.rays, self.share, strict=True)), ZERO) / crowd.unit

    def paid(self, crowd: Crowd, i: int, j: int) -> Fraction:
        """What a provider gets from a user who hears it.

        She does as she is told, or what the provider likes most of what is best for her; told the evidence, she does
        the first of her optimal actions, or again what it likes most.
        """
        value = ZERO
        for place, (n, share) in enumerate(zip(self.rays, self.share, strict=True)):
            row = crowd.paid[i][j][n]
            if self.action is None:
                value += share * max(row[crowd.best[j][n]].tolist())
            else:
                value += share * int(row[self.action[place][j]])
        value /= crowd.unit
        rest = crowd.told_most(i, j) if self.action is None else crowd.told_first(i, j)
        value += sum((share * each for share, each in zip(self.told, rest.tolist(), strict=True) if share), ZERO)
        return value

    @property
    def is_one(self) -> bool:
        return all(value >= 0 for value in (*self.share, *self.told))


def policy_of(
    crowd: Crowd, rays: list[int], share: list[Fraction], action: list[tuple[int, ...]] | None = None
) -> Policy:
    """A policy that tells what its signals leave of the evidence; no policy (`is_one`) where they use too much."""
    told = [
        ONE - sum((value * crowd.rays[n][x] for n, value in zip(rays, share, strict=True)), ZERO)
        for x in range(crowd.num_evidences)
    ]
    return Policy(rays, share, told, action)


def read_policy(crowd: Crowd, rays: list[int], weight: Any) -> Policy:
    """Reads a policy of floats; `weight` is for rays that add up to 1. Where it uses too much, it is scaled down."""
    share = [max(value, ZERO) / sum(crowd.rays[n]) for n, value in zip(rays, candidate(weight).tolist(), strict=True)]
    used = [ONE - left for left in policy_of(crowd, rays, share).told]
    most = max([ONE, *used])
    return policy_of(crowd, rays, [value / most for value in share])


def wins(crowd: Crowd, policy: Policy, won: Sequence[bool], limit: Sequence[Fraction]) -> bool:
    """Whether a policy wins exactly some users: whose losses elsewhere are `limit`.

    Those to be won lose less, or nothing where they lose nothing anyway. The others lose as much or more, and of those
    who lose nothing elsewhere nothing is asked.
    """
    if not policy.is_one:
        return False
    for j, (comes, most) in enumerate(zip(won, limit, strict=True)):
        if comes and most:
            fits = policy.lost(crowd, j) < most
        elif comes:
            fits = policy.lost(crowd, j) == 0
        else:
            fits = not most or policy.lost(crowd, j) >= most
        if not fits:
            return False
    return True


def winning_policy(
    crowd: Crowd, rays: list[int], weight: Any, won: Sequence[bool], limit: Sequence[Fraction]
) -> Policy | None:
    """Moves a policy of floats until it wins exactly some users; None where that takes more than rounding."""
    policy = read_policy(crowd, rays, weight)
    if wins(crowd, policy, won, limit):
        return policy
    tight = []
    for j, (comes, most) in enumerate(zip(won, limit, strict=True)):
        if not comes and most and abs(policy.lost(crowd, j) - most) <= _TIGHT * most:
            tight.append(([loss_row(crowd, rays, j)], most))
    solved = solved_policies(crowd, [policy], tight)
    return solved[0] if solved is not None and wins(crowd, solved[0], won, limit) else None


def loss_row(crowd: Crowd, rays: Sequence[int], j: int) -> list[Fraction]:
    """What a user misses by each ray, for a weight of 1."""
    return [Fraction(int(crowd.lost[j][n]), crowd.unit * sum(crowd.rays[n])) for n in rays]


def solved_policies(
    crowd: Crowd, policies: Sequence[Policy], equations: Sequence[tuple[list[list[Fraction]], Fraction]]
) -> list[Policy] | None:
    """Moves policies so that they use up all evidence and meet equations exactly; None where that cannot be.

    An equation has a coefficient for the weight of every ray of every policy.
    """
    evidences, sizes = crowd.num_evidences, [len(policy.rays) for policy in policies]
    starts = np.cumsum([0, *(size + evidences for size in sizes)]).tolist()
    point = np.zeros(starts[-1])
    rows: list[tuple[Rationals, Fraction]] = []
    for policy, start, size in zip(policies, starts, sizes, strict=False):
        sums = [sum(crowd.rays[n]) for n in policy.rays]
        point[start : start + size] = [as_float(share * whole) for share, whole in zip(policy.share, sums, strict=True)]
        point[start + size : start + size + evidences] = [as_float(value) for value in policy.told]
        for x in range(evidences):
            row = zeros(len(point))
            row[start : start + size] = [Fraction(crowd.rays[n][x], w) for n, w in zip(policy.rays, sums, strict=True)]
            row[start + size + x] = ONE
            rows.append((row, ONE))
    for coefficients, value in equations:
        row = zeros(len(point))
        for each, start in zip(coefficients, starts, strict=False):
            row[start : start + len(each)] = each
        rows.append((row, value))
    point = np.where(point > _NOTHING, point, 0.0)
    for _ in range(_ROUNDS):
        solution = nearby_solution(point, rows, np.flatnonzero(point).tolist(), _NEGLIGIBLE)
        negative = np.array([value < 0 for value in solution])
        if not negative.any():
            return [
                policy_of(crowd, policy.rays, _shares(crowd, policy.rays, solution[start:]), policy.action)
                for policy, start in zip(policies, starts, strict=False)
            ]
        point = np.where(negative, 0.0, point)
    return None


def _shares(crowd: Crowd, rays: list[int], weight: Rationals) -> list[Fraction]:
    return [weight[place] / sum(crowd.rays[n]) for place, n in enumerate(rays)]
