"""The search for one market: parts of the space of profiles that hold no equilibrium, and equilibria."""

import heapq
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from .._signals import Crowd
from ._curves import Curves, Steps
from ._node import Look, Node, add_inequality, branches, look, roots
from ._profiles import Found, Plan, improve, plans
from ._rows import Rows

# A bracket is closed within this share of what conversation is worth.
TOLERANCE = 1e-3


@dataclass
class Searched:
    """What is known of one user at the end: she never loses more than `most`, and `found` shows what she may lose."""

    most: float
    found: Found | None
    looked: int


class _Tree:
    """The parts that are left, those with most to gain first. What is empty for one user is empty for all.

    In which order parts are looked at does not depend on the budget, so that a larger one only goes on.
    """

    def __init__(self, crowd: Crowd, curves: Curves):
        self.crowd, self.curves = crowd, curves
        self.users = crowd.num_users
        self.heap: list[tuple[float, int, Node]] = []
        self.found: list[Found] = []
        self.least = np.zeros(self.users)
        self.met = np.zeros(self.users)
        self.looked = np.zeros(self.users, int)
        self.counted = 0

    @property
    def most(self) -> Float[np.ndarray, " user"]:
        """What nobody loses more than."""
        return np.array([self.least, self.met, *(node.bounds for _, _, node in self.heap)], float).max(axis=0)

    def excess(self, node: Node) -> Float[np.ndarray, " user"]:
        """How much more each user may lose in a node than she does in an equilibrium that was found."""
        over = np.array(node.bounds) - self.least - TOLERANCE
        return np.where(node.final, -1.0, over)

    def keep(self, profile: Found) -> None:
        self.found.append(profile)
        self.least = np.maximum(self.least, profile.room)

    def worst_for(self, user: int) -> Found | None:
        """The equilibrium found in which a user loses most, if she loses anything: full information needs none."""
        best = max(self.found, key=lambda one: one.room[user], default=None)
        return best if best is not None and best.room[user] > 0 else None

    def put(self, node: Node) -> None:
        """Settles a node where nothing is left to do, and queues the others."""
        inside = np.minimum(node.bounds, node.corners.max(axis=0))
        node = replace(node, bounds=tuple(float(bound) for bound in inside))
        over = float(self.excess(node).max())
        if over <= 0:
            self.met = np.maximum(self.met, node.bounds)
        else:
            heapq.heappush(self.heap, (-over, self.counted, node))
            self.counted += 1


def search(crowd: Crowd, budget: int) -> Steps[list[Searched]]:
    """Searches for the worst equilibria of all users, looking at `budget` parts."""
    curves = Curves(crowd)
    if crowd.num_providers == 1:
        return (yield from _single(crowd, curves))
    tree = _Tree(crowd, curves)
    for node in (yield from _screened(crowd, curves, budget)):
        tree.put(node)
    yield from _grow(tree, budget)
    return [Searched(float(most), tree.worst_for(user), int(tree.looked[user])) for user, most in enumerate(tree.most)]


def _screened(crowd: Crowd, curves: Curves, budget: int) -> Steps[list[Node]]:
    """The first parts, with bounds for everybody from one programme each; often that is all there is to do."""
    everybody = tuple(range(crowd.num_users))
    kept = []
    for node in roots(crowd, curves) if budget else []:
        seen = yield from look(crowd, curves, node, everybody, np.inf)
        if seen is not None:
            kept.append(replace(node, bounds=seen.bounds))
    return kept if budget else roots(crowd, curves)


def _grow(tree: _Tree, budget: int) -> Steps[None]:
    """Looks at the parts in which some user may lose most beyond what is found, until all is settled or spent."""
    while tree.heap and tree.looked.sum() < budget:
        known, _, node = heapq.heappop(tree.heap)
        excess = tree.excess(node)
        if excess.max() < -known:
            tree.put(node)  # equilibria found since have changed its place in the queue
            continue
        target = int(excess.argmax())
        tree.looked[target] += 1
        enough = float(tree.least[target]) + TOLERANCE
        seen = yield from look(tree.crowd, tree.curves, node, (target,), enough)
        if seen is None:
            continue
        # A power of two, so that few searches for equilibria serve many parts.
        if seen.bounds[target] > enough and tree.looked[target] & (tree.looked[target] - 1) == 0:
            yield from _try(tree, target, seen)
        node = replace(node, bounds=seen.bounds, used=seen.used)
        parts = [node]
        if seen.bounds[target] > float(tree.least[target]) + TOLERANCE:
            parts = yield from branches(tree.crowd, tree.curves, node, seen)
            parts = parts or [replace(node, final=tuple(old or user == target for user, old in enumerate(node.final)))]
        for part in parts:
            tree.put(part)


def _try(tree: _Tree, target: int, seen: Look) -> Steps[None]:
    """Looks for equilibria near where a programme ended."""
    for plan in plans(tree.crowd):
        profile = yield from improve(tree.crowd, tree.curves, plan, target, seen.room, float(tree.least[target]))
        if profile is not None:
            tree.keep(profile)


def _single(crowd: Crowd, curves: Curves) -> Steps[list[Searched]]:
    """One provider: users hear what it likes best, or what costs it no more than its slack."""
    room = crowd.cares.astype(float)
    searched = []
    for target in range(crowd.num_users):
        most = yield from _single_most(crowd, curves, target, room)
        profile = yield from improve(crowd, curves, Plan((0,), (0,) * crowd.num_users), target, room, -1.0)
        searched.append(Searched(most, profile, 1))
    return searched


def _single_most(crowd: Crowd, curves: Curves, target: int, room: Float[np.ndarray, " user"]) -> Steps[float]:
    everyone = len(curves.sets) - 1
    loose = np.full(crowd.num_users, 2.0)
    (value,) = yield from curves.points(loose, [(0, everyone)], np.zeros(crowd.num_users, bool))
    rows = Rows(crowd, [tuple(range(crowd.num_users))])
    policy = [0] * crowd.num_users
    add_inequality(rows, policy, 0, curves.sets[everyone], (float(value), np.zeros(crowd.num_users)))
    goal, _ = rows.blank()
    goal[0, target] = 1.0
    (answer,) = yield [rows.pose(goal)]
    return min(1.0, rows.upper(goal, answer)) if answer.feasible else 1.0
