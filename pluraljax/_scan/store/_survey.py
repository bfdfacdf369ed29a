"""How far a scan has come, as its folder tells it: what is stored, how fast it goes, and which cells to look at."""

import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ..._statistics._sums import Proportion
from ..._status import Status
from ..config._plan import replicates
from ..config._stopping import State, Stopping
from ._chunk import block_of
from ._codes import codes_of
from ._journal import maker_of, read_journal, seconds_measuring
from ._manifest import read_manifest
from ._read import FaultyFile, chunk_format, walk
from ._store import writer
from ._versions import Versions

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

    `rate` is in markets a second over the last chunks of the last run, compiling left out, and `seconds_left` what is
    missing at that rate; both are None where the journal does not say. `writer` is the process that writes to the
    folder ("" if it does not say which), None where nobody does. `faulty` are files among the chunks that are damaged
    or foreign, or hold what others hold, with the reason; no market of theirs counts as stored. `versions` measured the
    chunks; `verified` says whether all rows were read, and held against their digests.
    """

    path: str
    stored: int
    wanted: int
    until: bool
    writer: str | None
    rate: float | None
    seconds_left: float | None
    last_stored: str | None
    faulty: tuple[FaultyFile, ...]
    versions: tuple[Versions, ...]
    verified: bool
    cells: tuple[CellSurvey, ...]

    @property
    def is_done(self) -> bool:
        """Whether every cell has the markets it is to have; with `until`, those at which it may stop."""
        return all(cell.state != State.UNFINISHED.value for cell in self.cells)

    def as_data(self) -> dict[str, Any]:
        """Everything as plain data, for JSON."""
        return asdict(self) | {"done": self.is_done}


def survey(path: str | Path, verify: bool = True) -> Survey:
    """Looks at the folder of a scan, running or not, and leaves it alone; raises `ValueError` where there is none.

    **Arguments:**

    - `path`: the folder.
    - `verify`: whether to read all rows and hold them against their digests. Otherwise a chunk's metadata are checked
      (of which scan and which markets it is, and how many), and the pages that are read: those of its statuses, and of
      the event that a scan with `until` waits for.
    """
    manifest = read_manifest(path)
    stopping = Stopping.of(manifest)
    needed = ["status"] if stopping is None else ["status", stopping.until.event]
    chunks = chunk_format(path, manifest)
    tallies = {cell.index: _Tally() for cell in manifest.cells}
    faulty, made = [], []
    for _, chunk, fault in walk(path, chunks.read if verify else lambda file: chunks.glance(file, needed)):
        if fault is not None:
            faulty.append(fault)
        elif chunk is not None:
            tallies[chunk.block.cell].count(chunk.table, None if stopping is None else stopping.until.event)
            if chunk.versions not in made:
                made.append(chunk.versions)
    journal = read_journal(path)
    speeds = seconds_per_market(journal)
    cells = []
    for cell in manifest.cells:
        tally, wanted = tallies[cell.index], replicates(manifest.markets, len(tallies), cell.index)
        stored = tally.stored
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
    stored, wanted = sum(cell.stored for cell in cells), manifest.markets
    rate = _rate(journal)
    return Survey(
        path=str(path),
        stored=stored,
        wanted=wanted,
        until=stopping is not None,
        writer=writer(path),
        rate=rate,
        seconds_left=max(0, wanted - stored) / rate if rate else None,
        last_stored=journal[-1]["stored"] if journal else None,
        faulty=tuple(faulty),
        versions=tuple(made),
        verified=verify,
        cells=tuple(cells),
    )


class _Tally:
    """What the chunks of a cell hold: how many rows, how many went wrong, and the event that is waited for."""

    def __init__(self):
        self.stored = self.open = self.invalid = 0
        self.events = np.empty(0, np.int8)

    def count(self, rows: pa.Table, event: str | None) -> None:
        """Adds a chunk."""
        status = codes_of(rows, "status")
        valid = status < Status.NOT_FINITE
        self.stored += len(status)
        self.open += int(np.isin(status, (Status.OPEN, Status.IN_DOUBT)).sum())
        self.invalid += int((~valid).sum())
        if event is not None:
            self.events = np.concatenate([self.events, codes_of(rows, event)[valid]])


def _rate(journal: Sequence[dict[str, Any]]) -> float | None:
    """Markets a second of the last run, by when its chunks were stored; several processes may have worked at once.

    What they compiled is left out.
    """
    known = seconds_measuring(journal)
    recent = list(zip(journal, known, strict=True))[: -_RECENT - 1 : -1]
    when = [datetime.fromisoformat(entry["stored"]).timestamp() for entry, _ in recent]
    # A pause longer than all work on the next chunk is the end of an earlier run.
    pauses = [later - earlier for later, earlier in itertools.pairwise(when)]
    ends = [place for place, pause in enumerate(pauses, 1) if pause > 1.5 * recent[place - 1][0]["seconds"] + 60]
    run = recent[: ends[0]] if ends else recent
    if not run:
        return None
    first, before = run[-1]
    # Of a first chunk that waited for the compiler nobody knows how long the rest of it took.
    counted = run if before is not None else run[:-1]
    spent = when[0] - when[len(run) - 1] + (first["seconds"] if before is not None else 0.0)
    compiling = sum(entry.get("compiling", 0.0) for entry, _ in counted)
    seconds = spent - compiling / max(1, len({maker_of(entry) for entry, _ in counted}))
    return sum(entry["markets"] for entry, _ in counted) / seconds if seconds > 0 and counted else None


def seconds_per_market(journal: Sequence[dict[str, Any]]) -> dict[int, float]:
    """Medians over the chunks of each cell, compiling left out; none of a cell of which nobody knows."""
    speeds: dict[int, list[float]] = defaultdict(list)
    for entry, seconds in zip(journal, seconds_measuring(journal), strict=True):
        if seconds is not None and (block := block_of(entry["chunk"])) is not None:
            speeds[block.cell].append(seconds / entry["markets"])
    return {cell: float(np.median(each)) for cell, each in speeds.items()}
