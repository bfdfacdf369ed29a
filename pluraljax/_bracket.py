"""An optimum, as an interval that contains it."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Num

from ._shown import is_concrete, shown

# A bracket is exact when it is narrower than this share of the payoff scale that it is measured on.
TOLERANCE = 1e-6
# Ends that meet may cross by rounding: by this share of the scale.
CROSSING = 1e-10


class Bracket(eqx.Module):
    """An interval that contains an optimum; both ends were evaluated at a candidate (design: no number without proof).

    `lower` and `upper` are in units of expected utility, unless said otherwise. Both are NaN where the market's data
    were invalid.
    """

    lower: Num[Array, "..."]
    upper: Num[Array, "..."]

    def __repr__(self) -> str:
        if not is_concrete(self):
            return super().__repr__()
        return f"Bracket(lower={shown(self.lower)}, upper={shown(self.upper)})"

    @property
    def width(self) -> Any:
        """Length of the interval; never negative beyond rounding where both ends are valid."""
        if not is_concrete(self):
            return self.upper - self.lower
        # Whatever JAX is set to.
        with jax.enable_x64(True):
            return self.upper - self.lower

    def is_exact(self, scale: Float[Array, "..."]) -> Bool[Array, "..."]:
        """Whether the interval is narrower than `TOLERANCE` times `scale` (in the units of the bracket).

        One whose ends cross by more than rounding is not: something is wrong with it.
        """
        return self.is_within(TOLERANCE * scale, scale)

    def is_within(self, width: Float[Array, "..."] | float, scale: Float[Array, "..."]) -> Bool[Array, "..."]:
        """Whether the interval is no wider than `width`, and its ends do not cross by more than rounding."""
        return jnp.asarray((self.width <= width) & (self.width >= -CROSSING * scale))

    def with_derivative_of(self, value: Float[Array, "..."]) -> "Bracket":
        """Keeps both ends and gives them the derivatives of `value`, by the envelope theorem those of the optimum.

        The ends themselves are maxima and minima with ties at an optimum, where their own derivatives mean nothing.
        """
        # Where candidates overflow there is no derivative; the ends stay.
        value = jnp.where(jnp.isfinite(value), value, 0.0)
        shift = value - lax.stop_gradient(value)
        return Bracket(lax.stop_gradient(self.lower) + shift, lax.stop_gradient(self.upper) + shift)
