"""What users are warned of, once in a process. Imports no JAX, so that the command line can filter it."""

import sys
import warnings

# Frames of these packages are not where a user's call is.
_INNER = frozenset(("pluraljax", "jax", "jaxlib", "equinox", "jaxtyping", "functools", "contextlib"))
_ONE_LINE = 'jax.config.update("jax_enable_x64", True)'

ANSWERS = (
    "pluraljax answers in float64, but JAX is set to float32: arithmetic on answers, and on markets, in JAX would be "
    f"rounded to that without a word. Say {_ONE_LINE} when the program starts, or compute with them in NumPy."
)
PAYOFFS = (
    "A market holds float32 arrays, with JAX set to float32: what was float64 was rounded before pluraljax saw it, and "
    f"ties were made or broken. Say {_ONE_LINE} when the program starts, or make markets from NumPy arrays."
)


class PrecisionWarning(UserWarning):
    """JAX's float64 switch is off, so that numbers lose precision outside of pluraljax's own functions."""


_said: set[str] = set()


def hush() -> None:
    """Has nothing said in this process: for the command line, whose users compute with files."""
    _said.update((ANSWERS, PAYOFFS))


def warn_once(message: str) -> None:
    """Warns where the user called, the first time in this process that there is something to say."""
    if message in _said:
        return
    _said.add(message)
    depth, frame = 1, sys._getframe()
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _INNER:
        depth, frame = depth + 1, frame.f_back
    warnings.warn(message, PrecisionWarning, stacklevel=depth)
