"""Rows of a CSV file, with where they stand. Errors name the file and the line. Imports no JAX."""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path


def csv_rows(path: Path, lines: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
    """Yields the rows that are not empty, as (where it stands, entries without blanks around them)."""
    reader = csv.reader(lines, strict=True)
    try:
        for entries in reader:
            if entries:
                yield f"line {reader.line_num}", [entry.strip() for entry in entries]
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: not CSV ({error}).") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}, after line {reader.line_num}: not in UTF-8 ({error.reason}).") from None
