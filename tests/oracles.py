"""Slow, obvious twins of what the package computes: loops in NumPy, and SciPy's HiGHS straight from the definitions.

They share no code with the package. A market is anything with the four arrays of `plx.Market`; segments are labels.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import linprog

# The tightest that HiGHS accepts.
OPTIONS = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
TIE = 1e-12


class Arrays(NamedTuple):
    """A market's arrays as float64 NumPy."""

    prior: np.ndarray
    user_value: np.ndarray
    provider_value: np.ndarray
    mass: np.ndarray


def arrays(market):
    return Arrays(*(np.asarray(getattr(market, name), dtype=np.float64) for name in Arrays._fields))


def stakes(market):
    """Prior-weighted payoffs by loops: `[user type evidence action]` and `[provider user type evidence action]`."""
    prior, user_value, provider_value, _ = arrays(market)
    users, types, evidence, states = prior.shape
    providers, _, actions, _ = provider_value.shape
    user = np.zeros((users, types, evidence, actions))
    provider = np.zeros((providers, users, types, evidence, actions))
    for j, t, x, y in np.ndindex(users, types, evidence, states):
        for a in range(actions):
            user[j, t, x, a] += prior[j, t, x, y] * user_value[j, a, y]
            for i in range(providers):
                provider[i, j, t, x, a] += prior[j, t, x, y] * provider_value[i, j, a, y]
    return user, provider


def benchmarks(market):
    """Aligned and silent utility of each user, by loops."""
    user, _ = stakes(market)
    users, types, evidence, _ = user.shape
    aligned, silent = np.zeros(users), np.zeros(users)
    for j, t in np.ndindex(users, types):
        silent[j] += max(sum(user[j, t, x] for x in range(evidence)))
        for x in range(evidence):
            aligned[j] += max(user[j, t, x])
    return aligned, silent


def minimise(cost, **constraints):
    """The optimal value of a linear programme and where it is attained."""
    found = linprog(cost, method="highs", options=OPTIONS, **constraints)
    if found.status != 0:  # every programme here has a solution: HiGHS sometimes trips over its own presolve
        found = linprog(cost, method="highs", options=OPTIONS | {"presolve": False}, **constraints)
    assert found.status == 0, found.message
    return found.fun, found.x


def alignment_errors(market, segments, weights="cone", offset="constant"):
    """The least alignment error of each user's segment (scales 1)."""
    return _by_segment(market, segments, weights, offset, lambda fit, _: fit.error())


def ratios_reached(market, segments, ratios, weights="cone", offset="constant"):
    """Whether some weights, offsets and scales of at least 1 have `eps_j <= ratio * scale_j` in each user's segment.

    NaN where HiGHS cannot tell, which happens very near the least such ratio.
    """
    return _by_segment(market, segments, weights, offset, lambda fit, users: fit.reaches(ratios[users.argmax()]))


def _by_segment(market, segments, weights, offset, question):
    _, user_value, provider_value, _ = arrays(market)
    segments = np.asarray(segments)
    answers = np.zeros(len(segments))
    for label in set(segments.tolist()):
        users = segments == label
        fit = _Fit(user_value[users], provider_value[:, users], weights == "hull", offset == "state")
        answers[users] = question(fit, users)
    return answers


def alignment_contained(market, segments, lower, upper, slack, weights="cone", offset="constant", scale="unit"):
    """Whether the least error of each user's segment lies in `[lower - slack, upper + slack]`."""
    if scale == "unit":
        error = alignment_errors(market, segments, weights, offset)
        return (lower - slack <= error) & (error <= upper + slack)
    too_high = ratios_reached(market, segments, upper + slack, weights, offset) == 0
    too_low = ratios_reached(market, segments, np.maximum(lower - slack, 0.0), weights, offset) == 1
    return ~too_high & ~(too_low & (lower > slack))


class _Fit:
    """One segment's fit. Variables: weights, offsets, scales, error."""

    def __init__(self, user_value, provider_value, hull, state_offset):
        self.hull, self.wanted = hull, user_value.ravel()
        self.users, actions, states = user_value.shape
        self.providers = len(provider_value)
        self.offsets = self.users * (states if state_offset else 1)
        owner, rows, shifts = [], [], []
        for j, a, y in np.ndindex(self.users, actions, states):
            owner.append(np.eye(self.users)[j])
            rows.append(provider_value[:, j, a, y])
            shifts.append(np.eye(self.offsets)[j * states + y if state_offset else j])
        self.owner, self.mixture = np.array(owner), np.hstack([np.array(rows), np.array(shifts)])

    def _constraints(self, ratio, scales):
        """`|mixture - scale * wanted| <= error + ratio * scale`, row by row."""
        wanted, margin = self.wanted[:, None] * self.owner, ratio * self.owner
        error = -np.ones((len(wanted), 1))
        rows = [[self.mixture, -wanted - margin, error], [-self.mixture, wanted - margin, error]]
        sums = np.r_[np.ones(self.providers), np.zeros(self.offsets + self.users + 1)]
        return {
            "A_ub": np.block(rows),
            "b_ub": np.zeros(2 * len(wanted)),
            "A_eq": sums[None] if self.hull else None,
            "b_eq": [1.0] if self.hull else None,
            "bounds": [(0, None)] * self.providers + [(None, None)] * self.offsets + [scales] * self.users,
        }

    def error(self):
        constraints = self._constraints(0.0, (1, 1))
        constraints["bounds"].append((0, None))
        return minimise(np.r_[np.zeros(len(constraints["bounds"]) - 1), 1.0], **constraints)[0]

    def reaches(self, ratio):
        constraints = self._constraints(ratio, (1, None))
        constraints["bounds"].append((0, 0))
        for presolve in (True, False):
            options = OPTIONS | {"presolve": presolve}
            found = linprog(np.zeros(len(constraints["bounds"])), method="highs", options=options, **constraints)
            if found.status in (0, 2):
                return found.status == 0
        return np.nan


def optimal_actions(market):
    """Marks the actions that are optimal on full evidence; ties up to the rounding of the sums."""
    prior, user_value, _, _ = arrays(market)
    user, _ = stakes(market)
    size = np.einsum("jtxy,jay->jtxa", prior, np.abs(user_value)).max(axis=-1, keepdims=True)
    return user >= user.max(axis=-1, keepdims=True) - TIE * size


def floors(market, segments, delta, user):
    """What each provider gets at least from the segment of `user`."""
    mass = arrays(market)[3]
    _, provider = stakes(market)
    return _floors(provider, optimal_actions(market), mass, segments, delta, user)


def _floors(provider, optimal, mass, segments, delta, user):
    totals = []
    for values in provider:
        total = -delta
        for j in range(len(mass)):
            if segments[j] == segments[user]:
                total += mass[j] * np.where(optimal[j], values[j], np.inf).min(axis=-1).sum()
        totals.append(total)
    return np.array(totals)


def guarantees(market, segments, delta=0.0):
    """The guarantee of each user: the least `<U_j, q_j>` over outcomes that meet every provider's floor.

    Variables are probabilities of (type, evidence, action): the entries of the programme are then of order one even
    where a situation has probability 1e-8. Payoffs count from those of the first action, which no outcome changes, so
    that large constants do not drown the differences.
    """
    prior, user_value, provider_value, mass = arrays(market)
    user, provider = stakes(
        Arrays(prior, user_value - user_value[:, :1], provider_value - provider_value[:, :, :1], mass)
    )
    baseline = np.einsum("jtxy,jy->j", prior, user_value[:, 0])
    optimal, found = optimal_actions(market), np.zeros(len(mass))
    for j in range(len(mass)):
        members = [m for m in range(len(mass)) if segments[m] == segments[j]]
        situations = [(m, t, x) for m in members for t, x in np.ndindex(prior.shape[1:3]) if prior[m, t, x].sum() > 0]
        weight = np.array([prior[s].sum() for s in situations])
        gains = np.array([user[s] / w * (s[0] == j) for s, w in zip(situations, weight, strict=True)])
        rows = [
            np.array([mass[s[0]] * values[s] / w for s, w in zip(situations, weight, strict=True)]).ravel()
            for values in provider
        ]
        value, _ = minimise(
            gains.ravel(),
            A_ub=-np.array(rows),
            b_ub=-_floors(provider, optimal, mass, segments, delta, j),
            A_eq=np.kron(np.eye(len(situations)), np.ones(user.shape[-1])),
            b_eq=weight,
            bounds=(0, None),
        )
        found[j] = value + baseline[j]
    return found


def guarantee_of_weights(market, segments, delta, user, omega):
    """The lower bound on one user's utility that multipliers prove, term by term as in docs/mathematics.md, (3)."""
    mass = arrays(market)[3]
    own, provider = stakes(market)
    bound = float(np.dot(omega, floors(market, segments, delta, user)))
    for j, t, x in np.ndindex(own.shape[:3]):
        if segments[j] == segments[user]:
            wanted = own[j, t, x] if j == user else np.zeros(own.shape[-1])
            bound += min(wanted - mass[j] * np.tensordot(omega, provider[:, j, t, x], 1))
    return bound
