"""Reads the folder of a scan, finished or not, without JAX: whole, or in parts of bounded size."""

import json
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ._chunk import ChunkFormat, DamagedChunk, block_of
from ._columns import COLUMNS
from ._definition import cells_of, columns_version
from ._plan import Block

if TYPE_CHECKING:
    import xarray as xr

FORMAT = "pluraljax scan"
FORMAT_VERSION = 1
MANIFEST, ROWS = "manifest.json", "rows"

# Rows that are read at a time where all are not needed together.
_PART = 2**15


def read_manifest(path: str | Path) -> dict[str, Any]:
    """Reads the manifest of a scan; raises `ValueError` where there is none."""
    file = Path(path) / MANIFEST
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path} holds no scan: it has no {MANIFEST}.") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"{file} cannot be read ({error}).") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ValueError(f"{file} is not the manifest of a scan.")
    if manifest.get("format_version") != FORMAT_VERSION:
        raise ValueError(f"{file} has format {manifest.get('format_version')}; this version reads {FORMAT_VERSION}.")
    return manifest


def chunk_format(path: str | Path, manifest: Mapping[str, Any]) -> ChunkFormat:
    """The format of a folder's chunks; raises `ValueError` where another version of pluraljax made them."""
    definition = manifest["definition"]
    if definition["columns"] != columns_version(COLUMNS):
        raise ValueError(
            f"{path} was measured by pluraljax {manifest['versions']['pluraljax']}, which has other columns. Open it "
            f"with that version, or read {ROWS}/*.parquet as plain Parquet."
        )
    return ChunkFormat(manifest["identity"], definition["seed"], cells_of(definition))


def chunk_files(path: str | Path) -> list[Path]:
    """The files that are chunks by their names, cell by cell, each cell's in the order of its markets."""
    files = [file for file in (Path(path) / ROWS).glob("*.parquet") if block_of(file.name)]
    return sorted(files, key=lambda file: block_of(file.name) or Block(0, 0, 0))


def read_parts(path: str | Path, rows: int = _PART) -> Iterator[pa.Table]:
    """Yields all rows of a scan, finished or not, in tables of about so many: memory does not grow with the scan.

    Rows come cell by cell, and in a cell by market, each once. Damaged or foreign files among the chunks are left out,
    with a warning that names them; a rerun of the scan redoes them. Raises `ValueError` where there is no scan.
    """
    chunks = chunk_format(path, read_manifest(path))
    waiting, held = [chunks.schema.empty_table()], 0
    for table in _whole_chunks(path, chunks):
        if held and held + table.num_rows > rows:
            yield pa.concat_tables(waiting)
            waiting, held = [], 0
        waiting.append(table)
        held += table.num_rows
    yield pa.concat_tables(waiting)


def _whole_chunks(path: str | Path, chunks: ChunkFormat) -> Iterator[pa.Table]:
    damaged, cell, reached = [], -1, 0
    foreign = {*(Path(path) / ROWS).glob("*.parquet")} - {*(files := chunk_files(path))}
    for file in [*files, *sorted(foreign)]:
        try:
            block, table = chunks.read(file)
        except DamagedChunk as damage:
            damaged.append(f"{file.name}: {damage}")
            continue
        reached = reached if block.cell == cell else 0
        # Runs with different chunk sizes can overlap where a folder has no locks; their rows are the same.
        if reached < block.stop:
            yield table.slice(max(0, reached - block.start))
        cell, reached = block.cell, max(reached, block.stop)
    if damaged:
        warnings.warn(
            f"{path}: {len(damaged)} chunk files left out, run the scan again to redo them ({'; '.join(damaged)})",
            stacklevel=3,
        )


def read_table(path: str | Path) -> pa.Table:
    """Reads all rows of a scan, finished or not, sorted by market; otherwise as `read_parts`."""
    table = pa.concat_tables(read_parts(path)).combine_chunks()
    order = np.argsort(table.column("market").to_numpy(), kind="stable")
    return table.take(pa.array(order)) if len(order) else table


def open_scan(path: str | Path) -> "xr.Dataset":
    """Opens a scan, finished or not, as a labelled dataset.

    Dimensions are `market` and `user`; where cells differ in users the missing ones are NaN. What identifies a row
    (cell, family, parameters) are coordinates; a parameter that a family does not have is NaN, or an empty text.
    Units and descriptions are attributes.
    """
    from ._dataset import to_dataset

    return to_dataset(read_table(path), read_manifest(path))
