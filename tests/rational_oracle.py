"""What is claimed of a small market, in rational arithmetic straight from the definitions: no rounding, no tolerance.

Linear programmes are solved by a simplex method on `fractions.Fraction` with Bland's rule. Slow; for a few actions and
states only. It shares no code with the package. A market is anything with the four arrays of `plx.Market`; users have
one type here.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

ZERO, ONE = Fraction(0), Fraction(1)


def rationals(values):
    """Nested lists of the rational numbers that an array of floats holds."""
    return [rationals(row) for row in values] if np.ndim(values) else Fraction(float(values))


def largest(cost, rows, limits):
    """The largest `cost @ x` over `rows @ x <= limits`, x >= 0; None where nothing is feasible.

    Two phases in one tableau: an artificial variable that is taken out of every row makes zero feasible at first.
    """
    count, slacks = len(cost), len(rows)
    table = []
    for n, (row, limit) in enumerate(zip(rows, limits, strict=True)):
        slack = [ONE if m == n else ZERO for m in range(slacks)]
        table.append([*row, *slack, -ONE, limit])
    basis = [count + n for n in range(slacks)]
    artificial = count + slacks
    worst = min(range(slacks), key=lambda n: limits[n], default=0)
    if slacks and limits[worst] < 0:
        _pivot(table, basis, worst, artificial)
        first = [ZERO] * artificial + [-ONE]
        if _climb(table, basis, first, artificial + 1) != 0:
            return None
        if artificial in basis:
            row = basis.index(artificial)
            enter = next((c for c in range(artificial) if table[row][c]), None)
            if enter is not None:
                _pivot(table, basis, row, enter)
    for row in table:
        row[artificial] = ZERO
    return _climb(table, basis, [*cost, *[ZERO] * (slacks + 1)], artificial)


def _pivot(table, basis, leave, enter):
    pivot = table[leave][enter]
    table[leave] = [value / pivot for value in table[leave]]
    for n, row in enumerate(table):
        if n != leave and row[enter]:
            factor = row[enter]
            table[n] = [a - factor * b for a, b in zip(row, table[leave], strict=True)]
    basis[leave] = enter


def _climb(table, basis, cost, columns):
    while True:
        prices = [(n, cost[b]) for n, b in enumerate(basis) if cost[b]]
        value = lambda column, prices=prices: sum((price * table[n][column] for n, price in prices), ZERO)
        enter = next((c for c in range(columns) if c not in basis and cost[c] > value(c)), None)
        if enter is None:
            return value(-1)
        ratios = [(row[-1] / row[enter], basis[n], n) for n, row in enumerate(table) if row[enter] > 0]
        if not ratios:
            raise ArithmeticError("unbounded")
        _pivot(table, basis, min(ratios)[2], enter)


class Stakes(NamedTuple):
    """One user's stakes, `user[evidence][action]` and `provider[i][evidence][action]`."""

    user: list
    provider: list

    @property
    def aligned(self):
        return sum(max(row) for row in self.user)

    @property
    def silent(self):
        return max(sum(row[a] for row in self.user) for a in range(len(self.user[0])))

    @property
    def places(self):
        return [(x, a) for x in range(len(self.user)) for a in range(len(self.user[0]))]

    def flat(self, values):
        return [values[x][a] for x, a in self.places]

    def outcomes(self):
        """Rows and limits of the outcomes: probabilities that she obeys."""
        rows, limits = [], []
        for x in range(len(self.user)):
            own = [ONE if z == x else ZERO for z, _ in self.places]
            rows += [own, [-value for value in own]]
            limits += [ONE, -ONE]
        actions = range(len(self.user[0]))
        for a in actions:
            for b in actions:
                if a != b:
                    rows.append([self.user[z][b] - self.user[z][a] if c == a else ZERO for z, c in self.places])
                    limits.append(ZERO)
        return rows, limits

    def most(self, values, level):
        """The most of `<values, q>` over outcomes worth at least `level` to her."""
        rows, limits = self.outcomes()
        return largest(self.flat(values), [*rows, [-u for u in self.flat(self.user)]], [*limits, -level])

    def curves(self, level):
        """What every provider can get at most from her by an offer worth `level`; a single one has no rivals."""
        level = self.silent if len(self.provider) == 1 else level
        return [self.most(values, level) for values in self.provider]

    def has_equilibrium(self, level, slack):
        """Whether some outcome worth exactly `level` gives every provider all but `slack` of its curve."""
        rows, limits = self.outcomes()
        value = self.flat(self.user)
        rows += [value, [-u for u in value]]
        limits += [level, -level]
        for values, most, less in zip(self.provider, self.curves(level), slack, strict=True):
            rows.append([-v for v in self.flat(values)])
            limits.append(less - most)
        return largest([ZERO] * len(value), rows, limits) is not None


def stakes_of(market, user):
    """One user's stakes, from the stored numbers."""
    prior, hers = rationals(market.prior)[user], rationals(market.user_value)[user]
    assert len(prior) == 1
    weigh = lambda value: [[sum(p * v for p, v in zip(row, own, strict=True)) for own in value] for row in prior[0]]
    return Stakes(weigh(hers), [weigh(values[user]) for values in rationals(market.provider_value)])


def guarantee(market, users, user, delta):
    """The least utility of a user over outcomes that give every provider its floor from a segment."""
    mass = rationals(market.mass)
    everybody = [stakes_of(market, j) for j in users]
    floors, rows = [], []
    for i in range(len(everybody[0].provider)):
        floor, row = -delta, []
        for j, stakes in zip(users, everybody, strict=True):
            for own, theirs in zip(stakes.user, stakes.provider[i], strict=True):
                floor += mass[j] * min(v for u, v in zip(own, theirs, strict=True) if u == max(own))
            row += [-mass[j] * v for v in stakes.flat(stakes.provider[i])]
        floors.append(-floor)
        rows.append(row)
    count, start = len(rows[0]), 0
    cost = []
    for j, stakes in zip(users, everybody, strict=True):
        for x in range(len(stakes.user)):
            own = [ZERO] * count
            for a in range(len(stakes.user[0])):
                own[start + x * len(stakes.user[0]) + a] = ONE
            rows += [own, [-value for value in own]]
            floors += [ONE, -ONE]
        cost += [-u if j == user else ZERO for u in stakes.flat(stakes.user)]
        start += len(stakes.places)
    return -largest(cost, rows, floors)


def alignment_error(market, users):
    """The least error of one segment's weights (any >= 0), with a constant offset per user."""
    hers, theirs = rationals(market.user_value), rationals(market.provider_value)
    providers = len(theirs)
    # Columns: weights, offsets up and down for each user, the error.
    rows, limits = [], []
    for n, j in enumerate(users):
        offsets = [sign if m == n else ZERO for m in range(len(users)) for sign in (ONE, -ONE)]
        for a, own in enumerate(hers[j]):
            for y, u in enumerate(own):
                row = [theirs[i][j][a][y] for i in range(providers)] + offsets
                rows += [[*row, -ONE], [*[-value for value in row], -ONE]]
                limits += [u, -u]
    return -largest([ZERO] * (providers + 2 * len(users)) + [-ONE], rows, limits)


def silence_gain(market, user, provider):
    """What a provider gains at most from one user, who has a segment of her own, by speaking when nobody does.

    She does the first of her best actions as long as nobody tells her anything.
    """
    stakes, mass = stakes_of(market, user), rationals(market.mass)[user]
    sums = [sum(row[a] for row in stakes.user) for a in range(len(stakes.user[0]))]
    first = sums.index(max(sums))
    now = sum(row[first] for row in stakes.provider[provider])
    if len(stakes.provider) > 1 and stakes.silent == stakes.aligned:
        return ZERO
    return mass * max(stakes.most(stakes.provider[provider], stakes.silent) - now, ZERO)
