"""Does a command that is told to stop, at any moment, end within 5 seconds, and does its scan go on to the same rows?

    python benchmarks/interruptions.py [--tries 40] [--others 4] [--seed 0]

Runs a small scan once undisturbed. Then starts it again and again in new folders, half of the times without anything
compiled beforehand, and sends it SIGINT or SIGTERM: a third of the times in the first three seconds (Python starts,
libraries are loaded), otherwise at any moment of what the scan takes, compilation and report included. It has to
end within 5 seconds with 130 or 143 (a signal that arrives before any line of the package has run ends Python with
the signal itself, which shells report by the same numbers), and the same command, run again, has to end with the files
of the undisturbed scan. The other commands, and a scan on two dask workers, are stopped `--others` times each.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

STUDY = """
markets = 640
chunk = 32
equilibria = false
[[grid]]
family = "gaussian"
providers = 1
users = 1
actions = 2
states = 2
"""
TUNE = """
objective = "weak_error"
instrument = {name = "subsidy"}
markets = {family = "gaussian", providers = 2, users = 2, actions = 3, states = 3}
"""
MARKET = """
import jax.random as jr
import pluraljax as plx
plx.save_market("market.npz", plx.families.gaussian(providers=2, users=2)(jr.key(0)))
"""
LIMIT = 5.0
SIGNALS = (signal.SIGINT, signal.SIGTERM)
# What starts this in the background may have Ctrl-C ignored, which processes inherit.
START = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
START += "from pluraljax._cli import main; sys.exit(main())"


def start(folder: Path, cache: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(cache)}
    command = [sys.executable, "-c", START, *arguments]
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=folder, env=environment, **pipes)


def run(folder: Path, cache: Path, *arguments: str) -> float:
    began = time.monotonic()
    process = start(folder, cache, *arguments)
    _, errors = process.communicate()
    if process.returncode:
        raise SystemExit(f"{' '.join(arguments)} ended with {process.returncode}: {errors}")
    return time.monotonic() - began


def files(out: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted((out / "rows").glob("*.parquet"))}


def stop(process: subprocess.Popen[str], moment: float, number: signal.Signals) -> dict:
    """Waits, sends the signal, and says how the process ended; nothing of one that was through before."""
    try:
        process.wait(moment)
        return {}
    except subprocess.TimeoutExpired:
        process.send_signal(number)
    began = time.monotonic()
    _, errors = process.communicate()
    code, took = process.returncode, time.monotonic() - began
    good = code in (128 + number, -number) and took < LIMIT and (code < 0 or "Traceback" not in errors)
    return {"moment": round(moment, 2), "code": code, "took": round(took, 2), "good": good, "said": errors[-300:]}


def stop_scans(folder: Path, tries: int, draw: random.Random, *options: str) -> dict:
    """Stops scans at random moments, and lets each go on to its end."""
    cold = run(folder, folder / "cache", "scan", "study.toml", "--quiet", "--out", "first", *options)
    warm = run(folder, folder / "cache", "scan", "study.toml", "--quiet", "--out", "clean", *options)
    wanted, ends, stored, resumed = files(folder / "clean"), [], 0, 0
    print(json.dumps({"seconds": {"nothing compiled": round(cold, 1), "compiled": round(warm, 1)}}), flush=True)
    while len(ends) < tries:
        number = len(ends)
        out, compiled = f"scan-{number}-{draw.random()}", number % 2 == 0
        cache = folder / "cache" if compiled else folder / f"cache-{out}"
        moment = draw.uniform(0, 3) if number % 3 == 0 else draw.uniform(0, warm if compiled else cold)
        command = ("scan", "study.toml", "--quiet", "--out", out, *options)
        end = stop(start(folder, cache, *command), moment, SIGNALS[number // 2 % 2])
        if not end:
            continue
        stored += bool(files(folder / out))
        run(folder, folder / "cache", *command)
        same = files(folder / out) == wanted
        resumed += same
        ends.append(end)
        if not (end["good"] and same):
            print(json.dumps(end | {"same files": same}), flush=True)
    return summary(ends) | {"with chunks stored": stored, "went on to the same files": resumed}


def stop_others(folder: Path, tries: int, draw: random.Random) -> dict:
    """Stops the other commands that take a while."""
    subprocess.run([sys.executable, "-c", MARKET], cwd=folder, check=True)
    commands = {"report": ("report", "clean", "--out"), "tune": ("tune", "tune.toml", "--out")}
    commands["certify"] = ("certify", "market.npz")
    found = {}
    for name, command in commands.items():
        ends = []
        while len(ends) < tries:
            number = len(ends)
            arguments = (*command, f"{name}-{number}") if command[-1] == "--out" else command
            process = start(folder, folder / f"cache-{name}-{number}", *arguments)
            if end := stop(process, draw.uniform(0, 6), SIGNALS[number % 2]):
                ends.append(end)
                if not end["good"]:
                    print(json.dumps(end), flush=True)
        found[name] = summary(ends)
    return found


def summary(ends: list[dict]) -> dict:
    codes = Counter(str(end["code"]) for end in ends)
    slowest = max(end["took"] for end in ends)
    return {"tries": len(ends), "good": sum(end["good"] for end in ends), "codes": codes, "slowest end, s": slowest}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tries", type=int, default=40)
    parser.add_argument("--others", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    draw = random.Random(args.seed)
    with tempfile.TemporaryDirectory(prefix="interruptions-") as name:
        folder = Path(name)
        (folder / "study.toml").write_text(STUDY)
        (folder / "tune.toml").write_text(TUNE)
        found = {"scan": stop_scans(folder, args.tries, draw)}
        print(json.dumps(found), flush=True)
        if args.others:
            found |= stop_others(folder, args.others, draw)
            for out in ("first", "clean"):
                (folder / out).rename(folder / f"{out}-alone")
            found["scan on two workers"] = stop_scans(folder, args.others, draw, "--cluster", "local:2")
        print(json.dumps(found, indent=1), flush=True)
    scans = [each for each in found.values() if "went on to the same files" in each]
    right = all(each["good"] == each["tries"] for each in found.values())
    raise SystemExit(not (right and all(each["went on to the same files"] == each["tries"] for each in scans)))


if __name__ == "__main__":
    main()
