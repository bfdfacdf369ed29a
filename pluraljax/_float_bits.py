"""What float64 numbers are made of: signs and sizes that XLA does not tell near zero, powers of two, last bits.

XLA reads numbers below 2.2e-308 as zero. Everything here looks at halves of 32 bits, because 64-bit integers cannot be
lowered when a caller's own `jit` runs outside the float64 scope. Nothing has a derivative.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int, UInt32

_SIGN, _EXPONENT, _FRACTION = np.uint32(0x80000000), np.uint32(0x7FF00000), np.uint32(0x000FFFFF)


def _words(value: Float[Array, "..."]) -> tuple[UInt32[Array, "..."], UInt32[Array, "..."]]:
    """The two halves, the one with sign and exponent first."""
    words = lax.bitcast_convert_type(lax.stop_gradient(value), jnp.uint32)
    return words[..., 1], words[..., 0]


def is_zero(value: Float[Array, "..."]) -> Bool[Array, "..."]:
    """Tells which numbers are zero, and not only next to it."""
    high, low = _words(value)
    return ((high & ~_SIGN) | low) == 0


def is_negative(value: Float[Array, "..."]) -> Bool[Array, "..."]:
    """Tells which numbers are below zero, however little."""
    high, _ = _words(value)
    return ((high & _SIGN) != 0) & ~is_zero(value)


def power_of_two(size: Float[Array, "..."]) -> Float[Array, "..."]:
    """The largest power of two that is not above a size, between 2^-1000 and 2^1000; 1 for zero."""
    high, low = _words(jnp.clip(size, 2.0**-1000, 2.0**1000))
    words = jnp.stack([jnp.zeros_like(low), high & _EXPONENT], axis=-1)
    return jnp.where(size > 0, lax.bitcast_convert_type(words, jnp.float64), 1.0)


class Grid(eqx.Module):
    """Numbers as multiples of powers of two: `abs(value) < 2**top`, and value is an odd multiple of `2**last`.

    Zeros are multiples of everything.
    """

    last: Int[Array, "..."]
    top: Int[Array, "..."]


# Where zeros begin and end; sums of two such numbers stay within 32 bits.
_EVERYTHING = np.int32(1 << 20)


def grid_of(value: Float[Array, "..."]) -> Grid:
    high, low = _words(value)
    head = (high & _FRACTION) | np.uint32(0x00100000)
    tail = jnp.where(low != 0, _trailing_zeros(low), 32 + _trailing_zeros(head))
    exponent = ((high & _EXPONENT) >> np.uint32(20)).astype(jnp.int32) - np.int32(1075)
    blank = jnp.abs(value) == 0
    last = jnp.where(blank, _EVERYTHING, exponent + tail)
    return Grid(last, jnp.where(blank, -_EVERYTHING, exponent + np.int32(53)))


def _trailing_zeros(word: UInt32[Array, "..."]) -> Int[Array, "..."]:
    lowest = word & (~word + np.uint32(1))
    return lax.population_count(lowest - np.uint32(1)).astype(jnp.int32)


def product(left: Grid, right: Grid) -> Grid:
    """Products, where float64 holds them; one that it may have rounded is a multiple of nothing."""
    last, top = left.last + right.last, left.top + right.top
    single = (left.top - left.last <= 1) | (right.top - right.last <= 1)
    return Grid(jnp.where(single | (top - last <= 53), last, -_EVERYTHING), top)


def is_exact_sum(last: Int[Array, "..."], size: Float[Array, "..."]) -> Bool[Array, "..."]:
    """Tells whether numbers that are multiples of `2**last` add up exactly, in any order; `size` is that of all."""
    return grid_of(2.0 * size).top <= last + np.int32(53)
