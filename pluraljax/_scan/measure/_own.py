"""Measurements of a user's own: where they come from, what they are set to, and what a store keeps of them. No JAX.

A class that cannot be found again by another process, such as one from inside a function, can be scanned in memory.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from ..._families._family import unknown
from ..._families._origin import Origin, as_tuples, origin_found, origin_located
from ..._families._reference import load
from ..._families._source import Source
from ..._printable import printable, quoted
from ._columns import BUILT_IN, COLUMNS
from ._measurement import Column, Measurement, Table

_WANTED = (
    'a scans.Measurement, its class, "module:Name", "file.py:Name", or a table {measurement = "module:Name", ...} with '
    "its settings"
)


@dataclass(frozen=True)
class OwnMeasurement:
    """A measurement of the user's, and how a config and a store name it.

    - `name`: what stores call it, `module:Name`.
    - `reference`: what another process finds it by.
    - `source`: hashes of its text; None where that cannot be had.
    - `obstacle`: why no other process can find or make it; "" where nothing is in the way.
    """

    measurement: Measurement
    name: str
    reference: str
    source: Source | None = field(default=None, compare=False)
    obstacle: str = ""

    @property
    def values(self) -> dict[str, Any]:
        """Its settings, as plain data."""
        names = [each.name for each in dataclasses.fields(self.measurement) if each.init]  # pyright: ignore
        return Origin(type(self.measurement), self.name, self.reference).values_of(self.measurement) if names else {}

    def as_plain(self) -> dict[str, Any]:
        """The entry of a config as TOML and JSON hold it."""
        settings = {name: value for name, value in self.values.items() if value is not None}
        return {"measurement": self.reference or self.name} | settings

    def as_defined(self) -> dict[str, Any]:
        """What its numbers depend on."""
        return {"values": self.values, "source": None if self.source is None else dict(self.source)}

    def as_shown(self) -> dict[str, Any]:
        """How a report shows it, as plain data that a store keeps, so that nobody needs the class for that."""
        made = self.measurement
        return {
            "name": self.name,
            "columns": [column.name for column in made.columns],
            "tables": [dataclasses.asdict(table) for table in made.tables],
            "pairs": [dataclasses.asdict(pair) for pair in made.pairs],
            "figure": list(made.figure),
        }


def as_measurements(value: Any, folder: Path | None = None) -> tuple[OwnMeasurement, ...]:
    """Reads the entry `measurements` of a config: a list of what one may be given as.

    Files lie relative to `folder`. Raises `ValueError` for anything else.
    """
    if not isinstance(value, list | tuple):
        raise ValueError(f"measurements must be a list, each of them {_WANTED}; got {quoted(value)}.")
    found = tuple(each if isinstance(each, OwnMeasurement) else _read(each, folder) for each in value)
    if len({each.name for each in found}) < len(found):
        raise ValueError(f"measurements holds the same one twice: {', '.join(each.name for each in found)}.")
    check_columns(found)
    return found


def _read(entry: Any, folder: Path | None) -> OwnMeasurement:
    values: dict[str, Any] = {}
    if isinstance(entry, Mapping):
        values = {name: value for name, value in entry.items() if name != "measurement"}
        entry = entry.get("measurement")
    if isinstance(entry, str):
        module, name, found = load(entry, folder, "measurement")
        return _chosen(found, values, (module, name))
    return _chosen(entry, values, None)


def _chosen(found: Any, values: Mapping[str, Any], place: tuple[ModuleType, str] | None) -> OwnMeasurement:
    kind = found if isinstance(found, type) else type(found)
    if not issubclass(kind, Measurement) or kind is Measurement:
        raise ValueError(f"a measurement must be {_WANTED}; got {quoted(found)}.")
    if kind in BUILT_IN:
        raise ValueError(f"{kind.__name__} is asked for by an entry of its own, not in measurements.")
    _check_class(kind)
    made = found if not isinstance(found, type) else _make(kind, values)
    if values and not isinstance(found, type):
        raise ValueError(f"{kind.__name__} is given with its settings, got {quoted(dict(values))} besides.")
    origin = origin_found(kind)
    if origin.obstacle and place is not None:
        # What cannot be found by what it says of itself was found all the same.
        origin = origin_located(kind, *place)
    own = OwnMeasurement(made, origin.name, origin.reference, origin.source, origin.obstacle)
    try:
        _ = own.values
    except ValueError as error:
        return dataclasses.replace(own, obstacle=str(error))
    return own


def _check_class(kind: type[Measurement]) -> None:
    frozen = getattr(kind, "__dataclass_params__", None)
    if frozen is None or not frozen.frozen or "__dataclass_params__" not in vars(kind):
        raise ValueError(f"{kind.__name__} must be a frozen dataclass: put @dataclass(frozen=True) above it.")
    if not kind.columns or not all(isinstance(column, Column) for column in kind.columns):
        raise ValueError(f"{kind.__name__}.columns must hold a plx.scans.Column for each number that it measures.")
    for column in kind.columns:
        _check_column(kind, column)
    names = {column.name for column in kind.columns}
    events = {column.name for column in kind.columns if column.kind == "event"}
    for pair in kind.pairs:
        if not {pair.first, pair.second} <= events:
            raise ValueError(f"{kind.__name__}.pairs compares {pair.first} and {pair.second}: both must be its events.")
    for name in kind.figure:
        if name not in names:
            raise unknown("column", name, sorted(names), f" in {kind.__name__}.figure")
    if not all(isinstance(table, Table) for table in kind.tables):
        raise ValueError(f"{kind.__name__}.tables must hold a table each, got {quoted(kind.tables)}.")


def _check_column(kind: type[Measurement], column: Column) -> None:
    said = f"{kind.__name__}: column {quoted(column.name)}"
    if not isinstance(column.name, str) or not column.name.isidentifier():
        raise ValueError(f"{said} must have a name of letters, digits and _.")
    if column.axis not in ("market", "user") or column.kind not in ("value", "event"):
        raise ValueError(f'{said} must be a "value" or an "event" of a "market" or a "user".')
    if column.kind == "event" and column.axis == "user":
        raise ValueError(f"{said} is an event, and events are of markets: say of which users in two columns.")


def _make(kind: type[Measurement], values: Mapping[str, Any]) -> Measurement:
    known = [each.name for each in dataclasses.fields(kind) if each.init]  # pyright: ignore[reportArgumentType]
    for name in values:
        if name not in known:
            raise unknown("setting", name, known, f" of {kind.__name__}")
    try:
        return kind(**{name: as_tuples(value) for name, value in values.items()})
    except (TypeError, ValueError, ArithmeticError, LookupError) as error:
        said = ", ".join(f"{name} = {quoted(value)}" for name, value in values.items())
        raise ValueError(f"{kind.__name__} refuses {said or 'its defaults'}: {printable(error, None)}") from error


def check_columns(own: Iterable[OwnMeasurement]) -> None:
    """Raises `ValueError` where names of columns repeat, or one is needed that nobody measures before."""
    known = {column.name for column in COLUMNS}
    for each in own:
        made, name = each.measurement, type(each.measurement).__name__
        for needed in made.needs:
            if needed not in known:
                raise unknown("column", needed, sorted(known), f" in {name}.needs")
        for column in made.columns:
            if column.name in known | {"market", "cell", "family"}:
                raise ValueError(f"{name}: there is a column {column.name!r} already; give it another name.")
            known.add(column.name)


def check_measurements_storable(own: Iterable[OwnMeasurement]) -> None:
    """Raises `ValueError` for a measurement that no other process could find or make."""
    for each in own:
        if each.obstacle:
            raise ValueError(
                f"{each.name} cannot be stored, as nobody could go on with it: {each.obstacle}. Without a folder it "
                "can be measured."
            )
