"""Proposes candidates: batched solvers whose answers are never trusted, only evaluated (by `_bounds`)."""

from ._advice import advised_reply as advised_reply
from ._advice import advises_all as advises_all
from ._advice import earned as earned
from ._advice import followed_advice as followed_advice
from ._advice import full_advice as full_advice
from ._advice import rivals_of as rivals_of
from ._dynamics import METHODS as METHODS
from ._dynamics import Annealing as Annealing
from ._dynamics import Method as Method
from ._dynamics import gradient_play as gradient_play
from ._dynamics import gradient_reply as gradient_reply
from ._dynamics import in_common_units as in_common_units
from ._dynamics import relaxed_value as relaxed_value
from ._dynamics import starting_logits as starting_logits
from ._fit import FitCandidate as FitCandidate
from ._fit import pose_fit as pose_fit
from ._fit import pose_scaled_fit as pose_scaled_fit
from ._fit import read_fit as read_fit
from ._fit import read_scaled_fit as read_scaled_fit
from ._grouped import GroupedProgram as GroupedProgram
from ._grouped import solve_grouped as solve_grouped
from ._guarantee import GuaranteeCandidate as GuaranteeCandidate
from ._guarantee import pose_by_group as pose_by_group
from ._guarantee import pose_guarantee as pose_guarantee
from ._guarantee import read_guarantee as read_guarantee
from ._lanes import LANES_ON_CPU as LANES_ON_CPU
from ._lanes import in_lanes as in_lanes
from ._outcome import (
    OutcomeCandidate as OutcomeCandidate,
)
from ._outcome import (
    OutcomeTask as OutcomeTask,
)
from ._outcome import (
    pose_outcome as pose_outcome,
)
from ._outcome import (
    read_outcome as read_outcome,
)
from ._outcome import (
    truthful_task as truthful_task,
)
from ._program import LinearProgram as LinearProgram
from ._program import Solution as Solution
from ._program import SolverStatus as SolverStatus
from ._program import answered as answered
from ._public import PublicCandidate as PublicCandidate
from ._public import PublicTask as PublicTask
from ._public import solve_public as solve_public
from ._search import Step as Step
from ._search import run_search as run_search
from ._solve import Solver as Solver
from ._solve import highs as highs
from ._solve import simplex as simplex
from ._solve import simplex_in_kernel as simplex_in_kernel
from ._strict import strict_recommendations as strict_recommendations
from ._tableau import INFEASIBLE as INFEASIBLE
from ._tableau import OPTIMAL as OPTIMAL
from ._tableau import host_simplex as host_simplex
