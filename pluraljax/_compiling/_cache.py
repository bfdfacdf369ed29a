"""Seals JAX's compilation cache: JAX loads whatever lies under a name, and two files exchanged give wrong numbers.

JAX has no public way to put something else in place of its files. Where its private one is not as it was, compiled
programmes are not kept at all, which costs time and no number.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import jax

from ._kept import Kept

_LOG = logging.getLogger(__name__)

FOLDER = "pluraljax-compiled"


_ASIDE: ContextVar[bool] = ContextVar("aside", default=False)


class SealedCache:
    """What JAX asks for compiled programmes, by keys that are hashes of all that they depend on."""

    def __init__(self, path: str):
        self._path, self._kept = path, Kept(Path(path) / FOLDER)

    def get(self, key: str) -> bytes | None:
        return None if _ASIDE.get() else self._kept.read(key)

    def put(self, key: str, value: bytes) -> None:
        if not _ASIDE.get():
            self._kept.write(key, "", value)


@contextmanager
def set_aside() -> Iterator[None]:
    """Has JAX compile anew and keep nothing, where its cache is sealed: somebody else keeps what comes of it."""
    token = _ASIDE.set(True)
    try:
        yield
    finally:
        _ASIDE.reset(token)


def jax_keeps() -> bool:
    """Whether JAX has a folder for what it compiles, and files of its own there, that are not sealed."""
    folder = jax.config.jax_compilation_cache_dir  # pyright: ignore[reportAttributeAccessIssue]
    return bool(folder) and not (_sealed and _is_ours(folder))


def _is_ours(path: str) -> bool:
    return "://" not in path and jax.config.values.get("jax_compilation_cache_max_size", -1) == -1


# Whether this process has put sealed files in the place of JAX's.
_sealed: list[bool] = []


def seal_compilation_cache() -> None:
    """Has JAX, in this process, keep compiled programmes in sealed files, or not at all.

    Folders that are no local ones, and a limit on what the cache takes, are left to JAX.
    """
    try:
        from jax._src import compilation_cache

        original: Any = compilation_cache.get_file_cache
        compilation_cache.reset_cache()
    except (ImportError, AttributeError):
        jax.config.update("jax_enable_compilation_cache", False)
        _LOG.warning("pluraljax: nothing that is compiled is kept, as JAX %s does that in another way", jax.__version__)
        return

    def sealed(path: str) -> Any:
        return (SealedCache(path), path) if _is_ours(path) else original(path)

    _sealed[:] = [True]
    if getattr(original, "__module__", "") != __name__:
        compilation_cache.get_file_cache = sealed
