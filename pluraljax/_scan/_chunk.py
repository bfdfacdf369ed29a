"""The file of one chunk: its schema, how it is written in one step, and how a reader knows that it is whole."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .._files._atomic import replacing
from ._columns import COLUMNS
from ._definition import Cell
from ._plan import Block, parameter_types

_KEY = b"pluraljax"
_NAME = re.compile(r"cell-(\d{5,})-rows-(\d{10,})-(\d{10,})\.parquet")
_LIST = pa.list_(pa.field("element", pa.float64()))
_TYPES = {"value": pa.float64(), "event": pa.int8(), "status": pa.int8()}
_PARAMETER_TYPES = {"int64": pa.int64(), "float64": pa.float64(), "bool": pa.bool_(), "string": pa.string()}
_DAMAGE = (pa.ArrowException, OSError, ValueError, KeyError, TypeError, MemoryError)


class DamagedChunk(Exception):
    """A file among the chunks is not a whole chunk of this scan; the message says why."""


def chunk_name(block: Block) -> str:
    return f"cell-{block.cell:05}-rows-{block.start:010}-{block.stop:010}.parquet"


def block_of(name: str) -> Block | None:
    """The block whose rows a file of this name holds; None where it is not that of a chunk."""
    match = _NAME.fullmatch(name)
    return Block(*(int(group) for group in match.groups())) if match else None


@dataclass(frozen=True)
class ChunkFormat:
    """What all chunk files of one scan have in common."""

    identity: str
    seed: int
    cells: tuple[Cell, ...]

    @cached_property
    def schema(self) -> pa.Schema:
        """Identification, then one column per parameter (null where a family has no such), then what was measured."""
        parameters = parameter_types(self.cells)
        measured = [column.name for column in COLUMNS]
        if clash := {*parameters} & {*measured, "market", "cell", "family"}:
            raise ValueError(f"parameters share a name with a column of the scan: {', '.join(sorted(clash))}.")
        return pa.schema(
            [
                pa.field("market", pa.int64(), nullable=False),
                pa.field("cell", pa.int32(), nullable=False),
                pa.field("family", pa.string(), nullable=False),
                *(pa.field(name, _PARAMETER_TYPES[kind]) for name, kind in parameters.items()),
                *(pa.field(c.name, _LIST if c.axis == "user" else _TYPES[c.kind], nullable=False) for c in COLUMNS),
            ]
        )

    def identification(self, block: Block) -> dict[str, pa.Array]:
        """The columns that follow from the plan: market, cell, family and its parameters."""
        cell, size = self.cells[block.cell], len(block)
        arrays = {
            "market": pa.array(block.markets(len(self.cells))),
            "cell": pa.array(np.full(size, block.cell, np.int32)),
            "family": pa.array([cell.family] * size, pa.string()),
        }
        for name in parameter_types(self.cells):
            kind = self.schema.field(name).type
            value = cell.parameters.get(name)
            if value is not None and pa.types.is_string(kind) and not isinstance(value, str):
                value = json.dumps(value)
            arrays[name] = pa.repeat(pa.scalar(value, kind), size)
        return arrays

    def table(self, block: Block, rows: Mapping[str, np.ndarray]) -> pa.Table:
        """Puts measured rows, `[row]` or `[row user]` per column, under the schema; raises `ValueError` on a misfit."""
        wanted = {column.name for column in COLUMNS}
        if rows.keys() != wanted:
            raise ValueError(f"measured columns differ from the table of columns: {sorted(rows.keys() ^ wanted)}.")
        arrays = self.identification(block)
        for column in COLUMNS:
            array, axes = np.asarray(rows[column.name]), 2 if column.axis == "user" else 1
            kind = np.float64 if column.kind == "value" else np.int8
            if array.ndim != axes or len(array) != len(block) or array.dtype != kind:
                raise ValueError(
                    f"column {column.name} needs {np.dtype(kind)} with {axes} axes and {len(block)} rows, "
                    f"got {array.dtype} of shape {array.shape}."
                )
            arrays[column.name] = _to_arrow(array)
        return pa.table(arrays, schema=self.schema)

    def write(self, folder: Path, block: Block, table: pa.Table, versions: Mapping[str, str]) -> Path:
        """Writes a chunk so that it is either there and whole, or not there: temporary file, fsync, rename."""
        note = {"identity": self.identity, "seed": self.seed, "versions": dict(versions)}
        note |= {"cell": block.cell, "start": block.start, "stop": block.stop}
        table = table.replace_schema_metadata({_KEY: json.dumps(note, sort_keys=True)})
        target = folder / chunk_name(block)
        with replacing(target) as sink:
            pq.write_table(
                table,
                sink,
                compression="zstd",
                use_dictionary=_leaves(self.schema, pa.types.is_string),  # pyright: ignore[reportArgumentType]
                use_byte_stream_split=_leaves(self.schema, pa.types.is_floating),  # pyright: ignore[reportArgumentType]
                # Page checksums find flipped bits; statistics of so few rows would only be more to go wrong.
                write_page_checksum=True,
                write_statistics=False,
            )
        return target

    def read(self, path: Path) -> tuple[Block, pa.Table]:
        """Reads a chunk and checks all of it; raises `DamagedChunk` for anything but a whole chunk of this scan."""
        if (block := block_of(path.name)) is None:
            raise DamagedChunk("its name is not that of a chunk")
        try:
            table = pq.ParquetFile(path, page_checksum_verification=True).read()
            note = json.loads((table.schema.metadata or {}).get(_KEY, b"{}"))
            table = table.replace_schema_metadata()
        except _DAMAGE as error:
            raise DamagedChunk(f"it is torn or altered ({' '.join(str(error).split())[:120]})") from None
        self._check(block, note, table)
        return block, table

    def _check(self, block: Block, note: Any, table: pa.Table) -> None:
        if not isinstance(note, dict) or note.get("identity") != self.identity:
            raise DamagedChunk("it belongs to another scan")
        if (note.get("cell"), note.get("start"), note.get("stop")) != (block.cell, block.start, block.stop):
            raise DamagedChunk("its name and its contents disagree on which rows it holds")
        if block.cell >= len(self.cells) or block.start >= block.stop or table.num_rows != len(block):
            raise DamagedChunk(f"it holds {table.num_rows} rows where {len(block)} are due")
        if not table.schema.equals(self.schema):
            raise DamagedChunk("its columns are not those of this scan")
        for name, wanted in self.identification(block).items():
            if not table.column(name).combine_chunks().equals(wanted):
                raise DamagedChunk(f"its column {name} is altered")


def _to_arrow(array: np.ndarray) -> pa.Array:
    array = np.ascontiguousarray(array)
    if array.ndim == 1:
        return pa.array(array)
    rows, users = array.shape
    offsets = pa.array(np.arange(rows + 1, dtype=np.int32) * np.int32(users))
    return pa.ListArray.from_arrays(offsets, pa.array(array.reshape(-1)), type=_LIST)


def _leaves(schema: pa.Schema, test: Any) -> list[str]:
    plain = [each.name for each in schema if test(each.type)]
    lists = [f"{each.name}.list.element" for each in schema if pa.types.is_list(each.type) and test(_LIST.value_type)]
    return plain + lists
