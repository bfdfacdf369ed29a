"""Loops over small arrays on the host, compiled by Numba once for all shapes, and kept between processes."""

import functools
import hashlib
import inspect
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import FunctionCache


def compiled_loops(
    function: Callable[..., Any] | None = None, *, calls: Sequence[Any] = (), inlined: bool = False
) -> Any:
    """Compiles a function at its first call with arrays of such types.

    What is compiled is kept beside its file or, where that cannot be written to, in the user's cache; where neither can
    be, it is not kept for the next process. `calls` are the functions from other files that it calls: Numba would not
    see that one of those has changed. One that is `inlined` becomes part of what calls it, which compiles faster.
    Checks of types at run time are taken off, which would hide the function from Numba.
    """
    if function is None:
        return functools.partial(compiled_loops, calls=calls, inlined=inlined)
    plain: Any = inspect.unwrap(function)
    # Without exceptions for divisions by zero, loops become vector instructions.
    compiled: Any = numba.njit(plain, nogil=True, error_model="numpy", inline="always" if inlined else "never")
    with suppress(OSError, RuntimeError):  # a file that cannot be read, or nowhere to write to
        compiled._cache = _KnownByCalls(plain, tuple(_text_of(each) for each in calls))
    return compiled


class _KnownByCalls(FunctionCache):
    """Code that is kept under a key which also says what the function calls."""

    def __init__(self, function: Callable[..., Any], called: tuple[Any, ...]):
        super().__init__(function)
        self.called = called

    def _index_key(self, sig: Any, codegen: Any) -> tuple[Any, ...]:
        return (*super()._index_key(sig, codegen), self.called)


def _text_of(compiled: Any) -> tuple[Any, ...]:
    """What a compiled function follows from: its file, and what it calls itself."""
    text = hashlib.sha256(Path(compiled.py_func.__code__.co_filename).read_bytes()).hexdigest()
    return text, getattr(compiled._cache, "called", ())
