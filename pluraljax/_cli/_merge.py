"""`pluraljax merge DIR DIR... --out DIR`: puts shards of one scan together."""

import argparse

from ._scan import add_mixing_option
from ._words import fail, say, warn


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser(
        "merge",
        help="put shards of one scan, from several machines, together",
        description="Copies the chunks of several folders that hold parts of one scan into one. Every chunk is "
        "checked, and every market is in one file afterwards, however the parts were cut. Scans with other definitions "
        "(seed, grid, version, ...) are refused, and nothing is changed then.",
        epilog="exit codes: 0 done; 1 damaged chunks were left out (resume measures them again); 2 something is wrong "
        "with a folder",
    )
    parser.add_argument("directories", nargs="+", metavar="DIR", help="directories of the shards")
    parser.add_argument("--out", required=True, metavar="DIR", help="directory of the whole: new, or of the same scan")
    add_mixing_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Merges; returns the exit code."""
    from .._scan.store._merge import merge

    try:
        merged = merge(args.directories, args.out, mix_versions=args.mix_versions)
    except (ValueError, OSError) as error:
        return fail(args, error)
    part = f", and what was new of {merged.in_part:,} more" if merged.in_part else ""
    say(f"copied {merged.copied:,} chunks{part}, {merged.present:,} were there already; the scan is in {args.out}")
    for line in merged.damaged:
        warn(args, f"left out {line}")
    return 1 if merged.damaged else 0
