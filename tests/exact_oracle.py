"""The exact optimum of tiny markets, in rational numbers: a float64 is one, so a market's optimum is well defined.

Slow, obvious, and shares no code with the package: a simplex method on fractions, and outcomes written out as mixtures
of the corners of each action's cone of beliefs. Users have one type.
"""

from fractions import Fraction
from itertools import pairwise

import numpy as np

ZERO, ONE = Fraction(0), Fraction(1)
LEAST_SLACK = Fraction(1e-9)


def rational(values):
    return np.vectorize(Fraction, otypes=[object])(np.asarray(values, np.float64))


def solve(cost, rows, limits, equal=()):
    """The most of `cost @ x` over x >= 0 with `rows @ x <= limits`, equality where `equal` says; None if nothing."""
    found = optimum(cost, rows, limits, equal)
    return None if found is None else found[0]


def optimum(cost, rows, limits, equal=()):
    """What `solve` says, and an x that attains it.

    Two phases, Bland's rule. Everything is bounded here, so that nothing is unbounded.
    """
    count, equal = len(cost), set(equal)
    body, basis, artificial = [], [], []
    slacks = [n for n in range(len(rows)) if n not in equal]
    width = count + len(slacks) + len(rows)
    for n, (row, limit) in enumerate(zip(rows, limits, strict=True)):
        line = [*row, *[ZERO] * (width - count), limit]
        if n in slacks:
            line[count + slacks.index(n)] = ONE
        if limit < 0:
            line = [-entry for entry in line]
        if n in slacks and limit >= 0:
            basis.append(count + slacks.index(n))
        else:
            line[count + len(slacks) + n] = ONE
            basis.append(count + len(slacks) + n)
            artificial.append(count + len(slacks) + n)
        body.append(line)
    usable = count + len(slacks)
    if artificial:
        first = [ZERO] * width
        for place in artificial:
            first[place] = -ONE
        if _climb(body, basis, first, width) < 0:
            return None
        for n, place in enumerate(basis):
            if place >= usable:
                enter = next((c for c in range(usable) if body[n][c] != 0), None)
                if enter is not None:
                    _pivot(body, basis, n, enter)
    value = _climb(body, basis, [*cost, *[ZERO] * (width - count)], usable)
    point = [ZERO] * count
    for row, place in zip(body, basis, strict=True):
        if place < count:
            point[place] = row[-1]
    return value, point


def _climb(body, basis, cost, usable):
    while True:
        reduced = [
            cost[c] - sum((cost[b] * row[c] for b, row in zip(basis, body, strict=True) if cost[b] and row[c]), ZERO)
            for c in range(usable)
        ]
        enter = next((c for c in range(usable) if reduced[c] > 0 and c not in basis), None)
        if enter is None:
            return sum((cost[b] * row[-1] for b, row in zip(basis, body, strict=True)), ZERO)
        ratios = [(row[-1] / row[enter], basis[n], n) for n, row in enumerate(body) if row[enter] > 0]
        _pivot(body, basis, min(ratios)[2], enter)


def _pivot(body, basis, leave, enter):
    pivot = body[leave][enter]
    body[leave] = [entry / pivot if entry else entry for entry in body[leave]]
    for n, row in enumerate(body):
        factor = row[enter]
        if n != leave and factor:
            body[n] = [old - factor * new if new else old for old, new in zip(row, body[leave], strict=True)]
    basis[leave] = enter


class ExactMarket:
    """Stakes in fractions, counted from the first action: `user[j][x][a]`, `provider[i][j][x][a]`."""

    def __init__(self, market):
        prior, user, provider, mass = (
            rational(getattr(market, name)) for name in ("prior", "user_value", "provider_value", "mass")
        )
        self.users, self.actions, self.states = user.shape
        self.providers, self.evidences, self.mass = provider.shape[0], prior.shape[2], mass.tolist()
        weighted = lambda p, value: [
            [
                sum((p[x, y] * (value[a, y] - value[0, y]) for y in range(self.states)), ZERO)
                for a in range(self.actions)
            ]
            for x in range(self.evidences)
        ]
        self.user = [weighted(prior[j, 0], user[j]) for j in range(self.users)]
        self.provider = [
            [weighted(prior[j, 0], provider[i, j]) for j in range(self.users)] for i in range(self.providers)
        ]
        self.baseline = [
            sum((prior[j, 0, x, y] * user[j, 0, y] for x in range(self.evidences) for y in range(self.states)), ZERO)
            for j in range(self.users)
        ]
        self.provider_range = [
            [max(v[:, y].max() - v[:, y].min() for y in range(self.states)) for v in rows] for rows in provider
        ]

    def aligned(self, j):
        return sum((max(row) for row in self.user[j]), ZERO)

    def silent_values(self, j):
        return [sum((row[a] for row in self.user[j]), ZERO) for a in range(self.actions)]


def guarantee(market, labels, delta, member):
    """The least utility of one user under the floors of her segment, counted from the first action."""
    exact = market if isinstance(market, ExactMarket) else ExactMarket(market)
    segment = [j for j in range(exact.users) if labels[j] == labels[member]]
    best = {(j, x): max(exact.user[j][x]) for j in segment for x in range(exact.evidences)}
    places = [(j, x, a) for j in segment for x in range(exact.evidences) for a in range(exact.actions)]
    cost = [-exact.user[j][x][a] if j == member else ZERO for j, x, a in places]
    rows, limits = [], []
    for j in segment:
        for x in range(exact.evidences):
            rows.append([ONE if (k, y) == (j, x) else ZERO for k, y, _ in places])
            limits.append(ONE)
    for i in range(exact.providers):
        worst = lambda j, x, i=i: min(
            v for u, v in zip(exact.user[j][x], exact.provider[i][j][x], strict=True) if u == best[j, x]
        )
        floor = sum((exact.mass[j] * worst(j, x) for j in segment for x in range(exact.evidences)), ZERO)
        rows.append([-exact.mass[j] * exact.provider[i][j][x][a] for j, x, a in places])
        limits.append(Fraction(delta) - floor)
    return -solve(cost, rows, limits, equal=range(len(segment) * exact.evidences))


class Frontier:
    """One user's outcomes as mixtures of corners, where providers observe one of two pieces of evidence.

    A corner is an action and a ray of its cone: how often it is recommended after each piece of evidence, up to a
    factor. Everything counts from the first action.
    """

    def __init__(self, market, user):
        exact = market if isinstance(market, ExactMarket) else ExactMarket(market)
        assert exact.evidences == 2
        self.market, self.user = exact, user
        stakes = exact.user[user]
        self.corners = [(a, ray) for a in range(exact.actions) for ray in _rays(stakes, a)]
        self.aligned, self.silent = exact.aligned(user), max(exact.silent_values(user))
        self.value = self._of_corners(stakes)
        self.brings = [self._of_corners(exact.provider[i][user]) for i in range(exact.providers)]
        self.rows = [[ray[x] for _, ray in self.corners] for x in range(2)]

    def _of_corners(self, stakes):
        return [sum((ray[x] * stakes[x][a] for x in range(2)), ZERO) for a, ray in self.corners]

    def most(self, cost, floors=()):
        """The most of a cost over outcomes with `row @ q >= floor`, and weights of corners that attain it."""
        rows = self.rows + [[-entry for entry in row] for row, _ in floors]
        return optimum(cost, rows, [ONE, ONE, *(-floor for _, floor in floors)], equal=(0, 1))

    def phi(self, provider, level):
        """The most that a provider gets by an offer worth so much to her."""
        return self.most(self.brings[provider], [(self.value, level)])[0]

    def slack_of(self, provider, delta):
        least = LEAST_SLACK * self.market.provider_range[provider][self.user]
        return max(Fraction(delta) / self.market.mass[self.user], least)

    def breaks(self, provider):
        """The levels between which phi is linear, with what it is there."""
        ends = [(level, self.phi(provider, level)) for level in (self.silent, self.aligned)]
        return self._between(provider, *ends) + ends[1:]

    def _between(self, provider, left, right):
        if left[0] >= right[0]:
            return []
        slope = (left[1] - right[1]) / (right[0] - left[0])
        tilted = [v + slope * u for v, u in zip(self.brings[provider], self.value, strict=True)]
        floors = [(self.value, left[0]), ([-u for u in self.value], -right[0])]
        best, weights = self.most(tilted, floors)
        if best <= left[1] + slope * left[0]:
            return [left]
        level = sum((w * u for w, u in zip(weights, self.value, strict=True)), ZERO)
        middle = (level, best - slope * level)
        return self._between(provider, left, middle) + self._between(provider, middle, right)

    def worst(self, delta):
        """The least that an equilibrium gives her: a linear programme between any two breaks of all curves."""
        providers = range(self.market.providers)
        if self.market.providers == 1:
            floor = self.phi(0, self.silent) - self.slack_of(0, delta)
            return -self.most([-u for u in self.value], [(self.brings[0], floor)])[0]
        breaks = [self.breaks(i) for i in providers]
        levels = sorted({level for points in breaks for level, _ in points})
        for low, high in pairwise(levels):
            floors = [(self.value, low), ([-u for u in self.value], -high)]
            for i in providers:
                slope, height = _line(breaks[i], low, high)
                tilted = [v + slope * u for v, u in zip(self.brings[i], self.value, strict=True)]
                floors.append((tilted, height - self.slack_of(i, delta)))
            found = self.most([-u for u in self.value], floors)
            if found is not None:
                return -found[0]
        return self.aligned


def _rays(stakes, action):
    """The ends of the cone in which an action is best: at most two."""
    low, high = ZERO, ONE
    for other in range(len(stakes[0])):
        # Recommended with weights (1 - t, t): (1 - t) first + t second >= 0.
        first, second = (row[action] - row[other] for row in stakes)
        if first < 0 and second < 0:
            return []
        if first < 0:
            low = max(low, -first / (second - first))
        elif second < 0:
            high = min(high, first / (first - second))
    ends = {low, high} if low <= high else set()
    return [(ONE - t, t) for t in sorted(ends)]


def _line(points, low, high):
    """The slope and height of a curve between two levels: it is `height - slope r` there."""
    for (start, first), (end, last) in pairwise(points):
        if start <= low and high <= end:
            slope = (first - last) / (end - start)
            return slope, last + slope * end
    raise AssertionError("The levels are between two breaks.")
