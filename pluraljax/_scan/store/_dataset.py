"""Rows of a scan as a labelled xarray dataset, and back."""

import json
from typing import Any

import numpy as np
import pyarrow as pa
import xarray as xr

from ..._arguments import described
from ..measure._measurement import EVENT_UNIT, Column
from ._manifest import Manifest

TITLE = "pluraljax scan"


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
        "title": TITLE,
        "comment": "plx.scans.conclusion(dataset) says what it shows in a few sentences",
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


def from_dataset(scan: Any) -> tuple[pa.Table, tuple[Column, ...], bool]:
    """The rows of a dataset as `to_dataset` makes one, its columns, and whether it stopped by itself.

    Parameters that are whole numbers come back as such. Raises `ValueError` for what is no dataset of a scan.
    """
    if not isinstance(scan, xr.Dataset) or scan.attrs.get("title") != TITLE:
        raise ValueError(
            f"scan must be the folder of a scan, or what scan and open_scan return, got {described(scan)}."
        )
    columns = tuple(_column(str(name), each) for name, each in scan.data_vars.items())
    of_users = [np.asarray(scan[column.name]) for column in columns if column.axis == "user"]
    # Whoever has a number in some column is there; the lists of a row are equally long.
    places = np.arange(1, scan.sizes["user"] + 1)
    lengths = np.max([np.max(np.isfinite(each) * places, axis=1, initial=0) for each in of_users], axis=0)
    arrays = {str(name): _restored(np.asarray(each)) for name, each in scan.coords.items() if each.dims == ("market",)}
    for column in columns:
        values = np.asarray(scan[column.name])
        if column.axis == "user":
            there = np.arange(values.shape[1]) < lengths[:, None]
            starts = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
            arrays[column.name] = pa.ListArray.from_arrays(starts, pa.array(values[there]))
        elif column.kind == "event":
            arrays[column.name] = pa.array(np.nan_to_num(values) == 1.0, mask=np.isnan(values))
        else:
            arrays[column.name] = pa.array(values)
    return pa.table(arrays), columns, json.loads(scan.attrs["config"]).get("until") is not None


def _column(name: str, variable: xr.DataArray) -> Column:
    unit, axis = variable.attrs["units"], "user" if "user" in variable.dims else "market"
    kind = "event" if unit == EVENT_UNIT else "status" if name == "status" else "value"
    return Column(name, axis, kind, unit, variable.attrs["description"])


def _restored(values: np.ndarray) -> pa.Array:
    """What identifies a row, with nothing in place of the empty text and of NaN."""
    if values.dtype.kind == "U":
        return pa.array(values.tolist(), mask=values == "")
    if values.dtype.kind == "f":
        known = values[np.isfinite(values)]
        kind = pa.int64() if known.size and (known == np.round(known)).all() else pa.float64()
        return pa.array(np.nan_to_num(values), mask=np.isnan(values)).cast(kind)
    return pa.array(values)
