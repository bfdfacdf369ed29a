"""Rows of a scan as a labelled xarray dataset."""

import json

import numpy as np
import pyarrow as pa
import xarray as xr

from ._manifest import Manifest


def to_dataset(table: pa.Table, manifest: Manifest) -> xr.Dataset:
    """Labels the rows of a table that is sorted by market, with the columns that the manifest lists."""
    table, columns = table.combine_chunks(), manifest.columns
    measured = {column.name for column in columns}
    coordinates = {
        name: ("market", _identification(table.column(name))) for name in table.column_names if name not in measured
    }
    lengths = [_lengths(table.column(c.name)) for c in columns if c.axis == "user"]
    users = max((int(each.max(initial=0)) for each in lengths), default=0)
    variables = {}
    for column in columns:
        attributes = {"units": column.unit, "description": column.description}
        if column.axis == "user":
            variables[column.name] = (("market", "user"), _pad(table.column(column.name), users), attributes)
        else:
            values = table.column(column.name)
            values = values.cast(pa.float64()) if column.kind == "event" else values
            variables[column.name] = (("market",), values.to_numpy(), attributes)
    coordinates["user"] = ("user", np.arange(users))
    attributes = {
        "title": "pluraljax scan",
        "identity": manifest.identity,
        **{name: manifest.config[name] for name in ("seed", "delta", "markets")},
        "config": json.dumps(manifest.config),
        "versions": json.dumps(manifest.versions),
    }
    return xr.Dataset(variables, coordinates, attributes)


def _identification(column: pa.ChunkedArray) -> np.ndarray:
    if pa.types.is_string(column.type):
        return np.array([value or "" for value in column.to_pylist()], dtype=np.str_)
    if column.null_count:
        column = column.cast(pa.float64())
    return column.to_numpy()


def _lengths(column: pa.ChunkedArray) -> np.ndarray:
    return np.diff(_offsets(column))


def _offsets(column: pa.ChunkedArray) -> np.ndarray:
    chunks = [chunk.offsets.to_numpy() for chunk in column.chunks]
    return chunks[0] if chunks else np.zeros(1, np.int32)


def _pad(column: pa.ChunkedArray, users: int) -> np.ndarray:
    lengths = _lengths(column)
    padded = np.full((len(lengths), users), np.nan)
    values = column.combine_chunks().flatten().to_numpy() if len(lengths) else np.empty(0)
    padded[np.arange(users) < lengths[:, None]] = values
    return padded
