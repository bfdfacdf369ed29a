"""Conversations: policies that providers commit to, and how users play against them."""

from ._one_round import (
    in_one_round as in_one_round,
)
from ._one_round import (
    menu_from_kernels as menu_from_kernels,
)
from ._one_round import (
    menu_of_plans as menu_of_plans,
)
from ._people import (
    Logit as Logit,
)
from ._people import (
    People as People,
)
from ._people import (
    Rational as Rational,
)
from ._play import (
    Response as Response,
)
from ._play import (
    as_kernels as as_kernels,
)
from ._play import (
    choices as choices,
)
from ._play import (
    likelihoods as likelihoods,
)
from ._play import (
    pick_provider as pick_provider,
)
from ._play import (
    plan as plan,
)
from ._play import (
    reaches as reaches,
)
from ._play import (
    respond as respond,
)
from ._play import (
    respond_softly as respond_softly,
)
from ._play import (
    smooth_maximum as smooth_maximum,
)
from ._play import (
    smooth_value as smooth_value,
)
from ._play import (
    soften_providers as soften_providers,
)
from ._profile import (
    POLICY_SUM_TOLERANCE as POLICY_SUM_TOLERANCE,
)
from ._profile import (
    Profile as Profile,
)
from ._profile import (
    check_profile as check_profile,
)
from ._profile import (
    informative_profile as informative_profile,
)
from ._profile import (
    is_distribution as is_distribution,
)
from ._profile import (
    normalised as normalised,
)
from ._profile import (
    recommending_profile as recommending_profile,
)
from ._profile import (
    silent_profile as silent_profile,
)
from ._shape import Conversation as Conversation
