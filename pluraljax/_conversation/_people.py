"""How users behave: rationally, or as a logit model says."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from .._market import _as_float_array


class Rational(eqx.Module):
    """Users respond optimally: to policies with their queries and actions, and to offers with their provider."""


class Logit(eqx.Module):
    """Users choose better options more often: option n with probability proportional to exp(value_n / temperature).

    Values are expected utilities, given all that she knows when she chooses and that she will go on choosing like this;
    so a temperature has the unit of her utility. At temperature 0 she is rational, and splits ties
    evenly up to rounding. Of n options
    she gets at least the best one's value less `temperature * log(n)`; McFadden 1974, McKelvey and Palfrey 1995.

    **Arguments:**

    - `action`, `query`, `provider`: the temperature of each kind of choice; >= 0. Default: that of the actions.
    """

    action: Float[Array, ""]
    query: Float[Array, ""]
    provider: Float[Array, ""]

    def __init__(self, action: Any, query: Any = None, provider: Any = None):
        self.action = _as_temperature("action", action)
        self.query = self.action if query is None else _as_temperature("query", query)
        self.provider = self.action if provider is None else _as_temperature("provider", provider)


def _as_temperature(name: str, value: Any) -> Array:
    value = _as_float_array(value)
    sound = isinstance(value, Tracer) or (np.isfinite(np.asarray(value)) & (np.asarray(value) >= 0)).all()
    if not sound:
        raise ValueError(f"Logit.{name} is a temperature: wanted a finite number >= 0, got {value}.")
    return value


People = Rational | Logit

# What a temperature of zero stands for, in rounding errors of the size of a user's payoffs: exact ties are split
# evenly, and no derivative overflows.
_COLDEST = 500


def at_least_coldest(temperature: Float[Array, ""], size: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """Raises a temperature to the least one that arithmetic can tell from zero, for payoffs of this size."""
    least = jnp.maximum(_COLDEST * jnp.finfo(size.dtype).eps * size, jnp.finfo(size.dtype).tiny ** (1 / 6))
    return jnp.maximum(temperature.astype(size.dtype), least)


def log_weights(values: Float[Array, "*batch option"], unit: Float[Array, "*batch"]) -> Float[Array, "*batch option"]:
    """Exponents of a logit choice: values in units of the temperature, less the largest."""
    top = values.max(axis=-1, keepdims=True)
    return (values - top) / unit[..., None]


def soften(values: Float[Array, "*batch option"], unit: Float[Array, "*batch"]) -> Float[Array, "*batch option"]:
    """Chooses with probability proportional to `exp(value / unit)`; evenly where the unit is zero."""
    known = unit > 0
    weights = jnp.exp(log_weights(values, jnp.where(known, unit, 1.0)))
    weights = jnp.where(known[..., None], weights, 1.0)
    return weights / weights.sum(axis=-1, keepdims=True)
