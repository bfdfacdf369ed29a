"""One part of the space of profiles: who may serve whom, and a simplex of what users may lose.

`allowed[l]` are the providers that user l may talk to. The users' losses are a mixture of the corners of the simplex.
An inequality says that a provider does not gain by winning a set of users. It holds in a part if the set contains
everybody whom the provider may serve there: then nobody else's choice changes. The curve of what the provider can get
is concave, so the affine function that agrees with it at the corners is below it in the simplex.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from .._candidates import Answer
from .._signals import Crowd
from ._curves import Curves, Steps
from ._rows import Rows

# Inequalities that are missed by less than this share of a provider's range are met.
MISSED = 1e-7
# At most so many inequalities are added between two solutions, so often.
_ADDED, _SOLUTIONS = 6, 6
_ROUNDING = 1e-11
# Who serves whom is settled before space is split where it matters at least this share as much.
_EAGER = 0.2


@dataclass(frozen=True)
class Node:
    """A part; `used` are the inequalities that have mattered so far, `bounds` the most that each user loses in it.

    It is `final` for users for whom all inequalities are met where their programme ends: nothing can cut it.
    """

    allowed: tuple[frozenset[int], ...]
    corners: Float[np.ndarray, "corner user"]
    used: frozenset[tuple[int, int]]
    bounds: tuple[float, ...]
    final: tuple[bool, ...]

    def valid(self, provider: int, won: np.ndarray) -> bool:
        return all(won[user] or provider not in who for user, who in enumerate(self.allowed))

    def decided(self, provider: int, won: np.ndarray) -> bool:
        """Whether no choice is left about an inequality that does not hold."""
        return any(not won[user] and who == {provider} for user, who in enumerate(self.allowed))


@dataclass(frozen=True)
class Look:
    """What was found out about a node: the most that users lose, and where its programme ends."""

    bounds: tuple[float, ...]
    room: Float[np.ndarray, " user"]
    earned: Float[np.ndarray, "provider user"]
    missed: dict[tuple[int, int], float]
    shares: Float[np.ndarray, " corner"]
    used: frozenset[tuple[int, int]]


def roots(crowd: Crowd, curves: Curves) -> list[Node]:
    """Simplices that cover all that users may lose, each with full information as a corner.

    Near full information everything is linear along rays from there. Simplices with that corner lose nothing.
    """
    users, caring = crowd.num_users, np.flatnonzero(crowd.cares)
    everyone = len(curves.sets) - 1
    anybody = (frozenset(range(crowd.num_providers)),) * users
    used = frozenset((provider, everyone) for provider in range(crowd.num_providers))
    bounds = tuple(float(cares) for cares in crowd.cares)
    nodes = []
    for order in itertools.permutations(caring):
        corners = np.zeros((len(caring) + 1, users))
        for step, user in enumerate(order):
            corners[step + 1 :, user] = 1.0
        nodes.append(Node(anybody, corners, used, bounds, (False,) * users))
    return nodes


def policies_of(node: Node) -> list[int]:
    """The policy that each user hears: users who surely talk to the same provider hear the same one."""
    found: dict[frozenset[int], int] = {}
    places, count = [], 0
    for who in node.allowed:
        if len(who) == 1 and who in found:
            places.append(found[who])
            continue
        found[who] = count
        places.append(count)
        count += 1
    return places


class Simplex:
    """Affine functions on a simplex, in terms of what users lose."""

    def __init__(self, corners: Float[np.ndarray, "corner user"]):
        self.corners = corners
        self.moving = np.flatnonzero(corners.max(axis=0) > 0)
        # Row c maps (1, losses of the users who move) to the share of corner c.
        self.shares = np.linalg.inv(np.column_stack([np.ones(len(corners)), corners[:, self.moving]])).T

    def through(self, values: Float[np.ndarray, " corner"]) -> tuple[float, Float[np.ndarray, " user"]]:
        """(height, slope) of the affine function that is nowhere above the values at the corners, and nearly there."""
        fitted = values @ self.shares
        slope = np.zeros(self.corners.shape[1])
        slope[self.moving] = fitted[1:]
        height = fitted[0]
        return height - max(0.0, float((height + self.corners @ slope - values).max())), slope


def base_rows(crowd: Crowd, node: Node, simplex: Simplex, policy: list[int]) -> Rows:
    """Nobody envies anybody, and losses are in the simplex."""
    hearers = [tuple(user for user, own in enumerate(policy) if own == one) for one in range(max(policy) + 1)]
    rows = Rows(crowd, hearers)
    for user, own in enumerate(policy):
        for other in range(rows.policies):
            if other != own and crowd.cares[user]:
                lost, _ = rows.blank()
                lost[own, user], lost[other, user] = 1.0, -1.0
                rows.add(lost, None, 0.0)
    for share in simplex.shares:
        lost, _ = rows.blank()
        for place, user in enumerate(simplex.moving):
            lost[policy[user], user] = -share[1 + place]
        rows.add(lost, None, float(share[0]) + _ROUNDING)
    return rows


def add_inequality(
    rows: Rows, policy: list[int], provider: int, won: np.ndarray, below: tuple[float, np.ndarray]
) -> None:
    """What the users `won` bring now, and the slack, is no less than the affine function `below` of losses."""
    crowd, (height, slope) = rows.crowd, below
    lost, earned = rows.blank()
    for user, own in enumerate(policy):
        lost[own, user] += slope[user]
        if won[user]:
            earned[own, provider, user] -= 1.0
    rows.add(lost, earned, float(crowd.told_first[provider][won].sum() - height + crowd.slack[provider]))


def look(crowd: Crowd, curves: Curves, node: Node, targets: tuple[int, ...], enough: float) -> Steps[Look | None]:
    """Bounds what the targets lose together in a node, until `enough`; None if the node holds no equilibrium."""
    policy, simplex, nobody = policies_of(node), Simplex(node.corners), np.zeros(crowd.num_users, bool)
    rows = base_rows(crowd, node, simplex, policy)
    goal, _ = rows.blank()
    for target in targets:
        goal[policy[target], target] = 1.0
    used: set[tuple[int, int]] = set()
    fresh, bound, missed = set(node.used), np.inf, {}
    place = _centre(crowd, node)
    for turn in range(_SOLUTIONS):
        added = yield from _added(curves, node, simplex, rows, policy, sorted(fresh))
        used |= fresh
        if turn and not added:
            break
        (answer,) = yield [rows.pose(goal)]
        upper = rows.upper(goal, answer)
        if not answer.feasible:
            if upper < -_ROUNDING:
                return None
            place, missed = _centre(crowd, node), {}
            break
        bound = min(bound, upper)
        place = _place(rows, policy, answer)
        if bound <= enough:
            break
        missed = yield from _missed(crowd, curves, place, nobody)
        fresh = _worst(node, curves, missed, used)
    room, earned = place
    shares = simplex.shares @ np.concatenate([[1.0], room[simplex.moving]])
    bounds = tuple(min(old, bound) if user in targets else old for user, old in enumerate(node.bounds))
    return Look(bounds, room, earned, missed, np.clip(shares, 0.0, 1.0), frozenset(used))


def _added(
    curves: Curves, node: Node, simplex: Simplex, rows: Rows, policy: list[int], pairs: list[tuple[int, int]]
) -> Steps[int]:
    """Adds inequalities that are valid in the node and known at all its corners."""
    nobody = np.zeros(node.corners.shape[1], bool)
    pairs = [pair for pair in pairs if node.valid(pair[0], curves.sets[pair[1]])]
    values = yield from curves.grid(list(node.corners), pairs, nobody)
    count = 0
    for (provider, which), at in zip(pairs, values.T, strict=True):
        if np.isfinite(at).all():
            add_inequality(rows, policy, provider, curves.sets[which], simplex.through(at))
            count += 1
    return count


def _place(rows: Rows, policy: list[int], answer: Answer) -> tuple[np.ndarray, np.ndarray]:
    """What users lose where the programme ends, and what they bring to each provider."""
    crowd, weight = rows.crowd, rows.weights(answer)
    lost = weight @ crowd.signal_lost
    room = np.array([lost[own, user] for user, own in enumerate(policy)])
    paid = [crowd.signal_earned[:, user] @ weight[own] for user, own in enumerate(policy)]
    return np.clip(room, 0.0, 1.0), crowd.told_first + np.stack(paid, axis=-1)


def _centre(crowd: Crowd, node: Node) -> tuple[np.ndarray, np.ndarray]:
    return node.corners.mean(axis=0), crowd.told_first


def _missed(
    crowd: Crowd, curves: Curves, place: tuple[np.ndarray, np.ndarray], nobody: np.ndarray
) -> Steps[dict[tuple[int, int], float]]:
    """By how much each provider gains if it wins each set of users."""
    room, earned = place
    pairs = list(itertools.product(range(crowd.num_providers), range(len(curves.sets))))
    most = yield from curves.points(room, pairs, nobody)
    return {
        (provider, which): float(top - earned[provider][curves.sets[which]].sum() - crowd.slack[provider])
        for (provider, which), top in zip(pairs, most, strict=True)
    }


def _worst(node: Node, curves: Curves, missed: dict[tuple[int, int], float], used: set) -> set[tuple[int, int]]:
    """The valid inequalities that are missed most, of those not used yet."""
    open_pairs = [
        (-gain, pair)
        for pair, gain in missed.items()
        if gain > MISSED and pair not in used and node.valid(pair[0], curves.sets[pair[1]])
    ]
    return {pair for _, pair in sorted(open_pairs)[:_ADDED]}


def branches(crowd: Crowd, curves: Curves, node: Node, seen: Look) -> Steps[list[Node]]:
    """The parts that a node is split into, by who serves whom or in space; none where nothing would cut."""
    valid = {pair: gain for pair, gain in seen.missed.items() if node.valid(pair[0], curves.sets[pair[1]])}
    in_space = max(valid.values(), default=0.0)
    node = replace(node, bounds=seen.bounds, used=seen.used)
    choices = [
        (-gain, pair)
        for pair, gain in seen.missed.items()
        if pair not in valid and gain > max(MISSED, _EAGER * in_space)
        if not node.decided(pair[0], curves.sets[pair[1]])
    ]
    pair = yield from _cutting(crowd, curves, node, seen, [pair for _, pair in sorted(choices)[:_ADDED]])
    if pair is not None:
        return list(_by_server(node, pair[0], curves.sets[pair[1]], pair))
    if in_space > MISSED or choices or not seen.missed:
        return list(_in_space(node, seen.shares))
    return []


def _cutting(
    crowd: Crowd, curves: Curves, node: Node, seen: Look, pairs: list[tuple[int, int]]
) -> Steps[tuple[int, int] | None]:
    """The first inequality that would cut off where the programme of a node ended, if it held."""
    nobody = np.zeros(crowd.num_users, bool)
    values = yield from curves.grid(list(node.corners), pairs, nobody)
    for (provider, which), at in zip(pairs, values.T, strict=True):
        if np.isfinite(at).all():
            now = seen.earned[provider][curves.sets[which]].sum() + crowd.slack[provider]
            if at @ seen.shares > now + MISSED:
                return provider, which
    return None


def _by_server(node: Node, provider: int, won: np.ndarray, pair: tuple[int, int]) -> Iterator[Node]:
    """Either the provider serves nobody outside a set, or some first user of those outside."""
    outside = [user for user in range(len(node.allowed)) if not won[user]]
    for first in [None, *outside]:
        allowed = list(node.allowed)
        for user in outside:
            if user == first:
                allowed[user] = allowed[user] & {provider}
                break
            allowed[user] = allowed[user] - {provider}
        if all(allowed):
            used = node.used | {pair} if first is None else node.used
            yield replace(node, allowed=tuple(allowed), used=used)


def _in_space(node: Node, shares: Float[np.ndarray, " corner"]) -> Iterator[Node]:
    """Splits the edge between the corners that the end of the programme is a mixture of, near it."""
    best = max(
        itertools.combinations(range(len(shares)), 2),
        key=lambda ends: (
            np.abs(node.corners[ends[0]] - node.corners[ends[1]]).max() * (shares[ends[0]] * shares[ends[1]] + 1e-3)
        ),
    )
    one, other = best
    share = float(np.clip(shares[one] / max(shares[one] + shares[other], 1e-12), 0.3, 0.7))
    middle = share * node.corners[one] + (1 - share) * node.corners[other]
    for end in best:
        corners = node.corners.copy()
        corners[end] = middle
        yield replace(node, corners=corners)
