"""What two scans must have in common for their rows to be the same, as plain data, and its hash.

A store says it of itself, so that it is read without the families or the columns of this version. Imports no JAX.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..measure._columns import Column


@dataclass(frozen=True)
class Cell:
    """One point of the grid: a family with a value for every one of its parameters."""

    index: int
    family: str
    parameters: Mapping[str, Any]


def identity_of(definition: Mapping[str, Any]) -> str:
    """SHA-256 of a definition: two scans with equal identities have the same rows."""
    return hashlib.sha256(canonical(definition).encode()).hexdigest()


def columns_version(columns: Iterable[Column]) -> str:
    """A short hash of measured columns; wording of units and descriptions does not count."""
    table = [[column.name, column.axis, column.kind] for column in columns]
    return hashlib.sha256(canonical(table).encode()).hexdigest()[:16]


def cells_of(definition: Mapping[str, Any]) -> tuple[Cell, ...]:
    """The cells that a definition lists, numbered in order."""
    return tuple(Cell(index, family, values) for index, (family, values) in enumerate(definition["cells"]))


def differences(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Says in which keys two definitions differ, one phrase each."""
    phrases = []
    for key in sorted({*stored, *wanted}):
        old, new = stored.get(key), wanted.get(key)
        if key == "cells" and old is not None and new is not None:
            phrases += _cell_differences(old, new)
        elif key == "families":
            phrases += _source_differences("family", old or {}, new or {})
        elif key == "measurements":
            phrases += _measurement_differences(old or {}, new or {})
        elif old != new:
            phrases.append(f"{key} ({old!r} there, {new!r} here)")
    return phrases


def _measurement_differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    phrases = [f"measurement {name}, which is not measured there" for name in sorted({*new} - {*old})]
    phrases += [f"set of measurements, without {name}" for name in sorted({*old} - {*new})]
    for name in sorted({*old} & {*new}):
        there, here = old[name].get("values"), new[name].get("values")
        if canonical(there) != canonical(here):
            phrases.append(f"measurement {name} ({there!r} there, {here!r} here)")
    sources = ({name: each.get("source") for name, each in which.items()} for which in (old, new))
    return phrases + _source_differences("measurement", *sources)


def _source_differences(what: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Of families that only one of both has, their cells speak."""
    phrases = []
    for name in sorted({*old} & {*new}):
        there, here = old[name] or {}, new[name] or {}
        said = [
            *(f"{each} has changed" for each in sorted({*there} & {*here}) if there[each] != here[each]),
            *(f"{each} is new" for each in sorted({*here} - {*there})),
            *(f"{each} is gone" for each in sorted({*there} - {*here})),
        ]
        if said:
            phrases.append(f"source of {what} {name} ({', '.join(said)})")
    return phrases


def unreadable_sources(definition: Mapping[str, Any]) -> list[str]:
    """The families and measurements of which a definition does not say what they were written in: none can be it."""
    measured = {name: each["source"] for name, each in definition.get("measurements", {}).items()}
    return [name for name, source in {**definition.get("families", {}), **measured}.items() if source is None]


def _cell_differences(old: list[Any], new: list[Any]) -> list[str]:
    if len(old) != len(new):
        return [f"grid ({len(old)} cells there, {len(new)} here)"]
    for index, ((old_family, old_values), (new_family, new_values)) in enumerate(zip(old, new, strict=True)):
        if old_family != new_family:
            return [f"grid (cell {index} is of family {old_family!r} there, {new_family!r} here)"]
        for name in sorted({*old_values, *new_values}):
            there, here = old_values.get(name), new_values.get(name)
            if canonical(there) != canonical(here):
                return [f"grid ({old_family}.{name} of cell {index} is {there!r} there, {here!r} here)"]
    return []


def canonical(value: Any) -> str:
    """JSON with one spelling per value."""
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
