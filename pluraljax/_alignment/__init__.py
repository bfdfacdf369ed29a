"""Alignment conditions: weak (each user alone), strong (all at once), and of segments in between."""

from ._answer import Alignment as Alignment
from ._answer import StrongAlignment as StrongAlignment
from ._questions import Offset as Offset
from ._questions import Scale as Scale
from ._questions import Weights as Weights
from ._questions import segment_alignment as segment_alignment
from ._questions import strong_alignment as strong_alignment
from ._questions import weak_alignment as weak_alignment
