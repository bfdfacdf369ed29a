"""Random numbers that depend on the key alone: the same bits under `jit`, `vmap`, any batch size and any x64 setting.

Draws of double precision are built from 32-bit words, because 64-bit ones cannot be lowered when a caller's own `jit`
runs outside the float64 scope. Sums run in a fixed order, because `jnp.sum` may round differently in another batch.
Several arrays come from one draw, which compiles four times faster than a draw for each. Call everything here inside a
float64 scope.
"""

import math

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float


def uniforms(key: Array, *shapes: tuple[int, ...]) -> list[Float[Array, "..."]]:
    """Draws arrays from the open interval (0, 1): midpoints of 2^52 equal cells, each of which is a float64."""
    return _split(_uniform(key, _size(shapes)), shapes)


def normals(key: Array, *shapes: tuple[int, ...]) -> list[Float[Array, "..."]]:
    """Draws arrays of standard normal numbers by inverting their distribution function; they stay within 8.3."""
    flat = jnp.sqrt(2.0) * jax.lax.erf_inv(2.0 * _uniform(key, _size(shapes)) - 1.0)
    return _split(flat, shapes)


def simplex(uniform: Float[Array, "corner *batch"]) -> Float[Array, "corner *batch"]:
    """Turns uniform numbers into points uniform on the simplex (flat Dirichlet): exponentials over their sum."""
    exponential = -jnp.log(uniform)
    return exponential / ordered_sum(exponential)[None]


def state_prior(key: Array, law: str, users: int, states: int) -> Float[Array, "user state"]:
    """Draws each user's prior of the state: `"uniform"` (no randomness) or `"dirichlet"` (flat)."""
    if law == "uniform":
        return jnp.full((users, states), 1.0 / states, jnp.float64)
    (uniform,) = uniforms(key, (states, users))
    return simplex(uniform).T


def ordered_sum(terms: Float[Array, "term *rest"]) -> Float[Array, "*rest"]:
    """Sums over the leading axis, first to last."""
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def _uniform(key: Array, size: int) -> Float[Array, " size"]:
    words = (jr.bits(key, (size, 2), jnp.uint32) >> jnp.uint32(6)).astype(jnp.float64)
    return (words[:, 0] * 2.0**26 + words[:, 1] + 0.5) * 2.0**-52


def _size(shapes: tuple[tuple[int, ...], ...]) -> int:
    return sum(math.prod(shape) for shape in shapes)


def _split(flat: Float[Array, " size"], shapes: tuple[tuple[int, ...], ...]) -> list[Float[Array, "..."]]:
    arrays, start = [], 0
    for shape in shapes:
        stop = start + math.prod(shape)
        arrays.append(flat[start:stop].reshape(shape))
        start = stop
    return arrays
