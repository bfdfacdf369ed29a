"""All rows of a scan in one file for other tools."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq

from ..._atomic import creating, sweep
from ..._printable import for_spreadsheets
from ._read import read_parts


def export(path: str | Path, target: str | Path) -> int:
    """Writes all rows of a scan to one file, part by part: memory does not grow with the scan.

    **Arguments:**

    - `path`: folder of the scan, finished or not.
    - `target`: a new file that ends in `.parquet` (columns as they are stored) or `.csv` (a column per user, `_1`,
      `_2`, ..., empty where a market has fewer; a text that a spreadsheet would take for a formula starts with `'`).

    **Returns:** how many rows were written: cell by cell, and in a cell by market. Raises `FileExistsError` when there
    is something at `target`, and `ValueError` for another ending, and where there is no scan.
    """
    target = Path(target)
    if target.suffix not in (".parquet", ".csv"):
        raise ValueError(f"{target}: rows are exported to .parquet or .csv, got {target.suffix or 'no ending'!r}.")
    users = max((_most_users(part) for part in read_parts(path)), default=0) if target.suffix == ".csv" else 0
    rows = 0
    sweep(target.parent)
    with creating(target) as sink:
        writer: Any = None
        for part in read_parts(path):
            part = _for_spreadsheets(_flat(part, users)) if target.suffix == ".csv" else part
            if writer is None:
                make = csv.CSVWriter if target.suffix == ".csv" else pq.ParquetWriter
                writer = make(sink, part.schema)
            writer.write_table(part)
            rows += part.num_rows
        if writer is not None:
            writer.close()
    return rows


def _for_spreadsheets(table: pa.Table) -> pa.Table:
    """The same rows, in which no text and no heading is taken for a formula."""
    columns: dict[str, Any] = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pa.types.is_string(column.type):
            words = column.to_pylist()
            safe = {word: for_spreadsheets(word) for word in {*words}}
            column = pa.array([safe[word] for word in words], pa.string())
        columns[for_spreadsheets(name)] = column
    return pa.table(columns)


def _most_users(table: pa.Table) -> int:
    lists = [column for column in table.columns if pa.types.is_list(column.type)]
    lengths = [chunk.value_lengths() for column in lists[:1] for chunk in column.chunks if len(chunk)]
    return max((max(each.to_pylist()) for each in lengths), default=0)


def _flat(table: pa.Table, users: int) -> pa.Table:
    """Lists become columns, one per user."""
    columns: dict[str, Any] = {}
    for field, column in zip(table.schema, table.columns, strict=True):
        if not pa.types.is_list(field.type):
            columns[field.name] = column
            continue
        rows = column.to_pylist()
        for user in range(users):
            values = [row[user] if user < len(row) else None for row in rows]
            columns[f"{field.name}_{user + 1}"] = pa.array(values, pa.float64())
    return pa.table(columns)
