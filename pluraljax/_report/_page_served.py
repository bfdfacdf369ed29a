"""The page's first section: the headline, and bars that say whom competition serves."""

import html
from collections.abc import Sequence

from .._printable import printable_lines
from ._layout import Group, group_cells, readable
from ._served import MEANING, OUTCOMES, headline, known_of_undecided, searched, surely, undecided
from ._summary import CellSummary, PairedProportions

# Sizes of a panel in units of its drawing: a bar with the room beside it, its height, and the room for labels.
_BAR, _GAP, _HEIGHT, _LABEL, _LEFT = 24, 6, 120, 18, 42
# From the bottom of a bar to its top: what is undecided lies between served and not.
_ORDER = ("either-way", "only-personalized", "only-anonymous", "undecided", "neither-way")


def served_section(summaries: Sequence[CellSummary]) -> str:
    """The section as HTML; empty where the scan did not search."""
    if not searched(summaries):
        return ""
    key = "".join(f'<span><i class="{name}"></i>{_words(name)}</span>' for name in _ORDER)
    panels = "\n".join(map(_panel, group_cells(summaries)))
    rest = known_of_undecided(summaries)
    return (
        '<section id="served" aria-labelledby="served-title">\n'
        '<h2 id="served-title">Whom competition serves</h2>\n'
        f'<p class="headline">{_text(headline(summaries))}</p>\n<p>{_text(MEANING)} {_text(rest)}</p>\n'
        f'<p class="key">{key}</p>\n<div class="bars">\n{panels}\n</div>\n</section>\n'
    )


def _panel(group: Group) -> str:
    name = readable(group.family) + (f", {group.label}" if group.label else "")
    axis = readable(group.axis)
    width, height = _LEFT + len(group.cells) * (_BAR + _GAP), _HEIGHT + 2 * _LABEL
    bars = []
    for place, cell in enumerate(group.cells):
        value = group.place(cell)
        left = _LEFT + place * (_BAR + _GAP)
        bars.append(_bar(cell.paired["served"], left, f"{axis} {value}"))
        bars.append(f'<text x="{left + _BAR / 2:g}" y="{_HEIGHT + 14}" text-anchor="middle">{_text(value)}</text>')
    middle = _LEFT + (width - _LEFT - _GAP) / 2
    return (
        f'<figure><figcaption>{_text(name)}</figcaption><svg viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" aria-label="{_text(name)}: shares of markets by {_text(axis)}">'
        f'<text x="{_LEFT - 5}" y="10" text-anchor="end">100 %</text>'
        f'<text x="{_LEFT - 5}" y="{_HEIGHT}" text-anchor="end">0 %</text>'
        f"{''.join(bars)}"
        f'<text x="{middle:g}" y="{height - 4}" text-anchor="middle">{_text(axis)}</text></svg></figure>'
    )


def _bar(pair: PairedProportions, left: int, where: str) -> str:
    counts = {outcome.name.replace("_", "-"): surely(pair, outcome) for outcome in OUTCOMES}
    counts["undecided"] = undecided(pair)
    parts, below = [], 0
    for name in _ORDER:
        if count := counts[name]:
            height = _HEIGHT * count / pair.trials
            top = _HEIGHT * (1 - (below + count) / pair.trials)
            told = f"{where}: {_words(name)} in {count:,} of {pair.trials:,}"
            parts.append(
                f'<rect class="{name}" x="{left}" y="{top:.2f}" width="{_BAR}" height="{height:.2f}">'
                f"<title>{_text(told)}</title></rect>"
            )
            below += count
    return "".join(parts)


def _words(name: str) -> str:
    return name.replace("only-", "only if ").replace("-", " ")


def _text(value: str) -> str:
    return html.escape(printable_lines(value), quote=True)
