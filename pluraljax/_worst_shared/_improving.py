"""Linear programmes for profiles of one plan, in one compiled loop: solve, evaluate, take new tangents, and again.

Where it is fixed who offers what, who talks to whom, and where she would go next, all that users lose and bring is
linear in the weights of the signals of each policy, which are the columns here: all of the first policy, then the next.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from .._bounds import NEAR
from .._candidates import OPTIMAL, host_simplex
from .._loops import compiled_loops
from ._curves import lowest_tangents, make_tangents

# Share of the slack that candidates leave unused, for rounding.
_ROOM = 0.5
_TURNS = 8
# After so many programmes without an equilibrium there is none near.
_HOPELESS = 2
# Inequalities with less room than this are tight.
_TIGHT = 1e-6
# Gains below this share of what conversation is worth are not worth another turn.
_WORTH = 1e-4
# An equilibrium has to be worse than what is known by so much to be looked for.
_STEP = 2e-3


class Laid(NamedTuple):
    """A plan: the policy that each user hears, and that she would hear if a provider were left.

    `calm` are users, a policy that each takes and one that she does not like better; `pairs` the deviations that may
    pay: who may be won; `servers` the providers that everybody may leave. A single provider has everybody.
    """

    heard: Int[np.ndarray, " user"]
    after: Int[np.ndarray, "provider user"]
    calm: Int[np.ndarray, "row 3"]
    pairs: Int[np.ndarray, "pair 2"]
    servers: Int[np.ndarray, " server"]
    policies: int
    is_single: bool


class Signals(NamedTuple):
    """What is known of the signals of a `Crowd`."""

    belief: Float[np.ndarray, "signal evidence"]
    lost: Float[np.ndarray, "signal user"]
    earned: Float[np.ndarray, "provider user signal"]
    told_first: Float[np.ndarray, "provider user"]
    slack: Float[np.ndarray, " provider"]
    cares: Bool[np.ndarray, " user"]


@compiled_loops(calls=(host_simplex, lowest_tangents, make_tangents))
def improved(offers, known, signals, laid, goal, start, most):
    """Looks for an equilibrium in which the goal, a sum of users' losses, is worth more than `most`, near a start.

    **Returns:** whether there is one, and the weights [policy signal] of the last one found.
    """
    count, pairs = len(signals.belief), laid.pairs
    base, limit, cost, first = _conditions(known, signals, laid, goal)
    rooms, anything = np.empty((len(pairs), len(goal))), np.empty(len(limit))
    for pair in range(len(pairs)):
        for user in range(len(goal)):
            rooms[pair, user] = start[user]
    for row in range(len(limit)):
        anything[row] = np.inf
    best, found, ever = np.zeros((laid.policies, count)), False, _STEP
    height, slope = _touching(offers, known, rooms, pairs, np.zeros(len(limit)), anything, first)
    for turn in range(_TURNS):
        rows, limits = _priced(base, limit, signals, laid, first, height, slope)
        limits[-1] = -most - ever
        primal, _, status = host_simplex(rows, limits, cost)
        is_solved = status == OPTIMAL
        if not is_solved and (found or turn >= _HOPELESS):
            break
        weight = _policies(signals.belief, primal, laid.policies)
        rooms = _rooms(signals, laid, weight)
        now = _worth(base, weight)
        if is_solved:
            least = lowest_tangents(known, rooms, pairs)
            if not _holds(signals, laid, least[0], least[1], rooms, now, limit, first):
                break
            best, found, most, ever = weight, True, -now[-1], _WORTH
        height, slope = _touching(offers, known, rooms, pairs, now, limit, first)
    return found, best


@compiled_loops(inlined=True)
def _priced(base, limit, signals, laid, first, height, slope):
    """All rows and limits, with curves replaced by tangents; the limit of the goal is left to be set."""
    after, pairs = laid.after, laid.pairs
    lost, cares = signals.lost, signals.cares
    count = len(signals.belief)
    rows, limits = np.empty(base.shape), np.empty(len(limit))
    for row in range(len(limit)):
        limits[row] = limit[row]
        for column in range(base.shape[1]):
            rows[row, column] = base[row, column]
    for pair in range(len(height)):
        row, provider = first + pair, pairs[pair, 0]
        limits[row] -= height[pair]
        for user in range(slope.shape[1]):
            if laid.is_single:
                limits[row] -= slope[pair, user] * cares[user]
            else:
                policy = after[provider, user]
                for signal in range(count):
                    rows[row, policy * count + signal] += slope[pair, user] * lost[signal, user]
    return rows, limits


@compiled_loops(inlined=True)
def _conditions(known, signals, laid, goal):
    """All rows but what tangents add to them: evidence, nobody envies, nobody gains, nobody is left; and the goal."""
    heard, after, calm, pairs, servers = laid.heard, laid.after, laid.calm, laid.pairs, laid.servers
    belief, lost, earned, told_first, slack = (
        signals.belief,
        signals.lost,
        signals.earned,
        signals.told_first,
        signals.slack,
    )
    count, evidences = belief.shape
    start = laid.policies * evidences
    first = start + len(calm)
    total = first + len(pairs) + len(servers) + 1
    rows, limit = np.zeros((total, laid.policies * count)), np.zeros(total)
    for policy in range(laid.policies):
        for evidence in range(evidences):
            limit[policy * evidences + evidence] = 1.0
            for signal in range(count):
                rows[policy * evidences + evidence, policy * count + signal] = belief[signal, evidence]
    for place in range(len(calm)):
        user, own, other = calm[place, 0], calm[place, 1], calm[place, 2]
        for signal in range(count):
            rows[start + place, own * count + signal] += lost[signal, user]
            rows[start + place, other * count + signal] -= lost[signal, user]
    for place in range(len(pairs)):
        provider, which, row = pairs[place, 0], pairs[place, 1], first + place
        limit[row] = _ROOM * slack[provider]
        for user in range(len(goal)):
            _add(rows[row], earned[provider, user], heard[user], -1.0)
            if known.sets[which, user]:
                limit[row] += told_first[provider, user]
            elif not laid.is_single:
                _add(rows[row], earned[provider, user], after[provider, user], 1.0)
    for place in range(len(servers)):
        provider, row = servers[place], first + len(pairs) + place
        limit[row] = _ROOM * slack[provider]
        for user in range(len(goal)):
            _add(rows[row], earned[provider, user], after[provider, user], 1.0)
            _add(rows[row], earned[provider, user], heard[user], -1.0)
    cost = np.zeros(rows.shape[1])
    for user in range(len(goal)):
        for signal in range(count):
            column = heard[user] * count + signal
            cost[column] += goal[user] * lost[signal, user]
            rows[-1, column] = -cost[column]
    return rows, limit, cost, first


@compiled_loops(inlined=True)
def _add(row, worth, policy, times):
    """Adds what the signals of a policy are worth to a row."""
    for signal in range(len(worth)):
        row[policy * len(worth) + signal] += times * worth[signal]


@compiled_loops(inlined=True)
def _policies(belief, primal, policies):
    """The weights of signals in each policy; no evidence is used up twice."""
    count, evidences = belief.shape
    weight = np.empty((policies, count))
    for policy in range(policies):
        most = 1.0
        for evidence in range(evidences):
            used = 0.0
            for signal in range(count):
                used += primal[policy * count + signal] * belief[signal, evidence]
            most = max(most, used)
        for signal in range(count):
            weight[policy, signal] = primal[policy * count + signal] / most
    return weight


@compiled_loops(inlined=True)
def _rooms(signals, laid, weight):
    """What users lose, for each pair, with the best offer of the provider's rivals; without any, silence."""
    after, pairs = laid.after, laid.pairs
    lost, cares = signals.lost, signals.cares
    users = len(laid.heard)
    value, rooms = np.zeros((len(weight), users)), np.empty((len(pairs), users))
    for policy in range(len(weight)):
        for signal in range(weight.shape[1]):
            if weight[policy, signal] != 0.0:
                for user in range(users):
                    value[policy, user] += weight[policy, signal] * lost[signal, user]
    for pair in range(len(rooms)):
        for user in range(users):
            if laid.is_single:
                rooms[pair, user] = cares[user]
            else:
                rooms[pair, user] = value[after[pairs[pair, 0], user], user]
    return rooms


@compiled_loops(inlined=True)
def _worth(rows, weight):
    """What rows come to."""
    worth, count = np.zeros(len(rows)), weight.shape[1]
    for policy in range(len(weight)):
        for signal in range(count):
            if weight[policy, signal] != 0.0:
                for row in range(len(rows)):
                    worth[row] += weight[policy, signal] * rows[row, policy * count + signal]
    return worth


@compiled_loops(inlined=True)
def _holds(signals, laid, height, slope, rooms, now, limit, first):
    """Whether a profile is an equilibrium: no provider gains more than its slack by winning any set of users.

    What it could gain is bounded by the tangents that are known. `limit` leaves a share of the slack unused.
    """
    start = first - len(laid.calm)
    for row in range(start, first):
        if now[row] > NEAR:
            return False
    for place in range(len(laid.servers)):
        if now[first + len(laid.pairs) + place] > signals.slack[laid.servers[place]]:
            return False
    for pair in range(len(laid.pairs)):
        most = limit[first + pair] + (1.0 - _ROOM) * signals.slack[laid.pairs[pair, 0]]
        if not _level(height[pair], slope[pair], rooms[pair]) + now[first + pair] <= most:
            return False
    return True


@compiled_loops(inlined=True)
def _level(height, slope, room):
    for user in range(len(room)):
        height += slope[user] * room[user]
    return height


@compiled_loops(calls=(lowest_tangents, make_tangents))
def _touching(offers, known, rooms, pairs, now, limit, first):
    """Tangents that are low at some rooms: new ones for inequalities that do not hold, or just, with those known."""
    height, slope = lowest_tangents(known, rooms, pairs)
    wanted, count = np.empty(len(pairs), np.int64), 0
    for pair in range(len(pairs)):
        most = limit[first + pair] - _TIGHT - now[first + pair]
        if np.isinf(height[pair]) or not _level(height[pair], slope[pair], rooms[pair]) <= most:
            wanted[count] = pair
            count += 1
    if count:
        at, some = np.empty((count, rooms.shape[1])), np.empty((count, 2), np.int64)
        for place in range(count):
            some[place, 0], some[place, 1] = pairs[wanted[place], 0], pairs[wanted[place], 1]
            for user in range(rooms.shape[1]):
                at[place, user] = rooms[wanted[place], user]
        make_tangents(offers, known, at, some)
        height, slope = lowest_tangents(known, rooms, pairs)
    return height, slope
