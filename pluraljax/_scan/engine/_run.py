"""Runs a scan: plans what is missing, keeps the devices busy, stores each chunk as soon as it is measured."""

import dataclasses
import itertools
import time
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax

from ..._activity import hushed
from ..._arguments import described
from ..._families import FAMILIES, is_reference
from ..._interruption import check, interruptible
from ..._progress import Compiled, Progress, Silent, make_progress
from ..config._config import ScanConfig
from ..config._grid import FamilyGrid
from ..config._plan import Block, Plan, Shard, missing_blocks
from ..store._journal import this_process
from ..store._manifest import MANIFEST
from ..store._store import Memory, Store
from ..store._versions import versions
from ._adaptive import sample_until
from ._batch import MOST_DRAWS, Programs
from ._finish import Finisher
from ._remarks import said_of_invalid, said_of_wide
from ._trial import check_families

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class RunSummary:
    """What a run did: markets measured now, markets that were stored before, and rows that took a second pass.

    `searched` markets took `seconds_searching` on the host, beside what the devices did. `statuses` are the rows that
    were measured now, by status.
    """

    measured: int
    stored_before: int
    second_pass: int
    programs: int
    searched: int = 0
    seconds_searching: float = 0.0
    statuses: Mapping[int, int] = dataclasses.field(default_factory=dict)

    @property
    def invalid(self) -> str:
        """In a sentence, how many of the rows hold no market and why; empty where all do."""
        return said_of_invalid(self.statuses)


def _how_to_go_on(given: Mapping[str, Any]) -> str:
    out = given["out"]
    if out is None:
        return "the scan was interrupted, and nothing of it is kept: with a folder (out=) it could go on."
    if not (Path(out) / MANIFEST).exists():
        return f"the scan was interrupted before anything was stored in {out}."
    return (
        f"the scan in {out} was interrupted. What is stored is whole: the same call continues, and so does "
        f"`pluraljax resume {out}` (but for a family of a notebook)."
    )


@interruptible(_how_to_go_on)
def scan(
    config: ScanConfig | Mapping[str, Any] | str | Path | Callable[..., Any],
    out: str | Path | None = None,
    *,
    markets: int | None = None,
    seed: int | None = None,
    measurements: Sequence[Any] | None = None,
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
    - `measurements`: measurements of your own, used in place of the config's; see `Measurement`.
    - `progress`: whether to report progress on standard error.
    - `mix_versions`: whether a scan goes on that another version of JAX began, which is refused otherwise.

    **Returns:** the whole scan as `open_scan` gives it, dimensions `market` and `user`; `plx.scans.conclusion` says in
    a few sentences what it shows. Rows whose `status` is not `OK` are part of it: bounds of `OPEN` rows are valid but
    wide, rows of invalid markets are NaN.

    Example::

        rows = plx.scan(plx.families.gaussian(providers=2, users=2), markets=16)

    Raises `ValueError` for a config that makes no sense, for a family that draws no markets or has changed since the
    folder's rows were measured, and for a folder that holds something else, cannot be written to, or is being written
    to; nothing is touched then. Ctrl-C raises a `KeyboardInterrupt` that says how to go on, between two steps of the
    scan; a second one does so at once.
    """
    config = _resolve(config, markets=markets, seed=seed, measurements=measurements)
    check_families(config)
    with (
        hushed(not progress),
        nullcontext(Memory(config)) if out is None else Store(out, config, mix_versions=mix_versions) as store,
    ):
        done = run(config, store, make_progress(progress))
        if done.invalid and not progress:
            warnings.warn(done.invalid, stacklevel=3)
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
        statuses = sum((Counter(each.statuses) for each in rounds), Counter())
        return _remarked(RunSummary(measured, stored, again, programs, searched, seconds, statuses), progress)
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
    return _remarked(dataclasses.replace(done, stored_before=total - missing), progress)


def _remarked(done: RunSummary, progress: Progress) -> RunSummary:
    for line in filter(None, (done.invalid, said_of_wide(done.statuses))):
        progress.note(line)
    return done


# What measures blocks of markets and stores them: `measure_here`, or a cluster.
Measure = Callable[[ScanConfig, Store | Memory, Progress, Plan | Sequence[Block]], RunSummary]


def measure_here(
    config: ScanConfig, store: Store | Memory, progress: Progress, blocks: Plan | Sequence[Block]
) -> RunSummary:
    """Measures blocks on this process's devices, and stores each as soon as it is measured."""
    if not blocks:
        return RunSummary(0, 0, 0, 0)
    began = time.monotonic()
    store.admit(versions())
    devices = jax.local_devices()
    programs = Programs(config, store.chunk, devices)
    finisher = Finisher(config, store, progress, this_process(devices))
    progress.compiling(lambda: _told(programs, finisher))
    progress.idle(time.monotonic() - began)
    measured = 0
    try:
        for block in _prepared(programs, blocks):
            check()
            began = time.monotonic()
            programs.compiled(block.cell)
            # While it waited the devices may have had something to do, until the last chunk was there.
            if not finisher.is_busy:
                finisher.waited(began)
            finisher.take(programs.launch(block))
            measured += len(block)
        finisher.wait()
    finally:
        programs.close()
        finisher.close()
    return RunSummary(
        measured,
        0,
        finisher.second_pass,
        programs.num_compiled,
        finisher.searched,
        finisher.seconds_searching,
        finisher.statuses,
    )


def _told(programs: Programs, finisher: Finisher) -> Compiled:
    """How far compiling has come; once nothing is left to compile, what is done instead."""
    state = programs.state
    return dataclasses.replace(state, now=finisher.doing) if state.is_done else state


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
