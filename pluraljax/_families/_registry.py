"""Families by name, for configurations. Imports no JAX."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from ._family import Family, unknown
from ._parameters import Conic, Gaussian, Opposed, Spatial
from ._table_parameters import Table

FAMILIES: dict[str, Callable[..., Family]] = {
    "spatial": Spatial,
    "gaussian": Gaussian,
    "opposed": Opposed,
    "conic": Conic,
    "table": Table,
}


def parameter_names(family: str) -> tuple[str, ...]:
    """Lists the parameters of a family in their documented order; raises `ValueError` on an unknown family."""
    if family not in FAMILIES:
        raise unknown("family", family, FAMILIES)
    return tuple(field.name for field in dataclasses.fields(FAMILIES[family]))  # pyright: ignore[reportArgumentType]


def make_family(name: str, parameters: Mapping[str, Any]) -> Family:
    """Makes a family from its name and plain values, as a configuration file holds them.

    Raises `ValueError` on an unknown family or parameter, with the nearest known one, and on a value out of range.
    """
    known = parameter_names(name)
    for parameter in parameters:
        if parameter not in known:
            raise unknown("parameter", parameter, known, where=f" of family {name!r}")
    return FAMILIES[name](**parameters)
