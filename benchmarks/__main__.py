"""What pluraljax costs, section by section: `python -m benchmarks [NAME ...] [--quick] [--json FILE] [--page]`.

questions    whole questions against HiGHS, one model reused
solvers      the same linear programmes by solvers of others, through the same bounds
floor        a pivot of the simplex against matrix products and memory
growth       time against users, providers and actions; where HiGHS is faster
first-calls  the first call of a question, compilation included
stages       where the time of a scan's market goes

One core. Solvers of others are used where they are installed: `pip install -c constraints.txt -e '.[peers]'`.
`--page` rewrites docs/performance.md (its tables), benchmarks/measured.json and docs/figures/performance.png;
`--read FILE --page` does it without measuring, from what `--json` wrote. Run it on an idle machine.
"""

import argparse
import datetime
import importlib
import importlib.metadata
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PAGE, FIGURE, MEASURED = ROOT / "docs/performance.md", ROOT / "docs/figures/performance.png", "benchmarks/measured.json"
SECTIONS = {
    "questions": "speed",
    "solvers": "solvers",
    "floor": "floor",
    "growth": "growth",
    "first-calls": "first_calls",
    "stages": "stages",
}
PACKAGES = ("jax", "numpy", "scipy", "highspy", "quantecon", "pygambit", "linrax", "qpax", "mpax", "manylp")


def machine() -> str:
    """The processor and how many cores there are, as its kernel tells."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = {line.partition(":")[2].strip() for line in lines if line.startswith("model name")}
    return f"{os.cpu_count()} virtual cores of an {' and '.join(sorted(models)) or platform.processor()}"


def versions() -> dict[str, str]:
    found = {"Python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def measure(names: Sequence[str], quick: bool) -> dict[str, Any]:
    """Measures sections one after the other and prints each."""
    import jax

    from .tables import as_text

    began, sections = time.monotonic(), {}
    with jax.enable_x64(True):
        for name in names:
            section = importlib.import_module(f".{SECTIONS[name]}", __package__)
            sections[name] = section.measure(quick)
            title = str(section.__doc__).partition(": `")[0].partition("\n")[0]
            print(f"\n{name}: {title}\n\n{as_text(sections[name])}", flush=True)
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": machine(),
        "versions": versions(),
        "minutes": (time.monotonic() - began) / 60,
        "quick": quick,
        "sections": sections,
    }


def write_page(measured: dict[str, Any]) -> None:
    from .figure import draw
    from .tables import fill_page

    (ROOT / MEASURED).write_text(as_json(measured))
    PAGE.write_text(fill_page(PAGE.read_text(encoding="utf-8"), measured), encoding="utf-8")
    draw(measured, FIGURE)


def as_json(measured: dict[str, Any]) -> str:
    return json.dumps(measured, indent=1, allow_nan=False) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        "python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="sections; all where none is named")
    parser.add_argument("--quick", action="store_true", help="small sizes, in about a minute: to see that it runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was measured")
    parser.add_argument("--read", type=Path, metavar="FILE", help="take what --json wrote, and measure nothing")
    parser.add_argument("--page", action="store_true", help="rewrite the page, its figure and its numbers")
    args = parser.parse_args()
    if unknown := [name for name in args.names if name not in SECTIONS]:
        parser.error(f"no section {unknown[0]!r}; there are {', '.join(SECTIONS)}")
    if args.page and (args.names or args.quick):
        parser.error("--page shows all sections of one full run: leave out names and --quick")
    if args.read:
        measured = json.loads(args.read.read_text())
    else:
        if hasattr(os, "sched_setaffinity"):  # before JAX starts its threads
            os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        measured = measure(args.names or list(SECTIONS), args.quick)
    if args.json:
        args.json.write_text(as_json(measured))
    if args.page:
        write_page(measured)


if __name__ == "__main__":
    sys.exit(main())
