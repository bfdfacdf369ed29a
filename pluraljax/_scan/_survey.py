"""How far a scan has come, as its folder tells it: what is stored, how fast it goes, and which cells to look at."""

import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from .._status import Status
from ._adaptive import State, Stopping
from ._chunk import block_of
from ._config import ScanConfig
from ._estimate_sums import Proportion
from ._journal import read_journal
from ._plan import Block, Interval, replicates
from ._read import chunk_files, read_manifest
from ._store import writer

# Chunks of the last run over which its speed is taken.
_RECENT = 50


@dataclass(frozen=True)
class CellSurvey:
    """One cell: markets stored, markets wanted (at most, where the scan has `until`), and what went wrong in them.

    `state` says whether the cell is done: "all stored" or "unfinished", or with `until` as `State` names it.
    """

    cell: int
    family: str
    parameters: dict[str, Any]
    stored: int
    wanted: int
    state: str
    open: int
    invalid: int
    seconds_per_market: float | None


@dataclass(frozen=True)
class Survey:
    """A scan's folder at one moment.

    `rate` is in markets a second over the last chunks of the last run, and `seconds_left` what is missing at that rate;
    both are None where the journal does not say. `writer` is the process that writes to the folder ("" if it does not
    say which), None where nobody does. `unreadable` are files among the chunks that are none, or cannot be read.
    """

    path: str
    stored: int
    wanted: int
    until: bool
    writer: str | None
    rate: float | None
    seconds_left: float | None
    last_stored: str | None
    unreadable: tuple[str, ...]
    cells: tuple[CellSurvey, ...]

    @property
    def is_done(self) -> bool:
        """Whether every cell has the markets it is to have; with `until`, those at which it may stop."""
        return all(cell.state != State.UNFINISHED.value for cell in self.cells)

    def as_data(self) -> dict[str, Any]:
        """Everything as plain data, for JSON."""
        return asdict(self) | {"done": self.is_done}


def survey(path: str | Path) -> Survey:
    """Looks at the folder of a scan, running or not, and leaves it alone; raises `ValueError` where there is none.

    Of a chunk it reads the statuses only, and the event that a scan with `until` waits for: whether files are whole is
    checked by who reads the rows.
    """
    manifest = read_manifest(path)
    config = ScanConfig.from_mapping(manifest["config"], f"{path}/manifest.json")
    stopping = Stopping.of(config)
    tallies = {cell.index: _Tally() for cell in config.cells}
    unreadable = []
    for file in chunk_files(path):
        if (block := block_of(file.name)) is None or block.cell not in tallies:
            continue
        try:
            tallies[block.cell].count(block, file, None if stopping is None else stopping.until.event)
        except Exception:
            unreadable.append(file.name)
    journal = read_journal(path)
    speeds = _seconds_per_market(journal)
    cells = []
    for cell in config.cells:
        tally, wanted = tallies[cell.index], replicates(config.markets, len(config.cells), cell.index)
        stored = _length(tally.stretches)
        state = State.UNFINISHED.value if stored < wanted else "all stored"
        if stopping is not None:
            state = stopping.state(
                cell.index, Proportion.from_codes(tally.events, tally.invalid, sequential=True)
            ).value
        cells.append(
            CellSurvey(
                cell=cell.index,
                family=cell.family,
                parameters=dict(cell.parameters),
                stored=stored,
                wanted=wanted,
                state=state,
                open=tally.open,
                invalid=tally.invalid,
                seconds_per_market=speeds.get(cell.index),
            )
        )
    stored, wanted = sum(cell.stored for cell in cells), config.markets
    rate = _rate(journal)
    return Survey(
        path=str(path),
        stored=stored,
        wanted=wanted,
        until=config.until is not None,
        writer=writer(path),
        rate=rate,
        seconds_left=max(0, wanted - stored) / rate if rate else None,
        last_stored=journal[-1].get("stored") if journal else None,
        unreadable=tuple(unreadable),
        cells=tuple(cells),
    )


class _Tally:
    """What the chunks of a cell hold: which replicates, how many rows went wrong, and the event that is waited for."""

    def __init__(self):
        self.stretches: list[Interval] = []
        self.open = self.invalid = 0
        self.events = np.empty(0, np.int8)

    def count(self, block: Block, file: Path, event: str | None) -> None:
        """Adds a chunk."""
        rows = pq.ParquetFile(file).read(columns=["status"] if event is None else ["status", event])
        status = rows.column("status").to_numpy()
        valid = status < Status.NOT_FINITE
        self.stretches.append((block.start, block.stop))
        self.open += int((status == Status.OPEN).sum())
        self.invalid += int((~valid).sum())
        if event is not None:
            self.events = np.concatenate([self.events, rows.column(event).to_numpy()[valid]])


def _length(stretches: Sequence[Interval]) -> int:
    """How many numbers some stretches hold together; they may overlap."""
    total, reached = 0, 0
    for start, stop in sorted(stretches):
        total += max(0, stop - max(start, reached))
        reached = max(reached, stop)
    return total


def _rate(journal: Sequence[dict[str, Any]]) -> float | None:
    """Markets a second of the last run, by when its chunks were stored; several processes may have worked at once."""
    moments = []
    for entry in itertools.islice(reversed(journal), _RECENT):
        try:
            stored = datetime.fromisoformat(entry["stored"]).timestamp()
            moments.append((stored, float(entry["seconds"]), int(entry["markets"])))
        except (KeyError, ValueError, TypeError):
            return None
    # A pause longer than all work on the next chunk is the end of an earlier run.
    run = [moments[0]] if moments else []
    for later, earlier in itertools.pairwise(moments):
        if later[0] - earlier[0] > 1.5 * later[1] + 60:
            break
        run.append(earlier)
    if not run:
        return None
    seconds = run[0][0] - run[-1][0] + run[-1][1]
    return sum(markets for _, _, markets in run) / seconds if seconds > 0 else None


def _seconds_per_market(journal: Sequence[dict[str, Any]]) -> dict[int, float]:
    """Medians over the chunks of each cell: the first chunk of a run waits for the compiler."""
    speeds: dict[int, list[float]] = defaultdict(list)
    for entry in journal:
        if (block := block_of(entry["chunk"])) is not None:
            speeds[block.cell].append(entry.get("seconds", 0.0) / len(block))
    return {cell: float(np.median(each)) for cell, each in speeds.items()}
