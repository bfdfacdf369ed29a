"""What a scan would do, and what it takes: measures some markets of every cell, and stores nothing."""

import resource
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

from ..._progress import Silent, duration
from ..config._config import ScanConfig
from ..config._plan import Block, Shard, replicates
from ..measure._worst_search import WorstSearch
from ..store._journal import name_devices
from ..store._store import Memory
from ..store._versions import Versions
from ._outlook import Outline, outline
from ._run import measure_here

# Markets of each cell that are measured: a tile for each of two devices. And cells: those of the default grid.
_TRIAL, _CELLS = 64, 48
# And markets of each cell that are searched, which takes far longer.
_SEARCHED = 4


@dataclass(frozen=True)
class Rehearsal:
    """What a scan would do.

    `seconds_compiling` is what the first markets waited for, with whatever the compilation cache held already, and
    `seconds_measuring` is extrapolated from a second pass over them. `peak` is this process's peak memory in bytes,
    which stays what it is however many markets follow: rows leave for the disk chunk by chunk. `seconds_searching` is
    what one core takes for the `plan.to_search` markets that are to be searched; devices go on meanwhile, and it counts
    in `seconds_measuring` as far as it keeps them waiting. Of many cells, `tried` are measured, spread evenly over
    those that lack markets; the others are taken to be as fast on average.
    """

    plan: Outline
    devices: str
    tried: int
    seconds_compiling: float
    seconds_measuring: float
    seconds_searching: float
    peak: int

    def __str__(self) -> str:
        lacking = self.plan.markets - self.plan.stored
        rate = lacking / max(self.seconds_measuring, 1e-9)
        return "\n".join(
            [
                *self.plan.lines,
                f"on {self.devices}",
                f"time: about {duration(self.seconds_measuring)} ({rate:,.0f} markets a second), after "
                f"{duration(self.seconds_compiling)} to compile{self._for_how_many}",
                *self._searching,
                f"memory: {self.peak / 2**30:.1f} GiB, however many markets there are",
            ]
        )

    @property
    def _searching(self) -> list[str]:
        if not self.plan.to_search:
            return []
        return [
            f"to search: {self.plan.to_search:,} markets, which keeps one core busy for "
            f"{duration(self.seconds_searching)} of that time"
        ]

    @property
    def _for_how_many(self) -> str:
        return "" if self.tried >= self.plan.cells else f" for the {self.tried:,} cells that were tried"


def rehearse(config: ScanConfig, out: Path, shard: Shard | None = None) -> Rehearsal:
    """Plans a scan into a folder, which is only looked at, and measures some markets of every cell twice.

    With `until` the plan is that of every cell going to its most. Raises `ValueError` for a folder that holds something
    else.
    """
    plan = outline(config, out, shard)
    lacking = sorted(plan.missing)
    tried = lacking[:: -(-len(lacking) // _CELLS)] if lacking else []
    first, speeds = _try(config.replace(search=None), tried)
    average = sum(speeds.values()) / max(len(speeds), 1)
    measuring = sum(speeds.get(cell, average) * number for cell, number in plan.missing.items())
    searching = 0.0
    if config.search is not None:
        searching = plan.to_search * _try_search(config, config.search, tried)
    return Rehearsal(
        plan=plan,
        devices=name_devices(jax.local_devices()),
        tried=len(tried) if len(tried) < len(lacking) else plan.cells,
        seconds_compiling=first,
        seconds_measuring=_together(measuring, searching),
        seconds_searching=searching,
        peak=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024),
    )


def _try(config: ScanConfig, cells: Sequence[int]) -> tuple[float, dict[int, float]]:
    """Measures some markets of each cell; returns what compiling took, and the seconds per market of each cell."""
    blocks = _blocks(config, cells, _TRIAL)
    took = []
    store = _Stopwatch(config)
    for _ in range(2):
        began = time.monotonic()
        measure_here(config, store, Silent(), blocks)
        took.append(time.monotonic() - began)
    return max(0.0, took[0] - took[1]), store.seconds


def _blocks(config: ScanConfig, cells: Sequence[int], markets: int) -> list[Block]:
    """So many markets of each cell, or what it or a chunk holds: a programme takes no more at once."""
    most = min(markets, config.rows_per_chunk)
    return [Block(cell, 0, min(most, replicates(config.markets, len(config.cells), cell))) for cell in cells]


def _try_search(config: ScanConfig, search: WorstSearch, cells: Sequence[int]) -> float:
    """Searches a few markets of each cell; returns the seconds per market."""
    few = WorstSearch(min(_SEARCHED, search.markets), search.budget)
    blocks = _blocks(config, cells, _SEARCHED)
    done = measure_here(config.replace(search=few), _Stopwatch(config), Silent(), blocks)
    return done.seconds_searching / max(done.searched, 1)


def _together(measuring: float, searching: float) -> float:
    """How long both take side by side: a search has a thread of its own, which CPU devices share their cores with."""
    devices = jax.local_devices()
    if devices[0].platform != "cpu":
        return max(measuring, searching)
    return max(measuring + searching / len(devices), searching)


class _Stopwatch(Memory):
    """Keeps how long markets took, and no rows."""

    def __init__(self, config: ScanConfig):
        super().__init__(config)
        self.seconds: dict[int, float] = {}

    def write(self, block: Block, rows: Mapping[str, Any], made: Versions | None = None) -> None:
        self.format.table(block, rows)

    def record(self, block: Block, seconds: float, maker: Mapping[str, Any], compiling: float = 0.0) -> None:
        self.seconds[block.cell] = (seconds - compiling) / len(block)
