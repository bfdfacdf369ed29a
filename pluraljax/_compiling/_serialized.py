"""Compiled code as bytes, together with a value beside it."""

import pickle
import zlib
from collections.abc import Sequence
from typing import Any

from jax.experimental import serialize_executable

from ._quiet import without_noise


def as_bytes(compiled: Any, beside: Any = None) -> bytes | None:
    """Writes compiled code down; None where that cannot be done."""
    try:
        return zlib.compress(pickle.dumps((serialize_executable.serialize(compiled), beside)), 1)
    except Exception:  # what cannot be written down is compiled again
        return None


def from_bytes(content: bytes, devices: Sequence[Any]) -> tuple[Any, Any]:
    """Loads compiled code for some devices, and what was beside it; raises whatever is wrong with the bytes."""
    (payload, taken, given), beside = pickle.loads(zlib.decompress(content))
    with without_noise():
        load = serialize_executable.deserialize_and_load
        return load(payload, taken, given, devices[0].client, list(devices)), beside
