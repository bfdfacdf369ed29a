"""What a store says of itself: the definition of its scan, its columns, and the versions that took part.

Whoever reads a store goes by this alone, not by the families, columns or versions at hand. It is checked whenever it is
read: the identity is computed again, and every entry has a digest, so that an edit is found and named. Imports no JAX.
"""

import dataclasses
import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..._atomic import replacing
from ..._files._place import entries
from ..._printable import listed
from ..config._definition import Cell, canonical, cells_of, columns_version, identity_of
from ..config._until import Until
from ..measure._measurement import FORMS, Column
from ._plain_data import Wanted, brief, check, is_number, is_object, is_text, parse, read_text, whole
from ._versions import Versions

FORMAT = "pluraljax scan"
# 1: events are int8, -1 where open; chunks and manifest have no digests. It is read, and no scan of it goes on.
FORMAT_VERSION = 2
READABLE = (1, FORMAT_VERSION)
MANIFEST = "manifest.json"

_SHA256 = re.compile("[0-9a-f]{64}")
_KINDS = {"axis": ("market", "user"), "kind": ("value", "event", "status")}


@dataclass(frozen=True)
class Manifest:
    """A store's manifest, checked.

    - `identity`: SHA-256 of `definition`.
    - `definition`: all that the rows depend on, as plain data.
    - `config`: what was asked for, as `ScanConfig.from_mapping` takes it.
    - `versions`: of what measured rows; an entry for every combination that took part, the first one first.
    - `columns`: what was measured.
    - `measurements`: how reports show those that are the user's own, as `OwnMeasurement.as_shown` says it.
    - `created`: when, as an ISO date.
    """

    identity: str
    definition: Mapping[str, Any]
    config: Mapping[str, Any]
    versions: tuple[Versions, ...]
    columns: tuple[Column, ...]
    created: str
    format_version: int = FORMAT_VERSION
    measurements: tuple[Mapping[str, Any], ...] = ()

    @classmethod
    def new(
        cls,
        definition: Mapping[str, Any],
        config: Mapping[str, Any],
        columns: Sequence[Column],
        made: Versions,
        measurements: Sequence[Mapping[str, Any]] = (),
    ) -> "Manifest":
        """The manifest of a scan that begins now."""
        definition, config, own = (json.loads(json.dumps(part)) for part in (definition, config, measurements))
        created = datetime.now(UTC).isoformat(timespec="seconds")
        made_by = identity_of(definition), definition, config, (made,), tuple(columns), created
        return cls(*made_by, measurements=tuple(own))

    @property
    def cells(self) -> tuple[Cell, ...]:
        return cells_of(self.definition)

    @property
    def markets(self) -> int:
        """How many the scan is to have in all; with `until`, at most."""
        return self.config["markets"]

    @property
    def until(self) -> Until | None:
        """When the scan stops by itself; None where its number of markets is given."""
        entry = self.config.get("until")
        return None if entry is None else Until(**entry)

    def changed(self, **changes: Any) -> "Manifest":
        """Copies the manifest with some fields changed."""
        return dataclasses.replace(self, **changes)

    def as_data(self) -> dict[str, Any]:
        """Plain data, as the file holds it."""
        data: dict[str, Any] = {
            "format": FORMAT,
            "format_version": self.format_version,
            "identity": self.identity,
            "definition": dict(self.definition),
            "config": dict(self.config),
            "versions": [dict(each) for each in self.versions] if self.format_version > 1 else dict(self.versions[0]),
            "columns": [dataclasses.asdict(column) for column in self.columns],
            "created": self.created,
        }
        if self.measurements:
            data["measurements"] = [dict(each) for each in self.measurements]
        return data | ({"digests": _digests(data)} if self.format_version > 1 else {})

    def write(self, folder: Path) -> None:
        """Puts the manifest in place of the folder's."""
        with replacing(folder / MANIFEST) as sink:
            sink.write((json.dumps(self.as_data(), indent=2) + "\n").encode())


def read_manifest(path: str | Path) -> Manifest:
    """Reads the manifest of a scan.

    Raises `ValueError`, naming the file and the entry, where there is none, or where it is damaged, lacks something or
    was edited.
    """
    file = Path(path) / MANIFEST
    try:
        data = parse(read_text(file))
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError(_said_of_no_scan(Path(path))) from None
    except ValueError as error:
        text = str(error)
        raise ValueError(text if text.startswith(str(file)) else f"{file} cannot be read ({text}).") from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise ValueError(f"{file} is not the manifest of a scan.")
    version = data.get("format_version")
    if isinstance(version, bool) or version not in READABLE:
        known = " and ".join(map(str, READABLE))
        raise ValueError(f"{file} has format_version {brief(version)}; this version reads {known}.")
    check(data, _SCHEMA | (_OLD if version == 1 else _NEW), str(file))
    _check_unaltered(data, file)
    made = data["versions"]
    return Manifest(
        identity=data["identity"],
        definition=data["definition"],
        config=data["config"],
        versions=(made,) if version == 1 else tuple(made),
        columns=tuple(Column(**column) for column in data["columns"]),
        created=data["created"],
        format_version=version,
        measurements=tuple(data.get("measurements", ())),
    )


def _said_of_no_scan(path: Path) -> str:
    """That there is no scan at a path, and where one is, in it or around it."""
    if not path.exists():
        where = _near(path.parent, [each for each in entries(path.parent) if _holds_scan(each)])
        return f"{path} holds no scan: there is no such folder.{where}"
    what = f"it has no {MANIFEST}" if path.is_dir() else "it is a file, and the folder of a scan is wanted"
    around = next((each for each in path.absolute().parents if _holds_scan(each)), None)
    if around is not None:
        return f"{path} holds no scan: {what}. It is in the folder of one, {around}."
    return f"{path} holds no scan: {what}.{_near(path, [each for each in entries(path) if _holds_scan(each)])}"


def _holds_scan(folder: Path) -> bool:
    return (folder / MANIFEST).is_file()


def _near(folder: Path, scans: Sequence[Path]) -> str:
    """A sentence on the scans in a folder; nothing where there are none."""
    if not scans:
        return ""
    if len(scans) == 1:
        return f" Did you mean {scans[0]}?"
    return f" In {folder} there are scans in {listed(each.name for each in scans)}."


def _digests(data: Mapping[str, Any]) -> dict[str, str]:
    """A digest for every entry, and for every one of those in `definition` and `config`."""
    entries = {name: value for name, value in data.items() if name not in ("definition", "config", "digests")}
    for part in ("definition", "config"):
        entries |= {f"{part}.{name}": value for name, value in data[part].items()}
    return {name: hashlib.sha256(canonical(value).encode()).hexdigest()[:16] for name, value in entries.items()}


def _check_unaltered(data: Mapping[str, Any], file: Path) -> None:
    """Raises `ValueError` that names what differs from what was written."""
    advice = "It was edited, or is damaged: put back what was there. No row was touched."
    if "digests" in data:
        found, written = _digests(data), data["digests"]
        for name in (*found, *written):
            if found.get(name) != written.get(name):
                raise ValueError(f"{file}: {name} is not what the scan wrote there. {advice}")
    definition, config = data["definition"], data["config"]
    fits = identity_of(definition) == data["identity"]
    for name in ("seed", "delta", "equilibria", "robust", "search"):
        there, asked = definition.get(name), config.get(name)
        if canonical(there) != canonical(asked):
            # Which of the two is right shows where the identity fits one of them.
            other = {key: value for key, value in {**definition, name: asked}.items() if value is not None}
            restored = fits or identity_of(other) == data["identity"]
            wrong = f"config.{name}" if fits else f"definition.{name}" if restored else "one of them, or both,"
            raise ValueError(
                f"{file}: definition.{name} is {brief(there)} and config.{name} {brief(asked)}; by the identity "
                f"{wrong} is not what the scan wrote there. {advice}"
            )
    if not fits:
        raise ValueError(
            f"{file}: definition (one of {', '.join(definition)}) is not that of the scan's identity. {advice}"
        )
    columns = tuple(Column(**column) for column in data["columns"])
    if columns_version(columns) != definition["columns"]:
        raise ValueError(f"{file}: columns are not those of definition.columns. {advice}")
    event = (config.get("until") or {}).get("event")
    if event is not None and event not in [column.name for column in columns if column.kind == "event"]:
        raise ValueError(f"{file}: config.until.event must be one of the events in columns, got {brief(event)}.")


def _is_versions(value: Any) -> bool:
    return is_object(value) and {"pluraljax", "jax", "jaxlib"} <= value.keys() and all(map(is_text, value.values()))


def _are_cells(value: Any) -> bool:
    def is_cell(cell: Any) -> bool:
        return isinstance(cell, list) and len(cell) == 2 and is_text(cell[0]) and is_object(cell[1])

    def fits(number: Any) -> bool:
        return not isinstance(number, int) or -(2**63) <= number < 2**63

    is_list = isinstance(value, list) and bool(value) and all(map(is_cell, value))
    return is_list and all(fits(number) for _, parameters in value for number in parameters.values())


def _are_columns(value: Any) -> bool:
    names = [each.name for each in dataclasses.fields(Column)]

    def is_column(column: Any) -> bool:
        return (
            is_object(column)
            and sorted(column) == sorted(names)
            and all(map(is_text, column.values()))
            and all(column[name] in allowed for name, allowed in _KINDS.items())
            and (column["kind"] == "value" or column["axis"] == "market")
        )

    if not (isinstance(value, list) and all(map(is_column, value))):
        return False
    statuses = [column["name"] for column in value if column["kind"] == "status"]
    return statuses == ["status"] and len({column["name"] for column in value}) == len(value)


def _are_measurements(value: Any) -> bool:
    def texts(record: Any, *names: str) -> bool:
        return is_object(record) and all(is_text(record.get(name)) for name in names)

    def listed(record: Any, name: str, test: Callable[[Any], bool]) -> bool:
        return isinstance(record.get(name), list) and all(map(test, record[name]))

    def is_table(table: Any) -> bool:
        return texts(table, "heading", "about", "label") and listed(
            table, "entries", lambda entry: texts(entry, "heading", "shows", "form") and entry["form"] in FORMS
        )

    def is_one(record: Any) -> bool:
        return (
            texts(record, "name")
            and all(listed(record, name, is_text) for name in ("columns", "figure"))
            and listed(record, "tables", is_table)
            and listed(record, "pairs", lambda pair: texts(pair, "name", "first", "second", "heading"))
        )

    return isinstance(value, list) and all(map(is_one, value))


def _is_until(value: Any) -> bool:
    try:
        return is_object(value) and is_text(value.get("event")) and bool(Until(**value))
    except (TypeError, ValueError):
        return False


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_list_of_objects(value: Any) -> bool:
    return isinstance(value, list) and all(map(is_object, value))


def _is_source(value: Any) -> bool:
    return is_object(value) and all(is_text(each) and bool(_SHA256.fullmatch(each)) for each in value.values())


def _is_grid(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(is_object(part) and is_text(part.get("family")) for part in value)
    )


_OBJECT, _TEXT = (is_object, "an object"), (is_text, "a text")
_EQUILIBRIA = (lambda value: isinstance(value, bool | dict), "true, false or an object")
_ROBUST = (
    lambda value: is_object(value) and isinstance(value.get("removed"), list) and bool(value["removed"]),
    "an object with a list of whole numbers, removed",
)
_SEARCH = (
    lambda value: is_object(value) and sorted(value) == ["budget", "markets"] and all(map(_is_count, value.values())),
    "an object with the whole numbers markets and budget",
)
_FAMILIES = (
    lambda value: is_object(value) and all(each is None or _is_source(each) for each in value.values()),
    "an object with an object of SHA-256 hashes, or null, for each family",
)
_MEASURED = (
    lambda value: is_object(value) and all(is_object(each) and "source" in each for each in value.values()),
    "an object with an object of values and sources for each measurement",
)
_DELTA = (lambda value: is_number(value) and value >= 0, "a finite number that is not negative")
_VERSIONS = "with the versions of pluraljax, jax and jaxlib"

_SCHEMA: dict[str, Wanted] = {
    "identity": (lambda value: is_text(value) and bool(_SHA256.fullmatch(value)), "64 hexadecimal digits"),
    "definition": _OBJECT,
    "definition.seed": whole(0, 2**32 - 1),
    "definition.delta": _DELTA,
    "definition.equilibria": _EQUILIBRIA,
    "definition.robust?": _ROBUST,
    "definition.search?": _SEARCH,
    "definition.families?": _FAMILIES,
    "definition.measurements?": _MEASURED,
    "definition.cells": (_are_cells, "a list of cells, each a family and its parameters"),
    "definition.columns": _TEXT,
    "definition.pluraljax": _TEXT,
    "config": _OBJECT,
    "config.markets": whole(1, 2**32),
    "config.seed": whole(0, 2**32 - 1),
    "config.delta": _DELTA,
    "config.chunk": whole(1, 2**24),
    "config.equilibria": _EQUILIBRIA,
    "config.robust?": _ROBUST,
    "config.search?": _SEARCH,
    "config.until?": (_is_until, "an object with an event, and a half_width and a confidence between 0 and 1"),
    "config.measurements?": (_is_list_of_objects, "a list of objects"),
    "config.grid": (_is_grid, "a list of objects, each with a family"),
    "columns": (_are_columns, "a list of columns, each with name, axis, kind, unit and description, one the status"),
    "measurements?": (_are_measurements, "a list of measurements, each with name, columns, tables, pairs and figure"),
    "created": _TEXT,
}
_OLD: dict[str, Wanted] = {"versions": (_is_versions, f"an object {_VERSIONS}")}
_NEW: dict[str, Wanted] = {
    "versions": (
        lambda value: isinstance(value, list) and bool(value) and all(map(_is_versions, value)),
        f"a list of objects {_VERSIONS}",
    ),
    "digests": (lambda value: is_object(value) and all(map(is_text, value.values())), "an object of texts"),
}
