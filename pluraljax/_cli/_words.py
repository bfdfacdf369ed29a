"""What the command line says: names in it are shown and do nothing else, and who stops listening ends it quietly."""

import argparse
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from .._printable import printable_lines

# What a shell reports of a process that SIGPIPE ended.
NOBODY_LISTENS = 141


def say(text: Any, file: Any = None) -> None:
    """Prints lines, in which names from files and folders may stand as they are."""
    print(printable_lines(str(text)), file=file, flush=file is not None)


def warn(args: argparse.Namespace, text: Any) -> None:
    """Says something that whoever reads the output has to know."""
    say(f"pluraljax {args.command}: {text}", sys.stderr)


def fail(args: argparse.Namespace, error: Any) -> int:
    """Says what went wrong with a command, under the name that it was called by; returns the exit code."""
    if isinstance(error, BrokenPipeError):
        raise error
    warn(args, sentence_of(error))
    return 2


def sentence_of(error: Any) -> str:
    """What an error says, without the number that the system has for it."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        missing = isinstance(error, FileNotFoundError)
        return f"{error.filename}: {'there is no such file' if missing else error.strerror}."
    return str(error)


def in_own_process(command: Callable[[], int]) -> int:
    """Runs the command that this process is for, whose output may stop being read, or be in an encoding of little."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError):
            stream.reconfigure(errors="backslashreplace")  # pyright: ignore[reportAttributeAccessIssue]
    return listened_to(command)


def listened_to(command: Callable[[], int]) -> int:
    """Runs a command and returns its exit code, or that of a process that writes into a closed pipe."""
    try:
        code = command()
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        return NOBODY_LISTENS
