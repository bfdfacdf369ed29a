"""What a user gets in her worst personalized equilibrium, and the curves behind that number."""

from ._levels import (
    FrontierCurve as FrontierCurve,
)
from ._levels import (
    Persuasion as Persuasion,
)
from ._levels import (
    frontier_curve as frontier_curve,
)
from ._levels import (
    persuasion as persuasion,
)
from ._proof import (
    FrontierProof as FrontierProof,
)
from ._proof import (
    Links as Links,
)
from ._proof import (
    Points as Points,
)
from ._proof import (
    frontier_proof as frontier_proof,
)
from ._proof import (
    persuasion_proof as persuasion_proof,
)
from ._worst import Frontier as Frontier
from ._worst import frontier as frontier
from ._worst import next_equilibria as next_equilibria
from ._worst import worst_equilibria as worst_equilibria
