"""What is known about one provider's curve phi: points below it, and lines above it.

phi(r) is the most that a provider can get from the user by an outcome that is worth r to her. It is concave and falls,
so chords between points of outcomes found lie below it, and every line of multipliers lies above it.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

# Points closer than this share of the span are not told apart: a chord between them would have a noisy slope.
NEAR = 1e-9


class Envelope(eqx.Module):
    """Points `(level, value)` below a curve, each with a line `height - slope r` above it. Unused places hold NaN."""

    level: Float[Array, " point"]
    value: Float[Array, " point"]
    height: Float[Array, " point"]
    slope: Float[Array, " point"]


def empty_envelope(size: int, aligned: Float[Array, ""], value: Float[Array, ""]) -> Envelope:
    """Starts with the user's optimal play, which needs no search and comes without a line."""
    blank = jnp.full(size, jnp.nan, jnp.float64)
    return Envelope(blank.at[0].set(aligned), blank.at[0].set(value), blank, blank)


def add_point(envelope: Envelope, place: Int[Array, ""], point: Envelope) -> Envelope:
    """Writes one point (an envelope of scalars) to its place."""
    here = jnp.arange(envelope.level.shape[0], dtype=jnp.int32) == place
    put = lambda old, new: jnp.where(here, new, old)
    return Envelope(
        put(envelope.level, point.level),
        put(envelope.value, point.value),
        put(envelope.height, point.height),
        put(envelope.slope, point.slope),
    )


def upper_at(envelope: Envelope, level: Float[Array, ""]) -> Float[Array, ""]:
    """Bounds phi(level) from above."""
    lines = envelope.height - envelope.slope * level
    return jnp.where(jnp.isnan(lines), jnp.inf, lines).min()


def _at(mask: Array, values: Array) -> Array:
    """Takes the value at a mask (the greatest one if several are marked)."""
    return jnp.where(mask, values, -jnp.inf).max(axis=-1)


def chord_from(
    envelope: Envelope, level: Float[Array, ""], reach: Float[Array, ""], span: Float[Array, ""]
) -> tuple[Array, Array, Array]:
    """Computes a height h, a slope s and an end with `phi(r) >= h - s r` for r from `level` to the end.

    The chord ends at the first point that is at least `reach` away, or at the last point.
    """
    last = jnp.where(jnp.isnan(envelope.level), -jnp.inf, envelope.level).max()
    far = jnp.minimum(level + jnp.maximum(reach, NEAR * span), last)
    right = (envelope.level > level) & (envelope.level >= far)
    end = jnp.where(right, envelope.level, jnp.inf).min()
    end_value = _at(envelope.level == end, envelope.value)
    start_value = lower_at(envelope, level, span)
    width = end - level
    known = (width > NEAR * span) & jnp.isfinite(width)
    slope = jnp.where(known, (start_value - end_value) / jnp.where(known, width, 1.0), 0.0)
    slope = jnp.maximum(slope, 0.0)
    return end_value + slope * end, slope, end


def lower_at(envelope: Envelope, level: Float[Array, ""], span: Float[Array, ""]) -> Float[Array, ""]:
    """Bounds phi(level) from below, for a level below the aligned one, by the chord of the points around it."""
    end = jnp.where(envelope.level > level, envelope.level, jnp.inf).min()
    end_value = _at(envelope.level == end, envelope.value)
    start = _at(envelope.level <= level, envelope.level)
    start_value = _at(envelope.level == start, envelope.value)
    # With nothing on the left, and between points too close to tell, the curve is at least its value at the end.
    width = end - start
    known = (width > NEAR * span) & jnp.isfinite(width)
    share = jnp.where(known, (end - level) / jnp.where(known, width, 1.0), 0.0)
    return end_value + share * jnp.maximum(jnp.where(known, start_value - end_value, 0.0), 0.0)


def next_probe(
    envelope: Envelope, level: Float[Array, ""], span: Float[Array, ""], tolerance: Float[Array, ""]
) -> Float[Array, ""]:
    """Picks where to learn more: in the first interval right of `level` whose chord is not yet known to be the curve.

    Lines at both ends of an interval meet where the distance is largest, which is the curve's corner if it has one only.
    Returns NaN when the curve is known from `level` on.
    """
    here, other = envelope.level[:, None], envelope.level[None, :]
    following = jnp.where(other > here, other, jnp.inf).min(axis=1)
    is_next = other == following[:, None]
    width = following - envelope.level
    value, height, slope = (_at(is_next, leaf[None, :]) for leaf in (envelope.value, envelope.height, envelope.slope))
    unlined = jnp.isnan(jnp.where(is_next, envelope.height[None, :], 0.0).sum(axis=1))
    bend = slope - envelope.slope
    meet = (height - envelope.height) / jnp.where(bend > 0, bend, 1.0)
    chord = envelope.value + (value - envelope.value) * (meet - envelope.level) / width
    error = envelope.height - envelope.slope * meet - chord
    inside = (meet > envelope.level + NEAR * span) & (meet < following - NEAR * span)
    error = jnp.where((bend > 0) & inside, error, 0.0)
    meet = jnp.where(unlined, following - NEAR * span, meet)
    error = jnp.where(unlined & (width > 2 * NEAR * span), jnp.inf, error)
    open_ = (following > level + NEAR * span) & jnp.isfinite(following) & (error > tolerance)
    first = jnp.where(open_, envelope.level, jnp.inf).min()
    probe = jnp.maximum(_at(open_ & (envelope.level == first), meet), level)
    return jnp.where(jnp.isfinite(first), probe, jnp.nan)
