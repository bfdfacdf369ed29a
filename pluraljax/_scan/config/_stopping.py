"""When a cell of a scan with `until` is done: after how many markets to look, and what a look says. Imports no JAX.

Whether to go on is decided at *looks* only, after numbers of markets that follow from what the looks before have shown.
Both depend on the cell's own markets in their order and on nothing else: not on the chunk size, the devices or the
moment of a kill. The interval is that of `confidence_sequence`, which holds whatever the looks and whenever one stops.
"""

import enum
import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..._statistics._intervals import confidence_sequence
from ..._statistics._sums import Proportion
from ._plan import replicates
from ._until import Until

# Looks come after multiples of this many markets, which devices measure together anyway.
_STEP = 32
# The next look comes 4 % to 100 % later: as soon as the interval would be narrow if the shares stayed as they are.
_LATER = 1.0 + np.arange(1, 26) / 25.0

# The code of an event in a row that held no market, beyond 1 (yes), 0 (no) and -1 (open).
INVALID = -2


class State(enum.Enum):
    """How far a cell has come: its interval is narrow enough, it has all markets it may have, or it needs more."""

    NARROW = "narrow enough"
    CAPPED = "at the cap"
    UNFINISHED = "unfinished"


@dataclass(frozen=True)
class Verdict:
    """Where a cell stands after `sampled` markets, `share` of which the event holds in; `look` is the next one due."""

    state: State
    share: Proportion
    sampled: int
    look: int


@dataclass(frozen=True)
class Stopping:
    """How a scan that stops by itself was to stop; `most` holds the most markets that each cell may have."""

    until: Until
    most: tuple[int, ...]

    @classmethod
    def of(cls, scan: Any) -> "Stopping | None":
        """Reads it from a `ScanConfig` or the `Manifest` of a store; None where the number of markets is given."""
        cells, until = scan.cells, scan.until
        most = tuple(replicates(scan.markets, len(cells), cell.index) for cell in cells)
        return None if until is None else cls(until, most)

    def state(self, cell: int, share: Proportion) -> State:
        """Says how far a cell has come whose markets, `invalid` ones included, are counted in `share`."""
        return state_of(self.until, share, share.trials + share.invalid, self.most[cell])


def state_of(until: Until, share: Proportion, sampled: int, most: int) -> State:
    """Says whether a cell is done; markets left open count for whichever side makes its interval wider."""
    if is_narrow(until, share):
        return State.NARROW
    return State.CAPPED if sampled >= most else State.UNFINISHED


@functools.lru_cache(maxsize=4096)
def is_narrow(until: Until, share: Proportion) -> bool:
    """Whether the interval that holds at any time is no wider than asked for."""
    return bool(_half_width(until, share.yes, share.yes + share.open, share.trials) <= until.half_width)


@functools.lru_cache(maxsize=256)
def first_look(until: Until, most: int) -> int:
    """The first number of markets after which an interval could be narrow enough: if no event was seen, or only events.

    Intervals of an event that is never seen narrow with every trial, so nothing before it is worth a look.
    """
    low, high = 0, 1
    while high < most and _half_width(until, 0, 0, high) > until.half_width:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _half_width(until, 0, 0, middle) > until.half_width else (low, middle)
    return _round_up(high, most)


@functools.lru_cache(maxsize=4096)
def next_look(until: Until, share: Proportion, sampled: int, most: int) -> int:
    """The number of markets after which to look again, given what a look after `sampled` markets has shown."""
    trials = share.trials * _LATER
    shares = (np.array([share.yes, share.yes + share.open]) / max(share.trials, 1))[:, None] * trials
    narrow = np.flatnonzero(_half_width(until, shares[0], shares[1], trials) <= until.half_width)
    growth = _LATER[narrow[0]] if len(narrow) else _LATER[-1]
    return _round_up(max(int(np.ceil(growth * sampled)), sampled + 1), most)


def _half_width(until: Until, least: Any, greatest: Any, trials: Any) -> np.ndarray:
    # Shares of a fractional number of trials may exceed it by rounding.
    lower, upper = confidence_sequence(np.minimum([least, greatest], trials), trials, until.confidence)
    return np.asarray((upper[1] - lower[0]) / 2.0)


def _round_up(number: int, most: int) -> int:
    return min(-(-number // _STEP) * _STEP, most)


def replay(until: Until, codes: np.ndarray, most: int) -> Verdict:
    """Goes through the looks that a cell's first markets allow for.

    **Arguments:**

    - `codes`: the event in the cell's markets, in order: 1 (yes), 0 (no), -1 (open), -2 (the row held no market).
    - `most`: the most markets that the cell may have.

    **Returns:** the verdict of the last look. Of a cell that is not done, `look` exceeds the number of codes.
    """
    looks, look = _Tally(codes), first_look(until, most)
    while look <= len(codes):
        share = looks.share(look)
        state = state_of(until, share, look, most)
        if state is not State.UNFINISHED and look < len(codes):
            # More is stored than this rule asks for: a scan under another rule went on. All of it counts.
            look = len(codes)
            share = looks.share(look)
            state = state_of(until, share, look, most)
        if state is not State.UNFINISHED:
            return Verdict(state, share, look, look)
        look = next_look(until, share, look, most)
    return Verdict(State.UNFINISHED, looks.share(len(codes)), len(codes), look)


class _Tally:
    """Counts of each code among the first so many markets."""

    def __init__(self, codes: np.ndarray):
        kinds = [codes == 1, codes == 0, codes == -1, codes == INVALID]
        self._sums = [np.concatenate([[0], np.cumsum(kind)]) for kind in kinds]

    def share(self, markets: int) -> Proportion:
        return Proportion(*(int(sums[markets]) for sums in self._sums), sequential=True)
