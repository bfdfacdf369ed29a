"""What a scan of random markets is told: families and grids, markets, searches, when to stop."""

from ._scan import Column as Column
from ._scan import Exits as Exits
from ._scan import FamilyGrid as FamilyGrid
from ._scan import Measurement as Measurement
from ._scan import ScanConfig as ScanConfig
from ._scan import Search as Search
from ._scan import Until as Until
from ._scan import WorstSearch as WorstSearch
from ._scan import default_config as default_config

__all__ = [
    "Column",
    "Exits",
    "FamilyGrid",
    "Measurement",
    "ScanConfig",
    "Search",
    "Until",
    "WorstSearch",
    "default_config",
]
