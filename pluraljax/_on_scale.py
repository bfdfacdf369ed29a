"""Answers that are utilities of users, and so have a place on the way from silent to aligned."""

from typing import TYPE_CHECKING

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from ._answer import Answer
from ._bracket import Bracket
from ._market import Market, benchmarks
from ._precision import in_float64


class UtilityAnswer(Answer):
    """An answer whose `value` is what each user gets, in her expected utility."""

    if not TYPE_CHECKING:
        value: eqx.AbstractVar[Bracket]
        status: eqx.AbstractVar[Int[Array, "..."]]

    def share(self, market: Market) -> Bracket:
        """Puts `value` on the scale where silent is 0 and aligned is 1: `benchmarks(market).share`, and at least 0.

        No equilibrium gives a user less than silence, because nobody has to listen: a bound that says less says 0. In
        float64 whatever JAX is set to; NaN for whom the two benchmarks coincide.

        **Arguments:**

        - `market`: the one that was asked about, or the batch of them, with the leading axes of this answer.

        Example::

            market = plx.families.gaussian(providers=3, users=2)(jax.random.key(0))
            plx.guarantee(market, plx.personalized(2)).share(market)
        """
        ask = benchmarks
        for _ in range(np.ndim(market.user_value) - 3):
            ask = jax.vmap(ask)
        return _at_least_silent(ask(market).share(self))


@in_float64
def _at_least_silent(share: Bracket) -> Bracket:
    return Bracket(jnp.maximum(share.lower, 0.0), jnp.maximum(share.upper, 0.0))
