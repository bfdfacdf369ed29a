"""Best deviations by SciPy's HiGHS, straight from their definition: slow, and shares no code with the package.

A public policy is a distribution over profiles of actions for each evidence, a variable for each; every set of users to
be won is a programme of its own. Users have one type here. Payoffs count from those of the first action, which no
policy changes; ties are relative to them.
"""

import itertools
from typing import NamedTuple

import numpy as np
from scipy.optimize import linprog

# The tightest that HiGHS accepts.
OPTIONS = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
TIE = 1e-11


class Play(NamedTuple):
    """What a policy is worth to a user, and the probability of each action: `outcome[evidence][action]`."""

    value: float
    outcome: np.ndarray


def stakes(market):
    """`user[user evidence action]` and `provider[provider user evidence action]`, the latter times masses."""
    prior, user, provider, mass = (
        np.asarray(leaf, float) for leaf in (market.prior, market.user_value, market.provider_value, market.mass)
    )
    user, provider = user - user[:, :1], provider - provider[:, :, :1]
    own = np.einsum("jxy,jay->jxa", prior[:, 0], user)
    theirs = np.einsum("jxy,ijay,j->ijxa", prior[:, 0], provider, mass)
    return own, theirs


def play(user, policy, prefer, recommended=None):
    """One user's best response to `policy[evidence][signal]`, ties for `prefer` unless one is recommended."""
    value, outcome = 0.0, np.zeros_like(user)
    tie = TIE * np.abs(user).max(axis=1).sum()
    for signal in range(policy.shape[1]):
        worth, liked = policy[:, signal] @ user, policy[:, signal] @ prefer
        best = [a for a in range(user.shape[1]) if worth[a] >= worth.max() - tie]
        action = max(best, key=lambda a, liked=liked: (liked[a], -a))
        if recommended is not None and recommended[signal] in best:
            action = recommended[signal]
        value += worth.max()
        outcome[:, action] += policy[:, signal]
    return Play(value, outcome)


def silent_play(user):
    total = user.sum(axis=0)
    tie = TIE * np.abs(user).max(axis=1).sum()
    action = next(a for a in range(len(total)) if total[a] >= total.max() - tie)
    return Play(total.max(), np.eye(user.shape[1])[[action] * len(user)])


class Standing(NamedTuple):
    """How things stand: what each user could have without provider i, and what i gets then, and gets now."""

    outside: np.ndarray
    elsewhere: np.ndarray
    loyal: np.ndarray
    present: np.ndarray
    user_value: np.ndarray


def silent_standing(market):
    user, provider = stakes(market)
    plays = [silent_play(own) for own in user]
    value = np.array([one.value for one in plays])
    earned = np.array([[np.sum(v * one.outcome) for v, one in zip(row, plays, strict=True)] for row in provider])
    alone = np.full(earned.shape, len(provider) == 1)
    return Standing(np.tile(value, (len(provider), 1)), earned, alone, earned, value)


def profile_standing(market, segments, policy, recommended=None, choice=None):
    """`policy[provider segment evidence signal]`, `recommended[provider user signal]`."""
    user, provider = stakes(market)
    providers, users = provider.shape[:2]
    place = [sorted(set(segments)).index(label) for label in segments]
    outside, elsewhere, present = (np.zeros((providers, users)) for _ in range(3))
    loyal, user_value = np.zeros((providers, users), bool), np.zeros(users)
    for j in range(users):
        told = lambda i, j=j: None if recommended is None else recommended[i][j]
        plays = [play(user[j], policy[i][place[j]], provider[i, j], told(i)) for i in range(providers)]
        tie = TIE * np.abs(user[j]).max(axis=1).sum()
        values = np.array([one.value for one in plays])
        fair = [i for i in range(providers) if values[i] >= values.max() - tie]
        chosen = choice[j] if choice is not None and choice[j] in fair else fair[0]
        user_value[j] = values.max()
        for i in range(providers):
            loyal[i, j] = chosen == i
            others = [p for p in range(providers) if p != i]
            now = plays[chosen].outcome
            if not others:
                outside[i, j], after = silent_play(user[j])
            else:
                outside[i, j] = max(values[p] for p in others)
                best = [p for p in others if values[p] >= outside[i, j] - tie]
                after = plays[best[0] if chosen == i else chosen].outcome
            elsewhere[i, j], present[i, j] = np.sum(provider[i, j] * after), np.sum(provider[i, j] * now)
    return Standing(outside, elsewhere, loyal, present, user_value)


def best_gains(market, segments, standing):
    """The most that each provider gains: the sum over segments of the best set of users to win there."""
    user, provider = stakes(market)
    gains = np.zeros(len(provider))
    for i, label in itertools.product(range(len(provider)), sorted(set(segments))):
        members = [j for j in range(len(user)) if segments[j] == label]
        gains[i] += best_in_segment(user[members], provider[i, members], *(leaf[i, members] for leaf in standing[:4]))
    return gains


def best_in_segment(user, provider, outside, elsewhere, loyal, present):
    best = -np.inf
    tie = TIE * np.abs(user).max(axis=2).sum(axis=1)
    silent, aligned = user.sum(axis=1).max(axis=1), user.max(axis=2).sum(axis=1)
    for won in itertools.product([False, True], repeat=len(user)):
        won = np.array(won)
        winnable = loyal | (outside < aligned - tie)
        losable = ~loyal | (outside > silent + tie)
        if np.where(won, winnable, losable).all():
            value = public_value(user, provider, won, outside)
            best = max(best, value + elsewhere[~won].sum())
    return max(best - present.sum(), 0.0)


def public_value(user, provider, won, outside):
    """The best public policy that gives the users won at least, and the others at most, what they have outside.

    Variables are probabilities of (profile, evidence), in units of the evidence's weight; losses count against full
    information, so that constants do not drown the differences.
    """
    members, evidences, actions = user.shape
    profiles = list(itertools.product(range(actions), repeat=members))
    lost = user.max(axis=2, keepdims=True) - user
    below = provider.max(axis=2, keepdims=True) - provider
    cost = np.zeros((len(profiles), evidences))
    losses = np.zeros((members, len(profiles), evidences))
    obey = []
    for p, profile in enumerate(profiles):
        for j, a in enumerate(profile):
            losses[j, p] = lost[j, :, a]
            cost[p] += below[j, :, a] * won[j]
            for b in range(actions):
                if b != a:
                    row = np.zeros((len(profiles), evidences))
                    row[p] = lost[j, :, a] - lost[j, :, b]
                    obey.append(row.ravel() / max(np.abs(row).max(), 1e-300))
    room = user.max(axis=2).sum(axis=1) - outside
    sign = np.where(won, 1.0, -1.0)
    size = np.maximum(losses.max(axis=(1, 2)), 1e-300)
    rows = np.array(obey + [sign[j] * losses[j].ravel() / size[j] for j in range(members)])
    limit = np.r_[np.zeros(len(obey)), sign * np.where(won, np.maximum(room, 0.0), room) / size]
    scale = max(cost.max(), 1e-300)
    sums = np.tile(np.eye(evidences), (1, len(profiles)))
    found = linprog(
        cost.ravel() / scale, A_ub=rows, b_ub=limit, A_eq=sums, b_eq=np.ones(evidences), method="highs", options=OPTIONS
    )
    if found.status == 2:
        return -np.inf
    assert found.status == 0, found.message
    top = (provider.max(axis=2).sum(axis=1) * won).sum()
    return top - scale * found.fun


def user_baseline(market):
    """What each user would get from her first action."""
    return np.einsum("jtxy,jy->j", np.asarray(market.prior), np.asarray(market.user_value)[:, 0])
