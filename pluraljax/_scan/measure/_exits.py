"""Which exits of providers a scan asks about. Imports no JAX."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..._families._family import unknown
from ..._printable import quoted

# Removals of one market that a scan asks about: each is a programme or two.
MOST_REMOVALS = 1024


@dataclass(frozen=True)
class Exits:
    """How many providers leave in the exits that a scan asks about.

    **Arguments:**

    - `removed`: whole numbers, such as `(0, 1, 2)`. Where a market has fewer providers all of them leave.

    Raises `ValueError` for anything else.
    """

    removed: tuple[int, ...]

    def __post_init__(self):
        object.__setattr__(self, "removed", _numbers(self.removed))

    def removals(self, providers: int) -> int:
        """How many sets of providers there are to ask about."""
        return sum(math.comb(providers, min(number, providers)) for number in self.removed)

    def check(self, providers: int) -> None:
        """Raises `ValueError` where there are too many sets of so many providers."""
        if (sets := self.removals(providers)) > MOST_REMOVALS:
            raise ValueError(
                f"robust.removed = {list(self.removed)} makes {sets:,} sets of {providers} providers; a scan asks "
                f"about {MOST_REMOVALS:,} at most. Remove fewer."
            )


def _numbers(value: Any) -> tuple[int, ...]:
    several = value if isinstance(value, list | tuple) else ()
    if not several or any(isinstance(n, bool) or not isinstance(n, int) or not 0 <= n <= 64 for n in several):
        raise ValueError(f"robust.removed must hold whole numbers from 0 to 64, at least one, got {quoted(value)}.")
    return tuple(sorted(set(several)))


def as_exits(value: Any) -> Exits | None:
    """Reads the entry `robust` of a config: a table of an `Exits`, or nothing."""
    if value is None or isinstance(value, Exits):
        return value
    if not isinstance(value, Mapping) or "removed" not in value:
        raise ValueError(f"robust must be a table such as {{removed = [0, 1, 2]}}, got {quoted(value)}.")
    for key in value:
        if key != "removed":
            raise unknown("key", key, ["removed"], " in robust")
    return Exits(_numbers(value["removed"]))


def as_plain_exits(exits: Exits) -> dict[str, Any]:
    """The entry as TOML and JSON hold it."""
    return {"removed": list(exits.removed)}
