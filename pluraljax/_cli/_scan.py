"""`pluraljax scan [CONFIG]`: measures random markets, stores them, and reports on them."""

import argparse
import errno
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._words import fail, say, sentence_of, warn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from .._scan import ScanConfig
    from .._scan.config._plan import Shard
    from .._scan.engine._run import Measure

EXIT_CODES = """exit codes: 0 done; 1 done, and not one market is valid; 2 something is wrong with the arguments, the
config or the folder, or the disk is full; 130 interrupted by Ctrl-C, 143 by SIGTERM (the same command, or resume,
continues)"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser(
        "scan",
        help="measure random markets and report how often alignment holds",
        description="Samples random markets, measures alignment and guarantees, and reports. Every finished chunk is "
        "stored for good: after an interruption, the same command continues.",
        epilog=EXIT_CODES,
    )
    parser.add_argument(
        "config", nargs="?", metavar="CONFIG", help="TOML file that says what to scan (default: a scan of all families)"
    )
    parser.add_argument("--out", metavar="DIR", help="folder for the results (default: scan-results/NAME-OF-CONFIG)")
    parser.add_argument("--markets", type=_whole, metavar="N", help="markets in all, in place of the config's")
    parser.add_argument("--seed", type=_whole, metavar="S", help="root of the random draws, in place of the config's")
    parser.add_argument(
        "--power", action="store_true", help="print how many markets an interval of a given width needs; scan nothing"
    )
    add_running_options(parser)
    parser.set_defaults(run=run, after_interruption=lambda args: how_to_continue(_folder(args)))


def _whole(text: str) -> int:
    """Reads a whole number, also where it is written like 1e6 or 20_000."""
    from decimal import Decimal, InvalidOperation

    try:
        number = Decimal(text)
        # What is too large to be meant is refused before it is written out.
        if number.is_finite() and number.adjusted() < 30 and number == number.to_integral_value():
            return int(number)
    except InvalidOperation:
        pass
    raise argparse.ArgumentTypeError(f"wants a whole number such as 20000 or 1e6, got {text!r}")


def add_running_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options on how to run a scan, which no row depends on."""
    parser.add_argument("--shard", metavar="I/N", help="measure only every N-th chunk, from the I-th on; see merge")
    parser.add_argument(
        "--cluster",
        metavar="WHERE",
        help="measure on the workers of dask.distributed: local:N for N processes here, or a scheduler's address",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="say what would be measured, and about how long that takes; store nothing",
    )
    parser.add_argument(
        "--rehearse",
        action="store_true",
        help="the same, more precise: compile, and measure some markets of each cell",
    )
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    add_mixing_option(parser)


def add_mixing_option(parser: argparse.ArgumentParser) -> None:
    """Adds the option that lets rows of several versions of JAX come together."""
    parser.add_argument(
        "--mix-versions",
        action="store_true",
        help="let rows come together that different versions of JAX measured; recorded, and refused otherwise",
    )


def run(args: argparse.Namespace) -> int:
    """Runs the scan and its report; returns the exit code."""
    if args.power:
        try:
            return _power(_config(args))
        except ValueError as error:
            return fail(args, error)
    return run_into(_folder(args), lambda: _config(args), args)


def _folder(args: argparse.Namespace) -> Path:
    return Path(args.out or Path("scan-results") / (Path(args.config).stem if args.config else "default"))


def how_to_continue(out: str | Path) -> str:
    """What to say after an interruption."""
    return f"Run the same command to continue, or `pluraljax resume {out}`."


def run_into(out: str | Path, make_config: "Callable[[], ScanConfig]", args: argparse.Namespace) -> int:
    """Runs a scan into a folder, and reports on it; returns the exit code."""
    try:
        config, shard = make_config(), _shard(args.shard)
        if args.dry_run:
            return _foresee(config, Path(out), shard)
        if args.rehearse:
            return _rehearse(config, Path(out), shard, shown=not args.quiet)
        _scan(config, Path(out), shard, args, shown=not args.quiet)
    except ValueError as error:
        return fail(args, error)
    except BrokenPipeError:
        raise
    except OSError as error:
        room = "make room, and " if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else ""
        return fail(
            args, f"{sentence_of(error).rstrip('.')}. What is stored is whole: {room}run the same command to continue."
        )
    from .._activity import hushed

    with hushed(args.quiet):
        return _report(Path(out))


def _shard(text: str | None) -> "Shard | None":
    from .._scan.config._plan import Shard

    return None if text is None else Shard.parse(text)


def _power(config: "ScanConfig") -> int:
    from .._scan.config._power import power_report

    say(power_report(config).rstrip("\n"))
    return 0


def _config(args: argparse.Namespace) -> "ScanConfig":
    from .._files._toml import read_toml
    from .._scan import ScanConfig, default_config

    if args.config:
        if (Path(args.config) / "manifest.json").is_file():
            raise ValueError(
                f"{args.config} is the folder of a scan: `pluraljax resume {args.config}` goes on with it."
            )
        mapping = read_toml(args.config)
        prepare_for(mapping)
        config = ScanConfig.from_mapping(mapping, args.config, Path(args.config).parent)
    else:
        config = default_config()
    changes = {"markets": args.markets, "seed": args.seed}
    return config.replace(**{name: value for name, value in changes.items() if value is not None})


def prepare_for(mapping: "Mapping[str, Any]") -> None:
    """Settles JAX's devices where making a config runs code of the user's, which may use them."""
    from .._scan.config._config import runs_own_code

    if runs_own_code(mapping):
        from .._compiling._prepare import prepare_jax

        prepare_jax()


def _scan(config: "ScanConfig", out: Path, shard: "Shard | None", args: argparse.Namespace, *, shown: bool) -> None:
    from .._progress import make_progress
    from .._scan.store._store import Store

    if has_own_families(config):
        # A family that fails is to leave no folder behind.
        from .._compiling._prepare import prepare_jax

        prepare_jax()
        from .._scan.engine._trial import check_families

        check_families(config)
    # The folder is checked before JAX is loaded, so that a wrong one is known at once.
    with Store(out, config, mix_versions=args.mix_versions) as store:
        progress = make_progress(shown)
        from .._compiling._prepare import prepare_jax

        prepare_jax()
        from .._scan.engine._run import run

        with _measure_on(args.cluster) as measure:
            summary = run(config, store, progress, shard=shard, measure=measure)
    if summary.invalid and not shown:
        warn(args, summary.invalid)
    if shown:
        say(
            f"scan: {summary.measured:,} markets measured, {summary.second_pass:,} of them twice, "
            f"{summary.stored_before:,} found stored; results are in {out}",
            sys.stderr,
        )


def has_own_families(config: "ScanConfig") -> bool:
    """Whether a scan draws markets by code of the user's."""
    return any(part.origin.is_own for part in config.grid)


def _measure_on(cluster: str | None) -> "AbstractContextManager[Measure | None]":
    """What measures: the workers of a cluster, or by default this process."""
    if cluster is None:
        return nullcontext()
    from .._scan.engine._cluster import connect

    return connect(cluster)


def _foresee(config: "ScanConfig", out: Path, shard: "Shard | None") -> int:
    from .._scan.engine._outlook import foresee

    say(foresee(config, out, shard))
    if not has_own_families(config):
        return 0
    from .._scan.engine._trial import try_families

    say(trial := try_families(config))
    return 1 if trial.is_hopeless else 0


def _rehearse(config: "ScanConfig", out: Path, shard: "Shard | None", *, shown: bool) -> int:
    from .._compiling._prepare import prepare_jax

    prepare_jax()
    from .._scan.engine._rehearse import rehearse

    if shown:
        print("scan: compiling, and measuring some markets of every cell", file=sys.stderr, flush=True)
    say(rehearse(config, out, shard))
    return 0


def _report(out: Path) -> int:
    from . import _report as report

    parser = argparse.ArgumentParser(prog="pluraljax")
    report.add_parser(parser.add_subparsers(dest="command"))
    args = parser.parse_args(["report", str(out)])
    return args.run(args)
