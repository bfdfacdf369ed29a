"""How sure a share of markets is, and how many markets it takes."""

from ._scan import confidence_sequence as confidence_sequence
from ._scan import markets_needed as markets_needed

__all__ = [
    "confidence_sequence",
    "markets_needed",
]
