"""Pictures on a Matplotlib axes of one's own: of scans, of the curves behind a market, and of policies."""

from ._market import frontier_curve as frontier_curve
from ._market import policy as policy
from ._scans import alignment as alignment
from ._scans import equilibria as equilibria
from ._scans import guarantees as guarantees
from ._scans import panels as panels
from ._scans import shares_served as shares_served
