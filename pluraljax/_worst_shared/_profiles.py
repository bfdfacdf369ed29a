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
from jaxtyping import Float

from .._bounds import NEAR
from .._signals import Crowd
from ._curves import Curves, Steps
from ._rows import Rows

# Share of the slack that candidates leave unused, for rounding.
_ROOM = 0.5
_TURNS = 8
# Gains below this share of what conversation is worth to the target are not worth another turn.
_WORTH = 1e-4


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


def improve(
    crowd: Crowd, curves: Curves, plan: Plan, target: int, start: Float[np.ndarray, " user"], most: float
) -> Steps[Found | None]:
    """Looks for an equilibrium of a plan in which the target loses more than `most`, near a start."""
    room = np.broadcast_to(start, (crowd.num_providers, crowd.num_users))
    goal = np.zeros((plan.policies, crowd.num_users))
    goal[plan.heard(target), target] = 1.0
    best = None
    for _ in range(_TURNS):
        rows = yield from _conditions(crowd, curves, plan, room)
        (answer,) = yield [rows.pose(goal)]
        if not answer.feasible:
            break
        weight = _policies(crowd, rows.weights(answer))
        lost = weight @ crowd.signal_lost
        now = float(lost[plan.heard(target), target])
        if now <= most + (_WORTH if best else 0.0):
            break
        room = _outside(crowd, plan, lost)
        if not (yield from _holds(crowd, curves, plan, weight)):
            break
        best, most = Found(plan, weight, np.array([lost[plan.heard(user), user] for user in range(len(start))])), now
    return best


def _policies(crowd: Crowd, weight: Float[np.ndarray, "policy signal"]) -> Float[np.ndarray, "policy signal"]:
    used = (weight @ crowd.signal_belief).max(axis=1, keepdims=True)
    return weight / np.maximum(used, 1.0)


def _outside(crowd: Crowd, plan: Plan, lost: Float[np.ndarray, "policy user"]) -> Float[np.ndarray, "provider user"]:
    """What users lose with the best offer of a provider's rivals; with a single one, they have silence."""
    if crowd.num_providers == 1:
        return crowd.cares[None].astype(float)
    return np.array(
        [
            [lost[plan.next_offer(provider, user), user] for user in range(crowd.num_users)]
            for provider in range(crowd.num_providers)
        ]
    )


def _asked(crowd: Crowd, curves: Curves, plan: Plan) -> list[tuple[int, int]]:
    """The deviations that may pay: who may be won. A single provider has everybody, whatever it does."""
    everyone = len(curves.sets) - 1
    if crowd.num_providers == 1:
        return [(0, everyone)]
    indifferent = ~crowd.cares
    return [
        (provider, which)
        for provider in range(crowd.num_providers)
        for which, won in enumerate(curves.sets)
        if not any(won[user] and indifferent[user] and plan.served_by[user] != provider for user in range(len(won)))
    ]


def _conditions(crowd: Crowd, curves: Curves, plan: Plan, room: Float[np.ndarray, "provider user"]) -> Steps[Rows]:
    rows = Rows(crowd, [tuple(range(crowd.num_users))] * plan.policies)
    for user in range(crowd.num_users):
        own = plan.heard(user)
        for other in range(plan.policies):
            _no_better(rows, user, own, other)
        for provider in range(crowd.num_providers if crowd.num_providers > 1 else 0):
            first = plan.next_offer(provider, user)
            for other in plan.others(provider):
                _no_better(rows, user, first, other)
    asked = _asked(crowd, curves, plan)
    above = yield from curves.tangents([(provider, which, room[provider]) for provider, which in asked])
    for (provider, which), tangent in zip(asked, above, strict=True):
        _no_gain(rows, plan, provider, curves.sets[which], tangent)
    for provider in sorted(set(plan.served_by)) if crowd.num_providers > 1 else []:
        nothing = (0.0, np.zeros(crowd.num_users))
        _no_gain(rows, plan, provider, np.zeros(crowd.num_users, bool), nothing)
    return rows


def _no_better(rows: Rows, user: int, own: int, other: int) -> None:
    if own != other and rows.crowd.cares[user]:
        lost, _ = rows.blank()
        lost[own, user], lost[other, user] = 1.0, -1.0
        rows.add(lost, None, 0.0)


def _no_gain(rows: Rows, plan: Plan, provider: int, won: np.ndarray, above: tuple[float, np.ndarray]) -> None:
    """What winning a set of users brings, and what the others bring then, is no more than what all bring now."""
    crowd, (height, slope) = rows.crowd, above
    lost, earned = rows.blank()
    limit = float(crowd.told_first[provider][won].sum()) - height + _ROOM * float(crowd.slack[provider])
    for user in range(crowd.num_users):
        earned[plan.heard(user), provider, user] -= 1.0
        if crowd.num_providers == 1:
            limit -= float(slope[user] * crowd.cares[user])
            continue
        after = plan.next_offer(provider, user)
        lost[after, user] += slope[user]
        if not won[user]:
            earned[after, provider, user] += 1.0
    rows.add(lost, earned, limit)


def _holds(crowd: Crowd, curves: Curves, plan: Plan, weight: Float[np.ndarray, "policy signal"]) -> Steps[bool]:
    """Tells whether a profile is an equilibrium: no provider gains more than its slack by winning any set of users."""
    lost = weight @ crowd.signal_lost
    room = _outside(crowd, plan, lost)
    for user, provider in itertools.product(range(crowd.num_users), range(crowd.num_providers)):
        offers = [lost[offer, user] for offer in plan.others(provider)]
        if offers and room[provider, user] > min(offers) + NEAR:
            return False
        if lost[plan.heard(user), user] > lost[:, user].min() + NEAR:
            return False
    earned = np.tensordot(weight, crowd.signal_earned, (1, 2))
    now = crowd.told_first + np.stack([earned[plan.heard(user), :, user] for user in range(crowd.num_users)], axis=-1)
    asked = _asked(crowd, curves, plan)
    above = yield from curves.tangents([(provider, which, room[provider]) for provider, which in asked])
    for (provider, which), (height, slope) in zip(asked, above, strict=True):
        won = curves.sets[which]
        after = [plan.next_offer(provider, user) for user in range(len(won))] if crowd.num_providers > 1 else []
        left = [crowd.told_first[provider, j] + earned[after[j], provider, j] for j in np.flatnonzero(~won)]
        if height + slope @ room[provider] + sum(left) > now[provider].sum() + crowd.slack[provider]:
            return False
    for provider in set(plan.served_by) if crowd.num_providers > 1 else ():
        left = [
            crowd.told_first[provider, j] + earned[plan.next_offer(provider, j), provider, j]
            for j in range(crowd.num_users)
        ]
        if sum(left) > now[provider].sum() + crowd.slack[provider]:
            return False
    return True
