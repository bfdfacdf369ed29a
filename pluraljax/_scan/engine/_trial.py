"""Tries families of a user's own before anything is stored: whether they draw markets at all."""

from ..._families import Family
from ..._families._drawn import drawn_shapes
from ..._interruption import check
from ..config._config import ScanConfig


def check_families(config: ScanConfig) -> None:
    """Traces families of the user's, which is remembered; raises `ValueError` where one draws no markets.

    Those of this package have checked their parameters when they were made.
    """
    for family, cell in zip(config.families, config.cells, strict=True):
        if not isinstance(family, Family):
            check()
            drawn_shapes(family, cell.family)
