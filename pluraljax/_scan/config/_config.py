"""What to scan: the families, the grid of their parameters, how many markets, and the seed. Imports no JAX."""

import importlib.metadata
import json
import math
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from ..._families import is_reference
from ..._files._toml import check_nesting, read_toml
from ..._printable import did_you_mean, quoted
from ..measure._columns import COLUMNS
from ..measure._conditions import Conditions
from ..measure._equilibria import Equilibria
from ..measure._exits import Exits, as_exits, as_plain_exits
from ..measure._found import Found
from ..measure._measurement import Column, Measurement
from ..measure._own import OwnMeasurement, as_measurements
from ..measure._robust import Robust
from ..measure._search import Search, as_plain, as_search
from ..measure._searched import Searched
from ..measure._worst_search import WorstSearch, as_plain_worst_search, as_worst_search
from ._definition import Cell, canonical, columns_version, identity_of
from ._grid import FamilyGrid, cells_of_grids, check_cells, sources_of
from ._until import Until, as_plain_until, as_until, check_measured

# Threefry folds 32 bits into a key: beyond this two markets would share their draws.
MAX_INDEX = 2**32
_MARKETS = 20_000

# A folder can hold so many files, but hardly be listed with more.
MAX_FILES = 2**22

# What `chunk = "auto"` chooses from: fewer rows leave devices idle, more would be lost by a kill.
_LEAST_CHUNK, _MOST_CHUNK = 32, 2048
# Entries that are tables of their own, and left out where they ask for nothing.
_TABLES = ("grid", "until", "robust", "search", "measurements")


@dataclass(frozen=True)
class ScanConfig:
    """What defines a scan. Market `i` depends on `seed`, `delta`, the grid and `i` alone.

    **Arguments:**

    - `grid`: the families and their parameters.
    - `markets`: how many markets in all, spread evenly over the cells of the grid; at least 1.
    - `seed`: root of all random draws, 0 to 2^32 - 1.
    - `delta`: slack of the equilibria that the guarantees speak about, in units of expected utility; >= 0.
    - `chunk`: most rows (markets) in one stored file, or `"auto"`; results do not depend on it.
    - `memory`: MiB that markets and rows on their way may take, from which `chunk = "auto"` follows.
    - `equilibria`: whether to bracket each market's worst equilibria, too, and to ask whether silence is one. A
      `Search` (in TOML a table, such as `{starts = 8}`) looks for equilibria by play on top of that.
    - `until`: an `Until` (in TOML a table, such as `{event = "weakly_aligned", half_width = 0.01, most = 50_000}`)
      samples each cell only until that event's interval is narrow enough. `markets` is then the most in all, and
      `most` times the cells where `most` is given.
    - `robust`: an `Exits` (in TOML a table, such as `{removed = [0, 1, 2]}`) asks what is left of weak alignment and of
      coverage after the worst exit of so many providers.
    - `search`: a `WorstSearch` (in TOML a table, such as `{markets = 64, budget = 100}`) searches the first markets of
      each cell for the worst equilibria of one anonymous policy, and says whom competition serves. Needs `equilibria`.
    - `measurements`: measurements of your own, each a `Measurement`, its class, `"module:Name"` or `"file.py:Name"`, or
      a table with its settings, `{measurement = "file.py:Name", level = 0.5}`.

    Raises `ValueError`, with what was wanted and what was given.
    """

    grid: tuple[FamilyGrid, ...]
    markets: int = _MARKETS
    seed: int = 0
    delta: int | float = 0.0
    chunk: int | Literal["auto"] = "auto"
    memory: int = 256
    equilibria: bool | Search = True
    until: Until | None = None
    robust: Exits | None = None
    search: WorstSearch | None = None
    measurements: Sequence[Any] = ()

    def __post_init__(self):
        object.__setattr__(self, "grid", tuple(self.grid))
        if not self.grid or not all(isinstance(part, FamilyGrid) for part in self.grid):
            raise ValueError("grid needs at least one FamilyGrid (in TOML: a [[grid]] table with a family).")
        object.__setattr__(self, "equilibria", as_search(self.equilibria))
        _check_scalars({each.name: getattr(self, each.name) for each in fields(self)})
        object.__setattr__(self, "delta", float(self.delta))
        check_cells(sum(part.num_cells for part in self.grid))
        exits = as_exits(self.robust)
        object.__setattr__(self, "robust", exits)
        object.__setattr__(self, "search", as_worst_search(self.search))
        if self.search is not None and not self.equilibria:
            raise ValueError(
                "search needs equilibria = true, or a table, which it starts from; got equilibria = false."
            )
        object.__setattr__(self, "measurements", as_measurements(self.measurements))
        self._check_needs()
        self._check_until()
        if exits is not None:
            for providers in {size.providers for part in self.grid for size in part.sizes}:
                exits.check(providers)
        seen: dict[str, int] = {}
        for cell in self.cells:
            spelled = f"{cell.family} {canonical(cell.parameters)}"
            if spelled in seen:
                raise ValueError(f"grid holds the same cell twice: {spelled}.")
            seen[spelled] = cell.index
        rows = self.rows_per_chunk
        if (files := self.markets / rows) > MAX_FILES:
            raise ValueError(
                f"markets = {self.markets:,} in files of {rows:,} makes {files:,.0f} files; at most {MAX_FILES:,} are "
                "allowed. Choose a larger chunk, or more memory."
            )

    @cached_property
    def asked(self) -> tuple[Measurement, ...]:
        """What is measured, in the order in which it is."""
        found = isinstance(self.equilibria, Search) and Found(self.equilibria)
        searched, robust = self.search and Searched(self.search), self.robust and Robust(self.robust)
        listed = (Conditions(), self.equilibria and Equilibria(), found, robust, searched)
        return (*(each for each in listed if each), *(each.measurement for each in self._own))

    @property
    def _own(self) -> tuple[OwnMeasurement, ...]:
        return tuple(self.measurements)

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The columns of its rows: those that every scan has, measured or not, and those of its own."""
        return COLUMNS + tuple(column for each in self._own for column in each.measurement.columns)

    def _check_needs(self) -> None:
        known = {column.name for measurement in self.asked for column in measurement.columns}
        for each in self._own:
            if lacking := [name for name in each.measurement.needs if name not in known]:
                raise ValueError(f"{each.name} needs {', '.join(lacking)}, which this scan does not measure.")
        taken = {column.name for each in self._own for column in each.measurement.columns}
        if clash := sorted(taken & {name for cell in self.cells for name in cell.parameters}):
            raise ValueError(f"column {clash[0]!r} has the name of a parameter of a family: give it another one.")

    def _check_until(self) -> None:
        until = as_until(self.until)
        object.__setattr__(self, "until", until)
        if until is None:
            return
        check_measured(until, self.asked, self.columns)
        if until.most is not None:
            total = until.most * len(self.cells)
            _check_scalars({"markets": total})
            if self.markets not in (_MARKETS, total):
                raise ValueError(
                    f"until.most = {until.most} in {len(self.cells)} cells makes {total} markets at most, got "
                    f"markets = {self.markets}; leave one of the two out."
                )
            object.__setattr__(self, "markets", total)

    @classmethod
    def from_mapping(
        cls, mapping: Mapping[str, Any], source: str = "config", folder: str | Path | None = None
    ) -> "ScanConfig":
        """Builds a config from plain data as TOML holds it; errors start with `source`.

        Where a family is a module or a file of the user's, that is run; files lie relative to `folder`.
        """
        try:
            check_nesting(mapping)
            return _parse(mapping, None if folder is None else Path(folder))
        except ValueError as error:
            raise ValueError(f"{source}: {error}") from None

    @classmethod
    def from_toml(cls, path: str | Path) -> "ScanConfig":
        """Reads a TOML file; a key that is not known is an error that suggests the right one.

        Where a family is `"module:Name"` or `"file.py:Name"`, that module or file is run; both may lie beside the
        TOML file.
        """
        return cls.from_mapping(read_toml(path), str(path), Path(path).parent)

    def to_mapping(self) -> dict[str, Any]:
        """Plain data, as TOML and JSON hold it; `from_mapping` gives the config back."""
        grid = [part.as_plain() for part in self.grid]
        scalars = {each.name: getattr(self, each.name) for each in fields(self) if each.name not in _TABLES}
        until = {} if self.until is None else {"until": as_plain_until(self.until)}
        tables = until | self._asked_besides()
        tables |= {"measurements": [each.as_plain() for each in self._own]} if self._own else {}
        return scalars | {"equilibria": as_plain(self.equilibria)} | tables | {"grid": grid}

    def _asked_besides(self) -> dict[str, Any]:
        """The entries beyond `equilibria` that say what is measured, as plain data."""
        robust = {} if self.robust is None else {"robust": as_plain_exits(self.robust)}
        return robust | ({} if self.search is None else {"search": as_plain_worst_search(self.search)})

    def shown(self) -> list[dict[str, Any]]:
        """How reports show the measurements that are the user's own, as plain data."""
        return [each.as_shown() for each in self._own]

    def to_toml(self) -> str:
        """Text that `from_toml` reads back to an equal config."""
        return as_toml(self.to_mapping())

    def replace(self, **changes: Any) -> "ScanConfig":
        """Copies the config with some fields changed."""
        return replace(self, **changes)

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """The cells of all grids, numbered in order."""
        return cells_of_grids(self.grid)

    @cached_property
    def families(self) -> tuple[Any, ...]:
        """The family of each cell."""
        return tuple(family for part in self.grid for family in part.families)

    @cached_property
    def rows_per_chunk(self) -> int:
        """Most rows in one stored file: `chunk`, or the power of two that `memory` has room for and a cell can fill."""
        if self.chunk != "auto":
            return self.chunk
        most = -(-self.markets // len(self.cells))
        return min(self.room, max(_LEAST_CHUNK, 2 ** math.ceil(math.log2(most))))

    @cached_property
    def room(self) -> int:
        """Rows that `memory` has room for, a power of two: it follows from the sizes of markets, not their number."""
        row = max(part.bytes_per_row for part in self.grid)
        return 2 ** int(math.log2(max(_LEAST_CHUNK, min(_MOST_CHUNK, self.memory * 2**20 // row))))

    def definition(self) -> dict[str, Any]:
        """All that the rows depend on. How many there are and how they are stored is not part of it."""
        own = sources_of(self.grid)
        return (
            self._asked_besides()
            | ({"families": own} if own else {})
            | ({"measurements": {each.name: each.as_defined() for each in self._own}} if self._own else {})
            | {
                "seed": self.seed,
                "delta": self.delta,
                "equilibria": as_plain(self.equilibria),
                "cells": [[cell.family, dict(cell.parameters)] for cell in self.cells],
                "columns": columns_version(self.columns),
                "pluraljax": importlib.metadata.version("pluraljax"),
            }
        )

    @property
    def identity(self) -> str:
        """SHA-256 of the definition: two scans with equal identities have the same rows."""
        return identity_of(self.definition())


def as_toml(mapping: Mapping[str, Any]) -> str:
    """A config as plain data in TOML; the families that it names need not be known here."""
    tables = [("", {name: value for name, value in mapping.items() if name != "grid"})]
    tables += [("[[grid]]\n", part) for part in mapping["grid"]]
    return "\n".join(
        head + "".join(f"{_toml_key(name)} = {_toml_value(value)}\n" for name, value in table.items())
        for head, table in tables
    )


def runs_own_code(mapping: Mapping[str, Any]) -> bool:
    """Whether making a config of plain data runs a module or a file of the user's, which may use JAX."""
    if mapping.get("measurements"):
        return True
    grid = mapping.get("grid")
    tables = grid if isinstance(grid, list | tuple) else ()
    return any(is_reference(table.get("family")) for table in tables if isinstance(table, Mapping))


def _parse(mapping: Mapping[str, Any], folder: Path | None) -> ScanConfig:
    known = [each.name for each in fields(ScanConfig)]
    for key in mapping:
        if key not in known:
            raise ValueError(f"unknown key {quoted(key)}.{did_you_mean(key, known)}")
    tables = mapping.get("grid", ())
    if not isinstance(tables, list | tuple) or not tables:
        raise ValueError("grid needs at least one [[grid]] table with a family.")
    grid = []
    for number, table in enumerate(tables, start=1):
        if not isinstance(table, Mapping):
            raise ValueError(f"grid holds tables ([[grid]]), got {quoted(table)}.")
        if "family" not in table:
            guess = next((key for key in table if did_you_mean(key, ["family"])), None)
            hint = f" (its key {quoted(guess)}: did you mean 'family'?)" if guess else ""
            raise ValueError(f"[[grid]] table {number} has no family{hint}.")
        _check_family(table["family"])
        values = {name: value for name, value in table.items() if name != "family"}
        grid.append(FamilyGrid.beside(folder, table["family"], values))
    _check_scalars(mapping)
    asked = as_search(mapping.get("equilibria", True))
    read = {"equilibria": asked, "until": as_until(mapping.get("until")), "robust": as_exits(mapping.get("robust"))}
    read["search"] = as_worst_search(mapping.get("search"))
    read["measurements"] = as_measurements(mapping.get("measurements", ()), folder)
    return ScanConfig(**{**mapping, "grid": tuple(grid), **read})


def _check_family(name: Any) -> None:
    if not isinstance(name, str):
        raise ValueError(f"family must be a name, got {quoted(name)}.")


def _check_scalars(values: Mapping[str, Any]) -> None:
    limits = {"markets": (1, MAX_INDEX), "seed": (0, 2**32 - 1), "chunk": (1, 2**24), "memory": (1, 2**24)}
    for name, (low, high) in limits.items():
        value = values.get(name, low)
        if name == "chunk" and value == "auto":
            continue
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            instead = ' or "auto"' if name == "chunk" else ""
            raise ValueError(f"{name} must be a whole number from {low} to {high}{instead}, got {quoted(value)}.")
    delta = values.get("delta", 0.0)
    if isinstance(delta, bool) or not isinstance(delta, int | float):
        raise ValueError(f"delta must be a number, got {quoted(delta)}.")
    # A whole number may be beyond what a float can hold.
    if not 0 <= delta <= sys.float_info.max:
        raise ValueError(f"delta must be finite and not negative, got {quoted(delta)}.")


def _toml_key(name: str) -> str:
    return name if re.fullmatch("[A-Za-z0-9_-]+", name) else _toml_value(name)


def _toml_value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_toml_key(name)} = {_toml_value(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_toml_value(item) for item in value) + "]"
    if isinstance(value, str | bool | int):
        # JSON spells these as TOML does; what is no printable character is escaped, which TOML wants of some.
        text = json.dumps(value, ensure_ascii=False)
        return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in text)
    if isinstance(value, float):
        return repr(value)
    raise ValueError(f"a config holds numbers, texts, booleans and lists, got {quoted(value)}.")
