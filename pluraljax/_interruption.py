"""Being told to stop: a signal sets a flag, and whoever works asks for it between two steps.

A handler that raised would do so wherever Python happens to be, also in a callback that discards whatever is raised in
it, and the work would go on as if nobody had said anything.
"""

import functools
import inspect
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from concurrent.futures import Future

_Function = TypeVar("_Function", bound=Callable[..., Any])

# Seconds between two looks at the flag while there is nothing to do but to wait.
PERIOD = 0.05


@dataclass
class Flag:
    """Holds the number of the signal that came, if one has."""

    signal: int | None = None


FLAG: ContextVar[Flag | None] = ContextVar("FLAG", default=None)


def check() -> None:
    """Raises `KeyboardInterrupt` if the work of this context was told to stop."""
    flag = FLAG.get()
    if flag is not None and flag.signal is not None:
        raise KeyboardInterrupt


def result(future: "Future[Any]") -> Any:
    """Waits for a future, and returns its result; raises `KeyboardInterrupt` if told to stop meanwhile."""
    from concurrent.futures import wait

    check()
    while not wait([future], timeout=PERIOD).done:
        check()
    return future.result()


@contextmanager
def listening(signals: Sequence[signal.Signals] = (signal.SIGINT,)) -> Iterator[Flag]:
    """Has signals set the flag of a context instead of what they do by default, and restores that afterwards.

    A signal that came and that nobody asked for raises `KeyboardInterrupt` at the end of the context, a second one at
    once. Handlers of somebody else stay in place. So does everything outside the main thread, where Python takes no
    signals, and inside another such context, whose flag is used.
    """
    flag = FLAG.get()
    if flag is not None or threading.current_thread() is not threading.main_thread():
        yield flag or Flag()
        return
    flag = Flag()

    def note(number: int, frame: Any) -> None:
        if flag.signal is not None:
            raise KeyboardInterrupt
        flag.signal = number

    previous = {each: signal.signal(each, note) for each in takeable(signals)}
    token = FLAG.set(flag)
    try:
        yield flag
        check()
    finally:
        FLAG.reset(token)
        for each, handler in previous.items():
            signal.signal(each, handler)


def interruptible(farewell: Callable[[Mapping[str, Any]], str]) -> Callable[[_Function], _Function]:
    """Decorates a long function, which then listens for Ctrl-C while it runs, and says how to go on.

    What `farewell` says, given the arguments by name, is all that the `KeyboardInterrupt` tells: where in the function
    it came says nothing to whoever pressed the keys.
    """

    def decorate(function: _Function) -> _Function:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def listened(*args: Any, **kwargs: Any) -> Any:
            try:
                with listening():
                    return function(*args, **kwargs)
            except KeyboardInterrupt:
                # Arguments that do not fit have been a `TypeError` by now.
                given = signature.bind(*args, **kwargs)
                given.apply_defaults()
                raise KeyboardInterrupt(farewell(given.arguments)) from None

        return cast(_Function, listened)

    return decorate


def takeable(signals: Sequence[signal.Signals]) -> list[signal.Signals]:
    """Those signals that do what they do in every Python process; one that is ignored, by `nohup` say, stays so."""
    return [each for each in signals if signal.getsignal(each) in (signal.SIG_DFL, signal.default_int_handler)]
