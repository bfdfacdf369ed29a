"""Reads TOML files: one sentence that names the file for whatever is wrong with it, within bounded time and memory."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .._printable import printable_lines
from ._place import refuse_folder

# A grid of a hundred thousand numbers takes a quarter of this.
MOST_BYTES = 2**22
_MOST_NESTED, _MOST_VALUES = 32, 2**22
# The parser follows a key through its dots in quadratic time: so many it may have between two of these.
_MOST_DOTS, _BETWEEN = 1000, re.compile(rb"[,=\[\]{}#\n]")


def read_toml(path: str | Path) -> dict[str, Any]:
    """Reads a file; raises `ValueError` where it is none, is too large or too deep, or is not TOML."""
    refuse_folder(Path(path), "a TOML file", (".toml",))
    try:
        with open(path, "rb") as file:
            data = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise ValueError(f"{path}: there is no such file.") from None
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror}).") from None
    if len(data) > MOST_BYTES:
        raise ValueError(f"{path}: is larger than {MOST_BYTES // 2**20} MiB, the most that a config may take.")
    if any(part.count(b".") > _MOST_DOTS for part in _BETWEEN.split(data)):
        raise ValueError(f"{path}: is nested too deeply, {_MOST_NESTED} levels at most are allowed.")
    try:
        values = tomllib.loads(data.decode("utf-8"))
        check_nesting(values)
    except RecursionError:
        raise ValueError(f"{path}: is nested too deeply, {_MOST_NESTED} levels at most are allowed.") from None
    except ValueError as error:  # of TOML, of UTF-8, or of numbers with thousands of digits
        raise ValueError(f"{path}: is not valid TOML ({printable_lines(str(error))}).") from None
    return values


def check_nesting(value: Any) -> None:
    """Raises `ValueError` for lists and tables that lie too deep in each other, or hold too much."""
    waiting, seen = [(value, 0)], 0
    while waiting:
        inner, depth = waiting.pop()
        if isinstance(inner, Mapping):
            inner = list(inner.values())
        if not isinstance(inner, list | tuple):
            continue
        seen += len(inner)
        if depth >= _MOST_NESTED:
            raise ValueError(f"lists and tables may lie in each other {_MOST_NESTED} deep at most")
        if seen > _MOST_VALUES:
            raise ValueError(f"a config may hold {_MOST_VALUES:,} values at most")
        waiting += [(each, depth + 1) for each in inner if isinstance(each, Mapping | list | tuple)]
