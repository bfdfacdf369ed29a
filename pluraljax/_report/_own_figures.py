"""Figures of measurements of a user's own: events, and values, against the main parameter of each family."""

import functools
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from .._printable import for_figures
from .._scan.measure._measurement import Column
from .._statistics._intervals import normal_quantile
from ._comparisons import interval_name
from ._figures import Planned, draw_panels, footer, legend, page_name, pages_of
from ._layout import Group, group_cells, readable
from ._own import Own
from ._panels import BLUE, ORANGE, SLATE, VERMILLION, Point, Series, count_of, frequency, handle
from ._summary import CONFIDENCE, CellSummary

# More lines than these cannot be told apart in one panel.
_LOOKS = ((BLUE, "-", "o", True), (VERMILLION, "--", "s", False), (ORANGE, "-", "^", True), (SLATE, "--", "D", False))


def own_figures(summaries: Sequence[CellSummary], own: Sequence[Own], confidence: float = CONFIDENCE) -> list[Planned]:
    """Lists figures of the columns that measurements declare for it: of events in one, of values in another."""
    planned = []
    for measurement in own:
        chosen = [column for column in measurement.columns if column.name in measurement.figure]
        for kind in ("event", "value"):
            columns = [column for column in chosen if column.kind == kind][: len(_LOOKS)]
            name = "-".join(["own", *_words(measurement.label), *(["mean"] if kind == "value" else [])])
            for number, page in enumerate(pages_of(group_cells(summaries)) if columns else (), start=1):
                make = functools.partial(_figure, page, columns, confidence, measurement.label)
                planned.append(Planned(page_name(name, number), make))
    return planned


def _words(label: str) -> list[str]:
    """A label as a part of the name of a file."""
    return "".join(c if c.isascii() and c.isalnum() else " " for c in label.lower()).split()


def _figure(groups: Sequence[Group], columns: Sequence[Column], confidence: float, label: str) -> Figure:
    is_share, quantile = columns[0].kind == "event", normal_quantile(confidence)
    point = frequency if is_share else _mean
    scale = confidence if is_share else quantile
    labels = [for_figures(readable(column.name)) for column in columns]
    series = [
        Series(label, *look, point(column.name, scale))  # pyright: ignore[reportArgumentType]
        for label, look, column in zip(labels, _LOOKS, columns, strict=False)
    ]
    units = " / ".join(dict.fromkeys("no unit" if column.unit == "1" else column.unit for column in columns))
    quantity = "share of markets" if is_share else f"mean, {for_figures(units)}"
    figure, _ = draw_panels(groups, series, quantity, "percent" if is_share else "numbers")
    legend(figure, for_figures(label[:1].upper() + label[1:], 40), [handle(each) for each in series])
    cells = [cell for group in groups for cell in group.cells]
    bands = f"{interval_name(cells, confidence)}s" if is_share else f"mean ± {quantile:.2f} standard errors"
    is_open = is_share and any(cell.events[column.name].open for cell in cells for column in columns)
    hint = "\nUndecided markets count as no in the points, as either in the bands." if is_open else ""
    footer(figure, f"{count_of(groups)}. Bands: {bands}.{hint}")
    return figure


def _mean(name: str, quantile: float) -> Point:
    def point(cell: CellSummary) -> tuple[float, float, float]:
        moments = cell.values[name]
        band = quantile * float(np.nan_to_num(moments.standard_error))
        return moments.mean, moments.mean - band, moments.mean + band

    return point
