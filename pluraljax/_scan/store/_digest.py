"""The digest of a table of rows: what they are, not how a file holds them."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..config._definition import canonical


def digest_of(table: pa.Table, note: Mapping[str, Any]) -> str:
    """SHA-256 of rows, column by column, and of what a note says of them."""
    found = hashlib.sha256(canonical(note).encode())
    for name, column in zip(table.column_names, table.columns, strict=True):
        found.update(f"{name}:{len(column)}:".encode())
        _add(found, column.combine_chunks())
    return found.hexdigest()


def _add(found: Any, values: Any) -> None:
    """Adds which values are there, and their bits; of lists their lengths, too."""
    kind = values.type
    if pa.types.is_list(kind):
        _add(found, values.value_lengths())
        _add(found, values.flatten())
        return
    if pa.types.is_string(kind):
        # Few different ones, numbered as they come.
        coded = values.dictionary_encode()
        found.update(json.dumps(coded.dictionary.to_pylist()).encode())
        values = coded.indices
    found.update(f"{values.null_count}:".encode())
    if values.null_count:
        found.update(_bits(values.is_valid(), np.uint8))
        values = pc.fill_null(values, pa.scalar(False if pa.types.is_boolean(kind) else 0, values.type))
    whole = np.uint8 if pa.types.is_boolean(kind) else np.int64
    found.update(_bits(values, np.float64 if pa.types.is_floating(kind) else whole))


def _bits(values: Any, kind: Any) -> np.ndarray:
    """Numbers as they lie in memory, in one type and order on every machine; not copied where they are so already."""
    return np.ascontiguousarray(values.to_numpy(zero_copy_only=False), np.dtype(kind).newbyteorder("<")).view(np.uint8)
