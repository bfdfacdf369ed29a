"""Pictures of scans: what a report shows in many panels, one panel at a time."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._printable import for_figures, listed, quoted
from ._around import Legend, put_legend, put_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from xarray import Dataset

    from .._report._layout import Group
    from .._report._panels import Axis, Series

_CONFIDENCE = 0.95


def panels(scan: "str | Path | Dataset") -> list[dict[str, Any]]:
    """Lists what there is to draw of a scan: a family and the parameters that tell its panels apart, as plain data.

    Each goes to a function of this namespace as it is: `shares_served(ax, scan, **panel)`. The number of providers, or
    else the first parameter that varies, runs along the horizontal axis.

    **Arguments:**

    - `scan`: the folder of a scan, finished or not, or what `plx.scan` and `plx.open_scan` return.

    Raises `ValueError` where there is no scan.

    Example::

        scan = plx.scan(plx.families.gaussian(providers=2, users=2), markets=16)
        plx.plot.panels(scan)  # [{'family': 'gaussian'}]
    """
    return [_told(group) for group in _groups(scan)]


def shares_served(
    ax: "Axes", scan: "str | Path | Dataset", *, legend: Legend = True, family: str | None = None, **where: Any
) -> "Axes":
    """Draws in what share of markets every equilibrium serves every user.

    Either way, only if policies are personalized, only if they are anonymous, or neither way: a stacked bar for each
    cell. What is undecided may be any of these, and stands between those who are served and those who are not. Served
    is at least 99 % of the way from silent to aligned. The scan has to have searched (`search` of its config).

    **Arguments:**

    - `ax`: where it is drawn. Its title says what is shown, for which markets and of how many.
    - `scan`: the folder of a scan, finished or not, or what `plx.scan` and `plx.open_scan` return.
    - `legend`: whether colours are explained, and where: True for to the right of the panel, "below" for under it, or
      what Matplotlib calls a place inside it, such as "upper left" or "best".
    - `family`, `where`: which panel, where the scan has several: the name of a family, and parameters with their
      values.

    **Returns:** `ax`. Raises `ValueError` where nothing was searched, and where it is not clear which panel is meant.

    Example::

        from matplotlib.figure import Figure

        grid = [{"family": "gaussian", "providers": 2, "users": 2}]
        scan = plx.scan({"markets": 16, "search": {"markets": 16}, "grid": grid})
        figure = Figure(layout="constrained")
        plx.plot.shares_served(figure.subplots(), scan)
        figure.savefig("served.png")
    """
    from .._report._panels import SERVED_AXIS, count_per_bar, draw_served, served_handles

    group = _group(scan, family, where)
    if not any(cell.has_searched for cell in group.cells):
        raise ValueError(
            "The scan did not search for the worst anonymous equilibria, so it does not say who is served: scan with "
            "search = {markets = 64} in the config, or search={'markets': 64} in Python, which is a number per cell."
        )
    draw_served(ax, group)
    _describe(ax, group, "Whom competition serves", SERVED_AXIS, count_per_bar([group]))
    if legend:
        put_legend(ax, legend, handles=served_handles()[::-1])
    return ax


def alignment(
    ax: "Axes",
    scan: "str | Path | Dataset",
    *,
    confidence: float = _CONFIDENCE,
    legend: Legend = True,
    family: str | None = None,
    **where: Any,
) -> "Axes":
    """Draws how often every user of a market is weakly aligned, and strongly, with intervals.

    Bands are Clopper-Pearson intervals (anytime-valid ones where the scan stopped by itself); markets in which a
    condition is open count as not aligned in the points, and as either in the bands. A dotted line is what theory
    knows.

    **Arguments:**

    - `ax`: where it is drawn.
    - `scan`: the folder of a scan, finished or not, or what `plx.scan` and `plx.open_scan` return.
    - `confidence`: of the intervals, strictly between 0 and 1.
    - `legend`: whether lines are explained, and where, as for `shares_served`.
    - `family`, `where`: which panel, where the scan has several.

    **Returns:** `ax`. Raises `ValueError` where it is not clear which panel is meant.

    Example::

        from matplotlib.figure import Figure

        scan = plx.scan(plx.families.gaussian(providers=2, users=2), markets=16)
        plx.plot.alignment(Figure().subplots(), scan)
    """
    from .._report._panels import ALIGNMENT_AXIS, alignment_series, draw_exact

    group = _group(scan, family, where)
    draw_exact(ax, group)
    return _draw(
        ax, group, alignment_series(_checked(confidence)), "How often markets are aligned", ALIGNMENT_AXIS, legend
    )


def guarantees(
    ax: "Axes",
    scan: "str | Path | Dataset",
    *,
    confidence: float = _CONFIDENCE,
    legend: Legend = True,
    family: str | None = None,
    **where: Any,
) -> "Axes":
    """Draws what every equilibrium is proved to give, from silent (0) to aligned (1), personalized and anonymous.

    Means over markets, each the mean of its users; bands are normal intervals around both ends of the brackets.

    **Arguments:**

    - `ax`: where it is drawn.
    - `scan`: the folder of a scan, finished or not, or what `plx.scan` and `plx.open_scan` return.
    - `confidence`: of the bands, strictly between 0 and 1.
    - `legend`: whether lines are explained, and where, as for `shares_served`.
    - `family`, `where`: which panel, where the scan has several.

    **Returns:** `ax`. Raises `ValueError` where it is not clear which panel is meant.

    Example::

        from matplotlib.figure import Figure

        scan = plx.scan(plx.families.gaussian(providers=2, users=2), markets=16)
        plx.plot.guarantees(Figure().subplots(), scan)
    """
    from .._report._panels import GUARANTEE_AXIS, guarantee_series

    group = _group(scan, family, where)
    series = guarantee_series(_checked(confidence))
    return _draw(ax, group, series, "What every equilibrium is proved to give", GUARANTEE_AXIS, legend, "scale")


def equilibria(
    ax: "Axes",
    scan: "str | Path | Dataset",
    *,
    confidence: float = _CONFIDENCE,
    legend: Legend = True,
    family: str | None = None,
    **where: Any,
) -> "Axes":
    """Draws what users get in their worst equilibrium, from silent (0) to aligned (1), personalized and anonymous.

    Means over markets, each the mean of its users. Where brackets are open the value is known to lie in the band and
    nothing more, so that no point is drawn.

    **Arguments:**

    - `ax`: where it is drawn.
    - `scan`: the folder of a scan, finished or not, or what `plx.scan` and `plx.open_scan` return.
    - `confidence`: of the bands, strictly between 0 and 1.
    - `legend`: whether lines are explained, and where, as for `shares_served`.
    - `family`, `where`: which panel, where the scan has several.

    **Returns:** `ax`. Raises `ValueError` where the scan did not ask for worst equilibria, and where it is not clear
    which panel is meant.

    Example::

        from matplotlib.figure import Figure

        scan = plx.scan(plx.families.gaussian(providers=2, users=2), markets=16)
        plx.plot.equilibria(Figure().subplots(), scan)
    """
    from .._report._panels import EQUILIBRIA_AXIS, equilibria_series

    group = _group(scan, family, where)
    if not any(cell.has_equilibria for cell in group.cells):
        raise ValueError("The scan did not ask for worst equilibria (equilibria in its config).")
    series = equilibria_series(_checked(confidence))
    return _draw(ax, group, series, "What users get in their worst equilibrium", EQUILIBRIA_AXIS, legend, "scale")


def _draw(
    ax: "Axes",
    group: "Group",
    series: "Sequence[Series]",
    title: str,
    quantity: str,
    legend: Legend,
    axis: "Axis" = "percent",
) -> "Axes":
    from .._report._panels import count_of, draw_series

    draw_series(ax, group, series, axis)
    _describe(ax, group, title, quantity, count_of([group]))
    if legend:
        put_legend(ax, legend)
    return ax


def _describe(ax: "Axes", group: "Group", title: str, quantity: str, count: str) -> None:
    from .._report._layout import readable
    from .._report._panels import axis_label

    which = ", ".join(filter(None, (f"{readable(group.family)} markets", group.label)))
    put_title(ax, [title, for_figures(which, None), count])
    ax.set(xlabel=axis_label(group), ylabel=quantity)


def _checked(confidence: float) -> float:
    from .._report._summary import check_confidence

    check_confidence(confidence)
    return confidence


def _groups(scan: Any) -> "list[Group]":
    from .._report._layout import group_cells
    from .._report._read import summaries_of

    return group_cells(summaries_of(scan))


def _told(group: "Group") -> dict[str, Any]:
    return {"family": group.family, **{name: group.fixed[name] for name in group.varying}}


def _group(scan: Any, family: str | None, where: dict[str, Any]) -> "Group":
    """The panel that is meant; one `ValueError` for none and for several."""
    groups = _groups(scan)
    fits = [
        group
        for group in groups
        if family in (None, group.family)
        and all(group.fixed.get(name, _NOTHING) == each for name, each in where.items())
    ]
    if len(fits) == 1:
        return fits[0]
    found = "no panel fits" if not fits else f"{len(fits)} panels fit"
    meant = ", ".join(f"{name}={each!r}" for name, each in ({"family": family} | where).items() if each is not None)
    known = listed([", ".join(f"{name}={each!r}" for name, each in _told(group).items()) for group in groups])
    raise ValueError(f"{found} {quoted(meant) if meant else 'without a family'}: choose one of {known}.")


_NOTHING = object()
