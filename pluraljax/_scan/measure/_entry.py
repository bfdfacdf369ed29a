"""Reads entries of a config that are tables. Imports no JAX."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from ..._families._family import unknown
from ..._printable import quoted

T = TypeVar("T")


def read_entry(kind: type[T], name: str, value: Any, wanted: str, needed: str | None = None) -> T:
    """Makes a dataclass of a table that holds its arguments by name.

    Raises `ValueError` for anything else, for a table without `needed`, and for a key that is none; `wanted` says what
    an entry of this name looks like.
    """
    known = [each.name for each in fields(kind)]  # pyright: ignore[reportArgumentType]
    if not isinstance(value, Mapping) or (needed is not None and needed not in value):
        raise ValueError(f"{name} must be {wanted}, got {quoted(value)}.")
    for key in value:
        if key not in known:
            raise unknown("key", key, known, f" in {name}")
    return kind(**value)
