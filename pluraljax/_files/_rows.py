"""Rows of a CSV file, with where they stand. Errors name the file and the line, and say what to do. Imports no JAX."""

import csv
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

# What spreadsheet programmes save by default, or by the habits of a country, in place of CSV.
_WORKBOOKS = (".xlsx", ".xls", ".ods", ".numbers")
_SEPARATORS = {";": "';'", "\t": "tabs"}
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")


def refuse_workbooks(path: Path) -> None:
    """Raises `ValueError` for a file of a spreadsheet programme."""
    if path.suffix.lower() in _WORKBOOKS:
        raise ValueError(
            f"{path}: is a workbook of a spreadsheet programme; save it as CSV (UTF-8), and give that file."
        )


def decimal_comma(entry: Any) -> str:
    """What to write in place of a number with a decimal comma, in a sentence with a blank before it; or nothing."""
    is_one = isinstance(entry, str) and _DECIMAL_COMMA.fullmatch(entry)
    return f" Write {entry.replace(',', '.')}: decimals have a point." if is_one else ""


def decoded(path: Path, data: bytes) -> str:
    """The text of a CSV file; a byte-order mark is no part of it. Raises `ValueError` for bytes that are not UTF-8."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ValueError(f"{path}, line {line}: {_not_utf8(data, error)}") from None
    if "\0" in text:
        raise ValueError(f"{path}: {_not_utf8(data)}")
    return text


def _not_utf8(data: bytes, error: UnicodeDecodeError | None = None) -> str:
    # UTF-16 begins with its mark, or has a zero beside every letter of the header.
    wide = data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in data[:16]
    what = "in UTF-16" if wide else "not text" if error is None else f"not in UTF-8 ({error.reason})"
    return f'{what}; save it as "CSV UTF-8" in the spreadsheet programme, and give that file.'


def csv_rows(path: Path, lines: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
    """Yields the rows in which there is something, as (where it stands, entries without blanks around them).

    Empty columns to the right of the first row's last name are left out: spreadsheets write them, and rows of nothing.
    """
    reader, width = csv.reader(lines, strict=True), None
    try:
        for spelled in reader:
            entries, where = [entry.strip() for entry in spelled], f"line {reader.line_num}"
            if not any(entries) or (width is None and entries == ["sep=", ""]):
                continue
            if width is None:
                _check_separator(path, where, entries)
                width = max(place for place, entry in enumerate(entries, start=1) if entry)
            while len(entries) > width and not entries[-1]:
                entries.pop()
            yield where, entries
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: not CSV ({error}).") from None
    except UnicodeDecodeError as error:
        said = _not_utf8(error.object, error)
        raise ValueError(f"{path}, after line {reader.line_num}: {said}") from None


def _check_separator(path: Path, where: str, entries: list[str]) -> None:
    for separator, name in _SEPARATORS.items() if len(entries) == 1 else ():
        if separator in entries[0]:
            raise ValueError(
                f"{path}, {where}: columns are separated by {name}; separate them by ',', and write decimals with a "
                "point (2.5), as spreadsheet programmes do when the country is set to the United States."
            )
