"""The command line. Importing it, and asking it for help, loads neither JAX nor anything else that is slow."""

import sys
import threading
from collections.abc import Sequence
from typing import Any

from .._interruption import listening
from ._memory import within_memory
from ._supervision import STOPPING, Supervision, end_process, exit_code
from ._words import in_own_process, listened_to, say


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code.

    Without arguments it takes those of the process, which it then ends itself; the signals that stop it are taken
    before anything else is imported. With arguments it is a function like any other: what signals do is restored
    when it returns.
    """
    if arguments is None and threading.current_thread() is threading.main_thread():
        supervision = Supervision()
        args = _parse(None)
        command = lambda: in_own_process(lambda: within_memory(args, args.run))
        end_process(supervision.run(command, lambda: _farewell(args)))
    args, flag = _parse(arguments), None
    try:
        with listening(STOPPING) as flag:
            return listened_to(lambda: within_memory(args, args.run))
    except KeyboardInterrupt:
        say(_farewell(args), sys.stderr)
        return exit_code(flag and flag.signal)


def _parse(arguments: Sequence[str] | None) -> Any:
    from .._warnings import hush
    from ._parser import parse

    hush()
    return parse(arguments)


def _farewell(args: Any) -> str:
    return f"pluraljax {args.command}: interrupted. {args.after_interruption(args)}"
