"""Evaluates what can be won from users who share policies, at given candidates. Imports no solver.

These are compiled loops, which those of a search call. Units are those of `Crowd`: `room` is what a user loses against
full information by the best offer that she has elsewhere, in shares of what conversation is worth to her.
"""

import numpy as np

from .._loops import compiled_loops

# Levels of utility closer than this share of what conversation is worth to a user are not told apart.
NEAR = 1e-9


@compiled_loops
def winning_lower(offers, provider, won, room, weight):
    """Bounds what a provider gets from users `won` by a policy that wins exactly them, from below, at ANY weights.

    Weights are made those of a policy first: what is left of every evidence is told. Those won have to lose strictly
    less than `room`, and the others at least as much. A user who has no room cannot be won: she does as she likes best
    anyway, if she hears everything, so count the optimal action that is worst. -infinity if the policy is not one.

    **Arguments:** the `Offers` of a crowd, `won[user]`, `room[user]`, `weight[corner]`.
    """
    belief, lost, earned, told_best, told_worst = (
        offers.belief,
        offers.lost,
        offers.earned,
        offers.told_best,
        offers.told_worst,
    )
    corners, users = lost.shape
    used, loses, brings = np.zeros(belief.shape[1]), np.zeros(users), np.zeros(users)
    for corner in range(corners):
        share = _clean(weight[corner])
        if share > 0.0:
            for evidence in range(len(used)):
                used[evidence] += share * belief[corner, evidence]
            for user in range(users):
                loses[user] += share * lost[corner, user]
                brings[user] += share * earned[provider, corner, user]
    most = 1.0
    for evidence in range(len(used)):
        most = max(most, used[evidence])
    total = 0.0
    for user in range(users):
        rest, loss = room[user], loses[user] / most
        if not won[user]:
            exactly = loss >= rest - NEAR or rest <= NEAR
        elif rest <= NEAR:
            exactly = loss <= 1e-3 * NEAR
            total += told_worst[provider, user]
        else:
            exactly = loss < rest - 1e-3 * NEAR
            total += told_best[provider, user] + brings[user] / most
        if not exactly:
            return -np.inf
    return total


@compiled_loops
def winning_upper(offers, provider, won, price):
    """Bounds the same from above for every room: by `height + slope @ room`, at ANY prices (weak duality).

    In `price[evidence+user]` multipliers of what users may lose come after the prices of evidence; those not won lose
    at least their room.
    """
    belief, lost, earned, told_best = offers.belief, offers.lost, offers.earned, offers.told_best
    corners, users = lost.shape
    evidences = belief.shape[1]
    height, over, slope = 0.0, 0.0, np.empty(users)
    for user in range(users):
        slope[user] = _clean(price[evidences + user]) * (1.0 if won[user] else -1.0)
        if won[user]:
            height += told_best[provider, user]
    for corner in range(corners):
        score = 0.0
        for evidence in range(evidences):
            score -= _clean(price[evidence]) * belief[corner, evidence]
        for user in range(users):
            score -= slope[user] * lost[corner, user]
            if won[user]:
                score += earned[provider, corner, user]
        over = max(over, score)
    # Prices of evidence are raised until no signal is worth more than it uses up.
    for evidence in range(evidences):
        height += _clean(price[evidence]) + over
    return height, slope


@compiled_loops
def outcomes_upper(belief, policy, goal, rows, limit, price):
    """Bounds a goal that is linear in the signals of several policies that meet inequalities, from above.

    Valid for ANY prices of the evidence of each policy, and multipliers of the rows (weak duality).

    **Arguments:** columns are weights of signals: the `belief[column evidence]` that each leaves, the number of its
    `policy[column]`, and `goal[column]`; inequalities `rows[row column] @ weights <= limit[row]`; and
    `price[policy*evidence+row]`.
    """
    columns, evidences = belief.shape
    count = len(price) - len(limit)
    over = np.zeros(count // evidences)
    score = goal.copy()
    total = 0.0
    for row in range(len(limit)):
        dual = _clean(price[count + row])
        if dual > 0.0:
            total += dual * limit[row]
            for column in range(columns):
                score[column] -= dual * rows[row, column]
    for column in range(columns):
        own, left = policy[column], score[column]
        for evidence in range(evidences):
            left -= _clean(price[own * evidences + evidence]) * belief[column, evidence]
        over[own] = max(over[own], left)
    for own in range(len(over)):
        # Prices of evidence are raised until no signal is worth more than it uses up.
        for evidence in range(evidences):
            total += _clean(price[own * evidences + evidence]) + over[own]
    return total


@compiled_loops(inlined=True)
def _clean(multiplier):
    return multiplier if multiplier > 0.0 and np.isfinite(multiplier) else 0.0
