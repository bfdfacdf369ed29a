"""How many markets an interval of a wanted width needs, before any is measured."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .._arguments import described, is_number
from ._config import ScanConfig
from ._estimate_intervals import CONFIDENCE, check_confidence, clopper_pearson, confidence_sequence
from ._plan import replicates
from ._until import Until

PROBABILITIES = (0.5, 0.9, 0.99)
HALF_WIDTHS = (0.05, 0.02, 0.01, 0.005)
_MOST = 10**12


def markets_needed(probability: Any, half_width: Any, confidence: Any = CONFIDENCE, anytime: bool = False) -> int:
    """Returns how many markets it takes until the interval of an event's probability is narrow enough.

    Of `n` markets the event is taken to hold in `probability * n`, which is what to expect; open markets, which widen
    an interval, are not foreseen. The number is the same for `1 - probability`.

    **Arguments:**

    - `probability`: of the event, 0 to 1; nearer to 1/2 it takes more.
    - `half_width`: half the width that the interval may have, strictly between 0 and 1/2.
    - `confidence`: two-sided, strictly between 0 and 1.
    - `anytime`: False for the Clopper-Pearson interval of a number of markets fixed beforehand, True for the interval
      that `until` stops by.

    Raises `ValueError` for anything else, and where it would take more than 10^12 markets.
    """
    check_confidence(confidence)
    for name, value in (("probability", probability), ("half_width", half_width)):
        if not is_number(value):
            raise ValueError(f"{name} must be a number, got {described(value)}.")
    if not 0.0 <= probability <= 1.0 or not 0.0 < half_width < 0.5:
        raise ValueError(
            f"probability must lie between 0 and 1 and half_width strictly between 0 and 1/2, got {probability} and "
            f"{half_width}."
        )
    return _needed(float(probability), float(half_width), float(confidence), anytime)


@functools.lru_cache(maxsize=4096)
def _needed(probability: float, half_width: float, confidence: float, anytime: bool) -> int:
    interval = confidence_sequence if anytime else clopper_pearson
    low, high = 0, 1
    while half_width_after(high, probability, confidence, interval) > half_width:
        low, high = high, 2 * high
        if high > _MOST:
            raise ValueError(f"a half width of {half_width} takes more than 10^12 markets.")
    while high - low > 1:
        middle = (low + high) // 2
        if half_width_after(middle, probability, confidence, interval) > half_width:
            low = middle
        else:
            high = middle
    return high


def half_width_after(
    markets: int, probability: float, confidence: float, interval: Callable[..., tuple[np.ndarray, np.ndarray]]
) -> float:
    """Half the width of an interval after so many markets, if the event holds in its share of them."""
    # As a fraction of a market where it is one: the width then falls with every market, without steps.
    lower, upper = interval(min(probability * markets, markets), markets, confidence)
    return float(upper - lower) / 2.0


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
