"""The file of one chunk: its schema, how it is written in one step, and how a reader knows that it is whole."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..._atomic import replacing
from ..config._definition import Cell
from ..config._plan import Block, parameter_types
from ..measure._columns import Column
from ._digest import digest_of
from ._versions import Versions

_KEY = b"pluraljax"
_NAME = re.compile(r"cell-([0-9]{5,18})-rows-([0-9]{10,18})-([0-9]{10,18})\.parquet")
_LIST = pa.list_(pa.field("element", pa.float64()))
_TYPES = {"value": pa.float64(), "event": pa.bool_(), "status": pa.int8()}
_PARAMETER_TYPES = {"int64": pa.int64(), "float64": pa.float64(), "bool": pa.bool_(), "string": pa.string()}
_DAMAGE = (pa.ArrowException, OSError, ValueError, KeyError, TypeError, OverflowError, MemoryError, RecursionError)
IDENTIFICATION = ("market", "cell", "family")


class DamagedChunk(Exception):
    """A file among the chunks is not a whole chunk of this scan; the message says why."""


@dataclass(frozen=True)
class Chunk:
    """A chunk that was read: its rows, or some of their columns, and the versions of what measured them."""

    block: Block
    versions: Versions
    table: pa.Table


def chunk_name(block: Block) -> str:
    return f"cell-{block.cell:05}-rows-{block.start:010}-{block.stop:010}.parquet"


def block_of(name: str) -> Block | None:
    """The block whose rows a file of this name holds; None where it is not that of a chunk."""
    match = _NAME.fullmatch(name)
    block = Block(*(int(group) for group in match.groups())) if match else None
    # One name per block: with more zeros in front, its rows could be there twice.
    return block if block is not None and chunk_name(block) == name else None


@dataclass(frozen=True)
class ChunkFormat:
    """What all chunk files of one scan have in common; `version` is the manifest's `format_version`."""

    identity: str
    seed: int
    cells: tuple[Cell, ...]
    columns: tuple[Column, ...]
    version: int

    @cached_property
    def _parameters(self) -> dict[str, str]:
        return parameter_types(self.cells)

    @cached_property
    def schema(self) -> pa.Schema:
        """Identification, then one column per parameter (null where a family has no such), then what was measured.

        Events are null where they are open.
        """
        parameters = self._parameters
        measured = [column.name for column in self.columns]
        if clash := {*parameters} & {*measured, *IDENTIFICATION}:
            raise ValueError(f"parameters share a name with a column of the scan: {', '.join(sorted(clash))}.")
        return pa.schema(
            [
                pa.field("market", pa.int64(), nullable=False),
                pa.field("cell", pa.int32(), nullable=False),
                pa.field("family", pa.string(), nullable=False),
                *(pa.field(name, _PARAMETER_TYPES[kind]) for name, kind in parameters.items()),
                *(
                    pa.field(c.name, _LIST if c.axis == "user" else _TYPES[c.kind], nullable=c.kind == "event")
                    for c in self.columns
                ),
            ]
        )

    @cached_property
    def _stored_schema(self) -> pa.Schema:
        """The schema of the files: in format 1 events are int8."""
        if self.version > 1:
            return self.schema
        events = {column.name for column in self.columns if column.kind == "event"}
        return pa.schema([pa.field(f.name, pa.int8(), nullable=False) if f.name in events else f for f in self.schema])

    def identification(self, block: Block) -> dict[str, pa.Array]:
        """The columns that follow from the plan: market, cell, family and its parameters."""
        cell, size = self.cells[block.cell], len(block)
        arrays = {
            "market": pa.array(block.markets(len(self.cells))),
            "cell": pa.array(np.full(size, block.cell, np.int32)),
            "family": pa.array([cell.family] * size, pa.string()),
        }
        for name in self._parameters:
            kind = self.schema.field(name).type
            value = cell.parameters.get(name)
            if value is not None and pa.types.is_string(kind) and not isinstance(value, str):
                value = json.dumps(value)
            arrays[name] = pa.repeat(pa.scalar(value, kind), size)
        return arrays

    def table(self, block: Block, rows: Mapping[str, np.ndarray]) -> pa.Table:
        """Puts measured rows, `[row]` or `[row user]` per column, under the schema; raises `ValueError` on a misfit.

        Events come as int8: 1, 0, or -1 where they are open.
        """
        wanted = {column.name for column in self.columns}
        if rows.keys() != wanted:
            raise ValueError(f"measured columns differ from the table of columns: {sorted(rows.keys() ^ wanted)}.")
        arrays = self.identification(block)
        for column in self.columns:
            array, axes = np.asarray(rows[column.name]), 2 if column.axis == "user" else 1
            kind = np.float64 if column.kind == "value" else np.int8
            if array.ndim != axes or len(array) != len(block) or array.dtype != kind:
                raise ValueError(
                    f"column {column.name} needs {np.dtype(kind)} with {axes} axes and {len(block)} rows, "
                    f"got {array.dtype} of shape {array.shape}."
                )
            arrays[column.name] = _to_events(array) if column.kind == "event" else _to_arrow(array)
        return pa.table(arrays, schema=self.schema)

    def write(self, folder: Path, block: Block, table: pa.Table, versions: Mapping[str, str]) -> Path:
        """Writes a chunk so that it is either there and whole, or not there: temporary file, fsync, rename.

        Its metadata say whose rows these are, what made them, and their digest.
        """
        note: dict[str, Any] = {"format": self.version, "identity": self.identity, "seed": self.seed}
        note |= {"cell": block.cell, "start": block.start, "stop": block.stop, "versions": dict(versions)}
        note["digest"] = digest_of(table, note)
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

    def read(self, path: Path) -> Chunk:
        """Reads a chunk and checks all of it; raises `DamagedChunk` for anything but a whole chunk of this scan."""
        block, note, table = self._look(path, None)
        try:
            wanted = self.identification(block)
            altered = [name for name in wanted if not table.column(name).combine_chunks().equals(wanted[name])]
            digest = digest_of(table, {name: value for name, value in note.items() if name != "digest"})
        except _DAMAGE as error:
            raise DamagedChunk(f"its rows cannot be read ({_brief(error)})") from None
        if altered:
            raise DamagedChunk(f"its column {altered[0]} is altered")
        if self.version > 1 and note.get("digest") != digest:
            raise DamagedChunk("its rows are not those that were measured: their digest differs")
        return Chunk(block, note["versions"], self._with_events(table))

    def glance(self, path: Path, columns: Sequence[str]) -> Chunk:
        """Reads some columns of a chunk, and checks what costs little: whose rows its metadata say it holds, how many.

        Raises `DamagedChunk` as `read` does; what only the digest tells goes unnoticed.
        """
        block, note, table = self._look(path, list(columns))
        return Chunk(block, note["versions"], self._with_events(table))

    def _look(self, path: Path, columns: list[str] | None) -> tuple[Block, dict[str, Any], pa.Table]:
        if (block := block_of(path.name)) is None:
            raise DamagedChunk("its name is not that of a chunk")
        if not path.is_file():
            raise DamagedChunk("it is no file")
        try:
            # Opened here: pyarrow takes no path whose name is in no known encoding.
            with path.open("rb") as source, pq.ParquetFile(source, page_checksum_verification=True) as file:
                rows, schema = file.metadata.num_rows, file.schema_arrow
                note = json.loads((schema.metadata or {}).get(_KEY, b"{}"))
                self._check(block, note, rows, schema)
                _check_footer(file)
                table = file.read(columns).replace_schema_metadata()
        except _DAMAGE as error:
            raise DamagedChunk(f"it is torn or altered ({_brief(error)})") from None
        return block, note, table

    def _check(self, block: Block, note: Any, rows: int, schema: pa.Schema) -> None:
        if not isinstance(note, dict) or note.get("identity") != self.identity:
            raise DamagedChunk("it belongs to another scan")
        if (note.get("cell"), note.get("start"), note.get("stop")) != (block.cell, block.start, block.stop):
            raise DamagedChunk("its name and its contents disagree on which rows it holds")
        if self.version > 1 and note.get("format") != self.version:
            raise DamagedChunk(f"it has format {note.get('format')!r}, and the scan {self.version}")
        if not isinstance(made := note.get("versions"), dict) or not all(isinstance(v, str) for v in made.values()):
            raise DamagedChunk("it does not say what measured it")
        if block.cell >= len(self.cells) or block.start >= block.stop or rows != len(block):
            raise DamagedChunk(f"it holds {rows} rows where {max(0, block.stop - block.start)} are due")
        if not schema.equals(self._stored_schema):
            raise DamagedChunk("its columns are not those of this scan")

    def _with_events(self, table: pa.Table) -> pa.Table:
        """The same rows with events as they are today."""
        if self.version == 1:
            for place, name in enumerate(table.column_names):
                if self.schema.field(name).type != table.schema.field(name).type:
                    events = _to_events(table.column(name).to_numpy())
                    table = table.set_column(place, self.schema.field(name), events)
        return table


def _check_footer(file: pq.ParquetFile) -> None:
    """Raises `DamagedChunk` where a footer makes no sense that pyarrow reads rows without: others may not."""
    if not file.metadata.created_by:  # raises if it is no text
        raise DamagedChunk("its footer is altered")
    wanted = [file.schema.column(place).path for place in range(len(file.schema))]
    for number in range(file.num_row_groups):
        group = file.metadata.row_group(number)
        if [group.column(place).path_in_schema for place in range(group.num_columns)] != wanted:
            raise DamagedChunk("its footer is altered")


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:120]


def _to_events(codes: np.ndarray) -> pa.Array:
    """Codes 1 (yes), 0 (no) and -1 (open) as true, false and null."""
    return pa.array(codes == 1, pa.bool_(), mask=codes < 0)


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
