"""The search for one market: parts of the space of profiles that hold no equilibrium, and equilibria."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from .._signals import Crowd
from ._base import TOLERANCE
from ._curves import ANYTHING, Curves
from ._node import Ground, Look, Node, branches, look, roots
from ._profiles import Found, Setting, improve, settings_of
from ._programme import Bounds, End, Simplex, end_of
from ._proof import Watch
from ._rows import Heard

# Losses below this need no search.
_GUARANTEED = 1e-6
# Parts that are looked at together, and before equilibria are looked for.
_AT_ONCE, _EASY = 8, 16
# The same where all that is asked is whether somebody loses more than a level.
_SOON = 4
# With more profiles to try than this, those in which users split wait until so many parts were looked at.
_FEW, _HARD = 20, 64
# Where the search for equilibria starts, as shares of what silence costs, and plans that are tried for each user then.
_STARTS = (0.25, 1.0)
_BEST = 3
# An end that moved by more of the way than this, while the last half of the parts was looked at, may move on.
_MOVED = 0.005
# What is known is noted whenever the parts have become more by one in so many.
_NOTED = 16
# Whoever decides whether a search goes on is asked every so many parts.
_ASKED = 64
# From so many parts of each user where nothing cuts off the end, it starts there.
_MOST_ENDS = 4
# Later it starts where the programme of a part ended, after so many looks for a user.
_TRIED = tuple(4**power for power in range(2, 16))

# Whether to go on; what share of the way each user never loses more than, and loses in an equilibrium.
Further = Callable[[Float[np.ndarray, "end user"]], bool]


@dataclass
class Searched:
    """What is known of one user at the end: she never loses more than `most`, and `found` shows what she may lose.

    `left` says whether there were parts left to look at for anybody, and `moving` whether the last half of those that
    were looked at told more of somebody.
    """

    most: float
    found: Found | None
    looked: int
    left: bool = False
    moving: bool = False


class _Tree:
    """The parts that are left, those with most to gain first. What is empty for one user is empty for all.

    In which order parts are looked at does not depend on the budget, so that a larger one only goes on. With a `level`
    all that is asked is whether somebody loses more than that in some equilibrium.
    """

    def __init__(
        self,
        crowd: Crowd,
        curves: Curves,
        level: float | None,
        told: Callable[[int], None] | None,
        watch: Watch | None,
    ):
        self.crowd, self.curves, self.ground = crowd, curves, Ground(crowd, curves, watch)
        self.users, self.level, self.told = crowd.num_users, level, told
        self.heap: list[tuple[float, int, Node]] = []
        self.found: list[Found] = []
        self.least = np.zeros(self.users)
        self.met = np.zeros(self.users)
        self.looked = np.zeros(self.users, int)
        self.ended = np.zeros(self.users, int)
        self.counted = 0
        # What was known on the way, with how many parts had been looked at.
        self.noted: list[tuple[int, Float[np.ndarray, "end user"]]] = []

    @property
    def is_open(self) -> bool:
        return not self.is_told and bool((self.most > self.least + TOLERANCE).any())

    @property
    def is_told(self) -> bool:
        """Whether nothing else was asked than what is known by now."""
        return self.level is not None and bool((self.least > self.level).any() or (self.most <= self.level).all())

    @property
    def settings(self) -> tuple[Setting, ...]:
        """The profiles that are tried; many markets never need them."""
        return settings_of(self.crowd.num_providers, tuple(self.crowd.cares.tolist()))

    @property
    def most(self) -> Float[np.ndarray, " user"]:
        """What nobody loses more than."""
        return np.array([self.least, self.met, *(node.bounds for _, _, node in self.heap)], float).max(axis=0)

    @property
    def ends(self) -> Float[np.ndarray, "end user"]:
        """What each user never loses more than, and what she loses in an equilibrium that was found."""
        return np.stack([self.most, self.least])

    @property
    def is_moving(self) -> bool:
        """Whether an end has moved since half of the parts were looked at: the same whatever the budget was."""
        half = int(self.looked.sum()) / 2
        before = [ends for looked, ends in self.noted if looked <= half]
        return not before or bool((np.abs(self.ends - before[-1]) > _MOVED).any())

    def note(self) -> None:
        """Keeps what is known by now, every so many parts."""
        looked, last = int(self.looked.sum()), self.noted[-1][0] if self.noted else -1
        if looked > last + last // _NOTED:
            self.noted.append((looked, self.ends))

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

    def take(self, most: int) -> list[tuple[Node, int]]:
        """The next parts to look at, each with the user who may lose most there."""
        taken: list[tuple[Node, int]] = []
        while self.heap and len(taken) < most:
            known, _, node = heapq.heappop(self.heap)
            excess = self.excess(node)
            if excess.max() < -known:
                self.put(node)  # equilibria found since have changed its place in the queue
            else:
                taken.append((node, int(excess.argmax())))
        return taken


def search(
    crowd: Crowd,
    budget: int,
    level: float | None = None,
    told: Callable[[int], None] | None = None,
    watch: Watch | None = None,
    further: Further | None = None,
) -> list[Searched]:
    """Searches for the worst equilibria of all users, looking at `budget` parts; `told` how many more it has looked at.

    With `further` it goes on after that, see `_beyond`. With `level`, a share of what silence costs, it ends as soon as
    somebody is known to lose more than that in an equilibrium, or everybody not to in any. `watch` keeps
    what proves it, and makes no other difference.
    """
    curves = Curves(crowd) if watch is None else watch.curves
    if crowd.num_providers == 1:
        return _single(crowd, curves, watch)
    tree = _Tree(crowd, curves, level, told, watch)
    for node in _screened(tree, budget):
        tree.put(node)
    if tree.is_open:
        _both_ends(tree, budget, further)
    left, moving = bool(tree.heap), tree.is_moving
    worst = [tree.worst_for(user) for user in range(tree.users)]
    if watch is not None:
        watch.attained(worst)
    return [
        Searched(float(tree.most[user]), one, int(tree.looked[user]), left, moving) for user, one in enumerate(worst)
    ]


def _both_ends(tree: _Tree, budget: int, further: Further | None) -> None:
    """Looks at parts, and, where the bracket is open after a while, for equilibria."""
    few = len(tree.settings) <= _FEW
    plain = [setting for setting in tree.settings if few or setting.is_plain]
    others = [setting for setting in tree.settings if not (few or setting.is_plain)]
    easy = _EASY if tree.level is None else _SOON
    for looks, settings in ((easy, plain), (_HARD, others)):
        _grow(tree, min(budget, looks))
        if settings and tree.is_open and budget and (budget >= looks or not tree.heap):
            _begin(tree, settings)
    if further is not None and budget >= _HARD:
        _beyond(tree, budget, further)
    else:
        _grow(tree, budget)


def _beyond(tree: _Tree, budget: int, further: Further) -> None:
    """Looks at more parts than a budget, as long as the last half of them told more and `further` says so.

    Parts are taken by so many at once. None of these batches is cut short on the way, so that a search whose budget is
    what was looked at in the end takes the very same ones.
    """
    looked = lambda: int(tree.looked.sum())
    goes_on = lambda: bool(tree.heap) and further(tree.ends)
    spare = _AT_ONCE - 1
    _grow(tree, budget, spare)
    if not (tree.is_moving and goes_on()):
        _grow(tree, budget)
        return
    while tree.is_moving and goes_on():
        budget = 2 * budget
        while looked() < budget - spare and goes_on():
            _grow(tree, min(budget, looked() + _ASKED), spare)


def _screened(tree: _Tree, budget: int) -> list[Node]:
    """The first parts, with bounds for everybody from one programme each; often that is all there is to do."""
    everybody, nodes = tuple(range(tree.users)), roots(tree.crowd, tree.curves)
    if not budget:
        return nodes
    everyone = len(tree.curves.sets) - 1
    bound = _guaranteed(tree, everyone)
    if bound <= _GUARANTEED:
        tree.met = np.full(tree.users, bound)
        return []
    corners = np.unique(np.concatenate([node.corners for node in nodes]), axis=0)
    tree.curves.points(corners, tree.curves.pairs[tree.curves.pairs[:, 1] == everyone])
    seen = [look(tree.ground, node, everybody, np.inf) for node in nodes]
    return [replace(node, bounds=one.bounds) for node, one in zip(nodes, seen, strict=True) if one is not None]


def _guaranteed(tree: _Tree, everyone: int) -> float:
    """The most that all users lose together if no provider gains by telling everybody everything."""
    curves, heard = tree.curves, tree.ground.heard(tuple(range(tree.users)))
    corners, told = np.zeros((1, tree.users)), np.zeros((tree.crowd.num_providers, len(curves.sets)), bool)
    told[:, everyone] = True
    end = _alone(curves, heard, corners, heard.lost.sum(axis=0), told)
    if not end.is_feasible:
        return np.inf
    if tree.ground.watch is not None:
        tree.ground.watch.bounded((), tuple(range(tree.users)), heard, corners, end.by, end.bound)
    return end.bound


def _alone(curves: Curves, heard: Heard, corners: np.ndarray, goal: np.ndarray, pairs: np.ndarray) -> End:
    """Where a programme ends that has some inequalities, each known at one point, and is in no simplex."""
    shares = np.eye(1, 1 + corners.shape[1])
    return end_of(curves, heard, Simplex(corners, shares, False), goal, pairs, Bounds(-np.inf, pairs, 1))


def _grow(tree: _Tree, budget: int, spare: int = 0) -> None:
    """Looks at the parts in which some user may lose most beyond what is found, until all is settled or spent.

    `spare` is what may be left of the budget.
    """
    while tree.heap and not tree.is_told and (left := budget - int(tree.looked.sum())) > spare:
        tree.note()
        taken = tree.take(min(left, _AT_ONCE))
        before = tree.looked.copy()
        for _, target in taken:
            tree.looked[target] += 1
        if tree.told is not None:
            tree.told(len(taken))
        enough = tree.least + TOLERANCE
        seen = [look(tree.ground, node, (j,), float(enough[j])) for node, j in taken]
        for (node, target), one in zip(taken, seen, strict=True):
            before[target] += 1
            # Powers of four, so that few searches for equilibria serve many parts.
            if one is not None and one.bounds[target] > enough[target] and int(before[target]) in _TRIED:
                _try(tree, target, node, one.room)
        kept = [(node, j, one) for (node, j), one in zip(taken, seen, strict=True) if one is not None]
        split = [_split(tree, *each) for each in kept]
        for (node, target, one), parts in zip(kept, split, strict=True):
            # Where nothing cuts any more there may be an equilibrium.
            if any(part.final[target] for part in parts) and tree.ended[target] < _MOST_ENDS:
                tree.ended[target] += 1
                _try(tree, target, node, one.room)
            for part in parts:
                tree.put(part)


def _split(tree: _Tree, node: Node, target: int, seen: Look) -> list[Node]:
    """The parts that are left of a node after a look at it for a target."""
    node = replace(node, bounds=seen.bounds)
    enough = float(tree.least[target]) + TOLERANCE
    if seen.bounds[target] <= enough:
        return [node]
    parts = branches(tree.ground, node, target, enough, seen)
    return parts or [
        replace(node, used=seen.used, final=tuple(old or user == target for user, old in enumerate(node.final)))
    ]


def _try(tree: _Tree, target: int, node: Node, start: Float[np.ndarray, " user"]) -> None:
    """Looks for equilibria of a part that are worse for a user than those known, near a start.

    Splits only where it is known of some user whom she talks to.
    """
    known = (node.may.sum(axis=1) == 1).any()
    fits = lambda plan: node.may[np.arange(tree.users), plan.served_by].all()
    settings = [
        setting for setting in tree.settings if fits(setting.plan) and (known or tree.users < 3 or setting.is_plain)
    ]
    goal, most = np.eye(tree.users)[target], float(tree.least[target])
    tree.curves.touch(start)
    tried = [improve(setting, tree.curves, goal, start, most) for setting in settings]
    for profile in tried:
        if profile is not None:
            tree.keep(profile)


def _begin(tree: _Tree, settings: list[Setting]) -> None:
    """Looks for equilibria that are bad for all together, then makes the best of those plans worse for each."""
    everybody = np.ones(tree.users)
    for start in _STARTS if tree.level is None else _STARTS[:1]:
        room = np.where(tree.crowd.cares, start, 0.0)
        tree.curves.touch(room)
        tried = [improve(setting, tree.curves, everybody, room, 0.0) for setting in settings]
        found = [(setting, one) for setting, one in zip(settings, tried, strict=True) if one is not None]
        for _, one in found:
            tree.keep(one)
        if tree.is_told:
            return
        found = sorted(found, key=lambda pair: -pair[1].room.sum())[:_BEST]
        searches = [
            improve(setting, tree.curves, goal, one.room, float(tree.least @ goal))
            for setting, one in found
            for goal in np.eye(tree.users)
        ]
        for one in searches:
            if one is not None:
                tree.keep(one)
        if found:
            break


def _single(crowd: Crowd, curves: Curves, watch: Watch | None) -> list[Searched]:
    """One provider: users hear what it likes best, or what costs it no more than its slack."""
    room, everybody = crowd.cares.astype(float), (0,) * crowd.num_users
    (setting,), heard = settings_of(1, tuple(crowd.cares.tolist())), Heard(crowd, everybody)
    everyone = np.zeros((1, len(curves.sets)), bool)
    everyone[0, -1] = True
    anything = np.full((1, crowd.num_users), ANYTHING)
    found = [improve(setting, curves, goal, room, -1.0) for goal in np.eye(crowd.num_users)]
    searched = []
    for user, (goal, profile) in enumerate(zip(heard.lost, found, strict=True)):
        end = _alone(curves, heard, anything, goal, everyone)
        most = end.bound if end.is_feasible else np.inf
        if watch is not None and most < 1.0:
            watch.bounded((), (user,), heard, anything, end.by, most)
        searched.append(Searched(min(1.0, most), profile, 1))
    if watch is not None:
        watch.attained(found)
    return searched
