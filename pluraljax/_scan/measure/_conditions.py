"""Alignment conditions, and what they guarantee of every equilibrium: what every scan measures. Imports no JAX."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ._measurement import Column, Entry, Given, Measurement, Pair, Table
from ._measurement import column_bracket as bracket
from ._measurement import column_event as event

_OFTEN = Table(
    "How often: percent of markets, with {interval}",
    "Aligned: the condition holds with error 0 for every user. Guaranteed: every equilibrium is proved to give every "
    "user her aligned utility. ≥ marks cells with open markets; their interval holds whatever those are.",
    (
        Entry("weakly aligned", "weakly_aligned", "frequency"),
        Entry("strongly aligned", "strongly_aligned", "frequency"),
        Entry("guaranteed\npersonalized", "personalized_guaranteed", "frequency"),
        Entry("guaranteed\nanonymous", "anonymous_guaranteed", "frequency"),
    ),
    label="how often, percent",
)
_MUCH = Table(
    "How much every equilibrium is proved to give: silent = 0, aligned = 1, mean ± standard error",
    "Average over a market's users, floored at silent (a user can ignore what she is told). Difference: personalized - "
    "anonymous, paired by market. a..b: brackets are open, the mean lies between. Violations: of a theorem. Open: "
    "markets with an open bracket. Invalid: rows that held no market.",
    (
        Entry("markets", "markets", "count"),
        Entry("personalized", "personalized_guarantee", "scale"),
        Entry("anonymous", "anonymous_guarantee", "scale"),
        Entry("difference", "difference", "scale"),
        Entry("violations", "violations", "count"),
        Entry("open", "open_markets", "count"),
        Entry("invalid", "invalid", "count"),
    ),
    label="guaranteed",
)


@dataclass(frozen=True)
class Conditions(Measurement):
    """Alignment conditions, and what they guarantee."""

    columns = (
        Column("status", "market", "status", "code", "what happened to this market (pluraljax.Status)"),
        Column("aligned", "user", "value", "utility", "expected utility from a perfectly aligned model"),
        Column("silent", "user", "value", "utility", "expected utility with no conversation at all"),
        Column(
            "payoff_range", "user", "value", "utility", "largest minus least payoff; what tolerances are relative to"
        ),
        *bracket("weak_error", "user", "weak alignment error, weights in the cone"),
        Column("weak_weight", "user", "value", "1", "sum of the weights that reach the weak alignment error"),
        *bracket("hull_error", "user", "weak alignment error, weights in the hull (they sum to 1)"),
        *bracket("strong_error", "market", "strong alignment error, one vector of weights for all users"),
        *bracket("scaled_error", "market", "strong alignment error when each user's utility may be scaled up"),
        *bracket("personalized_guarantee", "user", "utility in every equilibrium of personalized policies, at least"),
        *bracket("anonymous_guarantee", "user", "utility in every equilibrium of one anonymous policy, at least"),
        Column(
            "personalized_bound", "user", "value", "utility", "what the theorem guarantees: aligned - 2 error - ..."
        ),
        Column("anonymous_bound", "user", "value", "utility", "what the segment inequality guarantees"),
        event("weakly_aligned", "weak alignment holds with error 0 for every user"),
        event("hull_aligned", "weak alignment with hull weights holds with error 0 for every user"),
        event("strongly_aligned", "strong alignment holds with error 0"),
        event("scaled_aligned", "strong alignment with free scales holds with error 0"),
        event(
            "personalized_guaranteed", "every personalized equilibrium is proved to give every user her aligned utility"
        ),
        event("anonymous_guaranteed", "every anonymous equilibrium is proved to give every user her aligned utility"),
        event("personalized_theorem", "guarantee >= aligned - 2 error - (delta / mass) * weights, for every user"),
        event("anonymous_theorem", "the guarantee obeys the segment inequality of the theorem, for every user"),
    )
    tables = (_OFTEN, _MUCH)
    pairs = (Pair("guaranteed", "personalized_guaranteed", "anonymous_guaranteed", "guaranteed"),)
    # Whatever two weights on twins can do, one can: no condition, guarantee or sum of weights changes.
    twins = True
    linear = True

    def measure(self, market: Any, given: Given) -> Mapping[str, Any]:
        """Asks the questions of the library, and reads events and sums off their answers."""
        from . import _conditions_rows

        return _conditions_rows.measure(market, given.delta)

    def measure_again(self, market: Any, given: Given) -> Mapping[str, Any] | None:
        """Asks again, with the exact host solver."""
        from . import _conditions_rows

        return _conditions_rows.measure_again(market, given.delta)
