"""The parser of the command line: every subcommand is a module of its own."""

import argparse
import sys

from . import _certify, _export, _merge, _report, _resume, _scan, _status, _tune

_EXIT_CODES = """exit codes: 0 done; 1 a certificate left something open; 2 something is wrong with the arguments, a
file or a directory; 130 interrupted by Ctrl-C, 143 by SIGTERM (the same command continues)"""


def build_parser() -> argparse.ArgumentParser:
    """Makes the parser."""
    parser = argparse.ArgumentParser(
        prog="pluraljax",
        description="Measures how often competition among AI providers serves every user, on random markets.",
        epilog=_EXIT_CODES,
    )
    parser.set_defaults(after_interruption=lambda args: "Run the same command again.")
    parser.add_argument("--version", action=_Version, help="print the version and exit")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, dest="command")
    for command in (_scan, _resume, _status, _report, _export, _merge, _tune, _certify):
        command.add_parser(subparsers)
    return parser


class _Version(argparse.Action):
    def __init__(self, option_strings, dest, **options):
        super().__init__(option_strings, dest, nargs=0, **options)

    def __call__(self, parser, namespace, values, option_string=None):
        from importlib.metadata import version

        print(f"pluraljax {version('pluraljax')}")
        sys.exit(0)
