"""The most that a sum can be which is linear in a public policy, by any prices of the evidence: duality on rays."""

from collections.abc import Sequence
from fractions import Fraction
from math import lcm

import numpy as np

from .._rational import ZERO, Rationals, short_fraction, zeros
from ._rays import Crowd


def most_of_a_policy(
    crowd: Crowd,
    loss: Sequence[Fraction],
    weight: Sequence[Sequence[Fraction]],
    evidence: Rationals,
    liked: bool = False,
) -> Fraction:
    """The most of `sum_j loss_j lost_j + sum_ij weight_ij (paid_ij - told)` over public policies, by evidence's prices.

    `told` is what users bring who are told everything and do the first of their optimal actions, or with `liked` what
    the provider likes most of these. Prices are raised until no ray is worth more than it uses up; each is worth most
    with the best actions that make it so.
    """
    told = zeros(crowd.num_evidences)
    for i, j in np.ndindex(crowd.num_providers, crowd.num_users):
        if weight[i][j]:
            told = told + weight[i][j] * (crowd.told_most(i, j) if liked else crowd.told_first(i, j))
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
    return sum(evidence.tolist(), ZERO) + crowd.num_evidences * short_fraction(raise_by, up=True)
