"""Three-valued truth: what is proved, what is refuted, and what neither is. Imports no JAX."""

from enum import IntEnum


class Truth(IntEnum):
    """Whether a statement about one market holds. Answers hold its codes, which compare as whole numbers do."""

    OPEN = -1
    FAILS = 0
    HOLDS = 1

    @property
    def word(self) -> str:
        """`holds`, `fails` or `open`."""
        return self.name.lower()
