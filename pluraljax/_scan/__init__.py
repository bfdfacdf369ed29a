"""The scan: thousands of random markets, measured, stored and opened again."""

from typing import TYPE_CHECKING, Any

from .config._config import ScanConfig
from .config._default import default_config
from .config._grid import FamilyGrid
from .config._until import Until
from .measure._exits import Exits
from .measure._search import Search
from .measure._worst_search import WorstSearch
from .store._manifest import read_manifest
from .store._read import open_scan, read_table

if TYPE_CHECKING:
    from .engine._run import scan

__all__ = [
    "Exits",
    "FamilyGrid",
    "ScanConfig",
    "Search",
    "Until",
    "WorstSearch",
    "default_config",
    "open_scan",
    "read_manifest",
    "read_table",
    "scan",
]


def __getattr__(name: str) -> Any:
    # Running a scan needs JAX; describing and reading one does not.
    if name != "scan":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .engine._run import scan

    return scan
