"""The tie rule: when two sums are told apart, and how those that are not are read.

Whatever is compared is a sum of products of probabilities and differences of payoffs. Let s be the sum of the absolute
values of its terms. A difference is

- an exact tie where s = 0: the payoffs themselves are equal wherever the probability is positive;
- decided where it is larger than `doubt(s, terms)`, so that rounding cannot have turned it round;
- in doubt otherwise.

A bound has to hold whichever way a difference in doubt goes. So doubts are read against the user for the lower end of
what she gets, and for her at the upper end; what counts as attained is attained whichever way they go. Constants of the
payoffs, also those that depend on the state, are in no difference, and so in no size.
"""

from typing import TypeVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

T = TypeVar("T")

# The distance from 1 to the next float64: twice the largest relative error of one operation.
EPSILON = 2.0**-52


def doubt(size: T, terms: int) -> T:
    """Bounds the rounding error of a sum of `terms` products, whose absolute values add up to `size`.

    A product of a probability and a difference is off by three roundings at most, adding n of them up in any order
    takes n more (Higham, Accuracy and Stability of Numerical Algorithms, 4.2), and each is half of `EPSILON`. As many
    again are allowed for the comparison with another sum of this kind.
    """
    return (terms + 4) * EPSILON * size  # pyright: ignore[reportOperatorIssue]


# A profile that somebody brings is made of rounded numbers, and so stands for the one near by in which everybody does
# exactly as she is told: what misses her best by no more than this share of the size of her stakes counts as meant.
MEANT = 2.0**-36


class Sized(eqx.Module):
    """Sums, and what each would be if all its terms counted as positive: what its rounding error is relative to."""

    value: Float[Array, "..."]
    size: Float[Array, "..."]

    @classmethod
    def of(cls, value: Float[Array, "..."]) -> "Sized":
        """Takes numbers as they are: none of them is a sum in which anything cancelled."""
        return cls(value, jnp.abs(value))

    def __add__(self, other: "Sized") -> "Sized":
        return Sized(self.value + other.value, self.size + other.size)

    def times(self, factor: Float[Array, "..."]) -> "Sized":
        """Multiplies by numbers that are not negative."""
        return Sized(factor * self.value, factor * self.size)

    def least(self, terms: int) -> Float[Array, "..."]:
        """What the sums of so many terms are at least, whatever rounding did."""
        return self.value - doubt(self.size, terms)
