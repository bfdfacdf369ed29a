"""What a deviation brings, exactly: a policy of floats is repaired until users do exactly what it means them to do.

Variables are the probabilities of signals, `[evidence query signal]`, with one more signal for each evidence that tells
it. Every user who should come has to obey every signal, ask the query that she is meant to ask, and get what she is to
get; a policy that tells everything under every query meets all of this. Users who should stay away at a tie must get no
more than elsewhere, which that policy does not meet: where it would be needed, the lower end is lower.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from .._conversations import Played, Response, Stakes, probabilities, respond
from .._rational import ONE, ZERO, Rationals, dot, floats, zeros
from .._repair import Constraint, repaired
from ._gains import Rival


@dataclass(frozen=True)
class Reply:
    """What a policy brings from a segment, and whom it wins."""

    value: Fraction
    won: list[int]
    policy: Rationals


def reply_value(found: Rival, policy: Any, recommended: Any) -> Reply:
    """Repairs a policy `[evidence query signal]`, and lets every user respond to it.

    `recommended[member type query signal]` is what users are told to do.
    """
    rows = probabilities(policy)
    meant = [
        respond(user, rows, found.provider[m], None if recommended is None else recommended[m], near=found.near[m])
        for m, user in enumerate(found.user)
    ]
    comes = [
        response.value >= found.outside[m] - found.near[m] if found.loyal[m] else response.value > found.outside[m]
        for m, response in enumerate(meant)
    ]
    exactly = _repaired(found, rows, meant, comes)
    return max((_evaluate(found, exactly, meant), _evaluate(found, rows, meant)), key=lambda reply: reply.value)


def _evaluate(found: Rival, policy: Rationals, meant: list[Response]) -> Reply:
    value, won = ZERO, []
    for m, user in enumerate(found.user):
        told = _told(meant[m], len(user), *policy.shape[1:])
        response = respond(user, policy, found.provider[m], told, np.array(meant[m].asked))
        if found.comes(m, response.value):
            value += dot(found.provider[m], response.outcome)
            won.append(found.members[m])
        else:
            value += found.elsewhere[m]
    return Reply(value, won, policy)


def _told(meant: Response, types: int, queries: int, signals: int) -> np.ndarray:
    """What a user is told after each signal of the query that she is meant to ask; -1 for nothing."""
    told = np.full((types, queries, signals), -1)
    for t, (ask, actions) in enumerate(zip(meant.asked, meant.actions, strict=True)):
        told[t, ask, : len(actions)] = actions
    return told


def _repaired(found: Rival, policy: Rationals, meant: list[Response], comes: list[bool]) -> Rationals:
    signals = policy.shape[-1]
    return _repaired_policy(policy, lambda point: _constraints(found, meant, comes, point, signals))


def _repaired_policy(policy: Rationals, constraints_at: Callable[[Rationals], Iterator[Constraint]]) -> Rationals:
    """Moves a policy until it meets constraints on `[evidence query signal]`, with a signal more for each evidence."""
    evidences, queries, signals = policy.shape
    shape = (evidences, queries, signals + evidences)
    start, safe = np.zeros(shape), zeros(*shape)
    start[..., :signals] = floats(policy)
    for x in range(evidences):
        safe[x, :, signals + x] = ONE
    groups = list(np.arange(start.size).reshape(-1, shape[-1]))

    def constraints(point: Rationals) -> list[Constraint]:
        return [(row.reshape(-1), bound) for row, bound in constraints_at(point.reshape(shape))]

    flat = repaired(start.reshape(-1), groups, constraints, safe.reshape(-1))
    return flat.reshape(shape)


def obeyed(stakes: Stakes, profile: Played) -> tuple[Played, Fraction]:
    """Moves a profile until everybody's best response is exactly what the profile of floats means her to do.

    Also returns the most that a probability moved by.
    """
    near = stakes.near
    meant = [
        [profile.response(stakes, i, j, near[j]) for j in range(stakes.num_users)] for i in range(stakes.num_providers)
    ]
    providers, segments, *shape = profile.policy.shape
    signals, more = shape[-1], shape[0]
    policy = zeros(providers, segments, *shape[:-1], signals + more)
    for i, g in np.ndindex(providers, segments):
        members = [j for j, place in enumerate(profile.segment_of) if place == g]

        def constraints(point: Rationals, i: int = i, members: list[int] = members) -> Iterator[Constraint]:
            for j in members:
                _, rows = _play(stakes.user[j], meant[i][j], point, signals)
                yield from rows

        policy[i, g] = _repaired_policy(profile.policy[i, g], constraints)
    told = [
        [_told(meant[i][j], len(user), shape[1], signals + more) for j, user in enumerate(stakes.user)]
        for i in range(providers)
    ]
    asked = [[np.array(response.asked) for response in row] for row in meant]
    changes = abs(policy[..., :signals] - profile.policy), policy[..., signals:]
    moved = max(Fraction(value) for change in changes for value in change.ravel().tolist())
    return Played(policy, profile.segment_of, told, asked, profile.choice), moved


def _constraints(
    found: Rival, meant: list[Response], comes: list[bool], point: Rationals, signals: int
) -> Iterator[tuple[Rationals, Fraction]]:
    for m, user in enumerate(found.user):
        if not comes[m] and meant[m].value < found.outside[m] - found.near[m]:
            continue
        worth, rows = _play(user, meant[m], point, signals)
        yield from rows
        if comes[m]:
            # Strictly more wins a user who is elsewhere.
            more = ZERO if found.loyal[m] else min(found.near[m], (meant[m].value - found.outside[m]) / 2)
            yield worth, found.outside[m] + more
        else:
            yield -worth, -found.outside[m] + (found.near[m] if found.loyal[m] else ZERO)


def _play(user: Rationals, meant: Response, point: Rationals, signals: int) -> tuple[Rationals, list[Constraint]]:
    """What a user gets by asking and doing what she is meant to, and the constraints that make it best for her."""
    worth, rows = zeros(*point.shape), []
    for t, stakes in enumerate(user):
        ask, actions = meant.asked[t], meant.actions[t]
        own = _value_row(stakes, point.shape, ask, actions, signals)
        worth = worth + own
        rows += _obedience(stakes, point, ask, actions)
        for query in range(point.shape[1]):
            if query != ask:
                best = [_best(stakes, point[:, query, s]) for s in range(signals)]
                rows.append((own - _value_row(stakes, point.shape, query, best, signals), ZERO))
    return worth, rows


def _obedience(
    stakes: Rationals, point: Rationals, ask: int, actions: list[int]
) -> Iterator[tuple[Rationals, Fraction]]:
    for s, action in enumerate(actions):
        if not any(point[:, ask, s].tolist()):
            continue
        for other in range(stakes.shape[-1]):
            if other != action:
                row = zeros(*point.shape)
                row[:, ask, s] = stakes[:, action] - stakes[:, other]
                yield row, ZERO


def _value_row(stakes: Rationals, shape: tuple[int, ...], query: int, actions: list[int], signals: int) -> Rationals:
    """What signals of a query are worth to a user of one type: those told, and those that tell the evidence."""
    row = zeros(*shape)
    for s, action in enumerate(actions):
        row[:, query, s] = stakes[:, action]
    for x in range(shape[0]):
        # Told one evidence, she would be wrong at another; no policy says that.
        row[:, query, signals + x] = stakes[:, _largest(stakes[x])]
    return row


def _largest(values: Rationals) -> int:
    row = values.tolist()
    return row.index(max(row))


def _best(stakes: Rationals, signal: Rationals) -> int:
    values = [dot(signal, stakes[:, a]) for a in range(stakes.shape[-1])]
    return values.index(max(values))
