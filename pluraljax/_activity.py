"""What is going on, in one plain line on standard error once it takes long: in terminals, pipes and notebooks alike."""

import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar

# A sentence, or what makes one by the time it is said.
Text = str | Callable[[], str]

SECONDS = 3.0
# Of what goes on for long there is a line every so often, at longer and longer intervals, as far as it says more.
_LONGER, _MOST = 3.0, 60.0
# A call of the library compiles one step after another: what begins so soon after the last one is the same wait.
_PAUSE = 1.0


class Telling:
    """Says what a long call is doing, the innermost that has a name, once so many seconds are over."""

    def __init__(self, text: Text, seconds: float | None = None, say: Callable[[str], None] | None = None):
        seconds = SECONDS if seconds is None else seconds
        self.doing = [text]
        self.paused = -math.inf
        self._say, self._said = say or _print, set[str]()
        self._between, self._due = max(seconds, SECONDS), time.monotonic() + seconds
        self._timer: threading.Timer | None = None
        self.resume()

    def resume(self) -> None:
        """Goes on to wait."""
        if self._due == math.inf or os.environ.get("PLURALJAX_QUIET"):
            return
        self._timer = threading.Timer(max(0.0, self._due - time.monotonic()), self._tell)
        self._timer.daemon = True
        self._timer.start()

    def pause(self) -> None:
        """Says nothing until it goes on."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self.paused = None, time.monotonic()

    def _tell(self) -> None:
        text = self.doing[-1]
        text = text() if callable(text) else text
        if self._timer is None:
            return
        if text and text not in self._said:
            self._said.add(text)
            # Whoever closed standard error wants no lines.
            with suppress(OSError, ValueError, AttributeError):
                self._say(text)
        self._between = min(_LONGER * self._between, _MOST)
        self._due = time.monotonic() + self._between
        if self._timer is not None:
            self.resume()


def _print(text: str) -> None:
    print(f"pluraljax: {text}", file=sys.stderr, flush=True)


_TELLING: ContextVar[Telling | None] = ContextVar("telling", default=None)
_library: list[Telling] = []


@contextmanager
def told_if_long(text: Text, seconds: float | None = None) -> Iterator[None]:
    """Says on standard error what is going on, once it takes longer than so many seconds.

    Inside another such context it is what that one is doing meanwhile. `PLURALJAX_QUIET` in the environment leaves all
    of these lines out.
    """
    if _TELLING.get() is not None:
        with told_as_part(text):
            yield
        return
    telling = Telling(text, seconds)
    token = _TELLING.set(telling)
    try:
        yield
    finally:
        _TELLING.reset(token)
        telling.pause()


@contextmanager
def hushed(is_quiet: bool = True) -> Iterator[None]:
    """Leaves these lines out, where whoever calls wants none."""
    token = _TELLING.set(Telling("", math.inf) if is_quiet else _TELLING.get())
    try:
        yield
    finally:
        _TELLING.reset(token)


@contextmanager
def told_as_part(text: Text) -> Iterator[None]:
    """Names a part of a long call; by itself it is one where somebody waits for it, which is in the main thread."""
    telling = _TELLING.get()
    if telling is None and threading.current_thread() is not threading.main_thread():
        yield
        return
    waited = telling is None
    if telling is None:
        if not (_library and time.monotonic() - _library[0].paused < _PAUSE):
            _library[:] = [Telling(text)]
            _library[0].pause()
        telling = _library[0]
    token = _TELLING.set(telling)
    telling.doing.append(text)
    if waited:
        telling.resume()
    try:
        yield
    finally:
        telling.doing.pop()
        _TELLING.reset(token)
        if waited:
            telling.pause()
