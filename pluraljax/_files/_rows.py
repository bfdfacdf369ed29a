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


def csv_rows(path: Path, lines: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
    """Yields the rows that are not empty, as (where it stands, entries without blanks around them)."""
    reader, is_first = csv.reader(lines, strict=True), True
    try:
        for entries in reader:
            if not entries:
                continue
            where = f"line {reader.line_num}"
            if is_first:
                _check_separator(path, where, entries)
            is_first = False
            yield where, [entry.strip() for entry in entries]
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: not CSV ({error}).") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}, after line {reader.line_num}: not in UTF-8 ({error.reason}).") from None


def _check_separator(path: Path, where: str, entries: list[str]) -> None:
    for separator, name in _SEPARATORS.items() if len(entries) == 1 else ():
        if separator in entries[0].strip():
            raise ValueError(
                f"{path}, {where}: columns are separated by {name}; separate them by ',', and write decimals with a "
                "point (2.5)."
            )
