"""Multipliers of programmes over the outcomes of one user: what a bound is evaluated at, whoever proposed them."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float


class Multipliers(eqx.Module):
    """Multipliers of the constraints on an outcome. Any non-negative numbers make a valid bound.

    `obedience[t, a, b]` is for type t doing b when told a, `truth[t, s]` for type t reporting s and doing what she is
    told, `recoding[t, s, a, b]` for then doing b instead of a, `required[m]` for the floors. Diagonals are not used.
    """

    obedience: Float[Array, "type action action"]
    truth: Float[Array, "type type"]
    recoding: Float[Array, "type type action action"]
    required: Float[Array, " floor"]

    def usable(self) -> "Multipliers":
        """Turns ANY numbers into multipliers: those that are none count as zero."""
        known = lambda leaf: jnp.asarray(jnp.where(jnp.isfinite(leaf), jnp.maximum(leaf, 0.0), 0.0))
        return Multipliers(known(self.obedience), known(self.truth), known(self.recoding), known(self.required))
