"""Equilibria found by play, certified one by one; gradient best responses; best-response play."""

from ._find import Equilibria as Equilibria
from ._find import Equilibrium as Equilibrium
from ._find import equilibrium as equilibrium
from ._gradient import gradient_policies as gradient_policies
from ._reply import BestResponse as BestResponse
from ._reply import best_response as best_response
from ._rounds import Play as Play
from ._rounds import best_response_play as best_response_play
