"""The parser of the command line: every subcommand is a module of its own."""

import argparse
import difflib
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from .._printable import did_you_mean, printable_lines, quoted
from . import _audit, _certify, _export, _merge, _report, _resume, _scan, _status, _study, _tune

_EXIT_CODES = """exit codes: 0 done; 1 a certificate or a study left something open; 2 something is wrong with the
arguments, a file or a directory; 130 interrupted by Ctrl-C, 143 by SIGTERM (the same command continues)"""


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Reads a command; one that makes no sense is explained by the parser of that command, and ends the process."""
    args, left = build_parser().parse_known_args(arguments)
    if left:
        args.parser.refuse(left)
    return args


class _Parser(argparse.ArgumentParser):
    """A parser that says which command or option may have been meant, and takes no half of one for it."""

    def __init__(self, **options: Any):
        super().__init__(allow_abbrev=False, **options)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            known = [str(each) for each in action.choices]
            guess = did_you_mean(value, known) or f" Choose from {', '.join(known)}."
            what = "command" if isinstance(action, argparse._SubParsersAction) else "choice"
            raise argparse.ArgumentError(action, f"there is no {what} {quoted(value)}.{guess}")

    def refuse(self, left: Sequence[str]) -> NoReturn:
        """Ends the process because of arguments that no option takes."""
        option = next((each for each in left if each.startswith("-")), None)
        if option is None:
            self.error(f"there is nothing to do with {quoted(left[0])}")
        name = option.partition("=")[0]
        nearest = difflib.get_close_matches(name, self._option_string_actions, n=1)
        guess = f" Did you mean {nearest[0]}?" if nearest else ""
        self.error(f"there is no option {quoted(name)}.{guess}")

    def error(self, message: str) -> NoReturn:
        super().error(printable_lines(message))


def build_parser() -> argparse.ArgumentParser:
    """Makes the parser."""
    parser = _Parser(
        prog="pluraljax",
        description="Measures how often competition among AI providers serves every user, on random markets.",
        epilog=_EXIT_CODES,
    )
    parser.set_defaults(after_interruption=lambda args: "Run the same command again.")
    parser.add_argument("--version", action=_Version, help="print the version and exit")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, dest="command")
    for command in (_scan, _resume, _status, _report, _export, _merge, _tune, _study, _certify, _audit):
        command.add_parser(subparsers)
    for each in subparsers.choices.values():
        each.set_defaults(parser=each)
    return parser


class _Version(argparse.Action):
    def __init__(self, option_strings, dest, **options):
        super().__init__(option_strings, dest, nargs=0, **options)

    def __call__(self, parser, namespace, values, option_string=None):
        from importlib.metadata import version

        print(f"pluraljax {version('pluraljax')}")
        sys.exit(0)
