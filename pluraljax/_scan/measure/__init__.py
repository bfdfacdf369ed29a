"""What is measured in a market: columns, what a scan may ask of them, and the functions that compute their numbers.

Describing what is measured imports no JAX; the modules named `*_rows` do, and run only when markets are measured.
"""

from ._measurement import Column as Column
from ._measurement import Entry as Entry
from ._measurement import Given as Given
from ._measurement import Measurement as Measurement
from ._measurement import Pair as Pair
from ._measurement import Table as Table

__all__ = ["Column", "Entry", "Given", "Measurement", "Pair", "Table"]
