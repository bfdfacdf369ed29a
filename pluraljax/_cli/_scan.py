"""`pluraljax scan [CONFIG]`: measures random markets, stores them, and reports on them."""

import argparse
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .._scan import ScanConfig


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser(
        "scan",
        help="measure random markets and report how often alignment holds",
        description="Samples random markets, measures alignment and guarantees, and reports. Every finished chunk is "
        "stored for good: after an interruption, the same command continues.",
    )
    parser.add_argument(
        "config", nargs="?", metavar="CONFIG", help="TOML file that says what to scan (default: a scan of all families)"
    )
    parser.add_argument("--out", metavar="DIR", help="folder for the results (default: scan-results/NAME-OF-CONFIG)")
    parser.add_argument("--markets", type=int, metavar="N", help="markets in all, in place of the config's")
    parser.add_argument("--seed", type=int, metavar="S", help="root of the random draws, in place of the config's")
    parser.add_argument(
        "--power", action="store_true", help="print how many markets an interval of a given width needs; scan nothing"
    )
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Runs the scan and its report; returns the exit code."""
    try:
        config = _config(args)
        if args.power:
            return _power(config)
        out = (
            Path(args.out)
            if args.out
            else Path("scan-results") / (Path(args.config).stem if args.config else "default")
        )
        _scan(config, out, shown=not args.quiet)
    except ValueError as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"{error}. What is stored is whole: make room, and run the same command to continue.")
    except KeyboardInterrupt:
        print("pluraljax scan: interrupted. Run the same command to continue.", file=sys.stderr, flush=True)
        if Path(sys.argv[0]).name in ("pluraljax", "__main__.py"):
            # A compiler at work cannot be stopped, and Python would wait for it. What is stored is whole.
            os._exit(130)
        return 130
    return _report(out)


def _power(config: "ScanConfig") -> int:
    from .._scan._power import power_report

    print(power_report(config), end="")
    return 0


def _fail(message: str) -> int:
    print(f"pluraljax scan: {message}", file=sys.stderr)
    return 2


def _config(args: argparse.Namespace) -> "ScanConfig":
    from .._scan import ScanConfig, default_config

    config = ScanConfig.from_toml(args.config) if args.config else default_config()
    changes = {"markets": args.markets, "seed": args.seed}
    return config.replace(**{name: value for name, value in changes.items() if value is not None})


def _scan(config: "ScanConfig", out: Path, *, shown: bool) -> None:
    from .._scan._progress import make_progress
    from .._scan._store import Store

    # The folder is checked before JAX is loaded, so that a wrong one is known at once.
    with Store(out, config) as store:
        progress = make_progress(shown)
        prepare_jax()
        from .._scan._run import run

        summary = run(config, store, progress)
    if shown:
        print(
            f"scan: {summary.measured:,} markets measured, {summary.second_pass:,} of them twice, "
            f"{summary.stored_before:,} found stored; results are in {out}",
            file=sys.stderr,
        )


def _report(out: Path) -> int:
    from . import build_parser

    args = build_parser().parse_args(["report", str(out)])
    return args.run(args)


def prepare_jax() -> None:
    """Gives JAX one CPU device per core and a compilation cache, unless the environment says otherwise.

    `XLA_FLAGS` with a device count or `JAX_NUM_CPU_DEVICES` keep the number of devices; `PLURALJAX_NO_CACHE` turns the
    cache off and `JAX_COMPILATION_CACHE_DIR` places it elsewhere.
    """
    # XLA reports two harmless features of this processor as errors whenever it loads a program from the cache.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import jax

    chosen = "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
    if not chosen and "JAX_NUM_CPU_DEVICES" not in os.environ:
        # Devices are fixed once JAX has run something, as in a process that calls this command as a function.
        with suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", _num_cores())
    if not os.environ.get("PLURALJAX_NO_CACHE"):
        if not jax.config.jax_compilation_cache_dir:  # pyright: ignore[reportAttributeAccessIssue]
            jax.config.update("jax_compilation_cache_dir", str(_cache_folder(jax.__version__)))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)


def _num_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cache_folder(jax_version: str) -> Path:
    """A folder per JAX version and kind of processor: compiled programs use all that a processor can do."""
    import hashlib
    import platform

    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = "\n".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))
    except OSError:
        processor = f"{platform.machine()} {platform.processor()}"
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "pluraljax" / f"jax-{jax_version}-{hashlib.sha256(processor.encode()).hexdigest()[:12]}"
