"""Which markets a scan measures together: blocks of replicates of one cell, and the numbering of markets.

Market `i` is replicate `i // num_cells` of cell `i % num_cells`, so a scan of more markets contains every smaller one.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

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
        if not (slash and number.isdecimal() and count.isdecimal()):
            raise ValueError(f"a shard is written like 2/5, the second of five, got {text!r}.")
        return cls(int(number), int(count))

    def holds(self, block: Block, chunk: int, num_cells: int) -> bool:
        return (block.start // chunk * num_cells + block.cell) % self.count == self.number - 1


def missing_blocks(
    config: ScanConfig, chunk: int, covered: Mapping[int, Iterable[Interval]], shard: Shard | None = None
) -> list[Block]:
    """Plans what is left to do, of all or of a shard, given the replicates that are stored, as intervals per cell.

    Blocks start at multiples of `chunk` unless what is stored ends elsewhere; the first blocks of all cells come first,
    so that an unfinished scan says something about every cell.
    """
    num_cells = len(config.cells)
    blocks = []
    for cell in config.cells:
        total = replicates(config.markets, num_cells, cell.index)
        for start, stop in _gaps(covered.get(cell.index, ()), total):
            edges = [start, *range((start // chunk + 1) * chunk, stop, chunk), stop]
            blocks += [Block(cell.index, low, high) for low, high in itertools.pairwise(edges)]
    if shard is not None:
        blocks = [block for block in blocks if shard.holds(block, chunk, num_cells)]
    return sorted(blocks, key=lambda block: (block.start // chunk, block.cell, block.start))


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
