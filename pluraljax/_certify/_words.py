"""Short decimals and names for proofs that people read; the exact numbers are in the data."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from ._rational import rounded

# Within these, floats have all their digits.
_TINY, _HUGE = Fraction(10) ** -300, Fraction(10) ** 300


def short(value: Fraction | Any) -> str:
    """Writes six digits, rounded to nearest."""
    if value and not _TINY <= abs(value) <= _HUGE:
        return rounded(Fraction(value), up=False, digits=6)
    return f"{float(value):.6g}"


def by_provider(values: Sequence[Fraction]) -> str:
    """Writes one number per provider."""
    return "(" + ", ".join(short(value) for value in values) + ")"


def name_users(users: Sequence[int]) -> str:
    """Names the users of a segment."""
    if len(users) == 1:
        return f"user {users[0]}"
    if list(users) == list(range(users[0], users[-1] + 1)):
        return f"users {users[0]}-{users[-1]}"
    return "users " + ", ".join(map(str, users))
