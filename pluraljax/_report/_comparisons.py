"""Columns of the report beyond plain frequencies and means: pairs of events, and where a cell stopped."""

import math
from collections.abc import Callable, Iterable, Sequence

from .._scan.config._stopping import Stopping
from ._summary import PAIRS, CellSummary, PairedProportions

# Intervals narrower than this are shown with a decimal; what a whole number of percent is missed by, by rounding.
_NARROW, _ROUNDING = 0.05, 1e-9
# P-values below this are not told apart.
_LEAST_P = 1e-100

# The heading of a column, and the text of its entry for one cell.
Entry = tuple[str, Callable[[CellSummary], str]]


def interval_name(summaries: Sequence[CellSummary], confidence: float) -> str:
    """Names the intervals of a scan's frequencies, such as `95 % Clopper-Pearson interval`."""
    kind = "anytime-valid" if is_sequential(summaries) else "Clopper-Pearson"
    return f"{100 * confidence:g} % {kind} interval"


def is_sequential(summaries: Sequence[CellSummary]) -> bool:
    """Whether the numbers of markets were decided while they were measured."""
    return any(share.sequential for cell in summaries for share in cell.events.values())


def paired_columns(summaries: Sequence[CellSummary], confidence: float) -> list[Entry]:
    """Personalized minus anonymous in the same markets, event by event, as far as the scan measured them."""
    headings = {pair.name: pair.heading for pair in PAIRS if pair.heading}

    def difference(event: str) -> Entry:
        return headings[event], lambda cell: show_difference(cell.paired[event], confidence)

    asked = [event for event in headings if any(_decided(cell.paired[event]) for cell in summaries)]
    columns = [difference(event) for event in asked]
    if "guaranteed" in asked:
        columns.insert(1, ("only p :\nonly a", lambda cell: _discordant(cell.paired["guaranteed"])))
        columns.insert(2, ("McNemar\np-value", lambda cell: _p_value(cell.paired["guaranteed"].mcnemar())))
    # Three differences and two short columns fit on a page.
    return columns[:5]


def stopping_columns(stopping: Stopping) -> list[Entry]:
    """How far each cell of a scan that stops by itself has come."""
    until = stopping.until

    def interval(cell: CellSummary) -> str:
        low, high = cell.events[until.event].interval(until.confidence)
        return f"[{100 * low:5.1f},{100 * high:5.1f}]"

    def width(cell: CellSummary) -> str:
        low, high = cell.events[until.event].interval(until.confidence)
        return f"{100 * (high - low) / 2:.2f}"

    return [
        ("markets", lambda cell: f"{cell.markets:,}"),
        ("at most", lambda cell: f"{stopping.most[cell.cell]:,}"),
        ("interval, %", interval),
        ("half width, %", width),
        ("state", lambda cell: stopping.state(cell.cell, cell.events[until.event]).value),
    ]


def stopping_line(stopping: Stopping, summaries: Iterable[CellSummary]) -> str:
    """One line on a scan that stops by itself: what it waits for, and how many cells are in which state."""
    until = stopping.until
    states = [stopping.state(cell.cell, cell.events[until.event]).value for cell in summaries]
    states += ["unfinished"] * (len(stopping.most) - len(states))
    counts = ", ".join(f"{states.count(state):,} {state}" for state in dict.fromkeys(states))
    return (
        f"until {until.event} is known to ±{100 * until.half_width:g} % at {100 * until.confidence:g} %: cells {counts}"
    )


def show_difference(pair: PairedProportions, confidence: float) -> str:
    """A difference of two frequencies in percentage points with its interval; its two ends where markets are open."""
    if not _decided(pair):
        return "-"
    (least, most), (low, high) = pair.estimate, pair.interval(confidence)
    shown = [f"{100 * end:+.1f}" for end in (least, most)]
    estimate = shown[0] if shown[0] == shown[1] else "..".join(shown)
    return f"{estimate} {show_interval(low, high, '+')}"


def show_interval(low: float, high: float, sign: str = "") -> str:
    """An interval in percent. One that is wide goes to whole numbers outwards: what is between them says nothing."""
    if math.isnan(low) or high - low < _NARROW:
        return f"[{100 * low:{sign}.1f},{100 * high:{sign}.1f}]"
    ends = math.floor(100 * low + _ROUNDING), math.ceil(100 * high - _ROUNDING)
    return f"[{ends[0]:{sign}d},{ends[1]:{sign}d}]"


def _decided(pair: PairedProportions) -> int:
    """Markets in which both events are known."""
    return sum(pair.counts[first][second] for first in (0, 1) for second in (0, 1))


def _discordant(pair: PairedProportions) -> str:
    ends = [f"{surely:,}" + ("+" if most > surely else "") for surely, most in (pair.only_first, pair.only_second)]
    return " : ".join(ends)


def _p_value(value: float) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:.3f}" if value >= 0.001 else f"{value:.0e}" if value >= _LEAST_P else f"< {_LEAST_P:.0e}"
