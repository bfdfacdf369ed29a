"""`pluraljax report DIR`: the table and the figures of a scan."""

import argparse

from ._words import fail, say, warn


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser(
        "report",
        help="print the table of a scan and write its figures",
        description="Prints how often alignment holds and how much is guaranteed in a scan, and writes the figures.",
        epilog="exit codes: 0 done; 1 done, and not one market is valid; 2 there is no scan, or something is wrong",
    )
    parser.add_argument("directory", metavar="DIR", help="directory of the scan; it may still be running")
    parser.add_argument("--out", metavar="DIR", help="directory for the files (default: DIR/report)")
    parser.add_argument(
        "--confidence", type=float, default=0.95, metavar="P", help="confidence of the intervals (default: %(default)s)"
    )
    parser.add_argument(
        "--format",
        dest="formats",
        default="png,svg",
        metavar="LIST",
        help="formats of the figures out of png, svg and pdf, with commas between (default: %(default)s)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Writes the report; returns the exit code."""
    import warnings

    from .._report import write_report

    formats = [name.strip() for name in args.formats.split(",") if name.strip()]
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            written = write_report(args.directory, out=args.out, confidence=args.confidence, formats=formats)
    except (ValueError, OSError) as error:
        return fail(args, error)
    print()
    for path in written.files:
        say(f"wrote {path}")
    for warning in caught:
        warn(args, f"warning: {warning.message}")
    if written.failing:
        warn(args, f"{written.failing} The rows are stored; scan what is mended into another folder.")
    return 1 if written.failing else 0
