"""What a command says where it gets too little memory, while it still can."""

import argparse
from collections.abc import Callable

from ._words import fail

# JAX and its compiler reserve so much address space for the smallest scan; where it is refused, they end the process.
_LEAST = 3 * 2**30
_NEED_JAX = ("scan", "resume", "tune", "certify")


def within_memory(args: argparse.Namespace, command: Callable[[argparse.Namespace], int]) -> int:
    """Runs a command and returns its exit code, which is 2 with a sentence where there is too little memory."""
    limit = _address_space()
    if limit is not None and limit < _LEAST and args.command in _NEED_JAX:
        return fail(
            args,
            f"the limit on address space (ulimit -v) is {limit // 1024:,} KiB, but JAX and its compiler need "
            f"{_LEAST // 1024:,} at least.",
        )
    try:
        return command(args)
    except MemoryError:
        return fail(args, "there is not enough memory. What is stored is whole: the same command continues.")
    except RuntimeError as error:  # JAX's
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        first = str(error).partition("\n")[0]
        return fail(args, f"there is not enough memory ({first}). What is stored is whole: the same command continues.")


def _address_space() -> int | None:
    """The bytes that this process may address; None where there is no limit."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit
