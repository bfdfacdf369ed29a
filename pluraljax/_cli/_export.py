"""`pluraljax export DIR FILE`: all rows of a scan in one file."""

import argparse

from ._words import fail, say, warn


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser(
        "export",
        help="write all rows of a scan to one Parquet or CSV file",
        description="Writes all rows of a scan, finished or not, to one file: Parquet as they are stored, or CSV with "
        "a column per user. Rows come cell by cell, and in a cell by market. Nothing is overwritten.",
        epilog="exit codes: 0 done; 1 damaged chunks were left out; 2 something is wrong with the folder or the file",
    )
    parser.add_argument("directory", metavar="DIR", help="directory of the scan")
    parser.add_argument("file", metavar="FILE", help="file to write, ending in .parquet or .csv")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Writes the file; returns the exit code."""
    import warnings

    from .._scan.store._export import export

    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            rows = export(args.directory, args.file)
    except (ValueError, OSError) as error:
        return fail(args, error)
    say(f"wrote {rows:,} rows to {args.file}")
    for warning in caught:
        warn(args, f"warning: {warning.message}")
    return 1 if caught else 0
