"""Checks of arguments before anything is computed: one kind of argument has one check, whatever function it goes to."""

import functools
import inspect
import math
import os
from collections.abc import Callable
from numbers import Real
from typing import Any, TypeVar

import numpy as np

from ._printable import did_you_mean, quoted

F = TypeVar("F", bound=Callable[..., Any])

# How many parts a search for worst equilibria looks at where nobody says: a question's, a study's, a certificate's.
PARTS = 500

# A check gets the name of the argument, its value and all arguments; it returns the value in its usual form or raises.
Check = Callable[[str, Any, dict[str, Any]], Any]


def checked(**checks: Check) -> Callable[[F], F]:
    """Makes a function check the arguments of these names, in this order.

    Goes above `float64_scope`: values that are traced inside are looked at here.
    """

    def decorate(function: F) -> F:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def check_first(*args, **kwargs):
            known = signature.parameters
            for name in kwargs:
                if name not in known and (hint := did_you_mean(name, known)):
                    raise TypeError(f"{function.__name__}() has no argument {name!r}.{hint}")
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            for name, check in checks.items():
                bound.arguments[name] = check(name, bound.arguments[name], bound.arguments)
            return function(*bound.args, **bound.kwargs)

        return check_first  # pyright: ignore[reportReturnType]

    return decorate


def instance_of(kind: type, *others: type) -> Check:
    """The check that wants an object of one of these classes."""

    def check(name: str, value: Any, _: dict[str, Any]) -> Any:
        if not isinstance(value, (kind, *others)):
            raise ValueError(f"{name} must be a {kind.__name__}, got {described(value)}.")
        return value

    return check


def described(value: Any) -> str:
    """What came in place of what was wanted, in a few words."""
    shape = getattr(value, "shape", None)
    kind = type(value).__name__ if shape is None else f"an array of shape {tuple(shape)}"
    return kind if shape is not None or len(repr(value)) > 60 else repr(value)


def market_wanted(name: str, value: Any) -> str:
    """What to say where a market was to come; a path is that of a file, which has to be read first."""
    if isinstance(value, str | os.PathLike):
        path = quoted(os.fspath(value))
        return f"{name} must be a Market, got the path {path}: plx.files.load_named_market reads market and names."
    return f"{name} must be a Market (observed_market makes one), got {described(value)}."


def is_number(value: Any) -> bool:
    """Whether it is one real number: of Python or of an array library, and no truth value."""
    if isinstance(value, bool | np.bool_) or getattr(value, "shape", ()) != ():
        return False
    return isinstance(value, Real) or hasattr(value, "dtype")


def finite_slack(name: str, value: Any, _: Any = None) -> float:
    """The check of what a provider may leave on the table, where it is known: one finite number that is >= 0."""
    if getattr(value, "shape", ()) != ():
        raise ValueError(f"{name} must be one number for all users, got {described(value)}.")
    if not is_number(value):
        raise ValueError(f"{name} must be a number, got {described(value)}.")
    number = float(value)
    if not number >= 0:
        raise ValueError(f"{name} must be >= 0, got {number}.")
    if not math.isfinite(number):
        raise ValueError(f"{name} must be finite, got {number}.")
    return number


def finite_seconds(name: str, value: Any, _: Any = None) -> float:
    """The check of how long something may take."""
    if not is_number(value) or not 0 <= float(value) < math.inf:
        raise ValueError(f"{name} must be a finite number of seconds >= 0, got {described(value)}.")
    return float(value)


def num_parts(name: str, value: Any, _: Any = None) -> int:
    """The check of how many parts a search may look at."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{name} must be a number of parts >= 0, got {value!r}.")
    return int(value)


def integer_labels(name: str, value: Any, num_users: int) -> tuple[int, ...]:
    """The check of which users share a policy, where it is known: any integers, equal means the same segment."""
    try:
        labels = np.asarray(value)
    except ValueError:  # nested lists of several lengths
        labels = np.asarray(value, dtype=object)
    if labels.shape != (num_users,) or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"{name} must hold one integer label per user, shape ({num_users},), "
            f"got {labels.dtype} of shape {labels.shape}."
        )
    return tuple(int(label) for label in labels)


def some_path(name: str, value: Any, _: Any = None) -> Any:
    """The check of where something is."""
    if not isinstance(value, str | os.PathLike):
        raise ValueError(f"{name} must be a path, got {described(value)}.")
    return value
