"""The figure of docs/performance.md, drawn from what was measured."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "experiments"))

from study import STYLES, panels  # pyright: ignore[reportMissingImports]

_GROWING = "persuasion: evidences = actions"


def draw(measured: Mapping[str, Any], file: Path) -> None:
    """Draws how persuasion grows with HiGHS beside it, and what each solver takes for a programme; writes a PNG."""
    figure, (left, right) = panels(2)
    _growth(left, measured["sections"]["growth"])
    _solvers(right, measured["sections"]["solvers"])
    figure.set_size_inches(10.5, 4.2)
    figure.savefig(file, dpi=150)


def _growth(panel: Any, section: Mapping[str, Any]) -> None:
    rows = [row for row in section["rows"] if row[0] == _GROWING]
    sizes = [row[1] for row in rows]
    for place, name in ((2, "pluraljax"), (3, "HiGHS, one model reused")):
        color, marker, line = STYLES[place - 2]
        times = [row[place] for row in rows]
        panel.plot(sizes, times, color=color, marker=marker, linestyle=line, markersize=4, label=name)
    panel.set(xscale="log", yscale="log", xlabel="evidences = actions", ylabel="microseconds a programme")
    panel.set_xticks(sizes, [str(size) for size in sizes])
    panel.minorticks_off()
    panel.set_title("Persuasion")
    panel.legend(frameon=False)


def _solvers(panel: Any, section: Mapping[str, Any]) -> None:
    """A line a solver; full markers where all brackets closed, open ones where some did not."""
    names = list(dict.fromkeys(row[1] for row in section["rows"]))[::-1]
    for (color, marker, _), kind in zip(STYLES, dict.fromkeys(row[0] for row in section["rows"]), strict=False):
        rows = [row for row in section["rows"] if row[0] == kind]
        for filled in (True, False):
            shown = [row for row in rows if (row[4] == 100) is filled]
            panel.plot(
                [row[2] for row in shown],
                [names.index(row[1]) for row in shown],
                color=color,
                marker=marker,
                linestyle="",
                markerfacecolor=color if filled else "none",
                label=kind if filled else None,
            )
    panel.set(xscale="log", xlabel="microseconds a programme (open: brackets stay open)")
    panel.set_yticks(range(len(names)), names)
    panel.set_title("The same programmes")
    panel.legend(frameon=False, loc="lower left", fontsize="small")
