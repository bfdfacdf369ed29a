"""Which markets a scan measures together: blocks of replicates of one cell, and the numbering of markets.

Market `i` is replicate `i // num_cells` of cell `i % num_cells`, so a scan of more markets contains every smaller one.
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..._printable import quoted
from ._config import ScanConfig
from ._definition import Cell

Interval = tuple[int, int]


@dataclass(frozen=True, order=True)
class Block:
    """Replicates `start` to `stop - 1` of one cell: what is measured, and stored in one file, together."""

    cell: int
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def markets(self, num_cells: int) -> np.ndarray:
        """Global indices of its markets, int64."""
        return np.arange(self.start, self.stop, dtype=np.int64) * num_cells + self.cell


def replicates(markets: int, num_cells: int, cell: int) -> int:
    """How many of the first `markets` markets belong to a cell."""
    return max(0, -(-(markets - cell) // num_cells))


@dataclass(frozen=True)
class Shard:
    """Part `number` of `count` parts of a scan, from 1: every `count`-th chunk."""

    number: int
    count: int

    def __post_init__(self):
        if not 1 <= self.number <= self.count:
            raise ValueError(f"a shard is one of 1/n, 2/n, ..., n/n, got {self.number}/{self.count}.")

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Reads "2/5"; raises `ValueError` for anything else."""
        number, slash, count = text.partition("/")
        if not (slash and number.isdecimal() and count.isdecimal() and len(text) <= 20):
            raise ValueError(f"a shard is written like 2/5, the second of five, got {quoted(text)}.")
        return cls(int(number), int(count))

    def holds(self, block: Block, chunk: int, num_cells: int) -> bool:
        return (block.start // chunk * num_cells + block.cell) % self.count == self.number - 1


@dataclass(frozen=True)
class Plan:
    """What is left to do of a scan, or of a shard of it. Blocks are made one by one as they are asked for.

    The first blocks of all cells come first, so that an unfinished scan says something about every cell. `gaps` are the
    replicates that are to be measured, for each cell that lacks some.
    """

    chunk: int
    num_cells: int
    gaps: Mapping[int, Sequence[Interval]]
    shard: Shard | None = None

    def __iter__(self) -> Iterator[Block]:
        order = lambda block: (block.start // self.chunk, block.cell, block.start)
        blocks = heapq.merge(*(self._of(cell) for cell in self.gaps), key=order)
        return blocks if self.shard is None else (block for block in blocks if self._is_ours(block))

    def __len__(self) -> int:
        """How many blocks there are."""
        return self._totals[0]

    @property
    def markets(self) -> int:
        """How many markets they hold."""
        return sum(self.markets_of.values())

    @property
    def markets_of(self) -> dict[int, int]:
        """How many markets of each cell they hold, for the cells that lack some."""
        return self._totals[1]

    @cached_property
    def _totals(self) -> tuple[int, dict[int, int]]:
        blocks, markets = 0, {}
        for cell, gaps in self.gaps.items():
            if self.shard is None:
                blocks += sum((stop - 1) // self.chunk - start // self.chunk + 1 for start, stop in gaps)
                markets[cell] = sum(stop - start for start, stop in gaps)
            else:
                ours = [len(block) for block in self._of(cell) if self._is_ours(block)]
                blocks += len(ours)
                if ours:
                    markets[cell] = sum(ours)
        return blocks, markets

    def _of(self, cell: int) -> Iterator[Block]:
        """The blocks of one cell: cut at multiples of `chunk`, unless what is stored ends elsewhere."""
        for start, stop in self.gaps[cell]:
            while start < stop:
                end = min((start // self.chunk + 1) * self.chunk, stop)
                yield Block(cell, start, end)
                start = end

    def _is_ours(self, block: Block) -> bool:
        return self.shard is None or self.shard.holds(block, self.chunk, self.num_cells)


def missing_blocks(
    config: ScanConfig, chunk: int, covered: Mapping[int, Iterable[Interval]], shard: Shard | None = None
) -> Plan:
    """Plans what is left to do, of all or of a shard, given the replicates that are stored, as intervals per cell."""
    num_cells = len(config.cells)
    gaps = {
        cell: _gaps(covered.get(cell, ()), replicates(config.markets, num_cells, cell)) for cell in range(num_cells)
    }
    return Plan(chunk, num_cells, {cell: each for cell, each in gaps.items() if each}, shard)


def uncovered(block: Block, covered: Iterable[Interval]) -> list[Block]:
    """The parts of a block that some intervals of its cell's replicates leave."""
    gaps = [(max(start, block.start), stop) for start, stop in _gaps(covered, block.stop)]
    return [Block(block.cell, start, stop) for start, stop in gaps if start < stop]


def _gaps(covered: Iterable[Interval], total: int) -> list[Interval]:
    gaps, reached = [], 0
    for start, stop in sorted(covered):
        if start > reached:
            gaps.append((reached, min(start, total)))
        reached = max(reached, stop)
    gaps.append((reached, total))
    return [(start, stop) for start, stop in gaps if start < stop]


def parameter_types(cells: Sequence[Cell]) -> dict[str, str]:
    """Names a column type for each parameter of any cell: int64, float64, bool, or string (JSON for anything else)."""
    values: dict[str, list[Any]] = {}
    for cell in cells:
        for name, value in cell.parameters.items():
            if value is not None:
                values.setdefault(name, []).append(value)
    return {name: _column_type(values[name]) for name in sorted(values)}


def _column_type(values: Sequence[Any]) -> str:
    kinds = {type(value) for value in values}
    if kinds == {bool}:
        return "bool"
    if kinds <= {int, float}:
        return "int64" if kinds == {int} else "float64"
    return "string"
