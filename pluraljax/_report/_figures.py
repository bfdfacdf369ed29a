"""The report's figures: panels side by side, with a title, a legend, and small print that says what they rest on.

Drawn with Matplotlib's object interface, so nothing global changes; the same summaries give the same bytes.
"""

import functools
import io
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from .._atomic import replacing
from .._printable import for_figures
from ._comparisons import interval_name, is_sequential
from ._layout import Group, group_cells
from ._panels import (
    ALIGNMENT,
    ALIGNMENT_AXIS,
    EQUILIBRIA_AXIS,
    EXACT,
    GREY,
    GUARANTEE_AXIS,
    INK,
    SERVED_AXIS,
    Axis,
    Series,
    alignment_series,
    axis_label,
    count_of,
    count_per_bar,
    draw_exact,
    draw_series,
    draw_served,
    equilibria_series,
    guarantee_series,
    handle,
    served_handles,
)
from ._served import searched
from ._summary import CONFIDENCE, PAIR_BINS, CellSummary, Proportion, normal_quantile

FORMATS = ("png", "svg", "pdf")
COLUMNS_A_PAGE, PANELS_A_PAGE = 3, 12
PANEL_WIDTH, PANEL_HEIGHT = 2.25, 2.0
TITLE_SIZE = 10
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
class Planned:
    """A figure that can be drawn, and the name of its file, without the ending."""

    name: str
    make: Callable[[], Figure]

    def draw(self) -> Figure:
        """Draws it in the style of reports."""
        with figure_style():
            return self.make()


@contextmanager
def figure_style() -> Iterator[None]:
    """Matplotlib settings of this module, for the time of a `with` block."""
    with mpl.rc_context(STYLE):
        yield


def planned_figures(summaries: Sequence[CellSummary], confidence: float = CONFIDENCE) -> list[Planned]:
    """Lists every figure of the report, on as many pages as the groups of cells need; none of them is drawn yet."""
    pages = pages_of(group_cells(summaries))
    kinds = {"alignment": alignment_figure, "guarantee": guarantee_figure}
    if any(cell.has_equilibria for cell in summaries):
        kinds["equilibria"] = equilibria_figure
    if searched(summaries):
        kinds = {"served": served_figure, **kinds}
    planned = [
        Planned(page_name(name, number), functools.partial(draw, page, confidence))
        for name, draw in kinds.items()
        for number, page in enumerate(pages, start=1)
    ]
    return [*planned, Planned("personalization", functools.partial(personalization_figure, summaries, confidence))]


def page_name(name: str, number: int) -> str:
    """What a figure's page is called: the first by the figure's name alone."""
    return name if number == 1 else f"{name}-{number}"


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
    for ax, group in zip(axes, groups, strict=True):
        draw_served(ax, group)
        _title(ax, group)
    _label_axes(figure, groups, SERVED_AXIS)
    legend(figure, "Whom competition serves", served_handles(), 2.0)
    footer(figure, f"{count_per_bar(groups)}. Served: at least 99 % of the way from silent to aligned.")
    return figure


def alignment_figure(groups: Sequence[Group], confidence: float = CONFIDENCE) -> Figure:
    """Draws the probability of weak and of strong alignment against the number of providers, a panel per group."""
    series = alignment_series(confidence)
    figure, axes = draw_panels(groups, series, ALIGNMENT_AXIS)
    handles = [handle(each) for each in series]
    if any([draw_exact(ax, group) for ax, group in zip(axes, groups, strict=True)]):
        handles.append(Line2D([], [], color=INK, linestyle=":", linewidth=1.2, label=EXACT))
    legend(figure, "How often markets are aligned", handles)
    is_open = any(cell.events[name].open for group in groups for cell in group.cells for name in ALIGNMENT)
    hint = "\nUndecided markets count as not aligned in the points, as either in the bands." if is_open else ""
    cells = [cell for group in groups for cell in group.cells]
    footer(figure, f"{count_of(groups)}. Bands: {interval_name(cells, confidence)}s.{hint}")
    return figure


def guarantee_figure(groups: Sequence[Group], confidence: float = CONFIDENCE) -> Figure:
    """Draws what personalized and anonymous equilibria are proved to give, a panel per group."""
    quantile, series = normal_quantile(confidence), guarantee_series(confidence)
    figure, _ = draw_panels(groups, series, GUARANTEE_AXIS, "scale")
    legend(figure, "What every equilibrium is proved to give", [handle(each) for each in series])
    footer(figure, f"{count_of(groups)}, averaged over their users. Bands: mean ± {quantile:.2f} standard errors.")
    return figure


def equilibria_figure(groups: Sequence[Group], confidence: float = CONFIDENCE) -> Figure:
    """Draws what the worst personalized and anonymous equilibria give, a panel per group."""
    quantile, series = normal_quantile(confidence), equilibria_series(confidence)
    figure, _ = draw_panels(groups, series, EQUILIBRIA_AXIS, "scale")
    legend(figure, "What users get in their worst equilibrium", [handle(each) for each in series])
    footer(
        figure,
        f"{count_of(groups)}, averaged over their users. Bands: from what is proved to what is found,\n"
        f"± {quantile:.2f} standard errors; points where the two meet.",
    )
    return figure


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
    figure.suptitle("What personalization adds, market by market", fontsize=TITLE_SIZE, fontweight="bold")
    figure.supxlabel("guaranteed in anonymous equilibria\n(silent = 0, aligned = 1)", fontsize=9)
    figure.supylabel("guaranteed in\npersonalized equilibria", fontsize=9, multialignment="center")
    if mesh is not None:
        bar = figure.colorbar(mesh, ax=axes, label="markets per square", shrink=0.8, aspect=18, pad=0.02)
        bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    markets = sum(int(np.sum(count)) for count in counts.values())
    interval = "" if is_sequential(summaries) else f" Interval: {100 * confidence:g} % Clopper-Pearson."
    footer(figure, f"n = {markets:,} markets, averaged over their users.{interval}")
    return figure


def pages_of(groups: Sequence[Group]) -> list[Sequence[Group]]:
    return [groups[start : start + PANELS_A_PAGE] for start in range(0, len(groups), PANELS_A_PAGE)]


def _grid(count: int, least_width: float = 5.1) -> tuple[Figure, list[Axes]]:
    """A figure with `count` panels that share their axes, in rows of at most `COLUMNS_A_PAGE`."""
    columns = 2 if count == 4 else min(count, COLUMNS_A_PAGE)
    rows = math.ceil(count / columns)
    figure = Figure(
        figsize=(max(PANEL_WIDTH * columns + 0.6, least_width), PANEL_HEIGHT * rows + 1.1), layout="constrained"
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
    groups: Sequence[Group], series: Sequence[Series], quantity: str, axis: Axis = "percent"
) -> tuple[Figure, list[Axes]]:
    """Draws the series in a panel per group; `axis` as for `draw_series`."""
    figure, axes = _grid(len(groups))
    for ax, group in zip(axes, groups, strict=True):
        draw_series(ax, group, series, axis)
        _title(ax, group)
    _label_axes(figure, groups, quantity)
    return figure, axes


def _title(ax: Axes, group: Group) -> None:
    ax.set_title(for_figures(group.family), loc="left", fontweight="bold", pad=14 if group.label else 5)
    if group.label:
        ax.text(
            0.0, 1.03, for_figures(group.label, None), transform=ax.transAxes, fontsize=7.5, color=GREY, va="bottom"
        )


def _label_axes(figure: Figure, groups: Sequence[Group], quantity: str) -> None:
    shared = {axis_label(group) for group in groups}
    figure.supxlabel(shared.pop() if len(shared) == 1 else "parameter", fontsize=9)
    figure.supylabel(quantity, fontsize=9, multialignment="center")


def legend(figure: Figure, title: str, handles: Sequence[Line2D | Patch], length: float = 3.0) -> None:
    """Says above the panels what they show, and what their lines or colours stand for."""
    look: dict[str, Any] = {"title_fontproperties": {"weight": "bold", "size": TITLE_SIZE}}
    look |= {"handles": list(handles), "title": title, "loc": "outside upper center"}
    look |= {"handlelength": length, "handletextpad": 0.6, "columnspacing": 1.2}
    for columns in range(len(handles), 0, -1):
        shown = figure.legend(ncols=columns, **look)
        # On as many lines as it takes, so that nothing is beside the canvas.
        if columns == 1 or shown.get_window_extent().width <= figure.bbox.width:
            break
        shown.remove()


def footer(figure: Figure, text: str) -> None:
    """Small print below everything, on lines that the label of the horizontal axis leaves free."""
    label, lines = figure.get_supxlabel(), text.count("\n") + 1
    figure.supxlabel(label + lines * "\n", fontsize=9)
    figure.text(0.5, 0.012, text, ha="center", va="bottom", fontsize=7, color=GREY)
