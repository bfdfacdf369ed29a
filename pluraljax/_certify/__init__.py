"""Re-evaluates every bound on one market in exact rational arithmetic. Imports no solver, and no code it checks."""

from ._claims import (
    Bound as Bound,
)
from ._claims import (
    Certificate as Certificate,
)
from ._claims import (
    Claim as Claim,
)
from ._claims import (
    Question as Question,
)
from ._run import ProfileError as ProfileError
from ._run import certify as certify
