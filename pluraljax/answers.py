"""What questions return, for annotations and `isinstance`."""

from ._alignment import Alignment as Alignment
from ._alignment import StrongAlignment as StrongAlignment
from ._answer import Answer as Answer
from ._audit import Audit as Audit
from ._certify import Certificate as Certificate
from ._coverage import Coverage as Coverage
from ._deviation import Deviation as Deviation
from ._deviation import Silence as Silence
from ._equilibrium import BestResponse as BestResponse
from ._equilibrium import Equilibria as Equilibria
from ._equilibrium import Equilibrium as Equilibrium
from ._frontier import FrontierCurve as FrontierCurve
from ._frontier import Persuasion as Persuasion
from ._guarantee import Guarantee as Guarantee
from ._market import Benchmarks as Benchmarks
from ._market import Stakes as Stakes
from ._on_scale import UtilityAnswer as UtilityAnswer
from ._payoff import Payoffs as Payoffs
from ._robust import Robust as Robust
from ._robust import Robustness as Robustness
from ._study import Scheme as Scheme
from ._study import Study as Study
from ._study import UserAnswer as UserAnswer
from ._worst_shared import WorstEquilibrium as WorstEquilibrium

__all__ = [
    "Alignment",
    "Answer",
    "Audit",
    "Benchmarks",
    "BestResponse",
    "Certificate",
    "Coverage",
    "Deviation",
    "Equilibria",
    "Equilibrium",
    "FrontierCurve",
    "Guarantee",
    "Payoffs",
    "Persuasion",
    "Robust",
    "Robustness",
    "Scheme",
    "Silence",
    "Stakes",
    "StrongAlignment",
    "Study",
    "UserAnswer",
    "UtilityAnswer",
    "WorstEquilibrium",
]
