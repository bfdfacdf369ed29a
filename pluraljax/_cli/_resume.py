"""`pluraljax resume DIR`: goes on with a scan by what its folder says."""

import argparse
from typing import TYPE_CHECKING

from . import _scan

if TYPE_CHECKING:
    from .._scan import ScanConfig


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser(
        "resume",
        help="go on with a scan that was interrupted",
        description="Measures what the scan in a folder still lacks, by the config in the folder, and reports on it. "
        "Damaged chunks are set aside and measured again.",
        epilog=_scan.EXIT_CODES,
    )
    parser.add_argument("directory", metavar="DIR", help="directory of the scan")
    _scan.add_running_options(parser)
    parser.set_defaults(run=run, after_interruption=lambda args: _scan.how_to_continue(args.directory))


def run(args: argparse.Namespace) -> int:
    """Runs what is left of the scan, and its report; returns the exit code."""
    return _scan.run_into(args.directory, lambda: _stored_config(args.directory), args)


def _stored_config(directory: str) -> "ScanConfig":
    from .._scan import ScanConfig, read_manifest
    from .._scan.store._store import check_current

    manifest = read_manifest(directory)
    check_current(directory, manifest)
    _scan.prepare_for(manifest.config)
    return ScanConfig.from_mapping(manifest.config, f"{directory}/manifest.json")
