"""Profiles of public policies that are equilibria: found by linear programmes with tangents, then evaluated.

Where it is fixed who offers what, who talks to whom, and where she would go next, all that users lose and bring is
linear in the policies. What a provider could get by winning some users is concave in it. Tangents are above the curve,
so that every profile that meets the inequalities with tangents is an equilibrium. New tangents at the solution can only
improve on it.
"""

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from .._signals import Crowd
from ._curves import Curves, sets_of
from ._improving import Laid, Signals, improved


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


def plans(users: int, providers: int) -> Iterator[Plan]:
    """The profiles that are tried: one policy for all, one of them beside a threat, and users who split."""
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
    """A plan laid out for users of whom some care. A single provider has everybody, whatever it does."""

    def __init__(self, plan: Plan, cares: tuple[bool, ...]):
        self.plan = plan
        users, providers = range(len(cares)), range(len(plan.offers))
        single = len(providers) == 1
        heard = [plan.heard(user) for user in users]
        after = [heard if single else [plan.next_offer(i, user) for user in users] for i in providers]
        self.laid_out = Laid(
            np.array(heard),
            np.array(after),
            np.array(_calm(plan, cares, heard, after), int).reshape(-1, 3),
            _pairs(plan, np.array(cares)),
            np.array([] if single else sorted(set(plan.served_by)), int),
            plan.policies,
            single,
        )

    @property
    def is_plain(self) -> bool:
        """Whether all users talk to the same provider."""
        return len(set(self.plan.served_by)) == 1

    @property
    def pairs(self) -> Int[np.ndarray, "pair 2"]:
        return self.laid_out.pairs

    def rooms(self, crowd: Crowd, weight: Float[np.ndarray, "policy signal"]) -> Float[np.ndarray, "provider user"]:
        """What users lose with the best offer of a provider's rivals; with a single one, they have silence."""
        if self.laid_out.is_single:
            return crowd.cares[None].astype(float)
        return (weight @ crowd.signal_lost)[self.laid_out.after, np.arange(crowd.num_users)]


@functools.lru_cache(maxsize=64)
def settings_of(providers: int, cares: tuple[bool, ...]) -> tuple[Setting, ...]:
    """All plans that are tried, laid out: the same for all markets of a shape."""
    return tuple(Setting(plan, cares) for plan in plans(len(cares), providers))


def _calm(plan: Plan, cares: tuple[bool, ...], heard: list[int], after: list[list[int]]) -> list[tuple[int, int, int]]:
    """Nobody likes another policy better than hers, or another than her next one if a provider were left."""
    rows = set()
    for user in itertools.compress(range(len(cares)), cares):
        rows |= {(user, heard[user], other) for other in range(plan.policies)}
        for provider in () if len(plan.offers) == 1 else range(len(plan.offers)):
            rows |= {(user, after[provider][user], other) for other in plan.others(provider)}
    return [row for row in sorted(rows) if row[1] != row[2]]


def _pairs(plan: Plan, cares: Bool[np.ndarray, " user"]) -> Int[np.ndarray, "pair 2"]:
    """Who may be won by whom: of users who care for nothing, those whom the provider serves."""
    sets = sets_of(len(cares))
    if len(plan.offers) == 1:
        return np.array([[0, len(sets) - 1]])
    elsewhere = np.array(plan.served_by)[None] != np.arange(len(plan.offers))[:, None]
    return np.ascontiguousarray(np.argwhere(~(sets[None] & ~cares & elsewhere[:, None]).any(axis=-1)))


def improve(
    setting: Setting, curves: Curves, goal: Float[np.ndarray, " user"], start: Float[np.ndarray, " user"], most: float
) -> Found | None:
    """Looks for an equilibrium of a plan in which the goal, a sum of losses, is worth more than `most`, near a start.

    Where tangents allow none, new ones are taken where a programme comes closest to allowing one.
    """
    crowd = curves.crowd
    signals = Signals(
        crowd.signal_belief, crowd.signal_lost, crowd.signal_earned, crowd.told_first, crowd.slack, crowd.cares
    )
    found, weight = improved(crowd.offers, curves.known, signals, setting.laid_out, goal, start, float(most))
    if not found:
        return None
    lost = (weight @ crowd.signal_lost)[setting.laid_out.heard, np.arange(crowd.num_users)]
    return Found(setting.plan, weight, lost)
