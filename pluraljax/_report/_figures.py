"""The report's figures: how often alignment holds, what is guaranteed, and what the worst equilibria give.

Drawn with Matplotlib's object interface, so nothing global changes; the same summaries give the same bytes.
"""

import io
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from .._files._atomic import replacing
from .._printable import for_figures
from ._comparisons import interval_name, is_sequential
from ._exact import exact_weak_alignment
from ._layout import Group, group_cells, readable
from ._served import OUTCOMES, searched, surely, undecided
from ._summary import CONFIDENCE, PAIR_BINS, BracketMoments, CellSummary, Proportion, normal_quantile

ALIGNMENT = ("weakly_aligned", "strongly_aligned")
EXACT = "weakly aligned, in theory"
FORMATS = ("png", "svg", "pdf")
# Means of worst equilibria whose two ends differ by no more than this are drawn as points.
CLOSED = 0.02
COLUMNS_A_PAGE, PANELS_A_PAGE = 3, 12
PANEL_WIDTH, PANEL_HEIGHT = 2.25, 2.0

# Okabe and Ito's palette: told apart by colour-blind readers; line style and marker tell them apart in greyscale.
BLUE, VERMILLION, INK, GREY = "#0072B2", "#D55E00", "#222222", "#606060"
SKY, ORANGE, SLATE = "#56B4E9", "#E69F00", "#4A4A4A"
# Whom competition serves, from the bottom of a bar to its top: what is undecided lies between served and not.
SERVED_LOOKS: dict[str, dict[str, Any]] = {
    "either way": {"facecolor": BLUE},
    "only if personalized": {"facecolor": SKY, "hatch": "////"},
    "only if anonymous": {"facecolor": ORANGE, "hatch": "xxxx"},
    "undecided": {"facecolor": "white", "hatch": "....", "edgecolor": GREY},
    "neither way": {"facecolor": SLATE},
}
# One hue, ever darker, so that it reads in greyscale.
DENSITY = LinearSegmentedColormap.from_list("density", ["#D3E5F1", "#0072B2", "#00182A"])

STYLE: dict[Any, Any] = {
    "axes.edgecolor": INK,
    "axes.labelsize": 9,
    "axes.linewidth": 0.7,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 9,
    "figure.dpi": 100,
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.6,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "lines.linewidth": 1.5,
    "lines.markersize": 4.5,
    "savefig.dpi": 200,
    "svg.hashsalt": "pluraljax",
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
}


@dataclass(frozen=True)
class Series:
    """One line of a panel: how it looks, and for each cell its value with the ends of its band."""

    label: str
    colour: str
    line: Literal["-", "--"]
    marker: str
    filled: bool
    point: Callable[[CellSummary], tuple[float, float, float]]


@dataclass(frozen=True)
class NamedFigure:
    """A figure and the name of its file, without the ending."""

    name: str
    figure: Figure


@contextmanager
def figure_style() -> Iterator[None]:
    """Matplotlib settings of this module, for the time of a `with` block."""
    with mpl.rc_context(STYLE):
        yield


def draw_figures(summaries: Sequence[CellSummary], confidence: float = CONFIDENCE) -> list[NamedFigure]:
    """Draws every figure of the report, on as many pages as the groups of cells need."""
    with figure_style():
        pages = pages_of(group_cells(summaries))
        kinds = {"alignment": alignment_figure, "guarantee": guarantee_figure}
        if any(cell.has_equilibria for cell in summaries):
            kinds["equilibria"] = equilibria_figure
        if searched(summaries):
            kinds = {"served": served_figure, **kinds}
        figures = []
        for name, draw in kinds.items():
            for number, page in enumerate(pages, start=1):
                figures.append(NamedFigure(name if number == 1 else f"{name}-{number}", draw(page, confidence)))
        return [*figures, NamedFigure("personalization", personalization_figure(summaries, confidence))]


def save_figure(figure: Figure, path: Path) -> None:
    """Writes a figure in the format of the path's ending; no dates and no versions, so that a rerun changes nothing."""
    unstamped = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}
    unstamped["pdf"] = {"CreationDate": None, "Creator": None, "Producer": None}
    kind, content = path.suffix.removeprefix("."), io.BytesIO()
    with figure_style():
        figure.savefig(content, format=kind, metadata=unstamped[kind])
    with replacing(path) as file:
        file.write(content.getbuffer())


def served_figure(groups: Sequence[Group], confidence: float = CONFIDENCE) -> Figure:
    """Draws in what share of markets every equilibrium serves every user, as stacked bars, a panel per group."""
    figure, axes = _grid(len(groups))
    edge: dict[str, Any] = {"edgecolor": "white"}
    shares = {outcome.label.replace("\n", " "): outcome for outcome in OUTCOMES}
    for ax, group in zip(axes, groups, strict=True):
        places = _places(ax, group)
        width = 0.8 * min(np.diff(np.sort(places)), default=1.0)
        pairs = [cell.paired["served"] for cell in group.cells]
        bottom = np.zeros(len(pairs))
        for label, look in SERVED_LOOKS.items():
            count = [surely(pair, shares[label]) if label in shares else undecided(pair) for pair in pairs]
            height = np.array(count) / [max(pair.trials, 1) for pair in pairs]
            ax.bar(places, height, width, bottom, **(edge | look), linewidth=0.4)
            bottom += height
        _title(ax, group)
        ax.set(ylim=(0, 1), yticks=[0, 0.25, 0.5, 0.75, 1], yticklabels=["0", "", "0.5", "", "1"])
    _label_axis(figure, groups)
    figure.supylabel(
        "share of markets in which every\nequilibrium serves every user", fontsize=9, multialignment="center"
    )
    handles = [Patch(label=label, **(edge | look)) for label, look in SERVED_LOOKS.items()]
    legend(figure, handles, 2.0)
    number = count_of(groups, lambda cell: cell.paired["served"].trials).replace("point", "bar")
    footer(figure, f"{number}. Served: at least 99 % of the way from silent to aligned.")
    return figure


def alignment_figure(groups: Sequence[Group], confidence: float = CONFIDENCE) -> Figure:
    """Draws the probability of weak and of strong alignment against the number of providers, a panel per group."""

    def event(name: str) -> Callable[[CellSummary], tuple[float, float, float]]:
        def point(cell: CellSummary) -> tuple[float, float, float]:
            share = cell.events[name]
            return share.estimate[0], *(share.interval(confidence) if share.trials else (math.nan, math.nan))

        return point

    series = (
        Series("weakly aligned", BLUE, "-", "o", True, event(ALIGNMENT[0])),
        Series("strongly aligned", VERMILLION, "--", "s", False, event(ALIGNMENT[1])),
    )
    figure, axes = draw_panels(groups, series, "probability that the\nmarket is aligned")
    handles = [handle(each) for each in series]
    if any([_draw_exact(ax, group) for ax, group in zip(axes, groups, strict=True)]):
        handles.append(Line2D([], [], color=INK, linestyle=":", linewidth=1.2, label=EXACT))
    legend(figure, handles)
    is_open = any(cell.events[name].open for group in groups for cell in group.cells for name in ALIGNMENT)
    hint = "\nUndecided markets count as not aligned in the points, as either in the bands." if is_open else ""
    cells = [cell for group in groups for cell in group.cells]
    footer(figure, f"{count_of(groups)}. Bands: {interval_name(cells, confidence)}s.{hint}")
    return figure


def guarantee_figure(groups: Sequence[Group], confidence: float = CONFIDENCE) -> Figure:
    """Draws what personalized and anonymous equilibria are proved to give, a panel per group."""
    quantile = normal_quantile(confidence)
    series = _schemes(lambda cell, scheme: _bracketed(cell.shares[scheme], quantile))
    figure, _ = draw_panels(groups, series, "guaranteed utility\n(silent = 0, aligned = 1)")
    legend(figure, [handle(each) for each in series])
    footer(figure, f"{count_of(groups)}, averaged over their users. Bands: mean ± {quantile:.2f} standard errors.")
    return figure


def equilibria_figure(groups: Sequence[Group], confidence: float = CONFIDENCE) -> Figure:
    """Draws what the worst personalized and anonymous equilibria give, a panel per group.

    Where brackets are open the value is known to lie in the band and nothing more, so no point is drawn.
    """
    quantile = normal_quantile(confidence)

    def point(cell: CellSummary, scheme: str) -> tuple[float, float, float]:
        value, low, high = _bracketed(cell.equilibria[scheme], quantile)
        bracket = cell.equilibria[scheme]
        return (value if bracket.upper.mean - bracket.lower.mean <= CLOSED else math.nan), low, high

    series = _schemes(point)
    figure, _ = draw_panels(groups, series, "worst equilibrium\n(silent = 0, aligned = 1)")
    legend(figure, [handle(each) for each in series])
    footer(
        figure,
        f"{count_of(groups)}, averaged over their users. Bands: from what is proved to what is found,\n"
        f"± {quantile:.2f} standard errors; points where the two meet.",
    )
    return figure


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


def personalization_figure(summaries: Sequence[CellSummary], confidence: float = CONFIDENCE) -> Figure:
    """Draws every market's personalized guarantee against its anonymous one, as a density per family."""
    families = list(dict.fromkeys(cell.family for cell in summaries))
    counts = {f: np.sum([cell.pairs for cell in summaries if cell.family == f], axis=0) for f in families}
    figure, axes = _grid(len(families), least_width=3.8)
    edges = np.linspace(0.0, 1.0, PAIR_BINS + 1)
    norm = LogNorm(1, max(2, *(int(np.max(count)) for count in counts.values())))
    mesh = None
    for ax, family in zip(axes, families, strict=True):
        mesh = ax.pcolormesh(edges, edges, np.ma.masked_equal(counts[family].T, 0), cmap=DENSITY, norm=norm)
        mesh.set_rasterized(True)
        ax.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":")
        gains = sum((cell.gains for cell in summaries if cell.family == family), Proportion())
        if gains.trials:
            low, high = gains.interval(confidence)
            # Cells that stopped by themselves weigh by what they showed: their pool has no interval.
            ends = "" if gains.sequential else f" [{100 * low:.1f}, {100 * high:.1f}]"
            text = f"above the diagonal:\n{100 * gains.estimate[0]:.1f} %{ends}"
            ax.text(0.97, 0.05, text, ha="right", va="bottom", fontsize=7.5, color=INK)
        ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        ax.set_title(for_figures(family), loc="left", fontweight="bold")
        ax.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        ax.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    figure.supxlabel("guaranteed in anonymous equilibria\n(silent = 0, aligned = 1)", fontsize=9)
    figure.supylabel("guaranteed in\npersonalized equilibria", fontsize=9, multialignment="center")
    if mesh is not None:
        bar = figure.colorbar(mesh, ax=axes, label="markets per square", shrink=0.8, aspect=18, pad=0.02)
        bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    markets = sum(int(np.sum(count)) for count in counts.values())
    interval = "" if is_sequential(summaries) else f" Interval: {100 * confidence:g} % Clopper-Pearson."
    footer(figure, f"n = {markets:,} markets, averaged over their users.{interval}")
    return figure


def _draw_exact(ax: Axes, group: Group) -> bool:
    """Draws the probability of weak alignment where theory knows it; says whether it does."""
    known = [
        (cell.parameters["providers"], exact_weak_alignment(cell)) for cell in group.cells if group.axis == "providers"
    ]
    if not known or any(value is None for _, value in known):
        return False
    ax.plot(*zip(*known, strict=True), color=INK, linestyle=":", linewidth=1.2, zorder=4, label=EXACT)
    return True


def pages_of(groups: Sequence[Group]) -> list[Sequence[Group]]:
    return [groups[start : start + PANELS_A_PAGE] for start in range(0, len(groups), PANELS_A_PAGE)]


def _grid(count: int, least_width: float = 5.1) -> tuple[Figure, list[Axes]]:
    """A figure with `count` panels that share their axes, in rows of at most `COLUMNS_A_PAGE`."""
    columns = 2 if count == 4 else min(count, COLUMNS_A_PAGE)
    rows = math.ceil(count / columns)
    figure = Figure(
        figsize=(max(PANEL_WIDTH * columns + 0.6, least_width), PANEL_HEIGHT * rows + 0.9), layout="constrained"
    )
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    panels = list(grid.flat)
    for spare in panels[count:]:
        spare.remove()
    # A panel with nothing below it needs tick labels of its own.
    for panel in panels[max(count - columns, 0) : count]:
        panel.xaxis.set_tick_params(labelbottom=True)
    return figure, panels[:count]


def draw_panels(
    groups: Sequence[Group], series: Sequence[Series], quantity: str, is_share: bool = True
) -> tuple[Figure, list[Axes]]:
    """Draws the series in a panel per group, on an axis from 0 to 1 where they are shares."""
    figure, axes = _grid(len(groups))
    for ax, group in zip(axes, groups, strict=True):
        ax.grid(axis="y")
        ax.set_axisbelow(True)
        places = _places(ax, group)
        for each in series:
            _draw_series(ax, places, group, each)
        _title(ax, group)
        if is_share:
            ax.set(ylim=(-0.03, 1.03), yticks=[0, 0.25, 0.5, 0.75, 1], yticklabels=["0", "", "0.5", "", "1"])
    _label_axis(figure, groups)
    figure.supylabel(quantity, fontsize=9, multialignment="center")
    return figure, axes


def _title(ax: Axes, group: Group) -> None:
    ax.set_title(for_figures(group.family), loc="left", fontweight="bold", pad=14 if group.label else 5)
    if group.label:
        ax.text(
            0.0, 1.03, for_figures(group.label, None), transform=ax.transAxes, fontsize=7.5, color=GREY, va="bottom"
        )


def _label_axis(figure: Figure, groups: Sequence[Group]) -> None:
    shared = {readable(group.axis) for group in groups}
    figure.supxlabel(_axis_label(shared.pop()) if len(shared) == 1 else "parameter", fontsize=9)


def _axis_label(axis: str) -> str:
    return "number of providers" if axis == "providers" else for_figures(axis)


def _places(ax: Axes, group: Group) -> list[float]:
    """Where the cells stand on the horizontal axis: at their parameter's value, or in order where it is no number."""
    values = [cell.parameters.get(group.axis) for cell in group.cells]
    if all(isinstance(value, int | float) for value in values):
        ax.xaxis.set_major_locator(MaxNLocator(integer=all(isinstance(value, int) for value in values), nbins=8))
        return [float(value) for value in values]  # pyright: ignore[reportArgumentType]
    ax.set_xticks(range(len(values)), [for_figures(value) for value in values])
    return [float(place) for place in range(len(values))]


def _draw_series(ax: Axes, places: Sequence[float], group: Group, series: Series) -> None:
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
        marker=series.marker,
        markerfacecolor=face,
        markeredgewidth=1.1,
        label=series.label,
        clip_on=False,
        zorder=3,
    )


def handle(series: Series) -> Line2D:
    face = series.colour if series.filled else "white"
    look = Line2D([], [], label=series.label, color=series.colour, marker=series.marker, markerfacecolor=face)
    look.set_linestyle(series.line)
    return look


def legend(figure: Figure, handles: Sequence[Line2D | Patch], length: float = 3.0) -> None:
    # More than three do not fit above a single panel.
    columns = len(handles) if figure.get_figwidth() > 7 else min(len(handles), 3)
    figure.legend(handles=list(handles), loc="outside upper center", ncols=columns, handlelength=length)


def footer(figure: Figure, text: str) -> None:
    """Small print below everything, on lines that the label of the horizontal axis leaves free."""
    label, lines = figure.get_supxlabel(), text.count("\n") + 1
    figure.supxlabel(label + lines * "\n", fontsize=9)
    figure.text(0.5, 0.012, text, ha="center", va="bottom", fontsize=7, color=GREY)


def count_of(
    groups: Sequence[Group], number: Callable[[CellSummary], int] = lambda cell: cell.markets - cell.invalid
) -> str:
    """How many markets stand behind a point."""
    counts = [number(cell) for group in groups for cell in group.cells]
    low, high = min(counts), max(counts)
    return f"n = {low:,} markets per point" if low == high else f"n = {low:,} to {high:,} markets per point"
