"""What is left of alignment and coverage after the worst exits of providers. Imports no JAX."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ._exits import Exits
from ._measurement import Column, Given, Measurement
from ._measurement import column_event as event


def _robustly(what: str, condition: str) -> tuple[Column, ...]:
    exits = "after the worst exit of the largest number of providers that was asked about"
    number = f"the largest number asked about that may leave, whoever they are, with {condition} for sure; -1 is none"
    return (
        Column(f"robustly_{what}_error", "user", "value", "utility", f"{condition}: its error at most, {exits}"),
        Column(f"robustly_{what}_exits", "user", "value", "providers", number),
        event(f"robustly_{what}", f"{condition} holds with error 0 for every user {exits}"),
    )


@dataclass(frozen=True)
class Robust(Measurement):
    """Alignment and coverage after exits."""

    exits: Exits

    columns = (*_robustly("aligned", "weak alignment"), *_robustly("covered", "coverage"))
    # A twin may stay where the other leaves, so that there are none here.
    linear = True
    asked_by = "robust = {removed = [0, 1]} or the like"

    def measure(self, market: Any, given: Given) -> Mapping[str, Any]:
        """Asks after the exit of every set of providers."""
        from . import _robust_rows

        return _robust_rows.measure_robust(market, self.exits)
