"""What is left of alignment, coverage, guarantees and equilibria after the worst exit of some providers."""

from ._answer import Robust as Robust
from ._answer import Robustness as Robustness
from ._questions import robust_alignment as robust_alignment
from ._questions import robust_coverage as robust_coverage
from ._questions import robust_guarantee as robust_guarantee
from ._questions import robust_worst_equilibrium as robust_worst_equilibrium
from ._removals import copies as copies
from ._removals import staying as staying
from ._robustness import after_exits as after_exits
from ._robustness import robustness as robustness
