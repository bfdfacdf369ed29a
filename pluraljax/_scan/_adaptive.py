"""Samples each cell until its interval is narrow enough: when to look at a cell, and what to measure before that.

Whether to go on is decided at *looks* only, after numbers of markets that follow from what the looks before have shown.
Both depend on the cell's own markets in their order and on nothing else: not on the chunk size, the devices or the
moment of a kill. The interval is that of `confidence_sequence`, which holds whatever the looks and whenever one stops.
"""

import enum
import functools
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from .._status import Status
from ._config import ScanConfig
from ._estimate_intervals import confidence_sequence
from ._estimate_rows import codes_of
from ._estimate_sums import Proportion
from ._manifest import Manifest
from ._plan import Block, Interval, replicates
from ._power import markets_needed
from ._progress import Progress
from ._read import read_parts
from ._store import Memory, Store
from ._until import Until

# Looks come after multiples of this many markets, which devices measure together anyway.
_STEP = 32
# The next look comes 4 % to 100 % later: as soon as the interval would be narrow if the shares stayed as they are.
_LATER = 1.0 + np.arange(1, 26) / 25.0

# Codes of an event in one market, beyond 1 (yes), 0 (no) and -1 (open).
_INVALID, _UNKNOWN = -2, -3


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
    def of(cls, config: "ScanConfig | Manifest") -> "Stopping | None":
        """Reads it from a config, or a store's manifest; None where the number of markets is given."""
        cells = config.cells
        most = tuple(replicates(config.markets, len(cells), cell.index) for cell in cells)
        return None if config.until is None else cls(config.until, most)

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
        kinds = [codes == 1, codes == 0, codes == -1, codes == _INVALID]
        self._sums = [np.concatenate([[0], np.cumsum(kind)]) for kind in kinds]

    def share(self, markets: int) -> Proportion:
        return Proportion(*(int(sums[markets]) for sums in self._sums), sequential=True)


class Sampler:
    """Decides for every cell of a scan which markets to measure next; knows what has been measured so far."""

    def __init__(self, config: ScanConfig):
        if (stopping := Stopping.of(config)) is None:
            raise ValueError("An adaptive scan needs a config with until.")
        self._until, self._most = stopping.until, stopping.most
        self._codes = [np.empty(0, np.int8) for _ in config.cells]

    @property
    def markets(self) -> int:
        """How many markets have been measured, in all cells."""
        return sum(int((codes != _UNKNOWN).sum()) for codes in self._codes)

    def foreseen(self) -> int:
        """How many markets it will take in all, if the shares stayed as they are; 1/2 where nothing is known."""
        total = 0
        for verdict, most in zip(self.verdicts(), self._most, strict=True):
            reached = verdict.sampled
            if verdict.state is State.UNFINISHED:
                low, high = verdict.share.estimate
                middle = (low + high) / 2.0 if verdict.share.trials else 0.5
                needed = markets_needed(middle, self._until.half_width, self._until.confidence, anytime=True)
                reached = min(max(needed, verdict.look), most)
            total += reached
        return total

    def closing(self) -> list[str]:
        """Says how the cells ended."""
        ended = [verdict.state for verdict in self.verdicts()]
        counts = [(state, ended.count(state)) for state in State]
        listed = ", ".join(f"{count:,} {state.value}" for state, count in counts if count)
        return [f"{self.markets:,} markets for {self._until.event} to {self._until.half_width:g}; cells: {listed}"]

    def observe(self, table: pa.Table) -> None:
        """Takes note of measured rows, of any cells and in any order."""
        market, cells = (table.column(name).to_numpy() for name in ("market", "cell"))
        status, event = codes_of(table, "status"), codes_of(table, self._until.event)
        known = np.where(status < Status.NOT_FINITE, event, _INVALID)
        for cell in np.unique(cells):
            self._note(int(cell), market[cells == cell] // len(self._codes), known[cells == cell])

    def _note(self, cell: int, places: np.ndarray, codes: np.ndarray) -> None:
        known, reached = self._codes[cell], int(places.max()) + 1
        if reached > len(known):
            known = np.concatenate([known, np.full(max(reached, 2 * len(known)) - len(known), _UNKNOWN, np.int8)])
            self._codes[cell] = known
        known[places] = codes

    def verdicts(self) -> list[Verdict]:
        """Where each cell stands; only markets without a gap before them count."""
        return [
            replay(self._until, codes[: _length_known(codes)], most)
            for codes, most in zip(self._codes, self._most, strict=True)
        ]

    def further(self, chunk: int) -> list[Block]:
        """The blocks to measure before the next look at each cell that is not done; none when all cells are."""
        blocks: list[Block] = []
        for cell, (verdict, codes) in enumerate(zip(self.verdicts(), self._codes, strict=True)):
            if verdict.state is State.UNFINISHED:
                blocks += _cut(cell, _unknown(codes, verdict.look), chunk)
        return sorted(blocks, key=lambda block: (block.start // chunk, block.cell, block.start))


def _length_known(codes: np.ndarray) -> int:
    unknown = np.flatnonzero(codes == _UNKNOWN)
    return int(unknown[0]) if len(unknown) else len(codes)


def _unknown(codes: np.ndarray, stop: int) -> list[Interval]:
    """The stretches of a cell's first `stop` markets that have not been measured."""
    missing = np.ones(stop, bool)
    missing[: len(codes)] = codes[:stop] == _UNKNOWN
    edges = np.flatnonzero(np.diff(np.concatenate([[False], missing, [False]]).astype(np.int8)))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def _cut(cell: int, stretches: Iterable[Interval], chunk: int) -> list[Block]:
    """Cuts stretches of a cell's markets at multiples of `chunk`."""
    blocks = []
    for start, stop in stretches:
        edges = [start, *range((start // chunk + 1) * chunk, stop, chunk), stop]
        blocks += [Block(cell, low, high) for low, high in itertools.pairwise(edges)]
    return blocks


def sample_until(
    config: ScanConfig, store: Store | Memory, progress: Progress, measure: Callable[..., Any]
) -> tuple[int, list[Any]]:
    """Runs a scan that stops by itself: measures what each cell needs before the next look at it, round by round.

    **Arguments:**

    - `measure`: called as `measure(config, store, progress, blocks)`; writes the rows of the blocks to the store.

    **Returns:** how many markets were stored before, and what `measure` returned in each round.
    """
    sampler = Sampler(config)
    _, aside = store.covered()
    for each in aside:
        progress.note(f"{each.name} was set aside and is redone: {each.reason}")
    if isinstance(store, Store):
        for part in read_parts(store.path):
            sampler.observe(part)
    stored, rounds = sampler.markets, []
    progress.start(sampler.foreseen(), stored)
    try:
        while blocks := sampler.further(store.chunk):
            progress.expect(sampler.foreseen())
            rounds.append(measure(config, store, progress, blocks))
            for block in blocks:
                sampler.observe(store.read(block))
        for line in sampler.closing():
            progress.note(line)
    finally:
        progress.close()
    return stored, rounds
