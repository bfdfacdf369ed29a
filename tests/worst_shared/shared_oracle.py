"""Equilibria with shared policies by SciPy's HiGHS, straight from their definition: slow, and shares no code.

A public policy is a distribution over profiles of actions for each evidence, obeyed by everybody. Where it is fixed who
offers which policy, who talks to whom and who goes where next, everything is linear in the policies but the most that a
provider can get by winning a set of users, which is concave in what they have. Its tangents come from HiGHS, too.
Whatever is found is checked by `deviation_oracle` before it counts.
"""

import itertools
from typing import NamedTuple

import deviation_oracle
import numpy as np
from scipy.optimize import linprog

OPTIONS = deviation_oracle.OPTIONS
# The price of a provider's gain, in units of what a user gets.
PENALTY = 1e4


class Plan(NamedTuple):
    """Which policy each provider offers, and which provider each user talks to."""

    offers: tuple
    served_by: tuple


class Public:
    """Policies of one market: the columns are (profile of actions, evidence)."""

    def __init__(self, market):
        self.user, self.provider = deviation_oracle.stakes(market)
        self.users, self.evidences, self.actions = self.user.shape
        self.profiles = list(itertools.product(range(self.actions), repeat=self.users))
        self.worth = np.array([[u[:, a[j]] for a in self.profiles] for j, u in enumerate(self.user)])
        self.worth = self.worth.reshape(self.users, -1)
        self.paid = np.array(
            [[[v[j, :, a[j]] for a in self.profiles] for j in range(self.users)] for v in self.provider]
        )
        self.paid = self.paid.reshape(len(self.provider), self.users, -1)
        self.sums = np.tile(np.eye(self.evidences), (1, len(self.profiles)))
        self.obey = np.array(list(self._obedience()))
        self.aligned = self.user.max(axis=2).sum(axis=1)
        self.silent = self.user.sum(axis=1).max(axis=1)

    def _obedience(self):
        for p, j, b in itertools.product(range(len(self.profiles)), range(self.users), range(self.actions)):
            a = self.profiles[p][j]
            if a != b:
                row = np.zeros((len(self.profiles), self.evidences))
                row[p] = self.user[j, :, b] - self.user[j, :, a]
                yield row.ravel() / max(np.abs(row).max(), 1e-300)

    def tangent(self, i, won, level):
        """(height, slope): the most that provider i gets from `won` is at most height + slope @ what users have."""
        sign = np.where(won, -1.0, 1.0)
        rows, limits = np.vstack([self.obey, sign[:, None] * self.worth]), np.r_[np.zeros(len(self.obey)), sign * level]
        cost = -self.paid[i][won].sum(axis=0)
        found = linprog(cost, rows, limits, self.sums, np.ones(self.evidences), method="highs", options=OPTIONS)
        if found.status != 0:
            return None
        slope = found.ineqlin.marginals[-self.users :] * -sign
        return -found.fun - slope @ level, slope

    def alone(self, j, slack):
        """The least that user j gets by a policy that brings a single provider its most."""
        sums, ones, free = self.sums, np.ones(self.evidences), np.zeros(len(self.obey))
        paid = self.paid[0].sum(axis=0)
        best = linprog(-paid, self.obey, free, sums, ones, method="highs", options=OPTIONS)
        rows, limits = np.vstack([self.obey, -paid]), np.r_[free, best.fun + slack[0]]
        return linprog(self.worth[j], rows, limits, sums, ones, method="highs", options=OPTIONS).fun

    def least(self, j, plan, level, slack, below=np.inf):
        """The policies of a plan that are worst for user j and leave nobody a gain, with tangents at `level[i]`.

        She gets less than `below`. Where no policies do, those that leave the least gain.
        """
        policies, size = max(plan.offers) + 1, self.worth.shape[1]
        place = lambda b, row: np.concatenate([row if one == b else 0.0 * row for one in range(policies)])
        heard = [plan.offers[i] for i in plan.served_by]
        rows, limits = (
            [place(b, row) for b in range(policies) for row in self.obey],
            [0.0] * (policies * len(self.obey)),
        )
        rows = [np.r_[row, 0.0] for row in rows]
        add = lambda row, limit, gain=0.0: (rows.append(np.r_[row, -gain]), limits.append(limit))
        if np.isfinite(below):
            add(place(heard[j], self.worth[j]), below)
        for l, b in itertools.product(range(self.users), range(policies)):
            add(place(b, self.worth[l]) - place(heard[l], self.worth[l]), 0.0)
        for i in range(len(plan.offers)):
            others = sorted({b for other, b in enumerate(plan.offers) if other != i})
            after = [heard[l] if heard[l] in others else others[0] for l in range(self.users)]
            for l, b in itertools.product(range(self.users), others):
                add(place(b, self.worth[l]) - place(after[l], self.worth[l]), 0.0)
            for won in itertools.product([False, True], repeat=self.users):
                won = np.array(won)
                if not won.any() and i not in plan.served_by:
                    continue
                height, slope = (
                    (0.0, np.zeros(self.users)) if not won.any() else self.tangent(i, won, level[i]) or (None, None)
                )
                if height is None:
                    continue
                row = np.zeros(policies * size)
                for l in range(self.users):
                    row += slope[l] * place(after[l], self.worth[l]) - place(heard[l], self.paid[i, l])
                    row += 0.0 if won[l] else place(after[l], self.paid[i, l])
                add(row, slack[i] - height, gain=1.0)
        sums = np.kron(np.eye(policies), self.sums)
        sums = np.column_stack([sums, np.zeros(len(sums))])
        found = linprog(
            np.r_[place(heard[j], self.worth[j]), PENALTY * np.abs(self.worth[j]).max()],
            np.array(rows),
            limits,
            sums,
            np.ones(len(sums)),
            method="highs",
            options=OPTIONS,
        )
        if found.status != 0:
            return None
        return np.maximum(found.x[:-1], 0.0).reshape(policies, len(self.profiles), self.evidences)


def find_equilibrium(market, j, plan, start, slack, turns=3, below=np.inf):
    """What users get in an equilibrium of a plan near a start that is bad for user j; None if none is found."""
    public, found = Public(market), None
    level = np.tile(start, (len(plan.offers), 1))
    for _ in range(turns):
        weight = public.least(j, plan, level, slack, below)
        if weight is None:
            break
        policy = np.moveaxis(weight, 1, 2)
        policy = policy / policy.sum(axis=2, keepdims=True)
        policy = policy[list(plan.offers)][:, None]
        told = np.array(public.profiles, np.int32).T
        told = np.broadcast_to(told, (len(plan.offers), *told.shape))
        segments = [0] * public.users
        standing = deviation_oracle.profile_standing(market, segments, policy, told, plan.served_by)
        gains = deviation_oracle.best_gains(market, segments, standing)
        if (gains <= slack + 1e-9).all():
            found = standing.user_value if found is None or standing.user_value[j] < found[j] else found
        level = standing.outside
    return None if found is None else found + deviation_oracle.user_baseline(market)
