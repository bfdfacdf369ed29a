"""What a deviation brings, exactly: a policy of floats is repaired until users do exactly what it means them to do.

Variables are the probabilities of signals, `[evidence query signal]`, with one more signal for each evidence that tells
it. Every user who should come has to obey every signal, ask the query that she is meant to ask, and get what she is to
get; a policy that tells everything under every query meets all of this. Users who should stay away at a tie must get no
more than elsewhere, which that policy does not meet: where it would be needed, the lower end is lower.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from ._conversations import Response, probabilities, respond
from ._deviations import Rival
from ._rational import ONE, ZERO, Rationals, dot, floats, zeros
from ._repair import Constraint, repaired


@dataclass(frozen=True)
class Reply:
    """What a policy brings from a segment, and whom it wins."""

    value: Fraction
    won: list[int]
    policy: Rationals


def reply_value(found: Rival, policy: Any, recommended: Any) -> Reply:
    """Repairs a policy `[evidence query signal]`, and lets every user respond to it; only equality is a tie.

    `recommended[member type query signal]` is what users are told to do.
    """
    rows = probabilities(policy)
    meant = [
        respond(user, rows, found.provider[m], found.tie[m], None if recommended is None else recommended[m])
        for m, user in enumerate(found.user)
    ]
    comes = [
        response.value >= found.outside[m] + (-found.tie[m] if found.loyal[m] else found.tie[m])
        for m, response in enumerate(meant)
    ]
    exactly = _repaired(found, rows, meant, comes)
    return max((_evaluate(found, exactly, meant), _evaluate(found, rows, meant)), key=lambda reply: reply.value)


def _evaluate(found: Rival, policy: Rationals, meant: list[Response]) -> Reply:
    value, won = ZERO, []
    for m, user in enumerate(found.user):
        told = _told(meant[m], len(user), *policy.shape[1:])
        response = respond(user, policy, found.provider[m], ZERO, told, np.array(meant[m].asked))
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
    evidences, queries, signals = policy.shape
    shape = (evidences, queries, signals + evidences)
    start, safe = np.zeros(shape), zeros(*shape)
    start[..., :signals] = floats(policy)
    for x in range(evidences):
        safe[x, :, signals + x] = ONE
    groups = list(np.arange(start.size).reshape(-1, shape[-1]))

    def constraints(point: Rationals) -> list[Constraint]:
        rows = _constraints(found, meant, comes, point.reshape(shape), signals)
        return [(row.reshape(-1), bound) for row, bound in rows]

    flat = repaired(start.reshape(-1), groups, constraints, safe.reshape(-1))
    return flat.reshape(shape)


def _constraints(
    found: Rival, meant: list[Response], comes: list[bool], point: Rationals, signals: int
) -> Iterator[tuple[Rationals, Fraction]]:
    for m, user in enumerate(found.user):
        if not comes[m] and meant[m].value < found.outside[m] - found.tie[m]:
            continue
        worth = zeros(*point.shape)
        for t, stakes in enumerate(user):
            ask, actions = meant[m].asked[t], meant[m].actions[t]
            own = _value_row(stakes, point.shape, ask, actions, signals)
            worth = worth + own
            yield from _obedience(stakes, point, ask, actions)
            for query in range(point.shape[1]):
                if query != ask:
                    best = [_best(stakes, point[:, query, s]) for s in range(signals)]
                    yield own - _value_row(stakes, point.shape, query, best, signals), ZERO
        if comes[m]:
            # Strictly more wins a user who is elsewhere.
            yield worth, found.outside[m] + (ZERO if found.loyal[m] else found.tie[m])
        else:
            yield -worth, -found.outside[m] + (found.tie[m] if found.loyal[m] else ZERO)


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
