"""Profiles of public policies that are equilibria: found by linear programmes with tangents, then evaluated.

Where it is fixed who offers what, who talks to whom, and where she would go next, all that users lose and bring is
linear in the policies. What a provider could get by winning some users is concave in it. Tangents are above the curve,
so that every profile that meets the inequalities with tangents is an equilibrium. New tangents at the solution can only
improve on it.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from .._bounds import NEAR
from .._signals import Crowd
from ._curves import Curves, pairs_of
from ._pool import Steps
from ._rows import Columns

# Share of the slack that candidates leave unused, for rounding.
_ROOM = 0.5
_TURNS = 8
# After so many programmes without an equilibrium there is none near.
_HOPELESS = 2
# Inequalities with less room than this are tight.
_TIGHT = 1e-6
# Gains below this share of what conversation is worth are not worth another turn.
_WORTH = 1e-4
# An equilibrium has to be worse than what is known by so much to be looked for.
_STEP = 2e-3


@dataclass(frozen=True)
class Plan:
    """Which policy each provider offers, and which provider each user talks to."""

    offers: tuple[int, ...]
    served_by: tuple[int, ...]

    @property
    def policies(self) -> int:
        return max(self.offers) + 1

    def heard(self, user: int) -> int:
        return self.offers[self.served_by[user]]

    def others(self, provider: int) -> list[int]:
        """The policies that are still on offer if the provider changes its own."""
        return sorted({offer for other, offer in enumerate(self.offers) if other != provider})

    def next_offer(self, provider: int, user: int) -> int:
        """What she takes if she does not take the provider's: what she hears, else the first of the other offers."""
        others = self.others(provider)
        return self.heard(user) if self.heard(user) in others else others[0]


@dataclass(frozen=True)
class Found:
    """A profile that is an equilibrium, and what everybody loses in it."""

    plan: Plan
    weight: Float[np.ndarray, "policy signal"]
    room: Float[np.ndarray, " user"]


def plans(crowd: Crowd) -> Iterator[Plan]:
    """The profiles that are tried: one policy for all, one of them beside a threat, and users who split."""
    users, providers = crowd.num_users, crowd.num_providers
    together = (0,) * users
    yield Plan((0,) * providers, together)
    if providers == 1:
        return
    for server in range(providers):
        yield Plan(tuple(0 if one == server else 1 for one in range(providers)), (server,) * users)
    for sides in itertools.product((0, 1), repeat=users - 1):
        if any(sides):
            yield from _splits(providers, (0, *sides))


def _splits(providers: int, sides: tuple[int, ...]) -> Iterator[Plan]:
    """Two policies in use. With four providers or more each is offered twice, and names do not matter."""
    if providers >= 4:
        yield Plan((0, 0, *(1,) * (providers - 2)), tuple(2 * side for side in sides))
        return
    for one, other in itertools.permutations(range(providers), 2):
        for offers in itertools.product((0, 1), repeat=providers):
            if offers[one] == 0 and offers[other] == 1:
                yield Plan(offers, tuple(other if side else one for side in sides))


class Setting:
    """A plan laid out: what users lose and bring now, and what they would by the next offer if a provider were left.

    `pairs` are the deviations that may pay: who may be won. A single provider has everybody, whatever it does.
    """

    def __init__(self, crowd: Crowd, sets: Bool[np.ndarray, "set user"], plan: Plan):
        self.crowd, self.sets, self.plan = crowd, sets, plan
        users, providers = range(crowd.num_users), range(crowd.num_providers)
        self.columns = Columns(crowd, [tuple(users)] * plan.policies)
        lost, earned = self.columns.lost, self.columns.earned
        heard = [plan.heard(user) for user in users]
        self.lost: Float[np.ndarray, "user column"] = lost[heard, users]
        self.now: Float[np.ndarray, "provider column"] = earned[heard, :, users].sum(axis=0)
        self.single = crowd.num_providers == 1
        after = np.array([heard if self.single else [plan.next_offer(i, user) for user in users] for i in providers])
        self.next_lost: Float[np.ndarray, "provider user column"] = lost[after, users]
        self.next_earned: Float[np.ndarray, "provider user column"] = earned[after, np.array(providers)[:, None], users]
        self.calm = self._calm(after)
        self.pairs = self._pairs()
        servers = [] if self.single else sorted(set(plan.served_by))
        self.left: Float[np.ndarray, "server column"] = (self.next_earned.sum(axis=1) - self.now)[servers]
        self.left_limit = crowd.slack[servers]

    @property
    def is_plain(self) -> bool:
        """Whether all users talk to the same provider."""
        return len(set(self.plan.served_by)) == 1

    def _calm(self, after: Int[np.ndarray, "provider user"]) -> Float[np.ndarray, "row column"]:
        """Nobody likes another policy better than hers, or another than her next one if a provider were left."""
        lost, plan, rows = self.columns.lost, self.plan, set()
        for user in np.flatnonzero(self.crowd.cares).tolist():
            rows |= {(user, plan.heard(user), other) for other in range(plan.policies)}
            for provider in () if self.single else range(self.crowd.num_providers):
                rows |= {(user, int(after[provider, user]), other) for other in plan.others(provider)}
        kept = [lost[own, user] - lost[other, user] for user, own, other in sorted(rows) if own != other]
        return np.array(kept).reshape(-1, lost.shape[-1])

    def _pairs(self) -> Int[np.ndarray, "pair 2"]:
        everyone = len(self.sets) - 1
        if self.single:
            return pairs_of([(0, everyone)])
        indifferent = ~self.crowd.cares
        elsewhere = np.array(self.plan.served_by)[None] != np.arange(self.crowd.num_providers)[:, None]
        return np.argwhere(~(self.sets[None] & indifferent & elsewhere[:, None]).any(axis=-1))

    def rooms(self, primal: Float[np.ndarray, " column"]) -> Float[np.ndarray, "provider user"]:
        """What users lose with the best offer of a provider's rivals; with a single one, they have silence."""
        return self.crowd.cares[None].astype(float) if self.single else self.next_lost @ primal

    def conditions(
        self, height: Float[np.ndarray, " pair"], slope: Float[np.ndarray, "pair user"]
    ) -> tuple[Float[np.ndarray, "row column"], Float[np.ndarray, " row"]]:
        """Where curves are replaced by affine functions above them: nobody envies or gains."""
        provider, which = self.pairs.T
        won, crowd = self.sets[which], self.crowd
        limit = np.where(won, crowd.told_first[provider], 0.0).sum(axis=1) - height
        rows = -self.now[provider]
        if self.single:
            limit = limit - slope @ crowd.cares
        else:
            rows = rows + np.einsum("pj,pjn->pn", slope, self.next_lost[provider])
            rows = rows + np.einsum("pj,pjn->pn", (~won).astype(float), self.next_earned[provider])
        limit = limit + _ROOM * crowd.slack[provider]
        return (
            np.concatenate([self.calm, rows, self.left]),
            np.concatenate([np.zeros(len(self.calm)), limit, _ROOM * self.left_limit]),
        )

    def holds(self, weight: Float[np.ndarray, "policy signal"], curves: Curves) -> bool:
        """Tells whether a profile is an equilibrium: no provider gains more than its slack by winning any set of users.

        What it could gain is bounded by the tangents that are known.
        """
        primal = self.columns.primal(weight)
        rooms, now = self.rooms(primal), self.crowd.told_first.sum(axis=1) + self.now @ primal
        if (self.calm @ primal > NEAR).any() or (self.left @ primal > self.left_limit).any():
            return False
        provider, which = self.pairs.T
        height, slope = curves.lowest(rooms[provider], self.pairs)
        most = height + (slope * rooms[provider]).sum(axis=1)
        if not self.single:
            stay = self.crowd.told_first + self.next_earned @ primal
            most = most + np.where(self.sets[which], 0.0, stay[provider]).sum(axis=1)
        return bool((most <= now[provider] + self.crowd.slack[provider]).all())


def improve(
    setting: Setting, curves: Curves, goal: Float[np.ndarray, " user"], start: Float[np.ndarray, " user"], most: float
) -> Steps[Found | None]:
    """Looks for an equilibrium of a plan in which the goal, a sum of losses, is worth more than `most`, near a start.

    Where tangents allow none, new ones are taken where a programme comes closest to allowing one.
    """
    crowd, columns, goal = setting.crowd, setting.columns, goal @ setting.lost
    rooms = np.broadcast_to(start, (crowd.num_providers, crowd.num_users))
    best, ever = None, _STEP
    chosen = yield from _touching(setting, curves, rooms, None)
    for turn in range(_TURNS):
        rows, limit = setting.conditions(*chosen)
        rows, limit = np.concatenate([rows, -goal[None]]), np.append(limit, -most - ever)
        (answer,) = yield [columns.pose(rows, limit, goal)]
        if not answer.feasible[0] and (best is not None or turn >= _HOPELESS):
            break
        weight = columns.weights(answer.primal[0])
        primal = columns.primal(weight)
        if answer.feasible[0]:
            if not setting.holds(weight, curves):
                break
            best, most, ever = Found(setting.plan, weight, setting.lost @ primal), float(goal @ primal), _WORTH
        chosen = yield from _touching(setting, curves, setting.rooms(primal), primal)
    return best


def _touching(
    setting: Setting, curves: Curves, rooms: Float[np.ndarray, "provider user"], primal: np.ndarray | None
) -> Steps[tuple[np.ndarray, np.ndarray]]:
    """Tangents that are low at some rooms: new ones for inequalities that do not hold, or just, with those known."""
    pairs, at = setting.pairs, rooms[setting.pairs[:, 0]]
    known = curves.lowest(at, pairs)
    if primal is None:
        wanted = ~np.isfinite(known[0])
    else:
        rows, limit = setting.conditions(*known)
        first = len(setting.calm)
        wanted = (rows @ primal > limit - _TIGHT)[first : first + len(pairs)]
    if wanted.any():
        yield from curves.tangents(at[wanted], pairs[wanted])
    return curves.lowest(at, pairs)
