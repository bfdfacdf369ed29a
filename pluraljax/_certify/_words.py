"""Short decimals and names for proofs that people read; the exact numbers are in the data."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from .._printable import printable
from ._rational import rounded

# Characters of a name, and names of a list beyond which they are counted.
_LONGEST, _MOST_NAMES = 24, 8
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


@dataclass(frozen=True)
class Names:
    """What users, providers and actions are called in a proof: by numbers, where nothing else is known."""

    users: Sequence[str] | None = None
    providers: Sequence[str] | None = None
    actions: Sequence[str] | None = None

    def user(self, user: int) -> str:
        return f"user {user}" if self.users is None else _shown(self.users[user])

    def provider(self, provider: int) -> str:
        return f"provider {provider}" if self.providers is None else _shown(self.providers[provider])

    def action(self, action: int) -> str:
        # An only action is written twice in candidates.
        return str(action) if self.actions is None or len(self.actions) == 1 else _shown(self.actions[action])

    def several(self, users: Sequence[int]) -> str:
        """Names the users of a segment."""
        if len(users) == 1:
            return self.user(users[0])
        if self.users is not None:
            listed = [_shown(self.users[user]) for user in users]
            if len(listed) > _MOST_NAMES:
                listed = [*listed[: _MOST_NAMES - 1], f"{len(listed) - _MOST_NAMES + 1} others"]
            return f"{', '.join(listed[:-1])} and {listed[-1]}"
        if list(users) == list(range(users[0], users[-1] + 1)):
            return f"users {users[0]}-{users[-1]}"
        return "users " + ", ".join(map(str, users))

    def either(self, providers: Sequence[int]) -> str:
        """Names providers, one of which it is."""
        return " or ".join(map(self.provider, providers))


def _shown(name: str) -> str:
    return printable(name, _LONGEST)
