"""One market, one answer: whom competition serves, why, and what would change it."""

from ._answer import Study as Study
from ._parts import Scheme as Scheme
from ._parts import UserAnswer as UserAnswer
from ._question import study as study
