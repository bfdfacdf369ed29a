"""How sure a share of markets is, and how many markets it takes."""

from ._statistics._intervals import confidence_sequence as confidence_sequence
from ._statistics._power import markets_needed as markets_needed

__all__ = [
    "confidence_sequence",
    "markets_needed",
]
