"""Finishes chunks that devices have measured: second passes of open rows, measurements on the host, and storing."""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..._interruption import result
from ..._market import Market
from ..._progress import Progress
from ..._status import Status
from ..config._config import ScanConfig
from ..config._plan import Block
from ..measure._measurement import Given, Measurement
from ..store._store import Memory, Store
from ._batch import Launched
from ._remarks import Tally

# Chunks that may be on the devices, and rows of chunks that may wait for a second pass besides: bounds memory, and what
# a kill can lose.
_MOST_ON_DEVICES = 3
_MOST_AGAIN = 8
_MEASURING = "measuring the first markets"


@dataclass(frozen=True)
class _Open:
    """A row that the devices left open, and its market, with twins and without: all that its second pass needs."""

    row: int
    market: Market
    plain: Market
    alone: bool
    statuses: Mapping[int, int]
    keys: Mapping[int, Any]


@dataclass(frozen=True)
class _Rest:
    """What is left to do for a chunk on the host: open rows, and measurements of its first rows, with their markets."""

    measurements: Sequence[Measurement]
    open_rows: Sequence[_Open]
    on_host: Sequence[tuple[Measurement, Market]]

    def __bool__(self) -> bool:
        return bool(self.open_rows) or bool(self.on_host)


def finish(config: ScanConfig, launched: Launched) -> tuple[dict[str, np.ndarray], int]:
    """Waits for a chunk, and does what is left on the host; returns the rows, and how many took a second pass."""
    rows, rest = _first_pass(launched)
    _second_pass(config, rows, rest)
    _measure_on_host(config, rows, rest)
    return rows, len(rest.open_rows)


def _first_pass(launched: Launched) -> tuple[dict[str, np.ndarray], _Rest]:
    """Waits for a chunk; returns its rows, and what is left to do for them."""
    rows, measurements = launched.rows(), [measurement for measurement, _ in launched.measured]
    open_rows = [_open_row(launched, row) for row in map(int, np.flatnonzero(rows["status"] == Status.OPEN))]
    on_host = [(measurement, launched.first(count)) for measurement, count in launched.on_host if count]
    return rows, _Rest(measurements, open_rows, on_host)


def _open_row(launched: Launched, row: int) -> _Open:
    market, number = launched.market(row), launched.providers
    plain = Market(market.prior, market.user_value, market.provider_value[:number], market.mass)
    drawing = {place: each for place, (each, _) in enumerate(launched.measured) if each.draws}
    keys = {place: launched.key(row, each) for place, each in drawing.items()}
    return _Open(row, market, plain, number == 1, launched.statuses(row), keys)


def _second_pass(
    config: ScanConfig, rows: dict[str, np.ndarray], rest: _Rest, stopped: Callable[[], bool] = lambda: False
) -> None:
    """Measures open rows again, in place, with the exact host solver; not to the end where `stopped` says so."""
    for each in rest.open_rows:
        if stopped():
            return
        _again(config, rows, rest.measurements, each)


def _again(config: ScanConfig, rows: dict[str, np.ndarray], measurements: Sequence[Measurement], each: _Open) -> None:
    """Measures again what was left open, and what starts from columns that were measured again."""
    row, statuses, again = each.row, dict(each.statuses), set[str]()
    for place, measurement in enumerate(measurements):
        if statuses.get(place) != Status.OPEN and again.isdisjoint(measurement.needs):
            continue
        known = {name: rows[name][row] for name in measurement.needs}
        given = Given(config.delta, known, each.keys.get(place), each.alone)
        found = measurement.measure_again(each.market if measurement.twins else each.plain, given)
        if found is None:
            continue
        again |= {column.name for column in measurement.columns}
        for name, value in found.items():
            if name == "status":
                statuses[place] = int(np.asarray(value))
            else:
                rows[name][row] = np.asarray(value)
    rows["status"][row] = max(statuses.values())


def _measure_on_host(
    config: ScanConfig, rows: dict[str, np.ndarray], rest: _Rest, stopped: Callable[[], bool] = lambda: False
) -> int:
    """Measures the first rows, in place; returns how many. Raises `Stopped` where `stopped` says so."""
    most = 0
    for measurement, markets in rest.on_host:
        count = len(markets.mass)
        known = {name: rows[name][:count] for name in measurement.needs}
        found = measurement.measure(markets, Given(config.delta, known, stopped=stopped))
        for name, value in found.items():
            rows[name][:count] = value
        most = max(most, count)
    return most


class Finisher:
    """Finishes chunks in the background, while the devices and the compiler go on.

    Second passes and searches have a thread of their own: a chunk that needs one is stored later, and holds no other
    chunk up.
    """

    def __init__(self, config: ScanConfig, store: Store | Memory, progress: Progress, maker: Mapping[str, Any]):
        self.second_pass = self.searched = 0
        self.seconds_searching = 0.0
        self.doing = _MEASURING
        self._config, self._store, self._progress, self._maker = config, store, progress, maker
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="finish")
        self._hard = ThreadPoolExecutor(max_workers=1, thread_name_prefix="second-pass")
        self._pending: deque[Future[Future[None] | None]] = deque()
        self._again: deque[Future[None]] = deque()
        self._stopped, self._storing = threading.Event(), threading.Lock()
        self.stored, self._compiling, self._tally = time.monotonic(), 0.0, Tally(progress)

    @property
    def statuses(self) -> Mapping[int, int]:
        """How many rows have each status."""
        return self._tally.counts

    def waited(self, since: float) -> None:
        """Since then, or since the last chunk was stored if that is later, nothing was measured but compiled."""
        seconds = time.monotonic() - max(since, self.stored)
        self._progress.idle(seconds)
        with self._storing:
            self._compiling += seconds

    def take(self, launched: Launched) -> None:
        """Takes a chunk over; waits while too many are unfinished, and raises what went wrong with an earlier one."""
        while len(self._pending) >= _MOST_ON_DEVICES:
            self._finish_one()
        self._pending.append(self._pool.submit(self._finish, launched))

    @property
    def is_busy(self) -> bool:
        """Whether a chunk that was taken over is still on the devices, or not stored yet."""
        return not all(future.done() for future in self._pending)

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
        again = len(rest.open_rows)
        self.doing = f"measuring {again:,} open market{'' if again == 1 else 's'} once more, on the host"
        _second_pass(self._config, rows, rest, stopped)
        self.doing = "searching the first markets, on the host"
        self.second_pass += len(rest.open_rows)
        began = time.monotonic()
        self.searched += _measure_on_host(self._config, rows, rest, stopped)
        self.seconds_searching += time.monotonic() - began
        self.doing = _MEASURING
        self._keep(block, rows)

    def _keep(self, block: Block, rows: dict[str, np.ndarray]) -> None:
        with self._storing:
            if self._stopped.is_set():
                return
            self._store.write(block, rows)
            # Chunks overlap on the devices: what adds up to the whole time is that between one file and the next.
            now = time.monotonic()
            self._store.record(block, now - self.stored, self._maker, self._compiling)
            self.stored, self._compiling = now, 0.0
            self._tally.add(rows["status"])
            self._progress.advance(len(block))
