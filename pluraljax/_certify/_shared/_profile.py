"""A profile of public policies as a delta-equilibrium, exactly: nobody envies, tangents bound what deviations bring.

The policies of floats are moved until what ties in them ties exactly: users between two offers, and evidence used up.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Any

from .._rational import ONE, ZERO, Rationals, candidate, multipliers
from ._duals import most_of_a_policy
from ._policies import Policy, loss_row, read_policy, solved_policies
from ._rays import Crowd, nearest_rays

# How near two offers are that are meant to be worth the same, as a share of what conversation is worth.
_TIED = Fraction(1, 10**8)


@dataclass(frozen=True)
class Profile:
    """What each provider offers, as a place in `policies`, and which provider each user talks to."""

    policies: list[Policy]
    offers: list[int]
    served_by: list[int]

    def heard(self, j: int) -> int:
        return self.offers[self.served_by[j]]

    def others(self, i: int) -> list[int]:
        """What is still on offer without a provider."""
        return sorted({offer for other, offer in enumerate(self.offers) if other != i})


@dataclass(frozen=True)
class Deviation:
    """What a provider gains at most by winning exactly some users; `evidence` and `room` are the multipliers."""

    provider: int
    won: tuple[bool, ...]
    gain: Fraction
    evidence: Rationals | None
    room: Rationals | None


@dataclass(frozen=True)
class Equilibrium:
    """A profile, what users lose in it, and the most that providers gain over it."""

    profile: Profile
    lost: list[Fraction]
    deviations: list[Deviation]

    @property
    def gains(self) -> list[Fraction]:
        providers = range(len(self.profile.offers))
        return [max([each.gain for each in self.deviations if each.provider == i] + [ZERO]) for i in providers]


def equilibrium_of(crowd: Crowd, attained: Any) -> Equilibrium | None:
    """Evaluates a candidate profile with its tangents; None if it is no delta-equilibrium for all that is proved."""
    profile = _read(crowd, attained)
    if profile is None or not _is_calm(crowd, profile):
        return None
    tangents = {(int(one.provider), tuple(bool(comes) for comes in one.won)): one for one in attained.tangents}
    deviations = []
    for i in range(crowd.num_providers):
        found = _deviations(crowd, profile, i, tangents)
        if found is None or any(each.gain > crowd.slack[i] for each in found):
            return None
        deviations += found
    lost = [profile.policies[profile.heard(j)].lost(crowd, j) for j in range(crowd.num_users)]
    return Equilibrium(profile, lost, deviations)


def _read(crowd: Crowd, attained: Any) -> Profile | None:
    """The policies, moved until users who are meant to be between two offers are."""
    policies = []
    for belief, action, weight in zip(attained.belief, attained.action, attained.weight, strict=True):
        told = [tuple(int(a) for a in row) for row in action]
        rays = [_ray(crowd, near, row) for near, row in zip(nearest_rays(crowd, belief), told, strict=True)]
        known = [ray for ray in rays if ray is not None]
        if len(known) < len(rays):
            return None
        policy = read_policy(crowd, known, weight)
        policies.append(Policy(policy.rays, policy.share, policy.told, told))
    profile = Profile(policies, [int(offer) for offer in attained.offers], [int(i) for i in attained.served_by])
    if all(policy.is_one for policy in policies) and _is_calm(crowd, profile):
        return profile
    solved = solved_policies(crowd, policies, _ties(crowd, profile))
    return None if solved is None else Profile(solved, profile.offers, profile.served_by)


def _ray(crowd: Crowd, nearest: Sequence[int], action: tuple[int, ...]) -> int | None:
    """The nearest ray at which everybody's recommended action is best."""
    fits = (n for n in nearest if all(crowd.best[j][n, a] for j, a in enumerate(action)))
    return next(fits, None)


def _ties(crowd: Crowd, profile: Profile) -> list[tuple[list[list[Fraction]], Fraction]]:
    """Equations: users who lose about as much by another offer as by their own lose as much."""
    rows = []
    for j, way in enumerate(crowd.way):
        own = profile.heard(j)
        for other in sorted(set(profile.offers) - {own}):
            mine, theirs = (profile.policies[place].lost(crowd, j) for place in (own, other))
            if way and abs(mine - theirs) <= _TIED * way:
                coefficients = [loss_row(crowd, policy.rays, j) for policy in profile.policies]
                sign = {own: ONE, other: -ONE}
                row = [[sign.get(place, ZERO) * value for value in each] for place, each in enumerate(coefficients)]
                rows.append((row, ZERO))
    return rows


def _is_calm(crowd: Crowd, profile: Profile) -> bool:
    """Whether policies are policies, and every user talks to a provider whose policy is worth most to her."""
    if not all(policy.is_one for policy in profile.policies):
        return False
    for j in range(crowd.num_users):
        lost = {offer: profile.policies[offer].lost(crowd, j) for offer in set(profile.offers)}
        if lost[profile.heard(j)] > min(lost.values()):
            return False
    return True


def _deviations(
    crowd: Crowd, profile: Profile, i: int, tangents: dict[tuple[int, tuple[bool, ...]], Any]
) -> list[Deviation] | None:
    """All that a provider can do, by whom it wins, and what that brings at most; None where a bound is missing."""
    users, policies = range(crowd.num_users), profile.policies
    now = [policies[profile.heard(j)].paid(crowd, i, j) for j in users]
    loyal = [profile.served_by[j] == i for j in users]
    if crowd.num_providers == 1:
        outside, elsewhere = crowd.way, [ZERO for _ in users]
    else:
        others = profile.others(i)
        outside = [min(policies[b].lost(crowd, j) for b in others) for j in users]
        elsewhere = [_elsewhere(crowd, profile, i, j, outside[j]) if loyal[j] else now[j] for j in users]
    found = []
    for won in product((False, True), repeat=crowd.num_users):
        # Nothing wins a user who loses nothing elsewhere, or drives one off who has no more there than with silence.
        if any((comes and not loyal[j] and not outside[j]) for j, comes in enumerate(won)):
            continue
        if any((not comes and loyal[j] and outside[j] == crowd.way[j]) for j, comes in enumerate(won)):
            continue
        left = sum((elsewhere[j] for j, comes in enumerate(won) if not comes), ZERO) - sum(now, ZERO)
        if not any(won):
            found.append(Deviation(i, won, left, None, None))
        elif (i, won) in tangents:
            evidence, room = candidate(tangents[i, won].evidence), multipliers(tangents[i, won].room)
            gain = left + most_won(crowd, i, won, outside, evidence, room)
            found.append(Deviation(i, won, gain, evidence, room))
        else:
            return None
    return found


def _elsewhere(crowd: Crowd, profile: Profile, i: int, j: int, lost: Fraction) -> Fraction:
    """What a provider gets from a user whom it loses: she takes the best of the other offers, any of those that tie."""
    policies = [profile.policies[b] for b in profile.others(i)]
    return max(policy.paid(crowd, i, j) for policy in policies if policy.lost(crowd, j) == lost)


def most_won(
    crowd: Crowd, i: int, won: Sequence[bool], outside: Sequence[Fraction], evidence: Rationals, room: Rationals
) -> Fraction:
    """The most that a provider gets from users by any policy that wins exactly them, by any multipliers.

    Those lose no more than `outside`, the others no less: adding `room` times the slacks only makes it more.
    """
    users = range(crowd.num_users)
    sign = [ONE if comes else -ONE for comes in won]
    loss = [-sign[j] * room[j] for j in users]
    weight = [[ONE if p == i and comes else ZERO for comes in won] for p in range(crowd.num_providers)]
    total = most_of_a_policy(crowd, loss, weight, evidence, liked=True)
    total += sum((sum(crowd.told_most(i, j).tolist(), ZERO) for j in users if won[j]), ZERO)
    return total + sum((sign[j] * room[j] * outside[j] for j in users), ZERO)
