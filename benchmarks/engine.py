"""What a scan costs, from one command: speed, overhead, memory, size of the store, and scaling over cores.

    python benchmarks/engine.py million [--markets 1000000] [--out DIR]   # a scan of the default grid
    python benchmarks/engine.py memory [--markets 20000]                  # peak memory at N and at 10 N
    python benchmarks/engine.py overhead [--markets 100000]               # what is not compute, where it goes
    python benchmarks/engine.py scaling [--markets 200000]                # one core against two

All but `million` take `--grid default`, too; without it their scan is a cheap one, which shows the engine's own cost
at its largest: `gaussian`, 2 providers, 2 users, 3 actions, 3 states, two cells, without equilibria. Each scan is a
process of its own, with the compilation cache filled before. Run on an idle machine.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CHEAP = """
equilibria = false
[[grid]]
family = "gaussian"
providers = 2
users = 2
actions = 3
states = 3
shared = [0.0, 1.0]
"""

# What a scan's process runs: seconds of each part come from wrapping the parts, not from a sampling profiler.
PROCESS = """
import json, resource, sys, threading, time
import jax
study, out, markets, devices, planned = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
if devices:
    jax.config.update("jax_num_cpu_devices", devices)
import pluraljax as plx
from pluraljax._scan.engine import _batch, _finish, _run
from pluraljax._scan.store._store import Store

spent = {}
def timed(owner, name, key):
    inner = getattr(owner, name)
    def outer(*arguments, **named):
        wall, cpu = time.perf_counter(), time.thread_time()
        try:
            return inner(*arguments, **named)
        finally:
            entry = spent.setdefault(key, [0.0, 0.0])
            entry[0] += time.perf_counter() - wall
            entry[1] += time.thread_time() - cpu
    setattr(owner, name, outer)
timed(Store, "write", "writing chunks")
timed(Store, "record", "journal")
timed(Store, "covered", "checking what is stored")
timed(_batch.Launched, "rows", "waiting for devices")
timed(_finish, "_again", "second pass")
timed(_batch.Programs, "launch", "launching, and waiting for compilers")
config = plx.scans.default_config().replace(search=None)
config = config if study == "default" else plx.scans.ScanConfig.from_toml(study)
# The chunk size of the scan that this one is compared with, or fills the compilation cache for.
config = config.replace(markets=markets, chunk=config.replace(markets=planned).rows_per_chunk)
began, cpu = time.perf_counter(), time.process_time()
with Store(out, config) as store:
    summary = _run.run(config, store)
wall, cpu = time.perf_counter() - began, time.process_time() - cpu
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
print(json.dumps({"markets": markets, "devices": len(jax.local_devices()), "seconds": wall, "CPU seconds": cpu,
    "markets a second": markets / wall, "second pass": summary.second_pass, "peak MiB": peak,
    "seconds (wall, CPU of its thread)": spent}))
"""


def scan(study: str, out: Path, markets: int, cores: int | None = None, planned: int | None = None) -> dict:
    """One scan in a process of its own, bound to so many cores, with the chunks of a scan of `planned` markets."""
    bind = [] if cores is None else ["taskset", "-c", ",".join(map(str, sorted(os.sched_getaffinity(0))[:cores]))]
    devices = cores or len(os.sched_getaffinity(0))
    environment = {"JAX_COMPILATION_CACHE_DIR": str(Path(tempfile.gettempdir()) / "pluraljax-benchmark-cache")}
    environment |= {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0", "TF_CPP_MIN_LOG_LEVEL": "3"}
    numbers = map(str, (markets, devices, planned or markets))
    command = [*bind, sys.executable, "-c", PROCESS, study, str(out), *numbers]
    done = subprocess.run(command, env=os.environ | environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def size_per_row(out: Path, markets: int) -> float:
    return sum(file.stat().st_size for file in (out / "rows").glob("*.parquet")) / markets


def show(question: str, found: dict) -> None:
    print(json.dumps({"question": question, "load": os.getloadavg()[0]} | found), flush=True)


def million(folder: Path, markets: int, study: str) -> None:
    out = folder / "default"
    if out.exists():
        raise SystemExit(f"{out} exists already; choose another --out.")
    found = scan("default", out, markets)
    began = time.monotonic()
    report = [sys.executable, "-m", "pluraljax", "report", str(out)]
    subprocess.run(report, stdout=subprocess.DEVNULL, check=True)
    found["seconds of the report"] = time.monotonic() - began
    show("million", found | {"bytes per row": size_per_row(out, markets)})


def memory(folder: Path, markets: int, study: str) -> None:
    scan(study, folder / "warm", 2048, planned=10 * markets)
    few, many = (scan(study, folder / str(count), count, planned=10 * markets) for count in (markets, 10 * markets))
    show("memory", {"few": few, "many": many, "ratio of peaks": many["peak MiB"] / few["peak MiB"]})


def overhead(folder: Path, markets: int, study: str) -> None:
    scan(study, folder / "warm", 2048, planned=markets)
    found = scan(study, folder / "scan", markets)
    parts = found["seconds (wall, CPU of its thread)"]
    own = sum(parts[name][1] for name in ("writing chunks", "journal", "checking what is stored") if name in parts)
    show("overhead", found | {"CPU of the store, share of all": own / found["CPU seconds"]})


def scaling(folder: Path, markets: int, study: str) -> None:
    for cores in (1, 2):
        scan(study, folder / f"warm-{cores}", 2048, cores, planned=markets)
    one, two = (scan(study, folder / f"cores-{cores}", markets, cores) for cores in (1, 2))
    show("scaling", {"one": one, "two": two, "efficiency": one["seconds"] / (2 * two["seconds"])})


QUESTIONS = {"million": (million, 1_000_000), "memory": (memory, 20_000)}
QUESTIONS |= {"overhead": (overhead, 100_000), "scaling": (scaling, 200_000)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("question", choices=QUESTIONS)
    parser.add_argument("--markets", type=int)
    parser.add_argument("--grid", choices=("cheap", "default"), default="cheap")
    parser.add_argument("--out", type=Path, help="folder for the scans (default: a temporary one)")
    args = parser.parse_args()
    ask, markets = QUESTIONS[args.question]
    with tempfile.TemporaryDirectory(prefix="engine-") as temporary:
        folder = args.out or Path(temporary)
        (Path(temporary) / "cheap.toml").write_text(CHEAP)
        study = "default" if args.grid == "default" else str(Path(temporary) / "cheap.toml")
        ask(folder, args.markets or markets, study)


if __name__ == "__main__":
    main()
