"""What is left when providers are gone."""

from ._coverage import coverage as coverage
from ._robust import robust_coverage as robust_coverage
from ._robust import robust_guarantee as robust_guarantee
from ._robust import robust_worst_equilibrium as robust_worst_equilibrium
from ._robust import robustness as robustness

__all__ = [
    "coverage",
    "robust_coverage",
    "robust_guarantee",
    "robust_worst_equilibrium",
    "robustness",
]
