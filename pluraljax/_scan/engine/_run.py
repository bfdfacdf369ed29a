"""Runs a scan: plans what is missing, keeps the devices busy, stores each chunk as soon as it is measured."""

import dataclasses
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from ..._arguments import described
from ..._families import FAMILIES, is_reference
from ..._interruption import check, listening, result
from ..._market import Market
from ..._progress import Progress, Silent, make_progress
from ..._status import Status
from ..config._config import ScanConfig
from ..config._grid import FamilyGrid
from ..config._plan import Block, Plan, Shard, missing_blocks
from ..measure import _conditions_rows, _equilibria_rows, _searched_rows
from ..store._journal import this_process
from ..store._store import Memory, Store
from ..store._versions import versions
from ._adaptive import sample_until
from ._batch import MOST_DRAWS, Launched, Programs

if TYPE_CHECKING:
    import xarray as xr


# Chunks that may be on the devices, and rows of chunks that may wait for a second pass besides: bounds memory, and what
# a kill can lose.
_MOST_ON_DEVICES = 3
_MOST_AGAIN = 8


@dataclass(frozen=True)
class RunSummary:
    """What a run did: markets measured now, markets that were stored before, and rows that took a second pass.

    `searched` markets took `seconds_searching` on the host, beside what the devices did.
    """

    measured: int
    stored_before: int
    second_pass: int
    programs: int
    searched: int = 0
    seconds_searching: float = 0.0


def scan(
    config: ScanConfig | Mapping[str, Any] | str | Path | Callable[..., Any],
    out: str | Path | None = None,
    *,
    markets: int | None = None,
    seed: int | None = None,
    progress: bool = True,
    mix_versions: bool = False,
) -> "xr.Dataset":
    """Samples random markets and measures conditions, guarantees and worst equilibria, and which events hold.

    Runs on all of JAX's local devices. Market `i` depends on the seed, the config's grid and `i` alone. With `out`,
    every finished chunk is stored there for good, and the same call continues a scan that was stopped or killed.

    **Arguments:**

    - `config`: a `ScanConfig`, the same as plain data, the path of a TOML file, or one family of markets: its name, an
      object of `plx.families`, or any callable of your own that maps a key to a market and can be hashed (a function, a
      frozen dataclass with a method `__call__`). A family makes one cell, with its fields for parameters.
    - `out`: folder to store the scan in; `None` keeps it in memory.
    - `markets`, `seed`: used in place of the config's. More markets than a folder holds extend its scan.
    - `progress`: whether to report progress on standard error.
    - `mix_versions`: whether a scan goes on that another version of JAX began, which is refused otherwise.

    **Returns:** the whole scan as `open_scan` gives it, dimensions `market` and `user`. Rows whose `status` is not
    `OK` are part of it: bounds of `OPEN` rows are valid but wide, rows of invalid markets are NaN.

    ```python
    plx.scan(plx.families.gaussian(providers=2, users=2), markets=100)
    ```

    Raises `ValueError` for a config that makes no sense, for a family that draws no markets or has changed since the
    folder's rows were measured, and for a folder that holds something else, cannot be written to, or is being written
    to; nothing is touched then. Ctrl-C raises `KeyboardInterrupt` between two steps of the scan, a second one at once.
    """
    config = _resolve(config, markets=markets, seed=seed)
    with (
        listening(),
        nullcontext(Memory(config)) if out is None else Store(out, config, mix_versions=mix_versions) as store,
    ):
        run(config, store, make_progress(progress))
        return store.dataset()


def _resolve(config: Any, **changes: Any) -> ScanConfig:
    if isinstance(config, str) and (config in FAMILIES or (is_reference(config) and not Path(config).exists())):
        config = ScanConfig(grid=(FamilyGrid(config),))
    elif isinstance(config, str | Path):
        config = ScanConfig.from_toml(config)
    elif isinstance(config, Mapping):
        config = ScanConfig.from_mapping(config)
    elif callable(config):
        config = ScanConfig(grid=(FamilyGrid(config),))
    elif not isinstance(config, ScanConfig):
        raise ValueError(
            f"config must be a ScanConfig, a mapping, the path of a TOML file, or a family, got {described(config)}."
        )
    return config.replace(**{name: value for name, value in changes.items() if value is not None})


def run(
    config: ScanConfig,
    store: Store | Memory,
    progress: Progress | None = None,
    *,
    shard: Shard | None = None,
    measure: "Measure | None" = None,
) -> RunSummary:
    """Measures every market of a scan, or of its shard, that its store lacks.

    Where the config has `until`, what is lacking follows from what has been measured, round by round. `measure` does
    the work; default `measure_here`.
    """
    progress, measure = progress or Silent(), measure or measure_here
    if config.until is not None:
        if shard is not None:
            raise ValueError("a scan with until decides by all markets of a cell, so it cannot be split into shards.")
        stored, rounds = sample_until(config, store, progress, measure)
        again, programs = sum(each.second_pass for each in rounds), max((each.programs for each in rounds), default=0)
        measured, searched = (sum(getattr(each, name) for each in rounds) for name in ("measured", "searched"))
        seconds = sum(each.seconds_searching for each in rounds)
        return RunSummary(measured, stored, again, programs, searched, seconds)
    covered, aside = store.covered()
    for each in aside:
        progress.note(f"{each.name} was set aside and is redone: {each.reason}")
    blocks = missing_blocks(config, store.chunk, covered, shard)
    total, missing = missing_blocks(config, store.chunk, {}, shard).markets, blocks.markets
    progress.start(total, total - missing)
    try:
        done = measure(config, store, progress, blocks)
    finally:
        progress.close()
    if done.measured != missing:
        raise RuntimeError(
            f"{missing} markets were to be measured, but {done.measured} are stored; please report this."
        )
    return dataclasses.replace(done, stored_before=total - missing)


# What measures blocks of markets and stores them: `measure_here`, or a cluster.
Measure = Callable[[ScanConfig, Store | Memory, Progress, Plan | Sequence[Block]], RunSummary]


def measure_here(
    config: ScanConfig, store: Store | Memory, progress: Progress, blocks: Plan | Sequence[Block]
) -> RunSummary:
    """Measures blocks on this process's devices, and stores each as soon as it is measured."""
    if not blocks:
        return RunSummary(0, 0, 0, 0)
    store.admit(versions())
    devices = jax.local_devices()
    programs = Programs(config, store.chunk, devices)
    finisher = _Finisher(config, store, progress, this_process(devices))
    measured = 0
    try:
        for block in _prepared(programs, blocks):
            check()
            finisher.take(programs.launch(block))
            measured += len(block)
        finisher.wait()
    finally:
        programs.close()
        finisher.close()
    return RunSummary(
        measured, 0, finisher.second_pass, programs.num_compiled, finisher.searched, finisher.seconds_searching
    )


def _prepared(programs: Programs, blocks: Iterable[Block]) -> Iterator[Block]:
    """Yields blocks, and starts to compile for each so many blocks before it comes."""
    coming, ahead = iter(blocks), deque[Block]()
    while True:
        new = list(itertools.islice(coming, MOST_DRAWS // 2 - len(ahead)))
        programs.prepare([block.cell for block in new])
        ahead += new
        if not ahead:
            return
        yield ahead.popleft()


@dataclass(frozen=True)
class _Open:
    """A row that the devices left open, and its market: all that its second pass needs."""

    row: int
    market: Market
    alone: bool
    status_of_conditions: int
    with_equilibria: bool


@dataclass(frozen=True)
class _Rest:
    """What is left to do for a chunk on the host: open rows, and the markets of its first rows, to be searched."""

    open_rows: Sequence[_Open]
    markets: Market | None

    def __bool__(self) -> bool:
        return bool(self.open_rows) or self.markets is not None


def finish(config: ScanConfig, launched: Launched) -> tuple[dict[str, np.ndarray], int]:
    """Waits for a chunk, and does what is left on the host; returns the rows, and how many took a second pass."""
    rows, rest = _first_pass(launched)
    _second_pass(config, rows, rest.open_rows)
    _search(config, rows, rest.markets)
    return rows, len(rest.open_rows)


def _first_pass(launched: Launched) -> tuple[dict[str, np.ndarray], _Rest]:
    """Waits for a chunk; returns its rows, and what is left to do for them."""
    rows, with_equilibria = launched.rows(), launched.equilibria is not None
    hard = map(int, np.flatnonzero(rows["status"] == Status.OPEN))
    status = launched.status_of_conditions
    alone = launched.providers == 1
    open_rows = [_Open(row, launched.market(row), alone, status(row), with_equilibria) for row in hard]
    return rows, _Rest(open_rows, launched.to_search())


def _second_pass(
    config: ScanConfig,
    rows: dict[str, np.ndarray],
    open_rows: Sequence[_Open],
    stopped: Callable[[], bool] = lambda: False,
) -> None:
    """Measures open rows again, in place, with the exact host solver; not to the end where `stopped` says so."""
    for each in open_rows:
        if stopped():
            return
        _again(config, rows, each)


def _again(config: ScanConfig, rows: dict[str, np.ndarray], each: _Open) -> None:
    row, status, delta = each.row, each.status_of_conditions, config.delta

    def put(again: Mapping[str, Any]) -> None:
        for name, value in again.items():
            rows[name][row] = np.asarray(value)

    if status == Status.OPEN:
        again = _conditions_rows.measure_again(each.market, delta)
        put(again)
        status = np.asarray(again["status"])
    if each.with_equilibria:
        # Equilibria start from conditions, so that they are measured again with them, too.
        known = {name: rows[name][row] for name in _equilibria_rows.KNOWN}
        found = _equilibria_rows.measure_equilibria_again(each.market, delta, each.alone, known)
        put(found | {"status": max(status, np.asarray(found["status"]))})


def _search(
    config: ScanConfig,
    rows: dict[str, np.ndarray],
    markets: Market | None,
    stopped: Callable[[], bool] = lambda: False,
) -> int:
    """Searches the markets of the first rows, in place; returns how many. Raises `Stopped` where `stopped` says so."""
    if markets is None or config.search is None:
        return 0
    count = len(markets.mass)
    known = {name: rows[name][:count] for name in _searched_rows.KNOWN}
    found = _searched_rows.measure_searched(markets, config.delta, known, config.search.budget, stopped)
    for name, value in found.items():
        rows[name][:count] = value
    return count


class _Finisher:
    """Finishes chunks in the background, while the devices and the compiler go on.

    Second passes and searches have a thread of their own: a chunk that needs one is stored later, and holds no other
    chunk up.
    """

    def __init__(self, config: ScanConfig, store: Store | Memory, progress: Progress, maker: Mapping[str, Any]):
        self.second_pass = self.searched = 0
        self.seconds_searching = 0.0
        self._config, self._store, self._progress, self._maker = config, store, progress, maker
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="finish")
        self._hard = ThreadPoolExecutor(max_workers=1, thread_name_prefix="second-pass")
        self._pending: deque[Future[Future[None] | None]] = deque()
        self._again: deque[Future[None]] = deque()
        self._stopped, self._storing = threading.Event(), threading.Lock()
        self._stored = time.monotonic()

    def take(self, launched: Launched) -> None:
        """Takes a chunk over; waits while too many are unfinished, and raises what went wrong with an earlier one."""
        while len(self._pending) >= _MOST_ON_DEVICES:
            self._finish_one()
        self._pending.append(self._pool.submit(self._finish, launched))

    def wait(self) -> None:
        """Returns when every chunk is stored."""
        while self._pending:
            self._finish_one()
        while self._again:
            result(self._again.popleft())

    def close(self) -> None:
        """Drops whatever is unfinished; nothing is being written any more when this returns."""
        with self._storing:
            self._stopped.set()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._hard.shutdown(wait=False, cancel_futures=True)

    def _finish_one(self) -> None:
        if (again := result(self._pending.popleft())) is not None:
            self._again.append(again)
        while self._again and (self._again[0].done() or len(self._again) > _MOST_AGAIN):
            result(self._again.popleft())

    def _finish(self, launched: Launched) -> Future[None] | None:
        rows, rest = _first_pass(launched)
        if rest:
            return self._hard.submit(self._complete, launched.block, rows, rest)
        self._keep(launched.block, rows)
        return None

    def _complete(self, block: Block, rows: dict[str, np.ndarray], rest: _Rest) -> None:
        stopped = self._stopped.is_set
        _second_pass(self._config, rows, rest.open_rows, stopped)
        self.second_pass += len(rest.open_rows)
        began = time.monotonic()
        self.searched += _search(self._config, rows, rest.markets, stopped)
        self.seconds_searching += time.monotonic() - began
        self._keep(block, rows)

    def _keep(self, block: Block, rows: dict[str, np.ndarray]) -> None:
        with self._storing:
            if self._stopped.is_set():
                return
            self._store.write(block, rows)
            # Chunks overlap on the devices: what adds up to the whole time is that between one file and the next.
            now = time.monotonic()
            self._store.record(block, now - self._stored, self._maker)
            self._stored = now
            self._progress.advance(len(block))
