"""What a provider gains by deviating: from silence, and from any profile of policies."""

from ._crowd import has_crowd as has_crowd
from ._gains import Proof as Proof
from ._gains import reply_shape as reply_shape
from ._questions import (
    Deviation as Deviation,
)
from ._questions import (
    Silence as Silence,
)
from ._questions import (
    deviation as deviation,
)
from ._questions import (
    deviation_of_fixed_shape as deviation_of_fixed_shape,
)
from ._questions import (
    silence as silence,
)
from ._questions import (
    silence_decision as silence_decision,
)
