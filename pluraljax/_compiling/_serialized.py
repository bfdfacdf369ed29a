"""Compiled code as bytes, together with a value beside it."""

import pickle
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import jax
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


_HITS: ContextVar[list[str] | None] = ContextVar("hits", default=None)


@contextmanager
def counting_hits() -> Iterator[list[str]]:
    """Lists what JAX takes from its own cache meanwhile: what was loaded lacks what writing it down would need."""
    token = _HITS.set(hits := [])
    try:
        yield hits
    finally:
        _HITS.reset(token)


def _hear(event: str, **_: Any) -> None:
    hits = _HITS.get()
    if hits is not None and event == "/jax/compilation_cache/cache_hits":
        hits.append(event)


jax.monitoring.register_event_listener(_hear)
