"""A family and the grid of its parameters, each point of which is a cell. Families of this package load no JAX."""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..._families import Origin, Sizes, origin_of, sizes_of
from ..._files._toml import check_nesting
from ..._printable import quoted
from ..measure._columns import COLUMNS
from ._definition import Cell

# A programme is compiled for each cell, so that many more than a thousand are for patient users; with so many a config
# is still read in seconds.
MAX_CELLS = 2**17

# Payoffs exist this many times: three chunks are on their way, each drawn, measured, and copied to be stored.
_COPIES = 9
# A row holds about so many numbers besides its payoffs, per user, and takes some more on its way into a file.
_MEASURED = 120

# What else a row holds, so that no parameter can be called that.
_TAKEN = frozenset(("market", "cell", "family", *(column.name for column in COLUMNS)))


@dataclass(frozen=True)
class FamilyGrid:
    """A family of random markets and the grid of its parameters.

    ```python
    plx.scans.FamilyGrid("gaussian", {"providers": [1, 2, 4], "shared": 0.5})  # three cells


    @dataclass(frozen=True)
    class Recommend:  # one of your own
        providers: int = 2
        noise: float = 0.5

        def __call__(self, key): ...  # a plx.Market


    plx.scans.FamilyGrid(Recommend, {"providers": [1, 2, 3], "noise": 0.5})
    ```

    **Arguments:**

    - `family`: a registered name, such as `"spatial"`; or one of your own: a dataclass whose objects map a key to a
      market, one such object, a function that does (which has no parameters), or where to find one of these,
      `"module:Name"` or `"path/to/file.py:Name"`. The last two run that module or file.
    - `parameters`: for each parameter one value, or a list of values. A list is always an axis of the grid, so a value
      that is itself a list, such as a matrix, is wrapped in one more list. Parameters left out keep their defaults.

    Raises `ValueError` for an unknown family or parameter, and for values that the family refuses.
    """

    family: str | Callable[..., Any]
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        self._settle(None)

    @classmethod
    def beside(cls, folder: Path | None, family: Any, parameters: Mapping[str, Any]) -> "FamilyGrid":
        """Makes a grid whose family, where it is a file, lies relative to a folder."""
        made = object.__new__(cls)
        object.__setattr__(made, "family", family)
        object.__setattr__(made, "parameters", parameters)
        made._settle(folder)
        return made

    def _settle(self, folder: Path | None) -> None:
        check_nesting(self.parameters)
        origin, values = origin_of(self.family, folder)
        given = dict(self.parameters)
        if values:
            if given:
                raise ValueError(
                    f"{origin.name} is given with its parameters, got {quoted(given)} besides; a grid takes its class."
                )
            # What is nothing cannot be written in a config: it has to be the default.
            given = {name: [v] if isinstance(v, list) else v for name, v in values.items() if v is not None}
        frozen = {name: _freeze(given[name]) for name in sorted(given)}
        for name, value in (("family", origin.reference or self.family), ("parameters", MappingProxyType(frozen))):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "_origin", origin)
        for name, value in frozen.items():
            if value == ():
                raise ValueError(f"{origin.name}.{name} is an empty list, so its grid has no cells.")
        check_cells(self.num_cells)
        object.__setattr__(self, "_cells", tuple(_complete(origin, point) for point in self._points()))
        if values and (odd := [name for name, value in self._made[0][1].items() if value != thaw(values[name])]):
            raise ValueError(f"{origin.name}.{odd[0]} = {quoted(values[odd[0]])} cannot be written in a config.")

    @property
    def origin(self) -> Origin:
        """Where its families come from."""
        return self._origin  # pyright: ignore[reportAttributeAccessIssue]

    @property
    def num_cells(self) -> int:
        """How many points the grid has."""
        return math.prod(len(axis) for axis in self._axes())

    def __hash__(self):
        return hash((self.family, tuple(self.parameters.items())))

    def __reduce__(self):
        return type(self), (self.family, dict(self.parameters))

    def _axes(self) -> list[tuple[Any, ...]]:
        return [value if isinstance(value, tuple) else (value,) for value in self.parameters.values()]

    def _points(self) -> Iterable[dict[str, Any]]:
        for point in itertools.product(*self._axes()):
            yield {name: thaw(value) for name, value in zip(self.parameters, point, strict=True)}

    def cells(self) -> list[dict[str, Any]]:
        """The points of the grid in a fixed order (names sorted, last name fastest), defaults filled in."""
        return [dict(values) for _, values in self._made]

    @property
    def families(self) -> tuple[Any, ...]:
        """The family of each of its cells."""
        return tuple(family for family, _ in self._made)

    @property
    def _made(self) -> tuple[tuple[Any, dict[str, Any]], ...]:
        return self._cells  # pyright: ignore[reportAttributeAccessIssue]

    @cached_property
    def sizes(self) -> tuple[Sizes, ...]:
        """The sizes of the markets of each cell; where fields of an own family do not tell, it is traced for them."""
        return tuple(sizes_of(family, self.origin.name) for family in self.families)

    @property
    def bytes_per_row(self) -> int:
        """What the largest row of its cells takes on its way, and its market."""
        return max(8 * (_COPIES * each.numbers + _MEASURED * each.users) for each in self.sizes)

    def as_plain(self) -> dict[str, Any]:
        """The grid as TOML and JSON hold it."""
        family = self.family if isinstance(self.family, str) else self.origin.name
        return {"family": family} | {name: thaw(value) for name, value in self.parameters.items()}


def check_cells(number: int) -> None:
    """Raises `ValueError` for a grid of too many cells; they are counted and not made."""
    if number > MAX_CELLS:
        raise ValueError(f"grid has {number:.10g} cells; at most {MAX_CELLS:,} are allowed. Scan parts of it.")


def cells_of_grids(grid: Iterable[FamilyGrid]) -> tuple[Cell, ...]:
    """The cells of all grids, numbered in order."""
    points = [(part.origin.name, values) for part in grid for values in part.cells()]
    return tuple(Cell(index, family, values) for index, (family, values) in enumerate(points))


def sources_of(grid: Iterable[FamilyGrid]) -> dict[str, Any]:
    """The hashes of the text of every family that is not of this package, by its name."""
    return {part.origin.name: part.origin.source for part in grid if part.origin.is_own}


def check_storable(grid: Iterable[FamilyGrid]) -> None:
    """Raises `ValueError` for a family that no other process could find or make: a scan of it can be held in memory."""
    for part in grid:
        if obstacle := part.origin.obstacle:
            raise ValueError(
                f"{part.origin.name} cannot be stored, as nobody could go on with it: {obstacle}. Without a folder it "
                "can be scanned."
            )


def _complete(origin: Origin, values: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """A cell's family, and its parameters with defaults filled in."""
    try:
        made = origin.make(values)
    except ValueError as error:
        if any(isinstance(value, list) for value in values.values()):
            raise ValueError(
                f"{error} A list is an axis of the grid: wrap a value that is itself a list in one more list."
            ) from None
        raise
    complete = thaw(origin.values_of(made)) if origin.is_own else {n: thaw(getattr(made, n)) for n in origin.parameters}
    if clash := sorted(_TAKEN & complete.keys()):
        raise ValueError(f"{origin.name}.{clash[0]} has the name of a column of every scan: give it another one.")
    return made, complete


def _freeze(value: Any) -> Any:
    return tuple(_freeze(item) for item in value) if isinstance(value, list | tuple) else value


def thaw(value: Any) -> Any:
    """Plain data with lists in place of tuples."""
    return [thaw(item) for item in value] if isinstance(value, list | tuple) else value
