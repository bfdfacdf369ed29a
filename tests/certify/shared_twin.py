"""Slow twins of what certificates say of users who share a policy: programmes by HiGHS over profiles of actions.

A public policy is a distribution over profiles of actions for each evidence that everybody obeys; nothing is known of
rays. Everything is in utility, and losses count against full information. Users have one type.
"""

import itertools

import numpy as np
from deviation_oracle import OPTIONS, stakes
from scipy.optimize import linprog


class Policies:
    """Variables of some policies `[policy profile evidence]`, then the shares of a simplex's corners."""

    def __init__(self, market, policies, corners):
        self.user, self.provider = stakes(market)
        self.users, self.evidences, self.actions = self.user.shape
        self.profiles = list(itertools.product(range(self.actions), repeat=self.users))
        self.shape = (policies, len(self.profiles), self.evidences)
        self.corners = corners
        self.size = int(np.prod(self.shape)) + max(len(corners), 1)

    def row(self, policy, values, shares=None):
        """One row: `values[profile][evidence]` of a policy, and what corners' shares count."""
        row = np.zeros(self.size)
        row[: int(np.prod(self.shape))].reshape(self.shape)[policy] = values
        if shares is not None:
            row[int(np.prod(self.shape)) :] = shares
        return row

    def paid(self, stakes):
        """What a policy brings of one user's stakes `[evidence action]`: [user][profile][evidence]."""
        return [np.array([stakes[:, profile[j]] for profile in self.profiles]) for j in range(self.users)]

    def lost(self, j):
        return np.array([(self.user[j].max(axis=1) - self.user[j][:, profile[j]]) for profile in self.profiles])

    def obedience(self):
        for policy, (p, profile) in itertools.product(range(self.shape[0]), enumerate(self.profiles)):
            for j, c in itertools.product(range(self.users), range(self.actions)):
                if c != profile[j]:
                    values = np.zeros(self.shape[1:])
                    values[p] = self.user[j][:, c] - self.user[j][:, profile[j]]
                    yield self.row(policy, values)

    def sums(self):
        for policy, x in np.ndindex(self.shape[0], self.evidences):
            values = np.zeros(self.shape[1:])
            values[:, x] = 1.0
            yield self.row(policy, values)


def most_lost(market, loss, slack):
    """The most of a bound's goal in its part, with the inequalities that it uses; None if nothing meets them.

    `loss` is a `Loss`: its part, its goal and what its inequalities ask at the corners, and none of its multipliers.
    """
    part, heard = loss.part, loss.part.heard
    corners = np.array(part.corners, float).reshape(len(part.corners), len(heard))
    told = Policies(market, max(heard) + 1, corners)
    way = told.user.max(axis=2).sum(axis=1) - told.user.sum(axis=1).max(axis=1)
    rows, limits = list(told.obedience()), []
    limits += [0.0] * len(rows)
    equal, values = list(told.sums()), []
    values += [1.0] * len(equal)
    for j, own in enumerate(heard):
        for other in set(heard) - {own}:
            rows.append(told.row(own, told.lost(j)) - told.row(other, told.lost(j)))
            limits.append(0.0)
        if len(corners):
            equal.append(told.row(own, told.lost(j), -corners[:, j] * way[j]))
            values.append(0.0)
    equal.append(told.row(0, 0.0, 1.0))
    values.append(1.0)
    for each in loss.inequalities:
        asked = told.row(0, 0.0, [float(value) for value in each.brings])
        for j, own in enumerate(heard):
            if each.won[j]:
                asked -= told.row(own, told.paid(told.provider[each.provider, j])[j])
        rows.append(asked)
        limits.append(slack[each.provider])
    cost = -sum(told.row(own, told.lost(j)) * float(loss.goal[j]) for j, own in enumerate(heard))
    found = linprog(cost, np.array(rows), limits, np.array(equal), values, method="highs", options=OPTIONS)
    assert found.status in (0, 2), found.message
    return None if found.status == 2 else -found.fun


def played(crowd, policy, j, prefer):
    """What a policy of rays is worth to a user, and what she then brings on the stakes `prefer`, signal by signal."""
    user = crowd.user[j]
    signals = [[share * value for value in crowd.rays[n]] for n, share in zip(policy.rays, policy.share, strict=True)]
    signals += [[told if x == y else 0 for y in range(len(policy.told))] for x, told in enumerate(policy.told)]
    worth, brought = 0, 0
    for signal in signals:
        values = [sum(m * u for m, u in zip(signal, user[:, a], strict=True)) for a in range(user.shape[1])]
        liked = [sum(m * v for m, v in zip(signal, prefer[:, a], strict=True)) for a in range(user.shape[1])]
        worth += max(values)
        brought += max(like for value, like in zip(values, liked, strict=True) if value == max(values))
    assert [sum(column) for column in zip(*signals, strict=True)] == [1] * len(policy.told)
    return worth, brought
