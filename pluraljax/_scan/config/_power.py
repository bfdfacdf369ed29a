"""How many markets a scan needs for intervals of some widths, in a table that is printed before it runs."""

from collections.abc import Sequence

from ..._statistics._intervals import CONFIDENCE, clopper_pearson
from ..._statistics._power import half_width_after, markets_needed
from ._config import ScanConfig
from ._plan import replicates
from ._until import Until

PROBABILITIES = (0.5, 0.9, 0.99)
HALF_WIDTHS = (0.05, 0.02, 0.01, 0.005)


def power_report(config: ScanConfig) -> str:
    """The table that is printed before a scan: markets per cell for some widths, and what this config gives."""
    until = config.until
    confidence = CONFIDENCE if until is None else until.confidence
    widths = sorted({*HALF_WIDTHS} | (set() if until is None else {until.half_width}), reverse=True)
    lines = [
        f"Markets per cell until an interval of {100 * confidence:g} % has a half width, by the event's probability p"
    ]
    heads = [f"p = {p:g} or {1 - p:g}" if p != 0.5 else "p = 0.5" for p in PROBABILITIES]
    lines += [_row(["", *heads]), _row(["half width", *["fixed / any time"] * len(heads)])]
    for width in widths:
        pairs = [[markets_needed(p, width, confidence, anytime) for anytime in (False, True)] for p in PROBABILITIES]
        lines.append(_row([f"{width:g}", *(f"{fixed:,} / {anytime:,}" for fixed, anytime in pairs)]))
    lines += ["fixed: N is given before the scan. any time: the scan stops by itself (until), whenever that is.", ""]
    return "\n".join([*lines, *(_fixed(config) if until is None else _adaptive(config, until))]) + "\n"


def _fixed(config: ScanConfig) -> list[str]:
    cells = len(config.cells)
    least = replicates(config.markets, cells, cells - 1)
    widths = [half_width_after(least, p, CONFIDENCE, clopper_pearson) for p in PROBABILITIES]
    listed = ", ".join(f"{width:.2g} at p = {p:g}" for width, p in zip(widths, PROBABILITIES, strict=True))
    return [f"This scan: {config.markets:,} markets, {least:,} in each of {cells:,} cells; half widths {listed}."]


def _adaptive(config: ScanConfig, until: Until) -> list[str]:
    cells = len(config.cells)
    most = replicates(config.markets, cells, 0)
    lines = [
        f"This scan: {cells:,} cells until {until.event} is known to {until.half_width:g}, with at most {most:,} "
        f"markets each and {config.markets:,} in all."
    ]
    for p in PROBABILITIES:
        each = markets_needed(p, until.half_width, until.confidence, anytime=True)
        capped = ", stopped by the cap" if each > most else ""
        lines.append(f"If p were {p:g} in all of them: about {min(each, most) * cells:,} markets{capped}.")
    return lines


def _row(entries: Sequence[str]) -> str:
    return f"{entries[0]:>10}" + "".join(f"{entry:>26}" for entry in entries[1:])
