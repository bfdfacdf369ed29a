"""Does a scan that is killed at random moments end with the files of one that never was?

    python benchmarks/faults.py [--kills 50] [--seed 0] [--size 48] [--full]

Runs a small scan once undisturbed. Then runs it again and again into other folders, each time killed with SIGKILL after
a random part of the time that it takes and started anew, until so many kills have hit a running scan. Half of the kills
also find a file altered: truncated, or with one bit flipped. Every scan that ends is compared, byte by byte, with the
undisturbed one. `--full` also fills a small tmpfs first (needs the right to mount one).
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
from pathlib import Path

STUDY = """
markets = 4000
chunk = {size}
equilibria = false
[[grid]]
family = "gaussian"
providers = 2
users = 2
actions = 3
states = 3
shared = [0.0, 1.0]
"""


def start(study: Path, out: Path) -> subprocess.Popen[str]:
    # The scan without its report: files are what counts here.
    code = f"import pluraljax as plx; plx.scan({str(study)!r}, {str(out)!r}, progress=False)"
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(study.parent / "cache"), "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment |= {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    return subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=subprocess.PIPE, text=True)


def run(study: Path, out: Path) -> tuple[int, str]:
    process = start(study, out)
    _, errors = process.communicate()
    return process.returncode, errors


def files(out: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted((out / "rows").glob("*.parquet"))}


def harm(out: Path, draw: random.Random) -> bool:
    """Truncates a chunk, or flips one of its bits."""
    stored = sorted((out / "rows").glob("*.parquet")) if (out / "rows").exists() else []
    if not stored or draw.random() < 0.5:
        return False
    victim = draw.choice(stored)
    data = bytearray(victim.read_bytes())
    if draw.random() < 0.5:
        del data[draw.randrange(len(data)) :]
    else:
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    victim.write_bytes(data)
    return True


def kill_at_random(study: Path, wanted: dict[str, bytes], seconds: float, kills: int, draw: random.Random) -> dict:
    found = {"kills": 0, "kills before a chunk was stored": 0, "files harmed": 0, "scans": 0, "scans that differ": 0}
    while found["kills"] < kills:
        out = study.parent / f"scan-{found['scans']}"
        while True:
            process = start(study, out)
            try:
                code = process.wait(draw.uniform(0.2, 1.1) * seconds if found["kills"] < kills else None)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                found["kills"] += 1
                found["kills before a chunk was stored"] += not ((out / "rows").exists() and files(out))
                found["files harmed"] += harm(out, draw)
                continue
            if code != 0:
                raise SystemExit(f"a scan ended with {code}: {process.stderr.read() if process.stderr else ''}")
            break
        # A flipped bit that no reader looks at may stay; rows are what has to be the same then.
        now = files(out)
        found["scans that differ"] += now != wanted and not same_rows(study.parent / "clean", out)
        found["scans"] += 1
    return found


def same_rows(one: Path, other: Path) -> bool:
    import pluraljax as plx

    return plx.open_scan(one).equals(plx.open_scan(other))


def fill_disk(study: Path, wanted: dict[str, bytes]) -> dict:
    """Runs on a file system with room for about half of the scan, then makes room, and runs again."""
    place = study.parent / "small"
    place.mkdir()
    kilobytes = sum(len(data) // 4096 + 1 for data in wanted.values()) * 2
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(place)], check=True)
    try:
        code, errors = run(study, place / "scan")
        before = len(files(place / "scan"))
        subprocess.run(["mount", "-o", "remount,size=64m", str(place)], check=True)
        again, _ = run(study, place / "scan")
        return {
            "exit code on a full disk": code,
            "it said": errors.strip().splitlines()[-1] if errors.strip() else "",
            "chunks stored by then": before,
            "chunks in all": len(wanted),
            "exit code with room": again,
            "same files": files(place / "scan") == wanted,
        }
    finally:
        subprocess.run(["umount", str(place)], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=48, help="markets in a chunk")
    parser.add_argument("--full", action="store_true", help="fill a disk, too")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        study = Path(folder) / "study.toml"
        study.write_text(STUDY.format(size=args.size))
        assert run(study, Path(folder) / "warm")[0] == 0  # fills the compilation cache
        began = time.monotonic()
        assert run(study, Path(folder) / "clean")[0] == 0
        seconds, wanted = time.monotonic() - began, files(Path(folder) / "clean")
        print(json.dumps({"chunks": len(wanted), "seconds undisturbed": round(seconds, 1)}), flush=True)
        found = kill_at_random(study, wanted, seconds, args.kills, random.Random(args.seed))
        print(json.dumps(found), flush=True)
        if args.full:
            print(json.dumps(fill_disk(study, wanted)), flush=True)
    raise SystemExit(1 if found["scans that differ"] else 0)


if __name__ == "__main__":
    main()
