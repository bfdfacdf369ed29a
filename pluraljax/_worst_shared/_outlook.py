"""What is said of a longer search, wherever one is reported: whether it is worth it, and the budget to give it."""

import math
from collections import Counter
from typing import NamedTuple

from .._arguments import PARTS
from .._market import Market
from .._signals import is_small

# One that still tells more is advised to take so many times its parts.
_MORE = 4
_HOLDS = "Where something is not known, both ends of the bracket hold all the same."


class Ran(NamedTuple):
    """How a search went that looked at `parts`, the budget that asks for the same again; 0 if none was asked for.

    `searched` says whether there was one, `left` whether parts were left, and `moving` whether the last half told more.
    """

    parts: int
    searched: bool
    left: bool
    moving: bool
    seconds: float


class Outlook(NamedTuple):
    """A sentence on a longer search, and the `budget` that asks for it; None where none tells more.

    With a budget the sentence ends in a colon: the command, or the call, that asks for it follows.
    """

    sentence: str
    budget: int | None


# What is open where no two users share a policy.
APART = Outlook(f"{_HOLDS} Where policies are personalized there is no search, and no budget tells more.", None)


def outlook_of(market: Market, segments: tuple[int, ...], ran: Ran) -> Outlook:
    """What a search of one market says of a longer one, should its answer be open."""
    said, budget = _judged(market, segments, ran)
    return Outlook(f"{_HOLDS} {said}", budget)


def _judged(market: Market, segments: tuple[int, ...], ran: Ran) -> tuple[str, int | None]:
    _, types, evidences, _ = market.prior.shape
    actions = market.user_value.shape[1]
    if ran.parts == 0:
        return f"No search was asked for; one of {PARTS} parts may settle it:", PARTS
    if ran.left:
        return _longer(market.num_providers, ran)
    if not all(is_small(users, types, evidences, actions) for users in Counter(segments).values()):
        return "The market is too large for a search, and no budget tells more.", None
    if not ran.searched:
        return "Near-ties, or too many signals, rule a search out, and no budget tells more.", None
    return "The search came to its end, and no larger budget tells more.", None


def _longer(providers: int, ran: Ran) -> tuple[str, int]:
    # With fewer parts a search has mostly not begun to tell: that its last half told nothing says nothing of the next.
    more = PARTS if ran.parts < PARTS else _round(float(_MORE * ran.parts))
    about = _about(more * ran.seconds / ran.parts)
    if ran.parts < PARTS:
        return f"Only {ran.parts:,} parts were looked at; {more:,} ({about}) may settle it:", more
    if ran.moving:
        return (
            f"A longer search is worth it: the last half of {ran.parts:,} parts still told more, and {more:,} "
            f"({about}) may settle it:"
        ), more
    often = ", which with several providers is often so, whatever the budget" if providers > 1 else ""
    return (
        f"A longer search is hardly worth it: the last half of {ran.parts:,} parts told next to nothing more{often}. "
        f"All the same, this asks for {more:,} ({about}):"
    ), more


def _round(number: float) -> int:
    """A number whose first digit says enough, rounded up."""
    unit = 10 ** math.floor(math.log10(number))
    return unit * math.ceil(number / unit - 1e-9)


def _about(seconds: float) -> str:
    """A time that nobody takes for exact."""
    for unit, name in ((3600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= 1.5 * unit:
            return f"about {_round(seconds / unit)} {name}s"
    return "about a second"
