"""One part of the space of profiles: who may serve whom, and a simplex of what users may lose.

`allowed[l]` are the providers that user l may talk to. The users' losses are a mixture of the corners of the simplex.
An inequality says that a provider does not gain by winning a set of users. It holds in a part if the set contains
everybody whom the provider may serve there: then nobody else's choice changes. The curve of what the provider can get
is concave, so the affine function that agrees with it at the corners is below it in the simplex.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from .._signals import Crowd
from ._curves import Curves, marked, pairs_of
from ._pool import Steps
from ._proof import ByServer, InSpace, Watch
from ._rows import Heard, Posed, inequalities

# Inequalities that are missed by less than this share of a provider's range are met.
MISSED = 1e-7
# At most so many inequalities are added between two solutions, so often.
_ADDED, _SOLUTIONS = 6, 6
_ROUNDING = 1e-11
# A bound does not hang on inequalities with multipliers below this.
_MATTERS = 1e-9


@dataclass(frozen=True)
class Node:
    """A part; `used` are the inequalities that have mattered so far, `bounds` the most that each user loses in it.

    It is `final` for users for whom all inequalities are met where their programme ends: nothing can cut it. `path` is
    its place in the tree of parts: the number of its root, then which part of each split.
    """

    allowed: tuple[frozenset[int], ...]
    corners: Float[np.ndarray, "corner user"]
    used: frozenset[tuple[int, int]]
    bounds: tuple[float, ...]
    final: tuple[bool, ...]
    path: tuple[int, ...]

    def decided(self, provider: int, won: np.ndarray) -> bool:
        """Whether no choice is left about an inequality that does not hold."""
        return any(not won[user] and who == {provider} for user, who in enumerate(self.allowed))


@dataclass(frozen=True)
class Look:
    """What was found out about a node: the most that users lose, and where its programme ends.

    `missed` is by how much each provider gains there if it wins each set of users, or zero. Where the programme did not
    end (`ended` is False), `room` is the middle of the simplex.
    """

    bounds: tuple[float, ...]
    room: Float[np.ndarray, " user"]
    earned: Float[np.ndarray, "provider user"]
    missed: Float[np.ndarray, "provider set"]
    shares: Float[np.ndarray, " corner"]
    used: frozenset[tuple[int, int]]
    ended: bool


@dataclass
class Ground:
    """What all parts of one market share; `watch` keeps the proof, where one is asked for."""

    crowd: Crowd
    curves: Curves
    watch: Watch | None = None
    _heard: dict[tuple[int, ...], Heard] = field(default_factory=dict)

    def heard(self, policies: tuple[int, ...]) -> Heard:
        if policies not in self._heard:
            self._heard[policies] = Heard(self.crowd, policies)
        return self._heard[policies]

    def keep(
        self, node: Node, targets: tuple[int, ...], heard: Heard, posed: Posed, dual: np.ndarray, upper: float
    ) -> None:
        if self.watch is not None:
            self.watch.bounded(node.path, targets, heard, node.corners, posed, dual, upper)


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
    for place, order in enumerate(itertools.permutations(caring)):
        corners = np.zeros((len(caring) + 1, users))
        for step, user in enumerate(order):
            corners[step + 1 :, user] = 1.0
        nodes.append(Node(anybody, corners, used, bounds, (False,) * users, (place,)))
    return nodes


def valid_in(node: Node, curves: Curves) -> Bool[np.ndarray, "provider set"]:
    """Marks the inequalities that hold in a node: the provider may serve nobody outside the set."""
    providers = len(curves.crowd.slack)
    may = np.array([[provider in who for who in node.allowed] for provider in range(providers)])
    return np.asarray((~may[:, None] | curves.sets[None]).all(axis=-1))


def policies_of(node: Node) -> tuple[int, ...]:
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
    return tuple(places)


class Simplex:
    """Affine functions on a simplex, in terms of what users lose."""

    def __init__(self, corners: Float[np.ndarray, "corner user"]):
        self.corners = corners
        self.moving = np.flatnonzero(corners.max(axis=0) > 0)
        # Row c maps (1, losses of the users who move) to the share of corner c.
        self.shares = np.linalg.inv(np.column_stack([np.ones(len(corners)), corners[:, self.moving]])).T

    def through(
        self, values: Float[np.ndarray, "corner curve"]
    ) -> tuple[Float[np.ndarray, " curve"], Float[np.ndarray, "curve user"]]:
        """(height, slope) of affine functions that are nowhere above the values at the corners, and nearly there."""
        fitted = values.T @ self.shares
        slope = np.zeros((len(fitted), self.corners.shape[1]))
        slope[:, self.moving] = fitted[:, 1:]
        height = fitted[:, 0]
        over = (height + self.corners @ slope.T - values).max(axis=0, initial=0.0)
        return height - over, slope

    def rows(self, lost: Float[np.ndarray, "user column"]) -> tuple[np.ndarray, np.ndarray]:
        """Losses are in the simplex."""
        return -self.shares[:, 1:] @ lost[self.moving], self.shares[:, 0] + _ROUNDING

    @property
    def walls(self) -> Float[np.ndarray, "corner user"]:
        """What these rows ask of each user's losses."""
        slope = np.zeros(self.corners.shape)
        slope[:, self.moving] = -self.shares[:, 1:]
        return slope


def look(ground: Ground, node: Node, targets: tuple[int, ...], enough: float) -> Steps[Look | None]:
    """Bounds what the targets lose together in a node, until `enough`; None if the node holds no equilibrium."""
    valid = valid_in(node, ground.curves)
    end = yield from _ended(ground, node, targets, enough, valid, {pair for pair in node.used if valid[pair]})
    if end.by is not None:
        ground.keep(node, targets if end.is_feasible else (), end.heard, *end.by, end.bound)
    if not end.is_feasible:
        return None
    bounds = tuple(min(old, end.bound) if user in targets else old for user, old in enumerate(node.bounds))
    return Look(bounds, end.room, end.earned, end.missed, end.shares, frozenset(end.used), end.ended)


@dataclass
class _End:
    """Where the programme of a node ends, with the rows and multipliers of its best bound; see `Look`."""

    heard: Heard
    simplex: Simplex
    room: Float[np.ndarray, " user"]
    earned: Float[np.ndarray, "provider user"]
    missed: Float[np.ndarray, "provider set"]
    used: set[tuple[int, int]] = field(default_factory=set)
    bound: float = np.inf
    by: tuple[Posed, np.ndarray] | None = None
    ended: bool = True
    is_feasible: bool = True

    @property
    def shares(self) -> Float[np.ndarray, " corner"]:
        shares = self.simplex.shares @ np.concatenate([[1.0], self.room[self.simplex.moving]])
        return np.clip(shares, 0.0, 1.0)

    def prices(self) -> Float[np.ndarray, "provider set"]:
        """How much the bound hangs on each inequality."""
        found = np.zeros(self.missed.shape)
        if self.by is not None and len(self.by[0].pairs):
            posed, dual = self.by
            last = len(self.heard.columns.used) + len(posed.limit)
            np.maximum.at(found, tuple(posed.pairs.T), dual[last - len(posed.pairs) : last])
        return found


def _ended(
    ground: Ground,
    node: Node,
    targets: tuple[int, ...],
    enough: float,
    among: Bool[np.ndarray, "provider set"],
    fresh: set[tuple[int, int]],
) -> Steps[_End]:
    """Solves the programme of a node, until `enough`. Inequalities `among` some are added as they are missed."""
    crowd, curves = ground.crowd, ground.curves
    heard, simplex = ground.heard(policies_of(node)), Simplex(node.corners)
    posed, goal = _alone(heard, simplex), heard.lost[list(targets)].sum(axis=0)
    end = _End(heard, simplex, *_centre(crowd, node), np.zeros(among.shape))
    for turn in range(_SOLUTIONS):
        more = yield from _added(curves, simplex, heard, pairs_of(sorted(fresh)))
        end.used |= fresh
        if turn and not len(more.limit):
            break
        posed = posed.with_more(more)
        (answer,) = yield [heard.columns.pose(posed.rows, posed.limit, goal)]
        upper = heard.columns.upper(posed.rows, posed.limit, goal, answer)
        if not answer.feasible[0]:
            if upper < -_ROUNDING:
                end.is_feasible, end.bound, end.by = False, upper, (posed, answer.dual[0])
                break
            (end.room, end.earned), end.missed, end.ended = _centre(crowd, node), np.zeros(among.shape), False
            break
        if upper < end.bound:
            end.bound, end.by = upper, (posed, answer.dual[0])
        end.room, end.earned = _place(heard, answer.primal[0])
        if end.bound <= enough:
            break
        end.missed = yield from _missed(crowd, curves, end.room, end.earned)
        fresh = _worst(among, end.missed, end.used)
    return end


def _alone(heard: Heard, simplex: Simplex) -> Posed:
    """The rows that a programme has before any inequality is added."""
    inside, share = simplex.rows(heard.lost)
    calm = np.zeros((len(heard.envy), len(heard.lost)))
    rows, limit = np.concatenate([heard.envy, inside]), np.append(calm[:, :1], share)
    return Posed(rows, limit, pairs_of([]), np.concatenate([calm, simplex.walls]))


def _added(curves: Curves, simplex: Simplex, heard: Heard, pairs: Int[np.ndarray, "pair 2"]) -> Steps[Posed]:
    """The rows of inequalities that are known at all corners of a simplex."""
    values = yield from curves.points(simplex.corners, pairs)
    known = np.isfinite(values).all(axis=0)
    height, slope = simplex.through(values[:, known])
    return Posed(*inequalities(heard, pairs[known], curves.sets, height, slope), pairs[known], slope)


def _place(heard: Heard, primal: Float[np.ndarray, " column"]) -> tuple[np.ndarray, np.ndarray]:
    """What users lose where the programme ends, and what they bring to each provider."""
    return np.clip(heard.lost @ primal, 0.0, 1.0), heard.columns.crowd.told_first + heard.earned @ primal


def _centre(crowd: Crowd, node: Node) -> tuple[np.ndarray, np.ndarray]:
    return node.corners.mean(axis=0), crowd.told_first


def _missed(
    crowd: Crowd, curves: Curves, room: Float[np.ndarray, " user"], earned: Float[np.ndarray, "provider user"]
) -> Steps[Float[np.ndarray, "provider set"]]:
    """By how much each provider gains if it wins each set of users; zero where tangents say that it does not."""
    now = earned @ curves.sets.T + crowd.slack[:, None]
    pairs = np.argwhere(curves.above(room) > now + MISSED)
    gains = np.zeros(now.shape)
    if len(pairs):
        (most,) = yield from curves.points(room[None], pairs)
        gains[pairs[:, 0], pairs[:, 1]] = np.maximum(most - now[pairs[:, 0], pairs[:, 1]], 0.0)
    return gains


def _worst(valid: np.ndarray, missed: np.ndarray, used: set[tuple[int, int]]) -> set[tuple[int, int]]:
    """The inequalities that are missed most among those not used yet."""
    open_pairs = sorted((-missed[pair], pair) for pair in marked(valid & (missed > MISSED)) if pair not in used)
    return {pair for _, pair in open_pairs[:_ADDED]}


def branches(ground: Ground, node: Node, target: int, enough: float, seen: Look) -> Steps[list[Node]]:
    """The parts that a node is split into, by who serves whom or in space; none where nothing would cut.

    Who serves whom is settled where the inequalities that may yet hold would be `enough`, all together: the first is
    the one that this hangs on most. Elsewhere no map from users to providers would do, and space is split where the
    programme with all of them ends.
    """
    curves = ground.curves
    valid = valid_in(node, curves)
    may = valid | np.array([[not node.decided(i, won) for won in curves.sets] for i in range(len(valid))])
    used, node = node.used | seen.used, replace(node, used=seen.used)
    if not may[~valid].any():
        missed = float(np.where(valid, seen.missed, 0.0).max())
        return _halves(ground, node, seen.shares) if missed > MISSED or not seen.ended else []
    fresh = {pair for pair in used if may[pair]} | _worst(may, seen.missed, set(seen.used))
    hoped = yield from _ended(ground, node, (target,), enough, may, fresh)
    prices = hoped.prices()
    node = replace(node, used=node.used | set(marked(prices > _MATTERS)))
    matters = np.where(valid, 0.0, prices)
    missed = float(np.where(may, hoped.missed, 0.0).max())
    settles = not hoped.is_feasible or hoped.bound <= enough
    if matters.max() > _MATTERS and (settles or missed <= MISSED):
        provider, which = np.unravel_index(int(matters.argmax()), matters.shape)
        pair, won = (int(provider), int(which)), curves.sets[which]
        if ground.watch is not None:
            ground.watch.split(node.path, ByServer(pair[0], won))
        return list(_by_server(node, pair[0], won, pair))
    if settles or missed > MISSED or not (hoped.ended and seen.ended):
        return _halves(ground, node, seen.shares if settles else hoped.shares)
    return []


def _halves(ground: Ground, node: Node, shares: Float[np.ndarray, " corner"]) -> list[Node]:
    ends, share = _edge(node, shares)
    if ground.watch is not None:
        ground.watch.split(node.path, InSpace(ends, share))
    return list(_in_space(node, ends, share))


def _by_server(node: Node, provider: int, won: np.ndarray, pair: tuple[int, int]) -> Iterator[Node]:
    """Either the provider serves nobody outside a set, or some first user of those outside."""
    outside = [user for user in range(len(node.allowed)) if not won[user]]
    for place, first in enumerate([None, *outside]):
        allowed = list(node.allowed)
        for user in outside:
            if user == first:
                allowed[user] = allowed[user] & {provider}
                break
            allowed[user] = allowed[user] - {provider}
        if all(allowed):
            used = node.used | {pair} if first is None else node.used
            yield replace(node, allowed=tuple(allowed), used=used, path=(*node.path, place))


def _edge(node: Node, shares: Float[np.ndarray, " corner"]) -> tuple[tuple[int, int], float]:
    """The edge between the corners that the end of the programme is a mixture of, and where to split it: near it."""
    one, other = max(
        itertools.combinations(range(len(shares)), 2),
        key=lambda ends: (
            np.abs(node.corners[ends[0]] - node.corners[ends[1]]).max() * (shares[ends[0]] * shares[ends[1]] + 1e-3)
        ),
    )
    return (one, other), float(np.clip(shares[one] / max(shares[one] + shares[other], 1e-12), 0.3, 0.7))


def _in_space(node: Node, ends: Sequence[int], share: float) -> Iterator[Node]:
    """Splits an edge: in each part one of its ends is the point between them, which is `share` of the first."""
    middle = share * node.corners[ends[0]] + (1 - share) * node.corners[ends[1]]
    for place, end in enumerate(ends):
        corners = node.corners.copy()
        corners[end] = middle
        yield replace(node, corners=corners, path=(*node.path, place))
