"""Reads JSON that somebody may have edited, or a crash torn: errors are one `ValueError` that names the file."""

import json
import math
import stat
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

# More than any scan writes, and less than takes memory.
_MOST_BYTES = 2**28
_LONGEST = 80

# What an entry must be: a test, and the words that end "must be ...".
Wanted = tuple[Callable[[Any], bool], str]


def read_text(file: Path, errors: str = "strict") -> str:
    """The text of a file in UTF-8; raises `ValueError` for one that cannot be read, an `OSError` for none."""
    try:
        found = file.stat()
        if not stat.S_ISREG(found.st_mode):
            raise ValueError(f"{file} is no file.")
        if found.st_size > _MOST_BYTES:
            raise ValueError(f"{file} has {found.st_size:,} bytes; at most {_MOST_BYTES:,} are read.")
        return file.read_bytes().decode("utf-8", errors)
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise ValueError(f"{file} cannot be read ({error.strerror or error}).") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} cannot be read (not in UTF-8: {error.reason}).") from None


def parse(text: str) -> Any:
    """Plain data from JSON as JSON is defined: no NaN, no name twice, no half characters; otherwise `ValueError`."""
    try:
        data = json.loads(text, parse_constant=_refuse, object_pairs_hook=_without_repetition)
        json.dumps(data, ensure_ascii=False, allow_nan=False).encode()
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return data


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) != len(pairs):
        [(twice, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"it has {twice!r} twice")
    return data


def check(data: Any, wanted: Mapping[str, Wanted], where: str) -> None:
    """Checks entries of plain data, named like `config.seed`; the entry "" is all of it, one that ends in ? may lack.

    Raises `ValueError` that starts with `where` and names the first entry that is missing or is something else.
    """
    for name, (test, words) in wanted.items():
        value, is_there = _entry(data, name.rstrip("?"))
        if not is_there:
            if name.endswith("?"):
                continue
            raise ValueError(f"{where} lacks {name}.")
        if not test(value):
            subject = f"{name.rstrip('?')} must be" if name else "it must be"
            raise ValueError(f"{where}: {subject} {words}, got {brief(value)}.")


def _entry(data: Any, name: str) -> tuple[Any, bool]:
    for key in name.split(".") if name else ():
        if not isinstance(data, Mapping) or key not in data:
            return None, False
        data = data[key]
    return data, True


def brief(value: Any) -> str:
    """The value as it is written, cut where it is long."""
    text = json.dumps(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def is_object(value: Any) -> bool:
    return isinstance(value, dict)


def is_text(value: Any) -> bool:
    return isinstance(value, str)


def is_number(value: Any) -> bool:
    return (isinstance(value, int) and not isinstance(value, bool)) or (
        isinstance(value, float) and math.isfinite(value)
    )


def whole(least: int, most: int) -> Wanted:
    """A whole number in a range."""

    def test(value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most

    return test, f"a whole number from {least} to {most}"
