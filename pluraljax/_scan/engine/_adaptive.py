"""Samples each cell until its interval is narrow enough: what to measure before the next look at a cell.

When to look, and when a cell is done, is said in `config._stopping`.
"""

import itertools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pyarrow as pa

from ..._progress import Progress
from ..._statistics._power import markets_needed
from ..._status import Status
from ..config._config import ScanConfig
from ..config._plan import Block, Interval
from ..config._stopping import INVALID, State, Stopping, Verdict, replay
from ..store._codes import codes_of
from ..store._read import read_parts
from ..store._store import Memory, Store

# The code of a market that has not been measured, beyond those that `replay` knows.
_UNKNOWN = -3


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
        known = np.where(status < Status.NOT_FINITE, event, INVALID)
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
