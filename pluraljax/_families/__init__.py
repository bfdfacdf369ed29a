"""Families of random markets: each makes a function from a PRNG key to a `Market`.

Importing this package imports no JAX, so that a configuration can be checked without waiting for it.
"""

from ._conic import Conic as conic
from ._family import Family as Family
from ._family import unknown as unknown
from ._gaussian import Gaussian as gaussian
from ._opposed import Opposed as opposed
from ._origin import Origin as Origin
from ._origin import is_reference as is_reference
from ._origin import origin_of as origin_of
from ._registry import FAMILIES as FAMILIES
from ._registry import make_family as make_family
from ._registry import parameter_names as parameter_names
from ._registry import register as register
from ._sizes import Sizes as Sizes
from ._sizes import sizes_of as sizes_of
from ._spatial import Spatial as spatial
from ._table import Table as table

__all__ = [
    "FAMILIES",
    "Family",
    "conic",
    "gaussian",
    "make_family",
    "opposed",
    "parameter_names",
    "register",
    "spatial",
    "table",
]
