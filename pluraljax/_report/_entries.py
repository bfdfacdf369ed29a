"""The columns of the report's tables, as measurements declare them: what stands in them for one cell."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .._scan.measure._columns import BUILT_IN
from .._scan.measure._conditions import Conditions
from .._scan.measure._measurement import Entry, Pair, Table
from .._statistics._sums import BracketMoments, Proportion
from ._comparisons import show_difference, show_interval
from ._own import Own
from ._summary import CellSummary

# Ends of a mean further apart than this are shown as a range.
SAME_MEAN = 5e-4


@dataclass(frozen=True)
class Shown:
    """A column of a table: its heading, and the text of its entry for one cell."""

    heading: str
    entry: Callable[[CellSummary], str]


def declared(entries: Sequence[Entry], confidence: float) -> list[Shown]:
    """The columns of a table that a measurement declares."""
    return [_column(entry, confidence) for entry in entries]


def _column(entry: Entry, confidence: float) -> Shown:
    name = entry.shows
    sign = "+" if name == "difference" else ""
    shows: dict[str, Callable[[CellSummary], str]] = {
        "frequency": lambda cell: show_percent(cell.events[name], confidence),
        "mean": lambda cell: show_mean(cell.bracket(name)),
        "percent": lambda cell: f"{100 * cell.values[name].mean:.1f}",
        "scale": lambda cell: show_mean(cell.on_scale(name), sign),
        "count": lambda cell: f"{getattr(cell, name):,}",
    }
    return Shown(entry.heading, shows[entry.form])


def differences(pairs: Sequence[Pair], confidence: float) -> list[Shown]:
    """First minus second event of each pair, in percentage points."""
    return [_difference(pair, confidence) for pair in pairs]


def _difference(pair: Pair, confidence: float) -> Shown:
    return Shown(
        pair.heading or pair.name.replace("_", " "), lambda cell: show_difference(cell.paired[pair.name], confidence)
    )


def tables_of(summaries: Sequence[CellSummary], own: Sequence[Own] = ()) -> tuple[list[Table], list[Table]]:
    """The tables of what was measured: those of the conditions, which every scan has, and all others."""
    kinds = [kind for kind in (*BUILT_IN, *own) if any(cell.has_measured(kind.columns) for cell in summaries)]
    others = [kind.shown() if isinstance(kind, Own) else kind.tables for kind in kinds if kind is not Conditions]
    return list(Conditions.tables), [table for tables in others for table in tables]


def show_percent(share: Proportion, confidence: float) -> str:
    """A proportion in percent with its interval, such as `31.2 [27,36]`; `≥` where markets are open."""
    if not share.trials:
        return "-"
    mark = "≥" if share.open else ""
    return f"{mark}{100 * share.estimate[0]:.1f} {show_interval(*share.interval(confidence))}"


def show_mean(bracket: BracketMoments, sign: str = "") -> str:
    """A mean with its standard error; where open brackets matter, the means of both ends, `low..high`."""
    if not bracket.lower.count:
        return "-"
    low, high = bracket.lower, bracket.upper
    if high.mean - low.mean > SAME_MEAN:
        return f"{low.mean:{sign}.3f}..{high.mean:{sign}.3f}"
    error = "" if math.isnan(low.standard_error) else f" ± {low.standard_error:.4f}"
    return f"{low.mean:{sign}.4f}{error}"
