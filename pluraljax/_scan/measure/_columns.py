"""The numbers a scan reports: all measured columns, as the measurements here declare them. Imports no JAX."""

from ._conditions import Conditions
from ._equilibria import Equilibria
from ._found import Found
from ._measurement import Column as Column
from ._measurement import Measurement
from ._robust import Robust
from ._searched import Searched

# In the order in which they are measured, and stored.
BUILT_IN: tuple[type[Measurement], ...] = (Conditions, Equilibria, Found, Robust, Searched)

CONDITIONS, EQUILIBRIA, FOUND, ROBUST, SEARCHED = (kind.columns for kind in BUILT_IN)
COLUMNS = tuple(column for kind in BUILT_IN for column in kind.columns)
EVENTS = tuple(column.name for column in COLUMNS if column.kind == "event")
