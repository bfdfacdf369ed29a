"""What a user gets in her worst personalized equilibrium, and the curves behind that number."""

from ._levels import (
    FrontierCurve as FrontierCurve,
    Persuasion as Persuasion,
    frontier_curve as frontier_curve,
    persuasion as persuasion,
)
from ._worst import Frontier as Frontier, frontier as frontier
