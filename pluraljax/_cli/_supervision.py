"""Runs a command in a thread of its own, so that the main thread can end the process whatever the command is doing.

Python handles signals in its main thread, between two instructions. A compiler at work in that thread lets none through
for half a minute; a thread that only waits lets them through at once.
"""

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from typing import Any, NoReturn

from .._interruption import FLAG, PERIOD, Flag, takeable

STOPPING = (signal.SIGINT, signal.SIGTERM)

# Seconds that a command has to stop by itself and to tidy up, and that a message has to get through a pipe.
_GRACE, _SAYING = 2.0, 1.0


class Supervision:
    """Takes the signals that stop a process, from its making on until the process ends.

    The first one is waited for by `run`. A second one, and any after the command has ended, ends the process at once.
    """

    def __init__(self):
        self._flag, self._at_once = Flag(), False
        for each in takeable(STOPPING):
            signal.signal(each, self._note)

    def _note(self, number: int, frame: Any) -> None:
        if self._at_once or self._flag.signal is not None:
            os._exit(exit_code(number))
        self._flag.signal = number

    def run(self, command: Callable[[], int], farewell: Callable[[], str]) -> int:
        """Runs a command and returns its exit code, or raises what it raises.

        When a signal comes, the command is given a moment to stop by itself, `farewell` is said, and the process ends
        with 128 plus the number of the signal, whatever its threads are doing.
        """
        outcome: list[Any] = []

        def work() -> None:
            FLAG.set(self._flag)
            try:
                outcome.append((command(), None))
            except BaseException as error:
                outcome.append((None, error))

        thread = threading.Thread(target=copy_context().run, args=(work,), name="command", daemon=True)
        thread.start()
        while thread.is_alive() and self._flag.signal is None:
            thread.join(PERIOD)
        self._at_once = self._flag.signal is None
        if self._flag.signal is not None:
            thread.join(_GRACE)
            _leave(exit_code(self._flag.signal), farewell())
        code, error = outcome[0]
        if error is not None:
            raise error
        return code


def exit_code(number: int | None) -> int:
    """What a shell reports of a process that a signal ended."""
    return 128 + (number or signal.SIGINT)


def end_process(code: int) -> NoReturn:
    """Ends a process whose command is done, once Python has tidied up.

    Left to themselves, libraries take their threads down after that, and abort the process where one of them is still
    starting: beside other work 16 of 40 `status` of a small scan ended like that, with everything said and done.
    """
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):
            stream.flush()
    os._exit(code)


def _leave(code: int, farewell: str) -> None:
    """Ends the process; nothing that may block, such as a pipe that nobody reads, keeps it from that."""

    from .._printable import printable_lines

    def say() -> None:
        # A progress bar hides it.
        cursor = "\x1b[?25h" if sys.stderr.isatty() else ""
        print(f"{cursor}{printable_lines(farewell)}", file=sys.stderr, flush=True)
        sys.stdout.flush()

    _end_children()
    with suppress(RuntimeError):  # no memory for a thread
        saying = threading.Thread(target=say, daemon=True)
        saying.start()
        saying.join(_SAYING)
    os._exit(code)


def _end_children() -> None:
    """Ends the workers of a local cluster: one that still starts would print a traceback when its parent is gone."""
    if (multiprocessing := sys.modules.get("multiprocessing")) is not None:
        for child in multiprocessing.active_children():
            child.kill()
