"""Reads the folder of a scan, finished or not, without JAX: whole, or in parts of bounded size."""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ..._arguments import checked, some_path
from ..._printable import printable
from ..config._plan import Block
from ._chunk import Chunk, ChunkFormat, DamagedChunk, block_of
from ._manifest import MANIFEST, Manifest, read_manifest

if TYPE_CHECKING:
    import xarray as xr

ROWS = "rows"

# Files that a warning names.
_MOST_NAMED = 5
# Rows that are read at a time where all are not needed together.
_PART = 2**15


@dataclass(frozen=True)
class FaultyFile:
    """A file among the chunks that is no whole chunk of the scan, or holds rows that another one holds, too."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{printable(self.name)}: {self.reason}"


def chunk_format(path: str | Path, manifest: Manifest) -> ChunkFormat:
    """The format of a folder's chunks, as its manifest describes them."""
    chunks = ChunkFormat(
        manifest.identity, manifest.definition["seed"], manifest.cells, manifest.columns, manifest.format_version
    )
    try:
        chunks.schema  # noqa: B018
    except ValueError as error:
        raise ValueError(f"{Path(path) / MANIFEST}: {error}") from None
    return chunks


def chunk_files(path: str | Path) -> list[Path]:
    """All files among the chunks: the chunks cell by cell, each cell's in the order of its markets, then what is none.

    Hidden files are left out, as by whatever else reads the folder.
    """

    def place(file: Path) -> tuple[bool, tuple[int, int, int], str]:
        block = block_of(file.name)
        # Of two that begin with the same market the longer one first.
        return block is None, (block.cell, block.start, -block.stop) if block else (0, 0, 0), file.name

    return sorted((file for file in (Path(path) / ROWS).glob("*") if not file.name.startswith(".")), key=place)


def walk(path: str | Path, read: Callable[[Path], Chunk]) -> Iterator[tuple[Path, Chunk | None, FaultyFile | None]]:
    """Reads the files among the chunks one after another.

    **Arguments:**

    - `path`: the scan's folder.
    - `read`: reads a chunk, such as `ChunkFormat.read`; raises `DamagedChunk`.

    Yields the file, its chunk if it is one, and what is wrong with it: nothing, or that it is no whole chunk of the
    scan, or that rows of it are in files without fault before it, too.
    """
    cell, reached = -1, 0
    for file in chunk_files(path):
        try:
            chunk = read(file)
        except DamagedChunk as damage:
            yield file, None, FaultyFile(file.name, str(damage))
            continue
        block, reached = chunk.block, reached if chunk.block.cell == cell else 0
        again = min(reached, block.stop) - block.start
        fault = FaultyFile(file.name, f"{again:,} of its markets are in another file, too") if again > 0 else None
        cell, reached = block.cell, block.stop if fault is None else reached
        yield file, chunk, fault


def read_parts(path: str | Path, rows: int = _PART) -> Iterator[pa.Table]:
    """Yields all rows of a scan, finished or not, in tables of about so many: memory does not grow with the scan.

    Rows come cell by cell, and in a cell by market, each once, with the columns that the scan has. Damaged or foreign
    files among the chunks are left out, with a warning that names them; a rerun of the scan redoes them. Raises
    `ValueError` where there is no scan.
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
    damaged, last, reached = [], -1, 0
    for _, chunk, fault in walk(path, chunks.read):
        if chunk is None:
            damaged.append(str(fault))
            continue
        block: Block = chunk.block
        reached = reached if block.cell == last else 0
        if reached < block.stop:
            yield chunk.table.slice(max(0, reached - block.start))
        last, reached = block.cell, max(reached, block.stop)
    if damaged:
        named = "; ".join(printable(each, None) for each in damaged[:_MOST_NAMED])
        more = f"; and {len(damaged) - _MOST_NAMED:,} more" if len(damaged) > _MOST_NAMED else ""
        warnings.warn(
            f"{path}: {len(damaged)} chunk files left out, run the scan again to redo them ({named}{more})",
            stacklevel=3,
        )


def read_table(path: str | Path) -> pa.Table:
    """Reads all rows of a scan, finished or not, sorted by market; otherwise as `read_parts`."""
    table = pa.concat_tables(read_parts(path)).combine_chunks()
    order = np.argsort(table.column("market").to_numpy(), kind="stable")
    return table.take(pa.array(order)) if len(order) else table


@checked(path=some_path)
def open_scan(path: str | Path) -> "xr.Dataset":
    """Opens a scan, finished or not, as a labelled dataset.

    Dimensions are `market` and `user`; where cells differ in users the missing ones are NaN. Events are 1.0 (yes), 0.0
    (no) and NaN (open). What identifies a row (cell, family, parameters) are coordinates; a parameter that a family
    does not have is NaN, or an empty text. Units and descriptions are attributes.

    Example::

        plx.scan(plx.families.gaussian(providers=2, users=2), markets=16, out="results")
        rows = plx.open_scan("results")
        float(rows["weak_error_upper"].mean())
    """
    from ._dataset import to_dataset

    return to_dataset(read_table(path), read_manifest(path))
