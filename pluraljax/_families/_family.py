"""What every family is: a frozen record of checked parameters that turns a key into a market. Imports no JAX."""

import dataclasses
import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from .._printable import did_you_mean, quoted

if TYPE_CHECKING:
    from .._market import Market

# Far beyond what any machine can measure, and near enough that counting with it takes no time.
MOST = 2**20
MOST_PAYOFFS = 2**24

DECISION = "with one action there is nothing to decide"
# The fields of a family that say how large its markets are.
SIZES = ("providers", "users", "actions", "states")


class Family(ABC):
    """A family of random markets with its parameters fixed.

    Concrete families are frozen dataclasses: equal parameters make equal, hashable families, so that compiled programs
    are reused. Every field is made by `whole`, `real`, `flag` or `choice` below, which say what values it takes.
    """

    def __post_init__(self):
        for field in dataclasses.fields(self):  # pyright: ignore[reportArgumentType]
            check, wanted, reason = (field.metadata[entry] for entry in ("check", "wanted", "reason"))
            value = getattr(self, field.name)
            try:
                # Plain Python values, whatever number types they came as.
                object.__setattr__(self, field.name, check(value))
            except (TypeError, ValueError) as error:
                wanted += str(error) if isinstance(error, _TooLarge) else ""
                because = f": {reason}" if reason else ""
                raise ValueError(f"{self.name}: {field.name} must be {wanted}, got {quoted(value)}{because}.") from None
        if (payoffs := self.num_payoffs) > MOST_PAYOFFS:
            raise ValueError(
                f"{self.name}: a market would have {payoffs:.3g} payoffs (one per user, action and state, for her and "
                f"for each provider); at most {MOST_PAYOFFS:,} are allowed."
            )

    @property
    def name(self) -> str:
        """The family's name in a configuration."""
        return type(self).__name__.lower()

    @property
    def num_payoffs(self) -> int:
        """How many numbers describe what one of its markets pays to users and providers."""
        one: Any = self
        return (one.providers + 1) * one.users * one.actions * one.states

    def __call__(self, key: Any) -> "Market":
        """Draws one market from one key, in float64; `jax.vmap` over keys draws a batch.

        A whole number is a seed: the key is `jax.random.key` of it.
        """
        return drawn_in_float64(type(self).draw)(self, _as_key(key))

    @abstractmethod
    def draw(self, key: Any) -> "Market":
        """One of its markets, in the float64 scope of `__call__`; JAX is imported here, where it is used."""


def _as_key(key: Any) -> Any:
    import jax
    import numpy as np

    if isinstance(key, int | np.integer) and not isinstance(key, bool):
        return jax.random.key(int(key))
    if not hasattr(key, "dtype"):
        raise ValueError(f"key must be a key of jax.random, or a whole number as a seed, got {quoted(key)}.")
    return key


@functools.cache
def drawn_in_float64(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method that draws, compiled in float64 whatever the caller's setting; JAX is loaded by the first call."""
    from .._precision import in_float64

    return in_float64(method, key=("drawn", method))


def said_sizes(family: Any) -> dict[str, int]:
    """The sizes that the fields of any family give: those of the names that hold a positive whole number."""
    found = {name: getattr(family, name, None) for name in SIZES}
    return {name: each for name, each in found.items() if type(each) is int and each > 0}


def parameter(default: Any, check: Callable[[Any], Any], wanted: str, reason: str = "") -> Any:
    """Declares a field: `check` returns the value as plain Python data or raises, `wanted` ends "must be ..."."""
    return dataclasses.field(default=default, metadata={"check": check, "wanted": wanted, "reason": reason})


def whole(default: int, least: int, reason: str = "", most: int = MOST) -> Any:
    """A whole number from `least` to `most`."""

    def check(value: Any) -> int:
        if not isinstance(value, Integral) or isinstance(value, bool) or int(value) < least:
            raise ValueError
        if int(value) > most:
            raise _TooLarge(f" and at most {most:,}")
        return int(value)

    return parameter(default, check, f"a whole number of at least {least}", reason)


class _TooLarge(ValueError):
    """A number is beyond its limit; the message goes on where what was wanted ends."""


def real(default: float, least: float = -math.inf, most: float = math.inf, above: float = -math.inf) -> Any:
    """A finite number in `[least, most]` and greater than `above`."""

    def check(value: Any) -> float:
        value = finite(value)
        if not (least <= value <= most and value > above):
            raise ValueError
        return value

    limits = [
        text
        for bound, text in ((least, f"at least {least:g}"), (above, f"above {above:g}"), (most, f"at most {most:g}"))
        if math.isfinite(bound)
    ]
    return parameter(default, check, " ".join(["a finite number", " and ".join(limits)]).strip())


def finite(value: Any) -> float:
    """Converts a finite real number to `float`, and raises on anything else."""
    if not isinstance(value, Real) or isinstance(value, bool):
        raise ValueError
    try:
        number = float(value)
    except OverflowError:  # a whole number of hundreds of digits
        raise ValueError from None
    if not math.isfinite(number):
        raise ValueError
    return number


def flag(default: bool) -> Any:
    """`True` or `False`."""

    def check(value: Any) -> bool:
        if not isinstance(value, bool):
            raise ValueError
        return value

    return parameter(default, check, "True or False")


def choice(*allowed: str) -> Any:
    """One of a few words; the first is the default."""

    def check(value: Any) -> str:
        if value not in allowed:
            raise ValueError
        return value

    return parameter(allowed[0], check, "one of " + ", ".join(f'"{word}"' for word in allowed))


def unknown(what: str, name: Any, known: Iterable[str], where: str = "") -> ValueError:
    """Makes the error for a name that is not in `known`, with the nearest known one as a suggestion."""
    known = sorted(known)
    return ValueError(f"Unknown {what} {quoted(name)}{where}.{did_you_mean(name, known)} Known: {', '.join(known)}.")
