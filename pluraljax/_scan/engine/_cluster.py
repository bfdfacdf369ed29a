"""Measures the chunks of a scan on the workers of a dask.distributed cluster.

Chunks are its tasks: a worker gets the config and the place of one chunk, and sends its rows back. This process alone
writes to the scan's folder, so that whatever happens to workers, files are whole or not there; a task whose worker dies
goes to another one.
"""

import functools
import itertools
import json
import platform
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..._interruption import check
from ..config._config import ScanConfig
from ..config._plan import Block
from ..store._chunk import chunk_name
from ..store._journal import maker_of

if TYPE_CHECKING:
    from ..._progress import Progress
    from ..config._plan import Plan
    from ..store._store import Memory, Store
    from ._run import Measure, RunSummary

# Tasks that wait for each thread of a worker: enough that it never idles, few enough that little is in memory.
_TASKS_PER_THREAD = 2
# More processes than any machine has cores.
_MOST_WORKERS = 1024
# How often a chunk whose measurement raised is tried again, on top of the tasks whose worker died.
_RETRIES = 2
# The environment that nannies give to workers. It replaces theirs, whose MALLOC_TRIM_THRESHOLD_ slows XLA down.
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "JAX_NUM_CPU_DEVICES": "1"}


@contextmanager
def connect(where: str) -> "Iterator[Measure]":
    """Connects to a cluster for as long as the context lasts.

    **Arguments:**

    - `where`: `local:N` for N worker processes on this machine, or the address of a scheduler (`tcp://host:8786`).

    **Returns:** what `run` takes as `measure`. Raises `ValueError` where dask.distributed is not installed, `where` is
    neither, or nobody answers there.
    """
    try:
        import dask.config
        from distributed import Client, LocalCluster
    except ImportError:
        raise ValueError("a cluster needs dask.distributed; install pluraljax[cluster].") from None
    kind, _, count = where.partition(":")
    if kind == "local":
        if not count.isdecimal() or len(count) > 4 or not 1 <= int(count) <= _MOST_WORKERS:
            raise ValueError(f"a local cluster is local:N with N >= 1 workers, {_MOST_WORKERS} at most, got {where!r}.")
        with dask.config.set({"distributed.nanny.pre-spawn-environ": _ENVIRONMENT}):
            options = {"threads_per_worker": 1, "memory_limit": None, "dashboard_address": None}
            with LocalCluster(n_workers=int(count), **options) as cluster, Client(cluster) as client:
                yield functools.partial(_measure, client)
        return
    try:
        client = Client(where, timeout=10)
    except (OSError, ValueError, TimeoutError) as error:
        raise ValueError(f"no dask scheduler answers at {where!r} ({error}).") from None
    with client:
        yield functools.partial(_measure, client)


def _measure(
    client: Any, config: ScanConfig, store: "Store | Memory", progress: "Progress", blocks: "Plan | Sequence[Block]"
) -> "RunSummary":
    """Measures blocks on the workers of a client, and stores each as soon as its rows are here."""
    from distributed import as_completed

    from ._remarks import Tally
    from ._run import RunSummary

    # A name of its own for each attempt: another run's tasks on the same cluster are none of ours.
    text, run, again = json.dumps([config.identity, config.to_mapping()]), secrets.token_hex(4), 0
    waiting = iter(blocks)
    done = as_completed(with_results=False)

    def submit(count: int) -> None:
        for block in itertools.islice(waiting, count):
            name = f"{chunk_name(block)}-{run}"
            done.add(client.submit(measure_block, text, store.chunk, block, key=name, retries=_RETRIES, pure=False))

    submit(min(len(blocks), _TASKS_PER_THREAD * max(1, sum(client.nthreads().values()))))
    stored, tally, spent = 0, Tally(progress), _Spent(progress)
    for future in done:
        check()
        block, rows, second_pass, (seconds, compiling), maker = _result(future)
        store.write(block, rows, maker["versions"])
        store.record(block, seconds, maker, compiling)
        tally.add(rows["status"])
        spent.add(maker_of(maker), compiling)
        progress.advance(len(block))
        stored, again = stored + len(block), again + second_pass
        future.release()
        # Workers may have come or gone.
        wanted = _TASKS_PER_THREAD * max(1, sum(client.nthreads().values()))
        submit(max(0, wanted - done.count()))
    return RunSummary(stored, 0, again, 0, statuses=tally.counts)


class _Spent:
    """Tells progress how long workers compiled; side by side, so that on average counts."""

    def __init__(self, progress: "Progress"):
        self._progress, self._workers, self._total, self._told = progress, set[Any](), 0.0, 0.0

    def add(self, worker: Any, seconds: float) -> None:
        """Adds what a worker took."""
        self._workers.add(worker)
        self._total += seconds
        average = self._total / len(self._workers)
        self._progress.idle(average - self._told)
        self._told = average


def _result(future: Any) -> Any:
    """What a task returned; raises `ValueError` where the cluster has given up on it."""
    from distributed import KilledWorker

    try:
        return future.result()
    except KilledWorker as error:
        reason = f"every worker that had it died ({error})"
    except CancelledError:
        reason = "the scheduler is gone"
    name = str(future.key).partition(".parquet")[0]
    raise ValueError(f"{name} was not measured: {reason}. What is stored is whole: the same command continues.")


def measure_block(text: str, chunk: int, block: Block) -> tuple[Block, Any, int, tuple[float, float], dict[str, Any]]:
    """Measures one chunk in a worker.

    Returns its rows, how many took a second pass, the seconds and how many of them went by for compiling, and who did
    it.
    """
    from ._finish import finish

    began = time.monotonic()
    config, programs, maker = _programs(text, chunk)
    # JAX's start and tracing, before this worker's first chunk.
    compiling = time.monotonic() - began
    with _ONE_AT_A_TIME:
        waited = time.monotonic()
        programs.prepare([block.cell])
        programs.compiled(block.cell)
        compiling += time.monotonic() - waited
        rows, again = finish(config, programs.launch(block))
    return block, rows, again, (time.monotonic() - began, compiling), maker


# Threads of one worker share its devices.
_ONE_AT_A_TIME = threading.Lock()


@functools.lru_cache(maxsize=2)
def _programs(text: str, chunk: int) -> tuple[ScanConfig, Any, dict[str, Any]]:
    """The programmes of a scan in this worker, kept from chunk to chunk."""
    from ..._compiling._prepare import prepare_jax

    prepare_jax()
    from ..store._journal import this_process
    from ._batch import Programs

    identity, mapping = json.loads(text)
    config, devices = ScanConfig.from_mapping(mapping), _own_devices()
    if config.identity != identity:
        raise ValueError(
            f"{platform.node()} has another version of pluraljax, of a family's source or of its data than the process "
            "that stores the scan. Give all workers the same files."
        )
    return config, Programs(config, chunk, devices), this_process(devices)


def _own_devices() -> list[Any]:
    """The devices of this worker: on a machine with several GPUs, workers numbered 0, 1, ... have one each."""
    import jax
    from distributed import get_worker

    devices = jax.local_devices()
    name = str(get_worker().name)
    return [devices[int(name) % len(devices)]] if devices[0].platform != "cpu" and name.isdecimal() else devices
