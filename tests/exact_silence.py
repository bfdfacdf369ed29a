"""What a provider gains at most by breaking silence, in rational numbers; two evidences, users of one type.

A policy sends likelihoods of the two evidences, and may be split into such at which everything else is fixed: those
where some user is indifferent between two actions, and the two that tell. Each comes with actions that are best there.
"""

import itertools

from exact_oracle import ONE, ZERO, ExactMarket, solve


def signals(exact, members):
    """Likelihoods of both evidences, and the members' best actions; one entry for each profile of those."""
    rays = {(ONE, ZERO), (ZERO, ONE)}
    for j in members:
        first, second = exact.user[j]
        for a, b in itertools.combinations(range(exact.actions), 2):
            gain, loss = first[a] - first[b], second[a] - second[b]
            if gain * loss < 0:
                rays.add((abs(loss) / (abs(gain) + abs(loss)), abs(gain) / (abs(gain) + abs(loss))))
    return [(ray, told) for ray in rays for told in itertools.product(*(_best(exact.user[j], ray) for j in members))]


def _worth(stakes, ray, action):
    return ray[0] * stakes[0][action] + ray[1] * stakes[1][action]


def _best(stakes, ray):
    worth = [_worth(stakes, ray, a) for a in range(len(stakes[0]))]
    return [a for a, value in enumerate(worth) if value == max(worth)]


def gain_in_segment(exact, members, provider):
    """The most over the sets of users that a policy can win, strictly if there are rivals; 0 for none."""
    heard = signals(exact, members)
    rows = [[ray[x] for ray, _ in heard] for x in (0, 1)]
    silent = [max(exact.silent_values(j)) for j in members]
    worth = [[_worth(exact.user[j], ray, told[m]) for ray, told in heard] for m, j in enumerate(members)]
    stakes = [exact.provider[provider][j] for j in members]
    brings = [[exact.mass[j] * _worth(stakes[m], ray, told[m]) for ray, told in heard] for m, j in enumerate(members)]
    present = [
        exact.mass[j] * _worth(stakes[m], (ONE, ONE), exact.silent_values(j).index(silent[m]))
        for m, j in enumerate(members)
    ]
    best = ZERO
    places = range(len(members))
    sets = [tuple(places)] if exact.providers == 1 else itertools.product([False, True], repeat=len(members))
    for won in sets:
        won = [True] * len(members) if exact.providers == 1 else won
        limits, more = [ONE, ONE], []
        for m in places:
            more.append(worth[m] if not won[m] else [-value for value in worth[m]])
            limits.append(silent[m] if not won[m] else -silent[m])
        strict = [[*row, ZERO] for row in rows] + [[*row, ONE if won[m] else ZERO] for m, row in enumerate(more)]
        rivals = exact.providers > 1 and any(won)
        if rivals and not (solve([*[ZERO] * len(heard), ONE], strict, limits, equal=(0, 1)) or ZERO) > 0:
            continue
        cost = [sum((brings[m][n] for m in places if won[m]), ZERO) for n in range(len(heard))]
        value = solve(cost, rows + more, limits, equal=(0, 1))
        if value is not None:
            best = max(best, value - sum((present[m] for m in places if won[m]), ZERO))
    return best


def silence_gain(market, labels, provider):
    """The sum over segments."""
    exact = market if isinstance(market, ExactMarket) else ExactMarket(market)
    segments = [[j for j in range(exact.users) if labels[j] == label] for label in sorted(set(labels))]
    return sum((gain_in_segment(exact, members, provider) for members in segments), ZERO)
