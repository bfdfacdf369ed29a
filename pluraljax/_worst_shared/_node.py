"""One part of the space of profiles: who may serve whom, and a simplex of what users may lose.

`may[l]` marks the providers that user l may talk to. The users' losses are a mixture of the corners of the simplex.
An inequality says that a provider does not gain by winning a set of users. It holds in a part if the set contains
everybody whom the provider may serve there: then nobody else's choice changes. The curve of what the provider can get
is concave, so the affine function that agrees with it at the corners is below it in the simplex.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float

from .._loops import compiled_loops
from .._signals import Crowd
from ._curves import MISSED, Curves
from ._programme import Bounds, End, Multipliers, Simplex, end_of, worst_of
from ._proof import ByServer, InSpace, Watch
from ._rows import Heard

# A bound does not hang on inequalities with multipliers below this.
_MATTERS = 1e-9


@dataclass(frozen=True)
class Node:
    """A part; `used` are the inequalities that have mattered so far, `bounds` the most that each user loses in it.

    It is `final` for users for whom all inequalities are met where their programme ends: nothing can cut it. `path` is
    its place in the tree of parts: the number of its root, then which part of each split.
    """

    may: Bool[np.ndarray, "user provider"]
    simplex: Simplex
    used: Bool[np.ndarray, "provider set"]
    bounds: tuple[float, ...]
    final: tuple[bool, ...]
    path: tuple[int, ...]

    @property
    def corners(self) -> Float[np.ndarray, "corner user"]:
        return self.simplex.corners

    def decided(self, sets: Bool[np.ndarray, "set user"]) -> Bool[np.ndarray, "provider set"]:
        """Where no choice is left: somebody outside the set surely talks to the provider."""
        surely = self.may & (self.may.sum(axis=1, keepdims=True) == 1)
        return (surely.T[:, None] & ~sets).any(axis=-1)

    @cached_property
    def policies(self) -> tuple[int, ...]:
        """The policy that each user hears: users who surely talk to the same provider hear the same one."""
        found: dict[int, int] = {}
        places, count = [], 0
        for may in self.may.tolist():
            provider = may.index(True) if sum(may) == 1 else -1
            if provider in found:
                places.append(found[provider])
                continue
            if provider >= 0:
                found[provider] = count
            places.append(count)
            count += 1
        return tuple(places)


@dataclass(frozen=True)
class Look:
    """What was found out about a node: the most that users lose, and where its programme ends; see `End`."""

    bounds: tuple[float, ...]
    room: Float[np.ndarray, " user"]
    missed: Float[np.ndarray, "provider set"]
    used: Bool[np.ndarray, "provider set"]
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

    def keep(self, node: Node, targets: tuple[int, ...], by: Multipliers, upper: float) -> None:
        if self.watch is not None:
            self.watch.bounded(node.path, targets, self.heard(node.policies), node.corners, by, upper)


def roots(crowd: Crowd, curves: Curves) -> list[Node]:
    """Simplices that cover all that users may lose, each with full information as a corner.

    Near full information everything is linear along rays from there. Simplices with that corner lose nothing.
    """
    users, caring = crowd.num_users, np.flatnonzero(crowd.cares)
    anybody = np.ones((users, crowd.num_providers), bool)
    used = np.zeros((crowd.num_providers, len(curves.sets)), bool)
    used[:, -1] = True
    bounds = tuple(float(cares) for cares in crowd.cares)
    nodes = []
    for place, order in enumerate(itertools.permutations(caring)):
        corners = np.zeros((len(caring) + 1, users))
        for step, user in enumerate(order):
            corners[step + 1 :, user] = 1.0
        shares = np.zeros((len(corners), 1 + users))
        shares[:, [0, *(1 + caring)]] = np.linalg.inv(np.column_stack([np.ones(len(corners)), corners[:, caring]])).T
        nodes.append(Node(anybody, Simplex(corners, shares), used, bounds, (False,) * users, (place,)))
    return nodes


def valid_in(node: Node, curves: Curves) -> Bool[np.ndarray, "provider set"]:
    """Marks the inequalities that hold in a node: the provider may serve nobody outside the set."""
    return _covered(node.may, curves.sets)


@compiled_loops
def _covered(may, sets):
    """Marks the sets that hold all users whom each provider may serve."""
    covered = np.ones((may.shape[1], len(sets)), np.bool_)
    for provider in range(may.shape[1]):
        for won in range(len(sets)):
            for user in range(len(may)):
                if may[user, provider] and not sets[won, user]:
                    covered[provider, won] = False
    return covered


def look(ground: Ground, node: Node, targets: tuple[int, ...], enough: float) -> Look | None:
    """Bounds what the targets lose together in a node, until `enough`; None if the node holds no equilibrium."""
    valid = valid_in(node, ground.curves)
    end = ended(ground, node, targets, node.used & valid, Bounds(enough, valid))
    if np.isfinite(end.bound):
        ground.keep(node, targets if end.is_feasible else (), end.by, end.bound)
    if not end.is_feasible:
        return None
    bounds = tuple(min(old, end.bound) if user in targets else old for user, old in enumerate(node.bounds))
    return Look(bounds, end.room, end.missed, end.used, end.ended)


def ended(
    ground: Ground, node: Node, targets: tuple[int, ...], first: Bool[np.ndarray, "provider set"], bounds: Bounds
) -> End:
    """Where the programme of a node ends."""
    heard = ground.heard(node.policies)
    goal = heard.lost[targets[0]] if len(targets) == 1 else heard.lost[list(targets)].sum(axis=0)
    return end_of(ground.curves, heard, node.simplex, goal, first, bounds)


def branches(ground: Ground, node: Node, target: int, enough: float, seen: Look) -> list[Node]:
    """The parts that a node is split into, by who serves whom or in space; none where nothing would cut.

    Who serves whom is settled where the inequalities that may yet hold would be `enough`, all together: the first is
    the one that this hangs on most. Elsewhere no map from users to providers would do, and space is split where the
    programme with all of them ends.
    """
    curves = ground.curves
    valid = valid_in(node, curves)
    may = valid | ~node.decided(curves.sets)
    used, node = node.used | seen.used, replace(node, used=seen.used)
    if (may == valid).all():
        missed = float(np.where(valid, seen.missed, 0.0).max())
        return _halves(ground, node, seen.room) if missed > MISSED or not seen.ended else []
    first = (used & may) | worst_of(may, seen.missed, seen.used)
    hoped = ended(ground, node, (target,), first, Bounds(enough, may))
    node = replace(node, used=node.used | (hoped.by.price > _MATTERS))
    matters = np.where(valid, 0.0, hoped.by.price)
    missed = float(np.where(may, hoped.missed, 0.0).max())
    settles = not hoped.is_feasible or hoped.bound <= enough
    if matters.max() > _MATTERS and (settles or missed <= MISSED):
        provider, which = np.unravel_index(int(matters.argmax()), matters.shape)
        pair, won = (int(provider), int(which)), curves.sets[which]
        if ground.watch is not None:
            ground.watch.split(node.path, ByServer(pair[0], won))
        return list(_by_server(node, pair, won))
    if settles or missed > MISSED or not (hoped.ended and seen.ended):
        return _halves(ground, node, seen.room if settles else hoped.room)
    return []


def _halves(ground: Ground, node: Node, room: Float[np.ndarray, " user"]) -> list[Node]:
    ends, share = _edge(node, node.simplex.mixture(room))
    if ground.watch is not None:
        ground.watch.split(node.path, InSpace(ends, share))
    return list(_in_space(node, ends, share))


def _by_server(node: Node, pair: tuple[int, int], won: np.ndarray) -> Iterator[Node]:
    """Either the provider serves nobody outside a set, or some first user of those outside."""
    provider, outside = pair[0], np.flatnonzero(~won).tolist()
    used = node.used.copy()
    used[pair] = True
    for place, first in enumerate([None, *outside]):
        may = node.may.copy()
        for user in outside:
            if user == first:
                may[user, :provider], may[user, provider + 1 :] = False, False
                break
            may[user, provider] = False
        if may.any(axis=1).all():
            yield replace(node, may=may, used=used if first is None else node.used, path=(*node.path, place))


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
    for place, (end, other, kept) in enumerate(((*ends, share), (ends[1], ends[0], 1 - share))):
        corners, shares = node.corners.copy(), node.simplex.shares.copy()
        corners[end] = middle
        # The corner that went is the middle and a share of the other, taken back.
        shares[end] /= kept
        shares[other] -= (1 - kept) * shares[end]
        yield replace(node, simplex=Simplex(corners, shares), path=(*node.path, place))
