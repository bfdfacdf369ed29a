"""Does any file make pluraljax raise something else than an error that names it, hang, or read something wrong?

    python benchmarks/fuzz.py [--inputs 5000] [--first 0] [--commands 6]

Tries so many inputs of every kind of file with the driver of the tests (`tests/files/fuzzing.py`): configs of scans and
of tuning, markets, profiles, checkpoints, tables, manifests, journals, and what is kept between processes. Then runs
whole commands on a few of each. Prints a line per kind; ends with 1 where anything was found, with the first inputs.
"""

import argparse
import itertools
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "files"))

from fuzzing import KINDS, SECONDS, fuzz  # pyright: ignore[reportMissingImports]

TABLE = 'markets = 4\n[[grid]]\nfamily = "table"\npath = "{}"\nproviders = 1\nusers = 1\nactions = 2\nstates = 1\n'
# A kind of file, and the command that reads it: IN is the folder in which it is.
COMMANDS = {
    "config": ["scan", "IN/study.toml", "--power"],
    "table": ["scan", "IN/table.toml", "--power"],
    "market": ["certify", "IN/market.npz"],
    "profile": ["certify", "IN/whole.npz", "--profile", "IN/profile.npz"],
    "tune": ["tune", "IN/tune.toml", "--out", "IN/tuned"],
    "manifest": ["status", "IN/scan"],
    "journal": ["report", "IN/scan", "--out", "IN/report", "--format", ""],
}


def command(kind: str, number: int) -> str | None:
    """Runs the command on an input, from the given one on; says what is wrong with how it ended."""
    import numpy as np

    import pluraljax as plx

    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        folder = Path(name)
        make = KINDS[kind](folder)
        # To certify and to tune takes as long as it takes to compile: only what is refused is tried there.
        for again in itertools.count():
            take = make(random.Random(f"command/{kind}/{number}/{again}"))
            if COMMANDS[kind][0] not in ("certify", "tune") or not take():
                break
        (folder / "table.toml").write_text(TABLE.format(folder / "ratings.csv"))
        if kind == "profile":
            plx.save_market(folder / "whole.npz", plx.observed_market(np.eye(2)[None], np.eye(2)[None, None]))
        words = [word.replace("IN", name, 1) for word in COMMANDS[kind]]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [sys.executable, "-m", "pluraljax", *words], capture_output=True, text=True, errors="replace", timeout=600
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    took = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if done.returncode not in (0, 1, 2) or "Traceback" in done.stderr:
        return f"{' '.join(words)}: {done.returncode}, {done.stderr[-300:]}"
    # To load JAX takes some of it.
    return f"{' '.join(words)}: {took:.0f} s" if took > 2 * SECONDS else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=5000, help="of every kind (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="number of the first one (default: %(default)s)")
    parser.add_argument("--commands", type=int, default=6, help="whole commands of every kind (default: %(default)s)")
    args = parser.parse_args()
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    faults = []
    for kind in KINDS:
        began = time.process_time()
        with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
            tally = fuzz(kind, args.inputs, Path(folder), args.first)
        print(f"{tally}; {time.process_time() - began:.0f} s", flush=True)
        faults += tally.faults[:5]
    ran, wrong = 0, []
    for kind in COMMANDS:
        for number in range(args.commands):
            ran += 1
            wrong += [problem] if (problem := command(kind, number)) else []
    print(f"whole commands: {ran} ran, {len(wrong)} ended badly")
    print(f"largest memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")
    for fault in faults + wrong:
        print(fault)
    sys.exit(bool(faults + wrong))


if __name__ == "__main__":
    main()
