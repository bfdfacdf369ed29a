"""The exact optimum of tiny markets, in rational numbers: a float64 is one, so a market's optimum is well defined.

Slow, obvious, and shares no code with the package: a simplex method on fractions, and outcomes written out as mixtures
of the corners of each action's cone of beliefs. Users have one type.
"""

from fractions import Fraction

import numpy as np

ZERO, ONE = Fraction(0), Fraction(1)
LEAST_PATIENCE = Fraction(1e-9)


def rational(values):
    return np.vectorize(Fraction, otypes=[object])(np.asarray(values, np.float64))


def solve(cost, rows, limits, equal=()):
    """The most of `cost @ x` over x >= 0 with `rows @ x <= limits` (equality where `equal` says so); None if nothing.

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
    return _climb(body, basis, [*cost, *[ZERO] * (width - count)], usable)


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
        self.provider_range = [[v.max() - v.min() for v in rows] for rows in provider]
        # Only one action: written twice, nothing changes.

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
