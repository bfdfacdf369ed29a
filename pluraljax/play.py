"""Equilibria found by play, and what it is made of: profiles, people, gradient dynamics, best replies."""

from ._candidates import Annealing as Annealing
from ._conversation import Rational as Rational
from ._conversation import in_one_round as in_one_round
from ._conversation import informative_profile as informative_profile
from ._conversation import recommending_profile as recommending_profile
from ._conversation import silent_profile as silent_profile
from ._equilibrium import Play as Play
from ._equilibrium import best_response_play as best_response_play
from ._equilibrium import gradient_policies as gradient_policies

__all__ = [
    "Annealing",
    "Play",
    "Rational",
    "best_response_play",
    "gradient_policies",
    "in_one_round",
    "informative_profile",
    "recommending_profile",
    "silent_profile",
]
