"""What a search that has ended says of a longer one: how many parts to ask for, and how long they would take."""

import math

# With fewer parts a search has mostly not begun to tell: that its last half told nothing says nothing of the next.
_TELLING = 500
# One that still gains ground is advised to take so many times its parts.
_MORE = 4


def after_search(providers: int, parts: int, left: bool, moving: bool, seconds: float) -> str:
    """What a search that left something open says of a longer one; a part took it so many seconds."""
    if not left:
        return "the search came to its end, and no larger budget tells more"
    if parts < _TELLING:
        more = _TELLING
        return f"only {parts:,} parts were looked at, and --budget {more} ({_about(more * seconds)}) may tell more"
    if moving:
        more = _round(float(_MORE * parts))
        return f"the search still gains ground: give it --budget {more} ({_about(more * seconds)})"
    often = "; with several providers that is often so, whatever the budget" if providers > 1 else ""
    return f"the last half of {parts:,} parts told next to nothing more{often}"


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
