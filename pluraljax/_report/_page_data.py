"""The numbers of the page's diagrams as plain data: every measure of every cell, with its interval."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .._scan.measure._columns import COLUMNS, Column
from .._served import SHARE
from ._layout import Group, group_cells, readable
from ._names import plain_name
from ._served import OUTCOMES, share_of
from ._summary import SCHEMES, BracketMoments, CellSummary, Moments, Proportion, normal_quantile

_SHARE = "silent = 0, aligned = 1"
# Digits of the numbers on the page; summary.csv has them all.
_DIGITS = 5

_SERVED, _CONDITIONS, MEASURED_BESIDES = "Whom competition serves", "Conditions", "Measured besides"
_BUILT_IN = {column.name for column in COLUMNS}
# What the menu offers of how often something holds: its group, its name, the event and a sentence.
_VIEWS = (
    (_SERVED, "everyone served, personalized", "personalized_served", f"every equilibrium gives every user {SHARE}"),
    (_SERVED, "everyone served, anonymous", "anonymous_served", f"every equilibrium gives every user {SHARE}"),
    (_CONDITIONS, "weakly aligned", "weakly_aligned", "for every user some mixture of providers wants what she wants"),
    (_CONDITIONS, "strongly aligned", "strongly_aligned", "one mixture of providers wants what every user wants"),
    (_CONDITIONS, "silence an equilibrium, anonymous", "anonymous_silence", "nobody gains by saying the first word"),
    (
        _CONDITIONS,
        "weakly aligned after exits",
        "robustly_aligned",
        "weak alignment survives the largest number of exits that was asked about",
    ),
    (
        _CONDITIONS,
        "covered after exits",
        "robustly_covered",
        "coverage survives the largest number of exits that was asked about",
    ),
)

# Ends of the estimate, ends of its interval, markets behind it, undecided ones among them. None where there is nothing.
Numbers = list[float | int] | None


@dataclass(frozen=True)
class Measure:
    """One thing that the diagrams can show; `domain` is the range of its colours, None for that of its numbers."""

    group: str
    label: str
    about: str
    unit: str
    percent: bool
    domain: tuple[float, float] | None
    numbers: tuple[Numbers, ...]

    def plain(self) -> dict[str, Any]:
        """Everything but the numbers."""
        names = ("group", "label", "about", "unit", "percent", "domain")
        return {name: getattr(self, name) for name in names}


def measures(summaries: Sequence[CellSummary], confidence: float, columns: Sequence[Column] = COLUMNS) -> list[Measure]:
    """Lists the dozen views that the page offers, as far as there are numbers, and what a user measured besides.

    Everything else that was measured is in the table and in summary.csv. `columns` says what it is.
    """
    about = {column.name: column for column in (*COLUMNS, *columns)}
    quantile = normal_quantile(confidence)
    listed = [
        *_views(summaries, confidence),
        *_shares(summaries, quantile),
        *_besides(summaries, confidence, quantile, about),
    ]
    return [measure for measure in listed if any(measure.numbers)]


def families(summaries: Sequence[CellSummary]) -> list[dict[str, Any]]:
    """How the cells of each family are laid out: values of its main axis, and a row per group, `None` for no cell."""
    places = {id(cell): place for place, cell in enumerate(summaries)}
    groups = group_cells(summaries)
    return [
        _family(name, [group for group in groups if group.family == name], places)
        for name in dict.fromkeys(group.family for group in groups)
    ]


def _family(name: str, groups: Sequence[Group], places: dict[int, int]) -> dict[str, Any]:
    axis = groups[0].axis
    cells = [cell for group in groups for cell in group.cells]
    values: dict[str, Any] = {groups[0].place(cell): cell.parameters.get(axis) for cell in cells}
    if all(isinstance(value, int | float) for value in values.values()):
        values = dict(sorted(values.items(), key=lambda item: float(item[1])))
    rows = []
    for group in groups:
        found = {group.place(cell): places[id(cell)] for cell in group.cells}
        rows.append({"label": group.label, "cells": [found.get(value) for value in values]})
    return {
        "name": readable(name),
        "constants": groups[0].constants,
        "axis": plain_name(name, axis),
        "values": list(values),
        "rows": rows,
    }


def _views(summaries: Sequence[CellSummary], confidence: float) -> Iterator[Measure]:
    """How often something holds."""
    served = [cell.paired["served"] for cell in summaries]
    either = next(outcome for outcome in OUTCOMES if outcome.name == "either_way")
    about = f"Percent of the markets searched: both ways every equilibrium gives every user {SHARE}."
    numbers = tuple(_of_proportion(share_of(pair, either), confidence) for pair in served)
    yield Measure(_SERVED, "everyone served, either way", about, "percent of markets", True, (0.0, 1.0), numbers)
    for group, label, name, about in _VIEWS:
        shares = [cell.events[name] for cell in summaries]
        # Not asked, as far as anybody knows: such events are left open in every market.
        if any(share.yes + share.no for share in shares):
            yield _event(group, label, f"Percent of markets: {about}.", shares, confidence)


def _event(group: str, label: str, about: str, shares: Sequence[Proportion], confidence: float) -> Measure:
    numbers = tuple(_of_proportion(share, confidence) for share in shares)
    return Measure(group, label, about, "percent of markets", True, (0.0, 1.0), numbers)


def _shares(summaries: Sequence[CellSummary], quantile: float) -> Iterator[Measure]:
    scale = "on the scale where silent is 0 and aligned is 1, averaged over each market's users"
    kinds = (
        ("worst equilibrium", "equilibria", "What the worst {} equilibrium gives, {}."),
        ("guaranteed", "shares", "What every {} equilibrium is proved to give, {}."),
        ("found by play", "found", "What the worst {} equilibrium that play found gives, {}."),
    )
    for label, field, about in kinds:
        for scheme in SCHEMES:
            brackets = [getattr(cell, field)[scheme] for cell in summaries]
            numbers = tuple(_of_bracket(bracket, quantile, (0.0, 1.0)) for bracket in brackets)
            text = about.format(scheme, scale)
            yield Measure("What users get", f"{label}, {scheme}", text, _SHARE, False, (0.0, 1.0), numbers)
    about = f"Guaranteed by personalized minus by anonymous policies, market by market, {scale}."
    numbers = tuple(_of_bracket(cell.difference, quantile) for cell in summaries)
    yield Measure("What users get", "what personalization guarantees more", about, _SHARE, False, None, numbers)


def _besides(
    summaries: Sequence[CellSummary], confidence: float, quantile: float, columns: Mapping[str, Column]
) -> Iterator[Measure]:
    """Columns of measurements of a user's own; the two ends of a bracket are one measure."""
    for name in summaries[0].events if summaries else ():
        if name not in _BUILT_IN:
            about = f"Percent of markets: {columns[name].description}."
            yield _event(MEASURED_BESIDES, readable(name), about, [cell.events[name] for cell in summaries], confidence)
    for name in summaries[0].values if summaries else ():
        if name in _BUILT_IN or name.endswith("_upper"):
            continue
        base = name.removesuffix("_lower")
        ends = [(cell.values[name], cell.values[f"{base}_upper" if base != name else name]) for cell in summaries]
        numbers = tuple(_of_bracket(BracketMoments(*pair), quantile) for pair in ends)
        unit = columns[name].unit
        about = f"Mean over markets of: {columns[name].description.removesuffix(' (lower end of its bracket)')}."
        unit = "no unit" if unit == "1" else unit
        yield Measure(MEASURED_BESIDES, readable(base), about, unit, False, None, numbers)


def _of_proportion(share: Proportion, confidence: float) -> Numbers:
    if not share.trials:
        return None
    return [*map(_short, (*share.estimate, *share.interval(confidence))), share.trials, share.open]


def _of_bracket(
    bracket: BracketMoments, quantile: float, limits: tuple[float, float] = (-math.inf, math.inf)
) -> Numbers:
    low, high = bracket.lower, bracket.upper
    if not (low.count and high.count):
        return None
    ends = (low.mean - quantile * _error(low), high.mean + quantile * _error(high))
    ends = (max(min(ends[0], low.mean), limits[0]), min(max(ends[1], high.mean), limits[1]))
    numbers = (low.mean, high.mean, *ends)
    if not all(map(math.isfinite, numbers)):
        return None  # sums that overflow have no place in a diagram; summary.csv has them as they are
    return [*map(_short, numbers), low.count, 0]


def _error(moments: Moments) -> float:
    """The standard error; 0 where a single market leaves it unknown."""
    return 0.0 if math.isnan(moments.standard_error) else moments.standard_error


def _short(number: float) -> float:
    return float(f"{number:.{_DIGITS}g}")
