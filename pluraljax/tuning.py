"""Rules for markets that are tuned by gradients, payments that align, and derivatives of equilibria."""

from ._tuning import Certified as Certified
from ._tuning import Entrant as Entrant
from ._tuning import Instrument as Instrument
from ._tuning import Licence as Licence
from ._tuning import Reweighting as Reweighting
from ._tuning import Schedule as Schedule
from ._tuning import Segmentation as Segmentation
from ._tuning import Slopes as Slopes
from ._tuning import SoftEquilibrium as SoftEquilibrium
from ._tuning import Subsidised as Subsidised
from ._tuning import Subsidy as Subsidy
from ._tuning import Tuned as Tuned
from ._tuning import WorstValue as WorstValue
from ._tuning import certify_rule as certify_rule
from ._tuning import gradient_subsidy as gradient_subsidy
from ._tuning import least_subsidy as least_subsidy
from ._tuning import one_sided_slopes as one_sided_slopes
from ._tuning import soft_equilibrium as soft_equilibrium
from ._tuning import tune as tune
from ._tuning import worst_value as worst_value

__all__ = [
    "Certified",
    "Entrant",
    "Instrument",
    "Licence",
    "Reweighting",
    "Schedule",
    "Segmentation",
    "Slopes",
    "SoftEquilibrium",
    "Subsidised",
    "Subsidy",
    "Tuned",
    "WorstValue",
    "certify_rule",
    "gradient_subsidy",
    "least_subsidy",
    "one_sided_slopes",
    "soft_equilibrium",
    "tune",
    "worst_value",
]
