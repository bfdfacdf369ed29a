"""The worst equilibria themselves, bracketed, and whether silence is one. Imports no JAX."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ._measurement import Entry, Given, Measurement, Pair, Table
from ._measurement import column_bracket as bracket
from ._measurement import column_event as event

_WORST = Table(
    "What the worst equilibrium gives: silent = 0, aligned = 1, mean ± standard error",
    "Average over a market's users, each in her own worst equilibrium. a..b: it gives at least a (proved) and at most "
    "b (found). Silent: percent of markets in which saying nothing is an equilibrium.",
    (
        Entry("personalized", "personalized_worst", "scale"),
        Entry("anonymous", "anonymous_worst", "scale"),
        Entry("silent,\npersonalized", "personalized_silence", "frequency"),
        Entry("silent,\nanonymous", "anonymous_silence", "frequency"),
    ),
    label="worst equilibrium",
)


@dataclass(frozen=True)
class Equilibria(Measurement):
    """The worst equilibria: brackets, the events that they decide, and silence."""

    columns = (
        *bracket("personalized_worst", "user", "utility in the worst equilibrium of personalized policies"),
        *bracket("anonymous_worst", "user", "utility in the worst equilibrium of one anonymous policy without queries"),
        event("personalized_worst_aligned", "every personalized equilibrium gives every user her aligned utility"),
        event("anonymous_worst_aligned", "every anonymous equilibrium gives every user her aligned utility"),
        event("personalized_silence", "silence is an equilibrium of personalized policies"),
        event("anonymous_silence", "silence is an equilibrium of one anonymous policy without queries"),
        event("equilibria_theorem", "the equilibria found give every user what the theorems and guarantees promise"),
    )
    needs = ("anonymous_guarantee_lower", "personalized_bound", "anonymous_bound")
    tables = (_WORST,)
    pairs = (
        Pair("worst_aligned", "personalized_worst_aligned", "anonymous_worst_aligned", "worst\nequilibrium\naligned"),
        Pair("silence", "personalized_silence", "anonymous_silence", "silence an\nequilibrium"),
    )
    twins = True
    asked_by = "equilibria = true"

    def measure(self, market: Any, given: Given) -> Mapping[str, Any]:
        """Brackets the worst equilibria, starting from what is guaranteed."""
        from . import _equilibria_rows

        return _equilibria_rows.measure_equilibria(market, given.delta, given.alone, given.known)

    def measure_again(self, market: Any, given: Given) -> Mapping[str, Any] | None:
        """Brackets them again, with the exact host solver."""
        from . import _equilibria_rows

        return _equilibria_rows.measure_equilibria_again(market, given.delta, given.alone, given.known)
