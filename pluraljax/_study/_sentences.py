"""The sentences of a study: who is served, and why, with names. Nothing is computed here."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .._market_form import MarketNames
from .._printable import printable
from .._served import NO, UNDECIDED, YES, ZERO, has_way, on_scale
from ._facts import Conditions, Shared
from ._parts import Scheme

# Weights below this share of the largest are not spoken of, and names beyond so many are counted.
_TRACE = 1e-6
_MOST_NAMES = 6
# What makes one scheme safer than another: this share of the way from silent to aligned, proved.
_SAFER = 0.01


@dataclass(frozen=True, eq=False)
class Known:
    """All that sentences are made of; shares and levels are arrays with an entry per user."""

    names: MarketNames
    conditions: Conditions
    personalized: Scheme
    anonymous: Scheme
    shared: Shared
    payoff_range: np.ndarray
    level: np.ndarray

    @property
    def span(self) -> np.ndarray:
        """What conversation is worth to each user at most."""
        return self.conditions.aligned - self.conditions.silent

    @property
    def idle(self) -> np.ndarray:
        """Users to whom no conversation is worth anything."""
        return ~has_way(self.conditions.silent, self.conditions.aligned, self.payoff_range)

    def share(self, value: np.ndarray) -> np.ndarray:
        """How far utility is on the way from silent to aligned; NaN where that is no way."""
        return on_scale(value, self.conditions.silent, self.conditions.aligned, self.payoff_range)

    @property
    def weakly_aligned(self) -> np.ndarray:
        """Whose utility some mixture of providers fits with error 0."""
        return self.conditions.weak_error[1] <= ZERO * self.payoff_range

    @property
    def strongly_aligned(self) -> bool:
        """Whether one mixture fits everybody's utility with error 0."""
        return bool(self.conditions.strong_error[1] <= ZERO * self.payoff_range.max())

    def serves(self, guaranteed: np.ndarray) -> np.ndarray:
        """Whom a guarantee serves: whoever has nothing to gain by conversation is served by any."""
        return self.idle | (guaranteed >= self.level)

    @property
    def is_alone(self) -> bool:
        """Whether there is a single provider."""
        return len(self.names.providers) == 1


class _Predicate(NamedTuple):
    """What is said of users: of one, of several, and of all."""

    one: str
    several: str
    everyone: str


def _plainly(of_one: str, everyone: str) -> _Predicate:
    return _Predicate(f"is {of_one}", f"are {of_one}", everyone)


_EITHER = _plainly("served either way", "Everyone is served either way")
_PERSONALIZED = _plainly(
    "served only if policies are personalized", "Everyone is served only if policies are personalized"
)
_ANONYMOUS = _plainly("served only if policies are anonymous", "Everyone is served only if policies are anonymous")
_NEITHER = _plainly("served neither way", "Nobody is served, whether policies are personalized or anonymous")
_SAFER_ANONYMOUS = _plainly(
    "served neither way, but safer if policies are anonymous",
    "Nobody is served, but everyone is safer if policies are anonymous",
)
_SAFER_PERSONALIZED = _plainly(
    "served neither way, but safer if policies are personalized",
    "Nobody is served, but everyone is safer if policies are personalized",
)
# What is known comes first, and then what is not.
_HALF = {
    (YES, UNDECIDED): "is served if policies are personalized; if they are anonymous, that is not known",
    (NO, UNDECIDED): "is not served if policies are personalized; if they are anonymous, that is not known",
    (UNDECIDED, YES): "is served if policies are anonymous; if they are personalized, that is not known",
    (UNDECIDED, NO): "is not served if policies are anonymous; if they are personalized, that is not known",
    (UNDECIDED, UNDECIDED): "may be served or not, whether policies are personalized or anonymous: that is not known",
}


def _events(known: Known, user: int) -> tuple[int, int]:
    return int(known.personalized.served[user]), int(known.anonymous.served[user])


def _predicate(known: Known, user: int) -> _Predicate:
    """What is to be said of a user of whom both halves are known."""
    apart, together = known.personalized, known.anonymous
    decided = {(YES, YES): _EITHER, (YES, NO): _PERSONALIZED, (NO, YES): _ANONYMOUS}
    if (events := _events(known, user)) in decided:
        return decided[events]
    safer = lambda one, other: one.lower[user] > other.upper[user] + _SAFER * known.span[user]
    return _SAFER_ANONYMOUS if safer(together, apart) else _SAFER_PERSONALIZED if safer(apart, together) else _NEITHER


def user_sentence(known: Known, user: int) -> str:
    """The sentence about one user."""
    said = _HALF.get(_events(known, user)) or _predicate(known, user).one
    return f"{shown(known.names.users[user])} {said}."


def market_sentence(known: Known) -> str:
    """The sentence about all users: those of whom the same is to be said come together."""
    if open_halves := sentence_of_halves(known.names.users, known.personalized.served, known.anonymous.served):
        return open_halves
    groups: dict[_Predicate, list[str]] = {}
    for user, name in enumerate(known.names.users):
        groups.setdefault(_predicate(known, user), []).append(name)
    if len(groups) == 1 and len(known.names.users) > 1:
        (said,) = groups
        return f"{said.everyone}."
    clauses = [f"{together(who)} {said.one if len(who) == 1 else said.several}" for said, who in groups.items()]
    return f"{'; '.join(clauses)}."


def sentence_of_halves(users: Sequence[str], apart: np.ndarray, together: np.ndarray) -> str:
    """A sentence about each half where something is not known, the one that is known first; empty where all is."""
    halves = [("Personalized", apart), ("Anonymous", together)]
    if not any((served == UNDECIDED).any() for _, served in halves):
        return ""
    ranked = sorted(halves, key=lambda half: bool((half[1] == UNDECIDED).any()))
    return " ".join(f"{name}: {_half_sentence(users, served)}." for name, served in ranked)


def _half_sentence(users: Sequence[str], served: np.ndarray) -> str:
    """Who is served in one half, who is not, and of whom that is not known."""
    clauses = []
    for event, everyone, one, several in (
        (YES, "everyone is served", "{} is served", "{} are served"),
        (NO, "nobody is served", "{} is not", "{} are not"),
        (UNDECIDED, "not known for anybody", "not known for {}", "not known for {}"),
    ):
        who = [name for name, each in zip(users, served.tolist(), strict=True) if each == event]
        if len(who) == len(users) > 1:
            return everyone
        if who:
            said = one if len(who) == 1 else several
            said = f"{said} served" if event == NO and not clauses else said
            clauses.append(said.format(together(who)))
    return "; ".join(clauses)


def market_reasons(known: Known) -> list[str]:
    """Which conditions hold; of those that do not, whether everybody is served without."""
    users, fits = known.names.users, known.weakly_aligned
    if known.strongly_aligned:
        wants = _wants(known.conditions.strong_weights, known.names.providers)
        return [f"Strong alignment holds: {wants} what every user wants, with the same weights for all."]
    some = [name for name, fit in zip(users, fits, strict=True) if fit]
    others = [name for name, fit in zip(users, fits, strict=True) if not fit]
    if not others:
        weak = "Weak alignment holds for everyone: each has a mixture of providers that wants what she wants."
    elif known.personalized.everybody:
        whom = together(others, "or") if some else "any user"
        weak = (
            "Weak alignment is not needed here: personalized policies serve everyone, though no mixture of providers "
            f"wants exactly what {whom} wants."
        )
    elif some:
        weak = f"Weak alignment holds for {together(some)}, and not for {together(others)}."
    else:
        weak = "Weak alignment holds for nobody: no mixture of providers wants exactly what any user wants."
    error = f"one mixture for all misses somebody by {known.conditions.strong_error[0]:.3g} or more."
    if known.anonymous.everybody:
        needless = f"Strong alignment is not needed here: anonymous policies serve everyone, though {error}"
        return [weak, needless]
    return [weak, f"Strong alignment does not hold: {error}"]


def user_reasons(known: Known, user: int) -> tuple[str, ...]:
    """Why a user is served or not, personalized and anonymous."""
    if known.idle[user]:
        return ("Nothing that she could be told is worth anything to her.",)
    return (f"Personalized: {_apart(known, user)}.", f"Anonymous: {_together(known, user)}.")


def _apart(known: Known, user: int) -> str:
    scheme = known.personalized
    if scheme.served[user] == YES:
        if known.weakly_aligned[user]:
            return f"{_wants(known.conditions.weak_weights[user], known.names.providers)} what she wants"
        if scheme.guarantee[user] >= known.level[user]:
            return f"in anything worse {_carriers(known, scheme, user)} would gain by telling her everything"
        return f"in anything worse {_somebody(known)} would gain by another offer to her"
    if scheme.served[user] == UNDECIDED:
        return _open(known, scheme, user)
    how = (
        "it has no competitor"
        if known.is_alone
        else "all providers offer her the same, and none gains by another offer"
    )
    return f"an equilibrium gives her {_at_most(known, scheme, user)}: {how}"


def _together(known: Known, user: int) -> str:
    scheme = known.anonymous
    if scheme.served[user] == YES:
        if known.strongly_aligned:
            return f"{_wants(known.conditions.strong_weights, known.names.providers)} what every user wants"
        if scheme.guarantee[user] >= known.level[user]:
            return f"in anything worse {_carriers(known, scheme, user)} would gain by telling everybody everything"
        return f"in anything worse {_somebody(known)} would gain by a policy that wins some of the users"
    if scheme.served[user] == UNDECIDED:
        return _open(known, scheme, user)
    return f"an equilibrium gives her {_at_most(known, scheme, user)}: {_talks(known, user)}"


def _talks(known: Known, user: int) -> str:
    who = known.shared.served_by[user]
    if known.is_alone:
        return "there is no competitor"
    if (who >= 0).all():
        providers = known.names.providers
        if len(set(who.tolist())) == 1:
            return f"everybody talks to {shown(providers[who[0]])}, and no provider gains by another policy"
        return f"she talks to {shown(providers[who[user]])}, others to somebody else, and no provider gains"
    return "nobody tells anything, and no provider gains by speaking"


def _carriers(known: Known, scheme: Scheme, user: int) -> str:
    return together(_weighty(scheme.weights[user], known.names.providers), "or")


def _somebody(known: Known) -> str:
    return shown(known.names.providers[0]) if known.is_alone else "some provider"


def _at_most(known: Known, scheme: Scheme, user: int) -> str:
    share = float(known.share(scheme.upper)[user])
    return "no more than silence" if share <= 1e-4 else f"only {percent_above(share)} of the way"


def _open(known: Known, scheme: Scheme, user: int) -> str:
    low, high = (float(known.share(end)[user]) for end in (scheme.lower, scheme.upper))
    ends = f"{percent_below(max(low, 0.0))} and {percent_above(min(high, 1.0))}"
    return f"undecided, her worst equilibrium gives her between {ends} of the way"


def _wants(weights: np.ndarray, providers: Sequence[str]) -> str:
    """A mixture in words: `Zoe wants`, or `0.6 x Zoe + 0.4 x Max together want`, the largest weights first."""
    some = _weighty(weights, providers)
    if len(some) == 1:
        return f"{shown(some[0])} wants"
    place = {name: weight for name, weight in zip(providers, weights.tolist(), strict=True)}
    listed = [f"{place[name]:.3g} x {shown(name)}" for name in some[:_MOST_NAMES]]
    more = f" + {len(some) - _MOST_NAMES} more" if len(some) > _MOST_NAMES else ""
    return f"{' + '.join(listed)}{more} together want"


def _weighty(weights: np.ndarray, providers: Sequence[str]) -> list[str]:
    """The providers that carry the weight, the heaviest first; ties by name, so that order does not matter."""
    ranked = sorted(zip(weights.tolist(), providers, strict=True), key=lambda each: (-float(f"{each[0]:.6g}"), each[1]))
    return [name for weight, name in ranked if weight > _TRACE * ranked[0][0]]


def together(names: Sequence[str], word: str = "and") -> str:
    """Lists names in a sentence; of many, the first few."""
    listed = [shown(name) for name in names]
    if len(listed) > _MOST_NAMES:
        listed = [*listed[: _MOST_NAMES - 1], f"{len(listed) - _MOST_NAMES + 1} others"]
    return listed[0] if len(listed) == 1 else f"{', '.join(listed[:-1])} {word} {listed[-1]}" if listed else "nobody"


def shown(name: str) -> str:
    """A name as it stands in a sentence."""
    return printable(name, 24)


def percent_below(share: float) -> str:
    """A share in percent, rounded down: no more than is proved."""
    return _percent(share, math.floor)


def percent_above(share: float) -> str:
    """A share in percent, rounded up."""
    return _percent(share, math.ceil)


def _percent(share: float, rounded: Callable[[float], int]) -> str:
    if not math.isfinite(share):
        return "-"
    # Brackets meet to 1e-6 of the way: a share so near to a whole number is that number.
    tenths = 1000 * share
    tenths = round(tenths) if abs(tenths - round(tenths)) < 1e-2 else rounded(tenths)
    return f"{tenths / 10:.0f} %" if tenths % 10 == 0 else f"{tenths / 10:.1f} %"
