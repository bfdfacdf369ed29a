"""What users, providers, actions and states of a market are called."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from .._arguments import described
from .._printable import did_you_mean, listed, quoted


@dataclass(frozen=True)
class MarketNames:
    """Names the users, providers, actions and states of one market, in the order of its arrays.

    **Arguments:**

    - `users`, `providers`, `actions`, `states`: texts; no two of an axis are the same.

    Example::

        plx.files.MarketNames(("Ann", "Bo"), ("Zoe",), ("tea", "coffee"), ("hot", "cold"))
    """

    users: tuple[str, ...]
    providers: tuple[str, ...]
    actions: tuple[str, ...]
    states: tuple[str, ...]

    @classmethod
    def numbered(cls, users: int, providers: int, actions: int, states: int) -> "MarketNames":
        """Makes the names of a market that has none: `user 0`, `user 1` and so on, as `certify` says them."""
        count = lambda what, number: tuple(f"{what} {place}" for place in range(number))
        return cls(count("user", users), count("provider", providers), count("action", actions), count("state", states))

    @classmethod
    def of(cls, given: Any, numbered: "MarketNames") -> "MarketNames":
        """Reads names that somebody gives: a `MarketNames`, or a mapping with some of its fields; `numbered` otherwise.

        Raises `ValueError` where they are none, or not as many as the market has.
        """
        if given is None:
            return numbered
        axes = [field.name for field in fields(cls)]
        if isinstance(given, cls):
            given = {axis: getattr(given, axis) for axis in axes}
        if not isinstance(given, Mapping):
            raise ValueError(f"names must be a MarketNames, or a mapping with lists of names, got {described(given)}.")
        for key in given:
            if key not in axes:
                raise ValueError(f"names has the key {quoted(key)}.{did_you_mean(key, axes)} Known: {', '.join(axes)}.")
        return cls(**{axis: _checked(axis, given.get(axis), getattr(numbered, axis)) for axis in axes})


def _checked(axis: str, given: Any, numbered: tuple[str, ...]) -> tuple[str, ...]:
    if given is None:
        return numbered
    if isinstance(given, str) or not isinstance(given, Sequence) or not all(isinstance(each, str) for each in given):
        raise ValueError(f"names of {axis} must be a list of texts, got {described(given)}.")
    if len(given) != len(numbered):
        raise ValueError(f"names of {axis} must be {len(numbered)}, as many as the market has, got {len(given)}.")
    if repeated := repeated_names(given):
        raise ValueError(f"names of {axis} must differ, got {listed(repeated)} twice.")
    return tuple(given)


def repeated_names(names: Sequence[str]) -> list[str]:
    """The names that are there more than once, each once."""
    return [name for name, times in Counter(names).items() if times > 1]
