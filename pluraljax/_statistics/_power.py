"""How many markets an interval of a wanted width needs, before any is measured."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from .._arguments import described, is_number
from ._intervals import CONFIDENCE, check_confidence, clopper_pearson, confidence_sequence

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

    Example::

        plx.statistics.markets_needed(0.5, 0.01)  # so many for an interval of plus or minus 1 %
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
