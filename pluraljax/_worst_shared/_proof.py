"""What proves the worst equilibria of one segment: kept by a search as it goes, as plain numbers in the market's units.

A proof is a tree. Its root is the space of all profiles, and the parts of that are simplices of what users lose, split
further by who serves whom or in space. On the way from the root to each leaf there are bounds, each with multipliers.
Policies are weights of signals that leave the beliefs listed once for all of them. Nothing in here has to be right.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from .._signals import Crowd
from ._curves import Curves
from ._profiles import Found, Setting
from ._programme import Multipliers
from ._rows import Heard


class Winning(NamedTuple):
    """A policy by which a provider wins a set of users: the beliefs that its signals leave, with their weights."""

    provider: int
    won: Bool[np.ndarray, " user"]
    belief: Int[np.ndarray, " some"]
    weight: Float[np.ndarray, " some"]


class Refuted(NamedTuple):
    """Multipliers that bound what targets lose together, each as a share of what conversation is worth to her.

    The bound is `most`, or below zero without targets: then there is no equilibrium. Of the inequalities that providers
    do not gain by winning sets of users, `winning` says with which policies at the corners, by their places in the list
    of a proof, and `price` how much each counts. `slope[user]` is what all of them together, and the walls of the
    simplex, ask of her losses; `envy[user policy]` and `evidence[policy evidence]` are the other multipliers. `path` is
    the place in the tree.
    """

    path: tuple[int, ...]
    targets: tuple[int, ...]
    most: float
    winning: Int[np.ndarray, "pair corner"]
    price: Float[np.ndarray, " pair"]
    slope: Float[np.ndarray, " user"]
    envy: Float[np.ndarray, "user policy"]
    evidence: Float[np.ndarray, "policy evidence"]


class ByServer(NamedTuple):
    """A provider serves nobody outside a set of users, or some first one of those outside, in their order."""

    provider: int
    won: Bool[np.ndarray, " user"]


class InSpace(NamedTuple):
    """An edge is split: one of its ends is replaced by `share` of the first one and the rest of the other."""

    ends: tuple[int, int]
    share: float


class Tangent(NamedTuple):
    """Multipliers that bound what a provider gets by winning a set of users, whatever they have elsewhere."""

    provider: int
    won: Bool[np.ndarray, " user"]
    evidence: Float[np.ndarray, " evidence"]
    room: Float[np.ndarray, " user"]


class Attained(NamedTuple):
    """A profile: who offers which policy and serves whom, the signals of each, and tangents that say nobody gains."""

    offers: tuple[int, ...]
    served_by: tuple[int, ...]
    belief: list[Float[np.ndarray, "some evidence"]]
    action: list[Int[np.ndarray, "some user"]]
    weight: list[Float[np.ndarray, " some"]]
    tangents: list[Tangent]


@dataclass
class SegmentProof:
    """Everything that proves the bracket of every user of a segment; `attained[user]` is None without a profile."""

    members: tuple[int, ...]
    cares: Bool[np.ndarray, " user"]
    belief: Float[np.ndarray, "belief evidence"]
    winning: list[Winning] = field(default_factory=list)
    refuted: list[Refuted] = field(default_factory=list)
    splits: dict[tuple[int, ...], ByServer | InSpace] = field(default_factory=dict)
    attained: list[Attained | None] = field(default_factory=list)


class Watch:
    """Keeps the proof of one segment while it is searched. `reach` is the range of each provider's objective."""

    def __init__(self, members: Sequence[int], crowd: Crowd, reach: Float[np.ndarray, " provider"]):
        self.crowd, self.curves = crowd, Curves(crowd)
        self.unit = np.where(reach > 0, reach, 1.0)
        self.way = np.where(crowd.cares, crowd.aligned - crowd.silent, 1.0)
        self.proof = SegmentProof(tuple(members), crowd.cares, crowd.belief)
        self._places: dict[tuple[bytes, int, int], int] = {}

    @classmethod
    def adding_to(
        cls, proofs: list[SegmentProof], members: Sequence[int], crowd: Crowd, reach: Float[np.ndarray, " provider"]
    ) -> "Watch":
        """A watch whose proof is one of a list."""
        watch = cls(members, crowd, reach)
        proofs.append(watch.proof)
        return watch

    def bounded(
        self,
        path: tuple[int, ...],
        targets: tuple[int, ...],
        heard: Heard,
        corners: Float[np.ndarray, "corner user"],
        by: Multipliers,
        most: float,
    ) -> None:
        """The targets lose no more than `most` together in a part; without targets, it holds no equilibrium."""
        envy = np.zeros((self.crowd.num_users, len(heard.columns.signals)))
        for (user, other), value in zip(heard.rivals, by.envy, strict=True):
            envy[user, other] = value / self.way[user]
        used = np.argwhere(by.price > 0)
        winning = [[self._place(room, *pair) for room in corners] for pair in used.tolist()]
        self.proof.refuted.append(
            Refuted(
                path,
                targets,
                most,
                np.array(winning, int).reshape(len(used), len(corners)),
                by.price[tuple(used.T)] / self.unit[used[:, 0]],
                by.slope / self.way,
                envy,
                by.evidence.reshape(-1, self.crowd.num_evidences),
            )
        )

    def _place(self, room: Float[np.ndarray, " user"], provider: int, which: int) -> int:
        """Where the policy of a point is in the list; it is put there when it is first needed."""
        key = (room.tobytes(), provider, which)
        if key not in self._places:
            weight = self.curves.policy(room, (provider, which))
            belief = np.flatnonzero(weight > 0)
            self._places[key] = len(self.proof.winning)
            self.proof.winning.append(Winning(provider, self.curves.sets[which], belief, weight[belief]))
        return self._places[key]

    def split(self, path: tuple[int, ...], how: ByServer | InSpace) -> None:
        """A part was split; the first of its parts are `(*path, 0)` and so on."""
        self.proof.splits[path] = how

    def attained(self, found: Sequence[Found | None]) -> None:
        """The profiles in which each user loses most."""
        self.proof.attained = [None if one is None else self._attained(one) for one in found]

    def _attained(self, found: Found) -> Attained:
        crowd, setting = self.crowd, Setting(found.plan, tuple(self.crowd.cares.tolist()))
        provider, which = setting.pairs.T
        prices = self.curves.prices(setting.rooms(crowd, found.weight)[provider], setting.pairs)
        won, unit = self.curves.sets[which], self.unit[provider, None]
        evidence, room = np.split(prices * unit, [crowd.num_evidences], axis=1)
        rows = zip(provider.tolist(), won, evidence, room / self.way, strict=True)
        used = [np.flatnonzero(weight > 0) for weight in found.weight]
        return Attained(
            found.plan.offers,
            found.plan.served_by,
            [crowd.signal_belief[own] for own in used],
            [crowd.signal_action[own] for own in used],
            [weight[own] for weight, own in zip(found.weight, used, strict=True)],
            [Tangent(*row) for row in rows],
        )
