"""Reads ratings and scores from CSV, Parquet and NPZ files. Errors name the file and the row. Imports no JAX."""

import io
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .._files._archive import read_archive
from .._files._rows import csv_rows, decimal_comma, decoded, refuse_workbooks
from .._printable import listed, quoted


@dataclass(frozen=True)
class Words:
    """What the rows, and the numbers, of a file are called."""

    rater: str
    value: str
    array: str


# Entries of a table, missing ones counted: several arrays of that size are needed to fill it. Rows of a long file, and
# bytes of any file.
MOST_ENTRIES, MOST_ROWS, MOST_BYTES = 2**25, 2**23, 2**29

RATINGS = Words("user", "rating", "ratings")
SCORES = Words("provider", "score", "scores")


@dataclass(frozen=True)
class Grid:
    """Values of one file, `[rater item context]`, NaN where missing; `contexts` is empty where it has none.

    Names are texts, in the order in which the file brings them, but for an `.npz`, which numbers them.
    """

    raters: tuple[str, ...]
    items: tuple[str, ...]
    contexts: tuple[str, ...]
    values: np.ndarray


def read_grid(path: str, words: Words) -> Grid | None:
    """Reads a file; None for an `.npz` without the array that `words` asks for."""
    file = Path(path)
    refuse_workbooks(file)
    _check_bytes(file, file.stat().st_size)
    if file.suffix.lower() == ".npz":
        return _read_arrays(file, words)
    header, rows = _read_csv(file) if file.suffix.lower() == ".csv" else _read_parquet(file)
    if repeated := sorted(name for name, times in Counter(header).items() if times > 1):
        raise ValueError(f"{file}: its columns {listed(repeated)} appear twice.")
    if {words.rater, "item", words.value} <= set(header):
        return _read_long(file, words, header, rows)
    if header and header[0] == words.rater and words.value not in header and len(header) > 1:
        return _read_wide(file, header, rows)
    raise ValueError(
        f"{file} needs the columns {words.rater!r}, 'item', {words.value!r} and perhaps 'context', in any order, "
        f"or {words.rater!r} first and then a column per item; it has {listed(header)}."
    )


class _TooMuch(ValueError):
    """A file holds more than is read."""


def _check_parquet(path: Path, about: Any) -> None:
    """Checks what a Parquet file says of itself, before it is unpacked."""
    _check_bytes(path, sum(about.row_group(n).total_byte_size for n in range(about.num_row_groups)))
    _check_rows(path, about.num_rows)


def _check_bytes(path: Path, size: int) -> None:
    if size > MOST_BYTES:
        raise _TooMuch(f"{path} holds {size / 2**20:,.0f} MiB; at most {MOST_BYTES // 2**20:,} are read.")


def _check_rows(path: Path, rows: int) -> None:
    if rows > MOST_ROWS:
        raise _TooMuch(f"{path} has more than {MOST_ROWS:,} rows, the most that are read.")


def _check_entries(path: Path, *sizes: int) -> None:
    """Raises `ValueError`, before memory is taken for it, where a table is too large."""
    if math.prod(sizes) > MOST_ENTRIES:
        spelled = " x ".join(f"{size:,}" for size in sizes)
        raise ValueError(
            f"{path}: a table of {spelled} (raters, items, contexts) has {math.prod(sizes):,} entries, most of them "
            f"missing perhaps; at most {MOST_ENTRIES:,} are allowed. Leave some out."
        )


# A row of a file: what an error calls it, and its entries.
_Row = tuple[str, Sequence[Any]]


def _read_csv(path: Path) -> tuple[list[str], Iterator[_Row]]:
    lines = csv_rows(path, io.StringIO(decoded(path, path.read_bytes()), newline=""))
    _, header = next(lines, ("", []))
    return list(header), lines


def _read_parquet(path: Path) -> tuple[list[str], Iterator[_Row]]:
    import pyarrow.parquet as pq

    with path.open("rb") as file:
        try:
            parquet = pq.ParquetFile(file, page_checksum_verification=True)
            due = parquet.metadata.num_rows
            _check_parquet(path, parquet.metadata)
            table = parquet.read()
            columns = [column.to_pylist() for column in table.columns]
            if table.num_rows != due:
                raise ValueError(f"it says that it has {due:,} rows, and has {table.num_rows:,}")
        except MemoryError:
            raise ValueError(f"{path} needs more memory than there is.") from None
        except _TooMuch:
            raise
        # Damaged pages give errors of many kinds, some only when texts and dates are made of them.
        except Exception as error:
            reason = " ".join(str(error).split())
            raise ValueError(f"{path} is not a Parquet file ({reason[:300]}).") from None
    rows = zip(*columns, strict=True) if columns else iter(())
    return table.column_names, ((f"row {number}", entries) for number, entries in enumerate(rows, start=1))


def _read_arrays(path: Path, words: Words) -> Grid | None:
    def check(shapes: Mapping[str, tuple[int, ...]]) -> None:
        for each in (RATINGS, SCORES):
            shape = shapes.get(each.array, (1, 1))
            if len(shape) not in (2, 3) or 0 in shape:
                raise ValueError(
                    f"{each.array!r} must be [{each.rater} item] or [{each.rater} item context], not empty, "
                    f"got shape {shape}."
                )

    names = (RATINGS.array, SCORES.array)
    arrays = read_archive(path, names, "table of ratings", values="nan", check=check)
    if words.array not in arrays:
        return None
    values = np.asarray(arrays[words.array], np.float64)
    named = [tuple(map(str, range(size))) for size in values.shape]
    contexts = named[2] if values.ndim == 3 else ()
    _check_entries(path, *values.shape)
    values = values.reshape(*values.shape[:2], -1)
    for axis, (what, names) in enumerate(((words.rater, named[0]), ("item", named[1]), ("context", contexts))):
        empty = np.isnan(values).all(axis=tuple(other for other in range(3) if other != axis))
        if empty.any():
            where = f"{what} {int(empty.argmax())}" if names else "the table"
            raise ValueError(f"{path}: {words.array!r} has no number at all for {where}.")
    return Grid(named[0], named[1], contexts, values)


def _read_wide(path: Path, header: Sequence[str], rows: Iterable[_Row]) -> Grid:
    raters: dict[str, int] = {}
    values, items = [], [str(name) for name in header[1:]]
    for where, entries in rows:
        if len(entries) != len(header):
            raise ValueError(f"{path}, {where}: {len(entries)} entries under {len(header)} columns.")
        rater = _name(path, where, header[0], entries[0])
        if rater in raters:
            raise ValueError(f"{path}, {where}: {header[0]} {quoted(rater)} appears a second time.")
        raters[rater] = len(raters)
        _check_entries(path, len(raters), len(items))
        numbers = [_number(path, where, name, entry) for name, entry in zip(items, entries[1:], strict=True)]
        if all(math.isnan(number) for number in numbers):
            raise ValueError(f"{path}, {where}: no number at all for {header[0]} {quoted(rater)}.")
        values.append(np.array(numbers))
    if not values:
        raise ValueError(f"{path} has no rows under its header.")
    values = np.array(values)
    if (empty := np.isnan(values).all(axis=0)).any():
        raise ValueError(f"{path}: no number at all for item {quoted(items[int(empty.argmax())])}.")
    return Grid(tuple(raters), tuple(items), (), values[:, :, None])


def _read_long(path: Path, words: Words, header: Sequence[str], rows: Iterable[_Row]) -> Grid:
    with_context = "context" in header
    axes = (words.rater, "item", "context") if with_context else (words.rater, "item")
    places, value_place = [header.index(name) for name in axes], header.index(words.value)
    known: tuple[dict[str, int], ...] = tuple({} for _ in axes)
    entries_at: dict[tuple[int, ...], float] = {}
    for where, entries in rows:
        if len(entries) != len(header):
            raise ValueError(f"{path}, {where}: {len(entries)} entries under {len(header)} columns.")
        value = _number(path, where, words.value, entries[value_place])
        names = [_name(path, where, axis, entries[place]) for axis, place in zip(axes, places, strict=True)]
        if math.isnan(value):
            continue
        _check_rows(path, len(entries_at))
        at = tuple(index.setdefault(name, len(index)) for index, name in zip(known, names, strict=True))
        if at in entries_at:
            spelled = ", ".join(f"{axis} {quoted(name)}" for axis, name in zip(axes, names, strict=True))
            raise ValueError(f"{path}, {where}: a second {words.value} for {spelled}.")
        entries_at[at] = value
    if not entries_at:
        raise ValueError(f"{path} holds no {words.value} at all.")
    _check_entries(path, *map(len, known))
    values = np.full([len(index) for index in known], np.nan)
    values[tuple(np.array(list(entries_at)).T)] = list(entries_at.values())
    raters, items, contexts = (tuple(index) for index in (*known, {})[:3])
    return Grid(raters, items, contexts, values if with_context else values[:, :, None])


def _name(path: Path, where: str, column: str, entry: Any) -> str:
    if entry is None or entry == "":
        raise ValueError(f"{path}, {where}: no {column}.")
    if isinstance(entry, bytes | list | dict):
        raise ValueError(f"{path}, {where}: {column} must be a text or a number, got {quoted(entry)}.")
    return str(entry)


def _number(path: Path, where: str, column: str, entry: Any) -> float:
    """A finite number, or NaN for an entry that is missing: null, empty, or NA or NaN in any case."""
    if entry is None or (isinstance(entry, str) and entry.lower() in ("", "na", "nan")):
        return math.nan
    try:
        # Python also reads `1_0` and the digits of other scripts, which files of numbers do not mean.
        number = float("" if isinstance(entry, str) and ("_" in entry or not entry.isascii()) else entry)
    except (TypeError, ValueError):
        number = math.inf
    if math.isinf(number):
        hint = decimal_comma(entry)
        raise ValueError(f"{path}, {where}: {column} must be a finite number or empty, got {quoted(entry)}.{hint}")
    return number
