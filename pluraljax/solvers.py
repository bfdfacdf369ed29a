"""What proposes candidates: linear programmes, their solutions, and the solvers that are built in."""

from ._candidates import LinearProgram as LinearProgram
from ._candidates import Solution as Solution
from ._candidates import Solver as Solver
from ._candidates import SolverStatus as SolverStatus
from ._candidates import highs as highs
from ._candidates import simplex as simplex
from ._candidates import simplex_in_kernel as simplex_in_kernel

__all__ = ["LinearProgram", "Solution", "Solver", "SolverStatus", "highs", "simplex", "simplex_in_kernel"]
