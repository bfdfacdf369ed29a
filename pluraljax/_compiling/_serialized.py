"""Compiled code as bytes, together with a value beside it: written down, and tried when it is read."""

import functools
import hashlib
import pickle
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import serialize_executable

from ._kept import Kept
from ._quiet import without_noise

# Of each folder.
_MOST_BYTES = 2**31


def name_of(key: str) -> str:
    """The name under which something is kept that follows from a key."""
    return hashlib.sha256(key.encode()).hexdigest()


def can_be_kept(lowered: Any, hits: list[str]) -> bool:
    """Whether what came of compiling makes sense to another process.

    A callback is an address in this one, and what JAX has loaded itself lacks what writing it down again would need.
    """
    return not hits and "python_cpu_callback" not in lowered.as_text()


def keep(place: Kept, key: str, compiled: Any, beside: Any = None) -> None:
    """Writes compiled code down under a key; what cannot be written down is compiled again."""
    try:
        content = zlib.compress(pickle.dumps((serialize_executable.serialize(compiled), beside)), 1)
    except Exception:
        return
    place.write(name_of(key), key, content)
    place.trim(_MOST_BYTES)


def kept(place: Kept, key: str, devices: Sequence[Any], blank: Any) -> tuple[Any, Any] | None:
    """The compiled code that is kept under a key, and what is beside it, once it has run on blank arguments.

    None where there is none. What no programme can be made of is dropped, with a warning.
    """
    content = place.read(name_of(key), key)
    if content is None:
        return None
    try:
        found, beside = _from_bytes(content, devices)
        jax.block_until_ready(found(*blank))
        return found, beside
    except Exception as error:
        place.drop(name_of(key), f"no programme can be made of it ({type(error).__name__})")
        return None


def _from_bytes(content: bytes, devices: Sequence[Any]) -> tuple[Any, Any]:
    """Loads compiled code for some devices, and what was beside it; raises whatever is wrong with the bytes."""
    (payload, taken, given), beside = pickle.loads(zlib.decompress(content))
    if b"lapack_" in payload:
        _load_lapack()
    with without_noise():
        load = serialize_executable.deserialize_and_load
        return load(payload, taken, given, devices[0].client, list(devices)), beside


@functools.cache
def _load_lapack() -> None:
    """JAX finds LAPACK's functions when it lowers something that calls one; code loaded before that calls address 0."""
    jax.jit(jnp.linalg.cholesky).lower(jax.ShapeDtypeStruct((1, 1), jnp.float32))


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
