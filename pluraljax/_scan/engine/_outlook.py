"""What a scan would do, and about how long it takes: by its journal, or by what other scans took. Imports no JAX.

The speeds are those of scans on two cores of a server (docs/scan.md), as powers of how many outcomes a user has,
actions times states: `users * a * outcomes^b` milliseconds of two cores for a market.
"""

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..._compiling._prepare import num_cores
from ..._families import Sizes
from ..._progress import duration
from ..config._config import ScanConfig
from ..config._plan import Interval, Shard, missing_blocks
from ..measure._search import Search
from ..store._chunk import block_of
from ..store._journal import read_journal
from ..store._read import chunk_files
from ..store._store import check_folder, manifest_of
from ..store._survey import seconds_per_market

# Milliseconds of two cores, and the power of the number of outcomes: of conditions, and of equilibria besides.
_CONDITIONS, _EQUILIBRIA = (6.3e-3, 1.1), (2.54e-3, 1.63)
# Two questions, of the six about conditions, are asked again of every set of providers that leaves.
_OF_EXIT = 1 / 3
# Milliseconds of one core for a market that is searched, for each part of the space that may be looked at.
_SEARCHED = 35.0 / 8
# Cells differ, and so do machines: the time lies between these multiples of what is expected, as a rule.
_FASTER, _SLOWER = 1 / 1.5, 4.0
# Seconds that compiling takes for an array shape, with nothing kept, and GiB that it leaves in memory.
_COMPILING, _MEMORY = {False: (20.0, 60.0), True: (60.0, 180.0)}, {False: 0.5, True: 1.1}


@dataclass(frozen=True)
class Outline:
    """What there is to do of a scan in a folder: how many markets each cell lacks, and how many are to be searched."""

    out: str
    markets: int
    stored: int
    chunks: int
    chunk: int
    cells: int
    missing: Mapping[int, int]
    to_search: int

    @property
    def lines(self) -> tuple[str, str]:
        """It in two lines."""
        return (
            f"{self.markets:,} markets in {self.cells:,} cells, {self.stored:,} of them stored in {self.out}",
            f"to measure: {self.markets - self.stored:,} in {self.chunks:,} chunks of at most {self.chunk:,}",
        )


def outline(config: ScanConfig, out: Path, shard: Shard | None = None) -> Outline:
    """Plans a scan into a folder, which is only looked at; with `until` as if every cell went to its most.

    Raises `ValueError` for a folder that holds something else.
    """
    known = check_folder(out, manifest_of(config))
    chunk = known.config["chunk"] if known else config.rows_per_chunk
    covered: dict[int, list[Interval]] = defaultdict(list)
    for block in map(block_of, (file.name for file in chunk_files(out))):
        if block is not None:
            covered[block.cell].append((block.start, block.stop))
    plan = missing_blocks(config, chunk, covered, shard)
    total, to_search = missing_blocks(config, chunk, {}, shard).markets, 0
    if config.search is not None:
        searched = sum(config.search.searched(*gap) for gaps in plan.gaps.values() for gap in gaps)
        to_search = -(-searched // (1 if shard is None else shard.count))
    return Outline(
        out=str(out),
        markets=total,
        stored=total - plan.markets,
        chunks=len(plan),
        chunk=chunk,
        cells=len(config.cells),
        missing=plan.markets_of,
        to_search=to_search,
    )


@dataclass(frozen=True)
class Outlook:
    """An outline, and what it takes.

    `seconds` are the least and the most as a rule, without what compiling takes, which is `compiling` for each of
    `shapes` array shapes; `by_journal` says whether they follow from chunks of this scan, and `with_play` whether it
    asks for play, of which nothing is foreseen. `memory` is in GiB.
    """

    plan: Outline
    seconds: tuple[float, float]
    by_journal: bool
    with_play: bool
    shapes: int
    compiling: tuple[float, float]
    memory: float
    cores: int

    def __str__(self) -> str:
        (least, most), cores = self.seconds, f"{self.cores} cores"
        left = self.plan.markets - self.plan.stored
        rates = " to ".join(f"{left / max(seconds, 1e-9):,.0f}" for seconds in (most, least))
        basis = "by the chunks that are stored" if self.by_journal else "by what other scans took"
        first, last = (duration(self.shapes * each) for each in self.compiling)
        besides = []
        if self.plan.to_search:
            besides.append(f"to search: {self.plan.to_search:,} markets, which is in that time")
        if self.with_play and not self.by_journal:
            besides.append("play: takes longer than all else, and is not in that time")
        shapes = f"{self.shapes:,} array shape{'s' if self.shapes > 1 else ''}"
        return "\n".join(
            [
                *self.plan.lines,
                f"time: {duration(least)} to {duration(most)} ({rates} markets a second) on {cores}, {basis}",
                *besides,
                f"to compile: {shapes}, which takes {first} to {last} the first time, and seconds later",
                f"memory: about {self.memory:.1f} GiB, however many markets there are",
                "nothing was measured for this: --rehearse does, and tells more precisely",
            ]
        )


def foresee(config: ScanConfig, out: Path, shard: Shard | None = None) -> Outlook:
    """Plans a scan into a folder as `outline` does, and estimates what it takes."""
    plan, sizes = outline(config, out, shard), [size for part in config.grid for size in part.sizes]
    known, cores = seconds_per_market(read_journal(out)), num_cores()
    if known:
        average = sum(known.values()) / len(known)
        expected = sum(known.get(cell, average) * number for cell, number in plan.missing.items())
        seconds = (expected * _FASTER, expected / _FASTER)
    else:
        measuring = sum(number * _seconds(config, sizes[cell]) for cell, number in plan.missing.items())
        budget = 0 if config.search is None else config.search.budget
        # It has one thread, and shares the cores with what is measured.
        searching = 1e-3 * plan.to_search * _SEARCHED * budget
        expected = max((2 * measuring + searching) / cores, searching)
        seconds = (expected * _FASTER, expected * _SLOWER)
    asks_more = bool(config.equilibria)
    return Outlook(
        plan=plan,
        seconds=seconds,
        by_journal=bool(known),
        with_play=isinstance(config.equilibria, Search),
        shapes=len({(size.users, size.outcomes) for size in sizes}),
        compiling=_COMPILING[asks_more],
        memory=_MEMORY[asks_more],
        cores=cores,
    )


def _seconds(config: ScanConfig, size: Sizes) -> float:
    """What a market takes two cores."""

    def takes(factor: float, power: float) -> float:
        return 1e-3 * size.users * factor * math.pow(size.outcomes, power)

    conditions = takes(*_CONDITIONS)
    removals = 0 if config.robust is None else config.robust.removals(size.providers)
    return conditions * (1 + _OF_EXIT * removals) + (takes(*_EQUILIBRIA) if config.equilibria else 0.0)
