"""What is known about one provider's curve phi: points below it, and lines above it.

phi(r) is the most that a provider can get from the user by an outcome that is worth r to her. It is concave and falls,
so chords between points of outcomes found lie below it, and every line of multipliers lies above it. Levels within
`near` of each other are not told apart: a chord between them would have a noisy slope.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from .._ties import EPSILON


class Envelope(eqx.Module):
    """Points `(level, value)` below a curve, each with a line `height - slope r` above it. Unused places hold NaN."""

    level: Float[Array, " point"]
    value: Float[Array, " point"]
    height: Float[Array, " point"]
    slope: Float[Array, " point"]


class Point(eqx.Module):
    """One point below a curve, and a line `height - slope r` above it."""

    level: Float[Array, ""]
    value: Float[Array, ""]
    height: Float[Array, ""]
    slope: Float[Array, ""]


def empty_envelope(size: int, aligned: Float[Array, ""], value: Float[Array, ""]) -> Envelope:
    """Starts with the user's optimal play, which needs no search and comes without a line."""
    blank = jnp.full(size, jnp.nan, jnp.float64)
    return Envelope(blank.at[0].set(aligned), blank.at[0].set(value), blank, blank)


def add_point(envelope: Envelope, place: Int[Array, ""], point: Point) -> Envelope:
    """Writes one point to its place."""
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
    envelope: Envelope, level: Float[Array, ""], reach: Float[Array, ""], near: Float[Array, ""]
) -> tuple[Array, Array, Array]:
    """Computes a height h, a slope s and an end with `phi(r) >= h - s r` for r from `level` to the end.

    The chord ends at the first point that is at least `reach` away, or at the last point.
    """
    last = jnp.where(jnp.isnan(envelope.level), -jnp.inf, envelope.level).max()
    far = jnp.minimum(level + jnp.maximum(reach, near), last)
    right = (envelope.level > level) & (envelope.level >= far)
    end = jnp.where(right, envelope.level, jnp.inf).min()
    end_value = _at(envelope.level == end, envelope.value)
    start_value = lower_at(envelope, level, near)
    width = end - level
    known = (width > near) & jnp.isfinite(width)
    slope = jnp.where(known, (start_value - end_value) / jnp.where(known, width, 1.0), 0.0)
    slope = jnp.maximum(slope, 0.0)
    # Below the curve at both ends for certain, and so in between.
    rounding = 8 * EPSILON * (jnp.abs(end_value) + jnp.abs(start_value) + slope * jnp.abs(end))
    return end_value + slope * end - rounding, slope, end


def chord_points(envelope: Envelope, level: Float[Array, ""], end: Float[Array, ""]) -> Int[Array, "3"]:
    """Finds the places of the points that a chord from `level` to `end` hangs on; -1 where there is no such point.

    They are the last point that is not above `level`, the first one above, and the one at the end.
    """
    known = jnp.isfinite(envelope.level)
    before = jnp.where(known & (envelope.level <= level), envelope.level, -jnp.inf).max()
    after = jnp.where(known & (envelope.level > level), envelope.level, jnp.inf).min()
    return jnp.stack([_place(envelope, before), _place(envelope, after), _place(envelope, end)])


def _place(envelope: Envelope, level: Float[Array, ""]) -> Int[Array, ""]:
    """The place of the point of a level; of the most valuable one if there are several."""
    here = envelope.level == level
    best = here & (envelope.value == _at(here, envelope.value))
    places = jnp.arange(envelope.level.shape[0], dtype=jnp.int32)
    return jnp.max(places, where=best, initial=-1)


def lower_at(envelope: Envelope, level: Float[Array, ""], near: Float[Array, ""]) -> Float[Array, ""]:
    """Bounds phi(level) from below, for a level below the aligned one, by the chord of the points around it."""
    end = jnp.where(envelope.level > level, envelope.level, jnp.inf).min()
    end_value = _at(envelope.level == end, envelope.value)
    start = _at(envelope.level <= level, envelope.level)
    start_value = _at(envelope.level == start, envelope.value)
    # With nothing on the left, and between points too close to tell, the curve is at least its value at the end.
    width = end - start
    known = (width > near) & jnp.isfinite(width)
    share = jnp.where(known, (end - level) / jnp.where(known, width, 1.0), 0.0)
    rounding = 8 * EPSILON * (jnp.abs(end_value) + jnp.where(known, jnp.abs(start_value), 0.0))
    return end_value + share * jnp.maximum(jnp.where(known, start_value - end_value, 0.0), 0.0) - rounding


# How many intervals ahead of the search a curve is looked at.
_AHEAD = 3


def next_probe(
    envelope: Envelope, level: Float[Array, ""], near: Float[Array, ""], tolerance: Float[Array, ""]
) -> Float[Array, ""]:
    """Picks where to learn more: in the first interval from `level` on whose chord is not yet known to be the curve.

    Returns NaN when the curve is known for a few intervals from `level` on.
    """
    known = jnp.isfinite(envelope.level)
    start = jnp.where(known & (envelope.level <= level + near), envelope.level, -jnp.inf).max()
    probe = jnp.full((), jnp.nan, jnp.float64)
    for _ in range(_AHEAD):
        end = jnp.where(known & (envelope.level > jnp.maximum(start, level)), envelope.level, jnp.inf).min()
        corner = _corner(_point_at(envelope, start), _point_at(envelope, end), near, tolerance)
        probe = jnp.where(jnp.isnan(probe), jnp.maximum(corner, level), probe)
        start = end
    return probe


def _point_at(envelope: Envelope, level: Float[Array, ""]) -> Point:
    """Takes a point by its level; a line is missing only where no point of that level has one."""
    here = envelope.level == level
    lined = here & ~jnp.isnan(envelope.height)
    line = lambda leaf: jnp.where(lined.any(), _at(lined, leaf), jnp.nan)
    return Point(level, _at(here, envelope.value), line(envelope.height), line(envelope.slope))


def _missed(point: Point) -> Float[Array, ""]:
    """How far a point may be below its curve."""
    return jnp.maximum(jnp.nan_to_num(point.height - point.slope * point.level - point.value), 0.0)


def _corner(left: Point, right: Point, near: Float[Array, ""], tolerance: Float[Array, ""]) -> Float[Array, ""]:
    """Finds where the lines of two points meet: the curve's corner if it has one; NaN if the chord is the curve."""
    width = right.level - left.level
    bend = right.slope - left.slope
    meet = (right.height - left.height) / jnp.where(bend > 0, bend, 1.0)
    chord = left.value + (right.value - left.value) * (meet - left.level) / width
    inside = (bend > 0) & (meet > left.level + near) & (meet < right.level - near)
    # A chord is below the curve at least by what its ends are, because of rounding.
    missed = _missed(left) + _missed(right)
    bent = inside & (left.height - left.slope * meet - chord > tolerance + 2 * missed)
    unlined = jnp.isnan(right.height) & (width > 2 * near)
    corner = jnp.where(unlined, right.level - near, jnp.where(bent, meet, jnp.nan))
    return jnp.where(jnp.isfinite(width), corner, jnp.nan)
