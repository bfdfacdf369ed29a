"""Which markets a scan searches for the worst equilibrium of one anonymous policy. Imports no JAX."""

from dataclasses import asdict, dataclass
from typing import Any

from ..._printable import quoted
from ._entry import read_entry

_LIMITS = {"markets": 2**32, "budget": 10**6}


@dataclass(frozen=True)
class WorstSearch:
    """Which markets a scan searches for the worst equilibria of one anonymous policy, and for how long.

    **Arguments:**

    - `markets`: how many of each cell, its first ones; 1 to 2^32.
    - `budget`: the number of parts to look at in each, as for `worst_equilibrium`; 1 to 10^6. More never widens a
      bracket.

    Raises `ValueError` for anything else.
    """

    markets: int = 64
    budget: int = 100

    def __post_init__(self):
        for name, most in _LIMITS.items():
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
                raise ValueError(f"search.{name} must be a whole number from 1 to {most:,}, got {quoted(value)}.")

    def searched(self, start: int, stop: int) -> int:
        """How many of the replicates `start` to `stop - 1` of a cell are searched; they come first."""
        return max(0, min(self.markets, stop) - start)


def as_worst_search(value: Any) -> WorstSearch | None:
    """Reads the entry `search` of a config: a table of a `WorstSearch`, or nothing."""
    if value is None or isinstance(value, WorstSearch):
        return value
    return read_entry(WorstSearch, "search", value, "a table such as {markets = 64, budget = 100}")


def as_plain_worst_search(search: WorstSearch) -> dict[str, Any]:
    """The entry as TOML and JSON hold it."""
    return asdict(search)
