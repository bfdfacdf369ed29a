"""What a panel of a figure shows: one group of cells on one Matplotlib axes, for reports and for figures of one's own.

Colours, lines and markers are set here one by one, so that nothing global changes and any style may be around them.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, PercentFormatter

from .._printable import for_figures
from ._exact import exact_weak_alignment
from ._layout import MAIN_AXIS, Group
from ._names import plain_name
from ._served import OUTCOMES, surely, undecided
from ._summary import BracketMoments, CellSummary, normal_quantile

ALIGNMENT = ("weakly_aligned", "strongly_aligned")
EXACT = "weakly aligned, in theory"
# Means of worst equilibria whose two ends differ by no more than this are drawn as points.
CLOSED = 0.02

# Okabe and Ito's palette: told apart by colour-blind readers; line style and marker tell them apart in greyscale.
BLUE, VERMILLION, INK, GREY = "#0072B2", "#D55E00", "#222222", "#606060"
SKY, ORANGE, SLATE = "#56B4E9", "#E69F00", "#4A4A4A"
# Whom competition serves, from the bottom of a bar to its top: what is undecided lies between served and not.
SERVED_LOOKS: dict[str, dict[str, Any]] = {
    "either way": {"facecolor": BLUE, "edgecolor": "white"},
    "only if personalized": {"facecolor": SKY, "hatch": "////", "edgecolor": "white"},
    "only if anonymous": {"facecolor": ORANGE, "hatch": "xxxx", "edgecolor": "white"},
    "undecided": {"facecolor": "white", "hatch": "....", "edgecolor": GREY},
    "neither way": {"facecolor": SLATE, "edgecolor": "white"},
}
_EXPLAINED = {"undecided": "undecided: may be any"}
SERVED_AXIS = "share of markets in which every\nequilibrium serves every user"
ALIGNMENT_AXIS = "probability that the\nmarket is aligned"
GUARANTEE_AXIS = "guaranteed utility\n(silent = 0, aligned = 1)"
EQUILIBRIA_AXIS = "worst equilibrium\n(silent = 0, aligned = 1)"

_QUARTERS, _A_LITTLE_MORE = [0.0, 0.25, 0.5, 0.75, 1.0], (-0.03, 1.03)

# What the vertical axis of lines shows: shares of markets, utilities from silent (0) to aligned (1), or any numbers.
Axis = Literal["percent", "scale", "numbers"]
# The value of a cell, and the ends of its band.
Point = Callable[[CellSummary], tuple[float, float, float]]


@dataclass(frozen=True)
class Series:
    """One line of a panel: how it looks, and for each cell its value with the ends of its band."""

    label: str
    colour: str
    line: Literal["-", "--"]
    marker: str
    filled: bool
    point: Point


def draw_served(ax: Axes, group: Group) -> None:
    """Draws in what share of markets every equilibrium serves every user, as stacked bars."""
    shares = {outcome.label.replace("\n", " "): outcome for outcome in OUTCOMES}
    places = places_of(ax, group)
    width = 0.8 * min(np.diff(np.sort(places)), default=1.0)
    pairs = [cell.paired["served"] for cell in group.cells]
    bottom = np.zeros(len(pairs))
    for label, look in SERVED_LOOKS.items():
        count = [surely(pair, shares[label]) if label in shares else undecided(pair) for pair in pairs]
        height = np.array(count) / [max(pair.trials, 1) for pair in pairs]
        ax.bar(places, height, width, bottom, **look, linewidth=0.4, label=label)
        bottom += height
    _in_percent(ax, (0.0, 1.0))


def _in_percent(ax: Axes, ends: tuple[float, float]) -> None:
    """Writes shares of markets in percent, as every text does; their values stay what they are."""
    ax.set(ylim=ends, yticks=_QUARTERS)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, 0, " %"))


def draw_series(ax: Axes, group: Group, series: Sequence[Series], axis: Axis = "percent") -> None:
    """Draws lines with their bands; they are shares of markets, utilities from silent to aligned, or any numbers."""
    ax.grid(axis="y", color="#E4E4E4", linewidth=0.6)
    ax.set_axisbelow(True)
    places = places_of(ax, group)
    for each in series:
        _draw_line(ax, places, group, each)
    if axis == "percent":
        _in_percent(ax, _A_LITTLE_MORE)
    elif axis == "scale":
        ax.set(ylim=_A_LITTLE_MORE, yticks=_QUARTERS, yticklabels=["0", "", "0.5", "", "1"])


def draw_exact(ax: Axes, group: Group) -> bool:
    """Draws the probability of weak alignment where theory knows it; says whether it does."""
    found = [exact_weak_alignment(cell) for cell in group.cells]
    known = [value for value in found if value is not None]
    if group.axis != MAIN_AXIS or len(known) < len(found):
        return False
    places = [cell.parameters[MAIN_AXIS] for cell in group.cells]
    ax.plot(places, known, color=INK, linestyle=":", linewidth=1.2, zorder=4, label=EXACT)
    return True


def alignment_series(confidence: float) -> tuple[Series, Series]:
    """How often weak and strong alignment hold."""
    return (
        Series("weakly aligned", BLUE, "-", "o", True, frequency(ALIGNMENT[0], confidence)),
        Series("strongly aligned", VERMILLION, "--", "s", False, frequency(ALIGNMENT[1], confidence)),
    )


def guarantee_series(confidence: float) -> tuple[Series, Series]:
    """What personalized and anonymous equilibria are proved to give."""
    quantile = normal_quantile(confidence)
    return _schemes(lambda cell, scheme: _bracketed(cell.shares[scheme], quantile))


def equilibria_series(confidence: float) -> tuple[Series, Series]:
    """What the worst equilibria give.

    Where brackets are open the value is known to lie in the band and nothing more, so there is no point.
    """
    quantile = normal_quantile(confidence)

    def point(cell: CellSummary, scheme: str) -> tuple[float, float, float]:
        value, low, high = _bracketed(cell.equilibria[scheme], quantile)
        bracket = cell.equilibria[scheme]
        return (value if bracket.upper.mean - bracket.lower.mean <= CLOSED else math.nan), low, high

    return _schemes(point)


def frequency(name: str, confidence: float) -> Point:
    """How often an event holds; markets in which it is open are none in the value, and either in the band."""

    def point(cell: CellSummary) -> tuple[float, float, float]:
        share = cell.events[name]
        return share.estimate[0], *(share.interval(confidence) if share.trials else (math.nan, math.nan))

    return point


def _schemes(point: Callable[[CellSummary, str], tuple[float, float, float]]) -> tuple[Series, Series]:
    return (
        Series("personalized", BLUE, "-", "o", True, lambda cell: point(cell, "personalized")),
        Series("anonymous", VERMILLION, "--", "s", False, lambda cell: point(cell, "anonymous")),
    )


def _bracketed(bracket: BracketMoments, quantile: float) -> tuple[float, float, float]:
    """The mean of the lower end, and a band around both."""
    low = bracket.lower.mean - quantile * np.nan_to_num(bracket.lower.standard_error)
    high = bracket.upper.mean + quantile * np.nan_to_num(bracket.upper.standard_error)
    return bracket.lower.mean, max(low, 0.0), min(high, 1.0)


def axis_label(group: Group) -> str:
    """What the horizontal axis of a panel shows."""
    return for_figures(plain_name(group.family, group.axis), None)


def places_of(ax: Axes, group: Group) -> list[float]:
    """Where the cells stand on the horizontal axis: at their parameter's value, or in order where it is no number."""
    values = [cell.parameters.get(group.axis) for cell in group.cells]
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        ax.xaxis.set_major_locator(MaxNLocator(integer=all(isinstance(value, int) for value in values), nbins=8))
        return [float(value) for value in values]  # pyright: ignore[reportArgumentType]
    ax.set_xticks(range(len(values)), [for_figures(group.place(cell)) for cell in group.cells])
    return [float(place) for place in range(len(values))]


def _draw_line(ax: Axes, places: Sequence[float], group: Group, series: Series) -> None:
    points = np.array([series.point(cell) for cell in group.cells])
    value, low, high = points.T
    face = series.colour if series.filled else "white"
    if len(places) == 1:
        # A band has no width over a single point.
        ax.vlines(places, low, high, color=series.colour, alpha=0.4, linewidth=4)
    ax.fill_between(places, low, high, color=series.colour, alpha=0.2, linewidth=0)
    # An edge for bands that no line runs through.
    unknown = np.where(np.isnan(value), 1.0, np.nan)
    for edge in (low * unknown, high * unknown) if np.isnan(value).any() else ():
        ax.plot(places, edge, color=series.colour, linestyle=":", linewidth=0.9, clip_on=False)
    ax.plot(
        places,
        value,
        color=series.colour,
        linestyle=series.line,
        linewidth=1.5,
        marker=series.marker,
        markersize=4.5,
        markerfacecolor=face,
        markeredgewidth=1.1,
        label=series.label,
        clip_on=False,
        zorder=3,
    )


def handle(series: Series) -> Line2D:
    """The entry of a line in a legend."""
    face = series.colour if series.filled else "white"
    look = Line2D([], [], label=series.label, color=series.colour, marker=series.marker, markerfacecolor=face)
    look.set_linestyle(series.line)
    return look


def served_handles() -> list[Patch]:
    """The entries of whom competition serves in a legend."""
    return [Patch(label=_EXPLAINED.get(label, label), **look) for label, look in SERVED_LOOKS.items()]


def count_of(
    groups: Sequence[Group], number: Callable[[CellSummary], int] = lambda cell: cell.markets - cell.invalid
) -> str:
    """How many markets stand behind a point."""
    counts = [number(cell) for group in groups for cell in group.cells]
    low, high = min(counts), max(counts)
    return f"n = {low:,} markets per point" if low == high else f"n = {low:,} to {high:,} markets per point"


def count_per_bar(groups: Sequence[Group]) -> str:
    """How many searched markets stand behind a bar."""
    return count_of(groups, lambda cell: cell.paired["served"].trials).replace("point", "bar")
