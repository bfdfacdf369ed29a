"""The scan: thousands of random markets, measured, stored and opened again."""

from typing import TYPE_CHECKING, Any

from ._config import ScanConfig
from ._default import default_config
from ._estimate_intervals import confidence_sequence
from ._exits import Exits
from ._grid import FamilyGrid
from ._manifest import read_manifest
from ._power import markets_needed
from ._read import open_scan, read_table
from ._search import Search
from ._until import Until
from ._worst_search import WorstSearch

if TYPE_CHECKING:
    from ._run import scan

__all__ = [
    "Exits",
    "FamilyGrid",
    "ScanConfig",
    "Search",
    "Until",
    "WorstSearch",
    "confidence_sequence",
    "default_config",
    "markets_needed",
    "open_scan",
    "read_manifest",
    "read_table",
    "scan",
]


def __getattr__(name: str) -> Any:
    # Running a scan needs JAX; describing and reading one does not.
    if name != "scan":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ._run import scan

    return scan
