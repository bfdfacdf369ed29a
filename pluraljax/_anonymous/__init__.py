"""What a user gets in her worst equilibrium when users share policies."""

from ._base import base_frontier as base_frontier
from ._result import AnonymousFrontier as AnonymousFrontier
from ._worst import anonymous_frontier as anonymous_frontier
