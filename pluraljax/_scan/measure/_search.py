"""How a scan looks for equilibria by play. Imports no JAX."""

from dataclasses import asdict, dataclass
from typing import Any

from ..._printable import quoted
from ._entry import read_entry

METHODS = ("simultaneous", "alternating", "logit", "best_response")


@dataclass(frozen=True)
class Search:
    """How a scan looks for equilibria by play, on top of the bounds on all of them.

    **Arguments:**

    - `starts`: how many starts per market and scheme: silent, fully informative, then random ones; 1 to 4,096.
    - `method`: `"simultaneous"`, `"alternating"`, `"logit"` or `"best_response"`, as for `equilibrium`.
    - `steps`: gradient steps from each start; 1 to 10^6.
    - `rounds`: exact best replies at most, where segments hold several users; 1 to 10^4.

    Raises `ValueError` for anything else.
    """

    starts: int = 8
    method: str = "simultaneous"
    steps: int = 300
    rounds: int = 6

    def __post_init__(self):
        for name, most in (("starts", 4096), ("steps", 10**6), ("rounds", 10**4)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
                raise ValueError(
                    f"equilibria.{name} must be a whole number of at least 1 and at most {most:,}, got {quoted(value)}."
                )
        if self.method not in METHODS:
            raise ValueError(f"equilibria.method must be one of {', '.join(METHODS)}, got {quoted(self.method)}.")


def as_search(value: Any) -> "bool | Search":
    """Reads the entry `equilibria` of a config: true, false, or a table of a `Search`."""
    if isinstance(value, bool | Search):
        return value
    return read_entry(Search, "equilibria", value, "true, false or a table such as {starts = 8}")


def as_plain(value: "bool | Search") -> Any:
    """The entry as TOML and JSON hold it."""
    return asdict(value) if isinstance(value, Search) else value
