"""A market's arrays as rational numbers. What is stored is the market: priors keep the sums that they have."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from ._outcomes import User
from ._rational import ONE, ZERO, Rationals, dot, exact, total, zeros
from ._words import Names

# What a user's prior may sum to besides 1: what float32 data do.
PRIOR_SUM_TOLERANCE = Fraction(1e-6)
# delta is never read as less than this share of the range of a provider's payoffs from a user, in a state.
LEAST_SLACK = Fraction(1e-9)
# Everything goes by its number.
_NUMBERED = Names()


@dataclass(frozen=True)
class ExactMarket:
    """The four arrays of a market, and the stakes: sums of products, exactly."""

    prior: Rationals
    user_value: Rationals
    provider_value: Rationals
    mass: Rationals
    user: Rationals
    provider: Rationals
    names: Names = _NUMBERED

    @property
    def num_users(self) -> int:
        return self.user_value.shape[0]

    @property
    def num_providers(self) -> int:
        return self.provider_value.shape[0]

    def probability(self, user: int) -> Fraction:
        """What a user's prior adds up to: 1 up to rounding."""
        return total(self.prior[user])

    def user_range(self, user: int) -> Fraction:
        """The range of a user's payoffs."""
        return value_range(self.user_value[user])

    def provider_range(self, provider: int, user: int) -> Fraction:
        """The most that a user's action makes of a difference to a provider in a state."""
        return max(value_range(self.provider_value[provider, user][:, y]) for y in range(self.prior.shape[-1]))

    def slack_of(self, provider: int, user: int, delta: Fraction) -> Fraction:
        """What a provider may leave on the table with a user, per unit of her mass."""
        return max(delta / self.mass[user], LEAST_SLACK * self.provider_range(provider, user))

    def outcomes_of(self, user: int) -> User:
        """One user's side of the market. An only action is written twice, as candidates do."""
        twice = lambda leaf: np.repeat(leaf, 2, axis=-1) if leaf.shape[-1] == 1 else leaf
        return User(twice(self.user[user]), twice(self.provider[:, user]))

    def optimal(self, user: int) -> np.ndarray:
        """Marks the actions that are optimal on full evidence: [type evidence action]. Nothing is nearly so."""
        stakes = self.user[user]
        return np.asarray(stakes == stakes.max(axis=-1, keepdims=True), bool)


def value_range(values: Rationals) -> Fraction:
    """The largest less the least."""
    return values.max() - values.min()


def _stakes(prior: Rationals, value: Rationals) -> Rationals:
    """`sum_y prior(t, x, y) value(a, y)` for one user."""
    types, evidences, _ = prior.shape
    result = zeros(types, evidences, len(value))
    for t, x, a in np.ndindex(result.shape):
        result[t, x, a] = dot(prior[t, x], value[a])
    return result


def exact_market(market: Any, names: Names = _NUMBERED) -> ExactMarket:
    """Reads anything with the four arrays of a `Market`, and what proofs call what is in it.

    Raises `ValueError` for values that make no sense.
    """
    prior, user_value, provider_value, mass = (
        exact(getattr(market, name)) for name in ("prior", "user_value", "provider_value", "mass")
    )
    _check(prior, mass)
    user = np.stack([_stakes(p, value) for p, value in zip(prior, user_value, strict=True)])
    provider = np.stack(
        [np.stack([_stakes(p, value) for p, value in zip(prior, rows, strict=True)]) for rows in provider_value]
    )
    return ExactMarket(prior, user_value, provider_value, mass, user, provider, names)


def _check(prior: Rationals, mass: Rationals) -> None:
    """What the theorems take for granted of a market."""
    if not all(value > ZERO for value in mass):
        raise ValueError("Every user's mass is positive.")
    if any(value < ZERO for value in prior.ravel().tolist()):
        raise ValueError("A prior has a negative entry. Priors are probabilities.")
    sums = [total(hers) for hers in prior]
    if any(abs(value - ONE) > PRIOR_SUM_TOLERANCE for value in sums):
        raise ValueError(f"Every user's prior sums to 1, got {', '.join(f'{float(value):.9g}' for value in sums)}.")
