"""How the cells of a scan are laid out for reading: groups of cells that differ in one parameter only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .._printable import printable
from ._names import plain_name
from ._summary import CellSummary

# The parameter that a group runs over, where it varies.
MAIN_AXIS = "providers"
# What a family of one cell without such a parameter runs over, as a plain function has none: its only cell.
NO_AXIS, ONLY = "cell", "only"


@dataclass(frozen=True)
class Group:
    """Cells of one family that differ only in the parameter `axis`, in its order; `fixed` holds the other parameters.

    Where none varies, and none is the number of providers, the axis is `NO_AXIS`. `varying` names those of the fixed
    parameters that tell the family's groups apart.
    """

    family: str
    axis: str
    fixed: dict[str, Any]
    varying: tuple[str, ...]
    cells: tuple[CellSummary, ...]

    @property
    def constants(self) -> str:
        """The parameters that all cells of the family share."""
        return _list({name: value for name, value in self.fixed.items() if name not in self.varying})

    @property
    def label(self) -> str:
        """What tells this group from the others of its family; empty if it is the only one."""
        return ", ".join(f"{plain_name(self.family, name)}: {show(self.fixed[name])}" for name in self.varying)

    def place(self, cell: CellSummary) -> str:
        """Where a cell stands on the axis, for people; `-` where it has no such parameter."""
        if self.axis in cell.parameters:
            return show(cell.parameters[self.axis])
        return ONLY if self.axis == NO_AXIS else "-"


def group_cells(summaries: Sequence[CellSummary]) -> list[Group]:
    """Groups cells by family and by every parameter but one: the number of providers, or else the first that varies.

    Where none varies it is the number of providers again, or else `NO_AXIS`.
    """
    groups = []
    for family in dict.fromkeys(summary.family for summary in summaries):
        cells = [summary for summary in summaries if summary.family == family]
        names = list(dict.fromkeys(name for cell in cells for name in cell.parameters))
        varying = [name for name in names if len({_key(cell.parameters.get(name)) for cell in cells}) > 1]
        listed = varying or [name for name in names if name == MAIN_AXIS] or [NO_AXIS]
        axis = MAIN_AXIS if MAIN_AXIS in listed else listed[0]
        by_setting: dict[tuple, list[CellSummary]] = {}
        for cell in cells:
            setting = tuple(_key(cell.parameters.get(name)) for name in names if name != axis)
            by_setting.setdefault(setting, []).append(cell)
        for members in by_setting.values():
            members.sort(key=lambda cell: _key(cell.parameters.get(axis)))
            fixed = {name: value for name, value in members[0].parameters.items() if name != axis}
            telling = tuple(name for name in varying if name in fixed)
            groups.append(Group(family, axis, fixed, telling, tuple(members)))
    return groups


def _list(parameters: dict[str, Any]) -> str:
    return ", ".join(f"{readable(name)} {show(value)}" for name, value in parameters.items())


def _key(value: Any) -> tuple:
    """Orders parameter values of mixed types: numbers by size, then everything else by name."""
    if isinstance(value, bool | int | float):
        return (0, float(value), "")
    return (1, 0.0, str(value))


def show(value: Any) -> str:
    """A parameter's value for people."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return printable(value)
    return f"{value:g}" if isinstance(value, float) else printable(value, None)


def readable(name: str) -> str:
    """A parameter's name for people."""
    return printable(name).replace("_", " ")
