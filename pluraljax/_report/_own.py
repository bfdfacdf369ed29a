"""What a store says of measurements that are not this version's: their columns, and how its user wants them shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .._scan.measure._columns import COLUMNS
from .._scan.measure._measurement import Column, Entry, Pair, Table
from ._layout import readable

_BUILT_IN = {column.name for column in COLUMNS}


@dataclass(frozen=True)
class Own:
    """A measurement as a report shows it: tables, pairs of events, and the columns that a figure shows."""

    name: str
    columns: tuple[Column, ...]
    tables: tuple[Table, ...] = ()
    pairs: tuple[Pair, ...] = ()
    figure: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Its name for people, without the module."""
        return readable(self.name.rpartition(":")[2])

    def shown(self) -> tuple[Table, ...]:
        """Its tables; one of all its columns where it declares none, or does not say of which."""
        entries = tuple(map(_entry_of, self._bracketless()))
        tables = self.tables or (Table(self.label),)
        return tuple(
            Table(each.heading, each.about or self._legend(), each.entries or entries, each.label or self.label)
            for each in tables
        )

    def _bracketless(self) -> list[Column]:
        """The columns, with the lower end alone of a bracket."""
        names = {column.name for column in self.columns}
        is_upper = lambda name: name.endswith("_upper") and f"{name.removesuffix('_upper')}_lower" in names
        return [column for column in self.columns if not is_upper(column.name)]

    def _legend(self) -> str:
        """A sentence for each column, as its description has it."""
        said = {_base(column.name): column.description.partition(" (lower end")[0] for column in self._bracketless()}
        return " ".join(f"{readable(name).capitalize()}: {text}." for name, text in said.items())


def own_of(columns: Sequence[Column], records: Sequence[Mapping[str, Any]]) -> tuple[Own, ...]:
    """What a manifest says of measurements, and what else it has of columns that this version does not know."""
    by_name = {column.name: column for column in columns if column.name not in _BUILT_IN}
    found = [_of_record(record, by_name) for record in records]
    named = {column.name for each in found for column in each.columns}
    rest = tuple(column for name, column in by_name.items() if name not in named)
    return (*found, *([Own("also measured", rest)] if rest else []))


def _of_record(record: Mapping[str, Any], columns: Mapping[str, Column]) -> Own:
    # A store that was put together by hand may name columns that it does not have.
    own = tuple(columns[name] for name in record["columns"] if name in columns)
    names = {column.name for column in own} | {_base(column.name) for column in own}
    tables = tuple(
        Table(
            each["heading"],
            each["about"],
            tuple(Entry(**entry) for entry in each["entries"] if entry["shows"] in names),
            each["label"],
        )
        for each in record["tables"]
    )
    pairs = tuple(Pair(**each) for each in record["pairs"] if {each["first"], each["second"]} <= names)
    return Own(record["name"], own, tables, pairs, tuple(name for name in record["figure"] if name in names))


def _entry_of(column: Column) -> Entry:
    form = "frequency" if column.kind == "event" else "mean"
    return Entry(readable(_base(column.name)).replace(" ", "\n"), _base(column.name), form)


def _base(name: str) -> str:
    return name.removesuffix("_lower")
