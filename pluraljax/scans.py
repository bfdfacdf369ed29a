"""What a scan is told (families, grids, searches, when to stop, measurements of one's own), and what it says."""

from ._report import conclusion as conclusion
from ._scan import Exits as Exits
from ._scan import FamilyGrid as FamilyGrid
from ._scan import ScanConfig as ScanConfig
from ._scan import Search as Search
from ._scan import Until as Until
from ._scan import WorstSearch as WorstSearch
from ._scan import default_config as default_config
from ._scan.measure import Column as Column
from ._scan.measure import Entry as Entry
from ._scan.measure import Given as Given
from ._scan.measure import Measurement as Measurement
from ._scan.measure import Pair as Pair
from ._scan.measure import Table as Table

__all__ = [
    "Column",
    "Entry",
    "Exits",
    "FamilyGrid",
    "Given",
    "Measurement",
    "Pair",
    "ScanConfig",
    "Search",
    "Table",
    "Until",
    "WorstSearch",
    "conclusion",
    "default_config",
]
