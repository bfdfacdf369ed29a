"""Differentiable mechanism tuning: derivatives of certified numbers, and rules tuned with them."""

from ._certified import Certified as Certified
from ._certified import certify_rule as certify_rule
from ._envelope import Slopes as Slopes
from ._envelope import WorstValue as WorstValue
from ._envelope import one_sided_slopes as one_sided_slopes
from ._envelope import worst_value as worst_value
from ._instruments import INSTRUMENTS as INSTRUMENTS
from ._instruments import Entrant as Entrant
from ._instruments import Instrument as Instrument
from ._instruments import Licence as Licence
from ._instruments import Reweighting as Reweighting
from ._instruments import Segmentation as Segmentation
from ._instruments import Subsidy as Subsidy
from ._intervention import Subsidised as Subsidised
from ._intervention import gradient_subsidy as gradient_subsidy
from ._intervention import least_subsidy as least_subsidy
from ._softened import SoftEquilibrium as SoftEquilibrium
from ._softened import soft_equilibrium as soft_equilibrium
from ._tune import Schedule as Schedule
from ._tune import Tuned as Tuned
from ._tune import tune as tune
