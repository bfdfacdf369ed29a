"""Equilibria that play finds, held against what is proved of all of them. Imports no JAX."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ._measurement import Column, Entry, Given, Measurement, Pair, Table
from ._measurement import column_event as event
from ._search import Search

_PLAY = Table(
    "What play finds: the worst certified equilibrium of each market, on the same scale",
    "Found: percent of starts that ended in a certified equilibrium.",
    (
        Entry("personalized", "personalized_found", "scale"),
        Entry("found,\npersonalized", "personalized_found_share", "percent"),
        Entry("anonymous", "anonymous_found", "scale"),
        Entry("found,\nanonymous", "anonymous_found_share", "percent"),
    ),
    label="found by play",
)


def _columns(scheme: str, what: str) -> tuple[Column, ...]:
    return (
        Column(f"{scheme}_found", "user", "value", "utility", f"utility in the worst equilibrium {what} found"),
        Column(f"{scheme}_found_gain", "market", "value", "utility", "most that a provider could gain there (proved)"),
        Column(
            f"{scheme}_found_share", "market", "value", "1", "share of starts of play that ended in a certified one"
        ),
        event(f"{scheme}_found_aligned", "the worst equilibrium found gives every user her aligned utility"),
    )


@dataclass(frozen=True)
class Found(Measurement):
    """The worst equilibrium that play found, by both schemes, and whether it keeps to what is proved."""

    search: Search

    columns = (
        *_columns("personalized", "of personalized policies"),
        *_columns("anonymous", "of one anonymous policy without queries"),
        event("found_theorem", "aligned >= found >= proved worst >= guarantee, in every equilibrium that play found"),
    )
    needs = tuple(
        f"{scheme}_{what}_lower" for scheme in ("personalized", "anonymous") for what in ("guarantee", "worst")
    )
    tables = (_PLAY,)
    pairs = (
        Pair("found_aligned", "personalized_found_aligned", "anonymous_found_aligned", "found\nequilibrium\naligned"),
    )
    draws = True
    asked_by = "equilibria = {starts = 8} or the like"

    @property
    def stream(self) -> int:
        """PLAY, in letters."""
        return 0x504C4159

    def measure(self, market: Any, given: Given) -> Mapping[str, Any]:
        """Plays from every start; twins would compete with each other, so that there are none."""
        from . import _found_rows

        return _found_rows.measure_found(market, given.delta, given.key, given.known, self.search)
