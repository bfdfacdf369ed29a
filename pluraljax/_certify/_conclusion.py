"""What a certificate comes to: one sentence per user on whom competition serves, by the exact bounds of its claims.

The words are those of a study; nothing is shared with it, because what checks shares nothing with what it checks.
"""

import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from types import MappingProxyType

from ._claims import PROVED, Claim, Question, Section
from ._market import ExactMarket

# Who is served, of the way from silent to aligned; and what of her payoff range counts as nothing.
SERVED, ZERO = Fraction(99, 100), Fraction(1, 10**8)

_OPEN = "that is not known"
_BOTH = {
    (True, True): "is served either way",
    (True, False): "is served only if policies are personalized",
    (False, True): "is served only if policies are anonymous",
    (False, False): "is served neither way",
    (True, None): f"is served if policies are personalized; if they are anonymous, {_OPEN}",
    (False, None): f"is not served if policies are personalized; if they are anonymous, {_OPEN}",
    (None, True): f"is served if policies are anonymous; if they are personalized, {_OPEN}",
    (None, False): f"is not served if policies are anonymous; if they are personalized, {_OPEN}",
    (None, None): f"may be served or not, whether policies are personalized or anonymous: {_OPEN}",
}
_APART = "All of this is proved: it rests on exact bounds, and on none of the claims that are not."
_WIDTH = 105
_ONE = {True: "is served", False: "is not served", None: "may be served or not"}
_IF = {"segmented": "with these segments"}


def conclusion(
    market: ExactMarket,
    regimes: Sequence[str],
    claims: Sequence[Claim | Question],
    outlooks: Mapping[str, tuple[str, str]] = MappingProxyType({}),
) -> Section:
    """Says of every user whether it is proved that she is served, and what is proved of her worst equilibrium.

    **Arguments:**

    - `market`: what is certified.
    - `regimes`: what segments are called that were looked at.
    - `claims`: everything that was claimed; exact ends count whatever float64 said.
    - `outlooks`: what is said of a longer search for each regime that is open, and the command or call that asks for
      it, or nothing.
    """
    said = [_sentence(market, user, regimes, claims) for user in range(market.num_users)]
    left, asked = sum(len(each) for _, each in said), market.num_users * len(regimes)
    open_ones = {regime for _, each in said for regime in each}
    words = [
        *(line for sentence, _ in said for line in _wrapped(sentence)),
        *([f"{left} of {asked} questions are open: who is served, by policies of each kind."] if left else []),
        *(
            line
            for regime, (sentence, ask) in outlooks.items()
            if regime in open_ones
            for line in (*_wrapped(sentence), *[f"  {ask}"] * bool(ask))
        ),
        *([_APART] if not left and any(each.verdict != PROVED for each in claims) else []),
        "Served: every equilibrium gives her at least 99 % of the way from what she gets in silence to what a",
        "perfectly aligned model would give her. Worst: what her worst equilibrium gives, of that way.",
    ]
    return Section("Conclusion", words, [], is_numbered=False)


def _sentence(
    market: ExactMarket,
    user: int,
    regimes: Sequence[str],
    claims: Sequence[Claim | Question],
) -> tuple[str, list[str]]:
    """The sentence about a user, and the regimes of which it is open."""
    who = f"User {user}" if market.names.users is None else market.names.user(user)
    outcomes = market.outcomes_of(user)
    silent, way = outcomes.silent, outcomes.aligned - outcomes.silent
    nothing = ZERO * market.user_range(user)
    if SERVED * way <= nothing:
        return f"{who} is served whatever happens: nothing that she could be told is worth anything to her.", []
    level = silent + SERVED * way - nothing
    ends = {regime: _worst(silent, outcomes.aligned, user, regime, claims) for regime in regimes}
    served = [True if low >= level else False if high < level else None for low, high in ends.values()]
    of_one = f"{_ONE[served[0]]} {_if(regimes[0])}{'' if served[0] is not None else f': {_OPEN}'}"
    text = _BOTH[served[0], served[1]] if len(regimes) == 2 else of_one
    worst = ", ".join(
        f"{_span((low - silent) / way, (high - silent) / way)} {each}" for each, (low, high) in ends.items()
    )
    return f"{who} {text} (worst: {worst}).", [
        regime for regime, told in zip(regimes, served, strict=True) if told is None
    ]


def _wrapped(sentence: str) -> list[str]:
    return textwrap.wrap(sentence, _WIDTH, subsequent_indent="  ")


def _if(regime: str) -> str:
    return _IF.get(regime, f"if policies are {regime}")


def _worst(
    silent: Fraction, aligned: Fraction, user: int, regime: str, claims: Sequence[Claim | Question]
) -> tuple[Fraction, Fraction]:
    """What her worst equilibrium gives: nobody has to listen, and somebody may tell her everything."""
    lower, upper = [silent], [aligned]
    for key, side, value in _bounds(claims):
        if side == "lower" and key in (f"guarantee/{regime}/user {user}", f"theorem/{regime}/user {user}"):
            lower.append(value)
        if key == ("worst" if regime == "personalized" else f"worst/{regime}") + f"/user {user}":
            (lower if side == "lower" else upper).append(value)
    if any(each.key == f"silence/{regime}" and each.verdict == PROVED and _is_yes(each) for each in claims):
        upper.append(silent)
    return max(lower), min(upper)


def _bounds(claims: Sequence[Claim | Question]) -> Iterator[tuple[str, str, Fraction]]:
    for claim in claims:
        if isinstance(claim, Claim):
            yield from ((claim.key, bound.side, bound.value) for bound in claim.bounds)


def _is_yes(claim: Claim | Question) -> bool:
    return claim.quantity.startswith("silence is a ")


def _span(low: Fraction, high: Fraction) -> str:
    """A bracket of shares in percent, rounded outwards to a tenth; brackets of numbers known to 1e-6 meet."""
    down, up = math.floor(1000 * low + Fraction(1, 100)), math.ceil(1000 * high - Fraction(1, 100))
    shown = [f"{tenths / 10:g}" for tenths in (down, up)]
    return f"{shown[0]} %" if up <= down else f"{shown[0]} to {shown[1]} %"
