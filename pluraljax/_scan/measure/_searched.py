"""The first markets of each cell, searched for the worst equilibria of one anonymous policy. Imports no JAX."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..._served import SHARE
from ._measurement import Given, Measurement, Pair
from ._measurement import column_bracket as bracket
from ._measurement import column_event as event
from ._worst_search import WorstSearch


@dataclass(frozen=True)
class Searched(Measurement):
    """Worst equilibria of one anonymous policy, searched for, and whom competition serves."""

    search: WorstSearch

    columns = (
        *bracket(
            "anonymous_searched", "user", "utility in the worst equilibrium of one anonymous policy, searched for"
        ),
        event("personalized_served", f"every personalized equilibrium gives every user {SHARE}; of markets searched"),
        event("anonymous_served", f"every anonymous equilibrium gives every user {SHARE}; of markets searched"),
    )
    needs = (
        "aligned",
        "silent",
        "payoff_range",
        *(f"{scheme}_worst_{end}" for scheme in ("personalized", "anonymous") for end in ("lower", "upper")),
    )
    # Whom competition serves is the headline of a report, which has words of its own for it.
    pairs = (Pair("served", "personalized_served", "anonymous_served"),)
    on_host = True
    asked_by = "search = {markets = 64} or the like"

    def measure(self, market: Any, given: Given) -> Mapping[str, Any]:
        """Searches a batch of markets, one after the other."""
        from . import _searched_rows

        return _searched_rows.measure_searched(market, given.delta, given.known, self.search.budget, given.stopped)

    def first(self, start: int, stop: int) -> int:
        """As many as were asked for, of each cell."""
        return self.search.searched(start, stop)
