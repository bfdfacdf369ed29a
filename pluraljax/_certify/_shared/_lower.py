"""What every user of a segment loses at most in a delta-equilibrium: the largest bound over the leaves of a cover."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from .._rational import ZERO
from ._bounds import Loss, Winnings, bound_losses
from ._cover import Part, everything, leaves, simplices
from ._rays import Crowd

# A bound whose multipliers prove less than was said of them is tried no more than so often in other places.
_TRIES = 3


@dataclass(frozen=True)
class Leaf:
    """A part, what a user loses in it at most, and why: a bound, or the corners of its simplex where that is None."""

    part: Part
    most: Fraction
    by: Loss | None


@dataclass(frozen=True)
class Lower:
    """What a user loses at most in any delta-equilibrium, because of the leaves of a cover of all of them."""

    most: Fraction
    leaves: list[Leaf]


class Cover:
    """A candidate's cover of one segment's profiles; every bound is evaluated once, when it is first needed."""

    def __init__(self, crowd: Crowd, proof: Any):
        self.crowd, self.proof = crowd, proof
        whole = everything(crowd.num_users, crowd.num_providers)
        cares = [way > 0 for way in crowd.way]
        # Where floats see nothing to lose for somebody who could lose a little, their cover is of something else.
        fits = cares == [bool(hers) for hers in proof.cares]
        self.lines = list(leaves(whole, simplices(whole, cares), proof.splits if fits else {}))
        self.winnings = Winnings(crowd, proof.belief, proof.winning)
        self._at: dict[tuple[int, ...], list[int]] = {}
        for place, refuted in enumerate(proof.refuted if fits else []):
            self._at.setdefault(refuted.path, []).append(place)
        self._known: dict[int, Loss | None] = {}

    def most_lost(self, user: int, claimed: Fraction) -> Lower:
        """Bounds what a user loses; of leaves where she surely loses no more than `claimed` nothing more is asked."""
        found, most = [], ZERO
        for line in self.lines:
            leaf = self._leaf(line, user, max(claimed, most))
            if leaf is not None:
                most = max(most, leaf.most)
                found.append(leaf)
        return Lower(most, found)

    def _leaf(self, line: list[Part], user: int, enough: Fraction) -> Leaf:
        part, way = line[-1], self.crowd.way[user]
        best = Leaf(part, max(corner[user] for corner in part.corners) * way, None)
        rows = [(place, one) for one in line for place in self._at.get(one.path, [])]
        helpful = [
            (bool(self.proof.refuted[place].targets), float(self.proof.refuted[place].most), place, one)
            for place, one in rows
            if not self.proof.refuted[place].targets or user in self.proof.refuted[place].targets
        ]
        for _, _, place, one in sorted(helpful, key=lambda row: row[:3])[:_TRIES]:
            if best.most <= enough:
                break
            loss = self._loss(place, one)
            if loss is None:
                continue
            if loss.is_empty:
                return Leaf(part, ZERO, loss)
            if loss.goal[user] and (most := max(loss.most / loss.goal[user], ZERO)) < best.most:
                best = Leaf(part, most, loss)
        return best

    def _loss(self, place: int, part: Part) -> Loss | None:
        if place not in self._known:
            self._known[place] = bound_losses(self.crowd, part, self.winnings, self.proof.refuted[place])
        return self._known[place]
