"""Pictures on a Matplotlib axes of one's own; each function takes an `Axes`, draws one panel and returns it."""

from ._plot import alignment as alignment
from ._plot import equilibria as equilibria
from ._plot import frontier_curve as frontier_curve
from ._plot import guarantees as guarantees
from ._plot import panels as panels
from ._plot import policy as policy
from ._plot import shares_served as shares_served

__all__ = [
    "alignment",
    "equilibria",
    "frontier_curve",
    "guarantees",
    "panels",
    "policy",
    "shares_served",
]
