"""Moves a policy by next to nothing, so that what users are meant to do is surely what they do.

Good policies leave users indifferent: each answer makes what is recommended no better than something else. Which of
the two it makes better in truth is a matter of rounding. Where the evidence behind an answer can be shifted so that all
that it recommends becomes better by more than rounding, it is. The evidence that is left over is told, or makes an
answer of its own in which next to nothing is said.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from .._bounds import Audience, compare
from .._ties import EPSILON, doubt

# How many times what rounding can make up is asked for, and how little the best shift may make of a unit.
_SAFE, _LEAST_EFFECT = 8.0, 1e-5
# Shifts that are larger are no repair; what is left over is so many times as much.
_MOST_SHIFT, _LEFT_OVER = 2.0**-24, 2.0**12
# Comparisons closer than this, as a share of what they add up, are looked after.
_CLOSE = 2.0**-28


def firm(
    audience: Audience,
    policy: Float[Array, "evidence query signal"],
    told: Int[Array, "member type query signal"],
    heeds: Bool[Array, "member type query"],
) -> tuple[Float[Array, "evidence query signal"], Float[Array, "evidence query"]]:
    """Shifts the evidence behind every answer, for those users who `heeds` says ask each query.

    Also returns what is left over of each evidence.
    """
    evidences, queries, signals = policy.shape
    likelihood = policy.reshape(evidences, -1)
    users = audience.sense
    actions = users.user.shape[-1]
    # Gaps to what is recommended: [member type action evidence transcript].
    flat = told.reshape(*told.shape[:2], -1)
    chosen = jnp.where(flat[..., None] == jnp.arange(actions, dtype=jnp.int32)[None, None, None], 1.0, 0.0)
    gap = jnp.einsum("mtna,mtxab->mtbxn", chosen, users.lead.value) * likelihood[None, None, None]
    size = jnp.einsum("mtna,mtxab,xn->mtbn", chosen, users.lead.size, likelihood)
    compared = jax.vmap(lambda sense: compare(sense, likelihood))(users)
    settled = jnp.einsum("mtna,mtnab->mtbn", chosen, jnp.where(compared.at_least, 1.0, 0.0)) > 0
    slack = gap.sum(axis=3)
    wanted = _SAFE * doubt(size, evidences * users.states)
    asks = jnp.repeat(heeds, signals, axis=-1)[:, :, None]
    close = asks & (size > 0) & (slack <= _CLOSE * size) & ~(settled & (slack == 0))
    unit = jnp.where(size > 0, size, 1.0)
    rows = jnp.where(close[:, :, :, None], gap / unit[:, :, :, None], 0.0)
    rows = rows.reshape(-1, evidences, queries * signals)
    needed = jnp.where(close, jnp.maximum(wanted - slack, 0.0) / unit, 0.0).reshape(-1, queries * signals)
    shift = jax.vmap(_shift, in_axes=(-1, -1), out_axes=-1)(rows, needed)
    largest = jnp.abs(shift).max()
    rest = jnp.minimum(_LEFT_OVER * largest, 0.5)
    moved = (likelihood * (1.0 + shift) * (1.0 - rest)).reshape(evidences, queries, signals)
    return moved, jnp.maximum(1.0 - moved.sum(axis=-1), 0.0)


# Evidence behind an answer in proportions of such whole numbers is meant to be in exactly these.
_PARTS, _LARGEST_PART, _NEAR_PART, _NOTHING = 12, 2.0**10, 2.0**-30, 2.0**-36
# Likelihoods with few digits, which add up exactly.
_GRID = 2.0**30


def snap(
    policy: Float[Array, "evidence query signal"],
) -> tuple[Float[Array, "evidence query signal"], Float[Array, "evidence query"]]:
    """Rounds likelihoods down so that what is nearly in simple proportions is exactly; also returns what is left over.

    Where users are indifferent and want opposite things, nothing else makes all that an answer recommends best.
    """
    used = policy > _NOTHING
    least = jnp.where(used, policy, jnp.inf).min(axis=0, keepdims=True)
    least = jnp.where(jnp.isfinite(least), least, 1.0)
    ratio = jnp.where(used, policy / least, 0.0)
    parts = jnp.arange(1, _PARTS + 1, dtype=jnp.float64)[:, None, None, None]
    whole = jnp.round(parts * ratio[None])
    fits = (jnp.abs(parts * ratio[None] - whole) <= _NEAR_PART * whole) & (whole <= _LARGEST_PART)
    fits = fits.all(axis=1, keepdims=True)
    first = fits & (jnp.cumsum(fits, axis=0, dtype=jnp.int32) == 1)
    unit = jnp.floor(least[None] / parts * _GRID) / _GRID
    simple = jnp.where(first, unit * whole, 0.0).sum(axis=0)
    moved = jnp.where(fits.any(axis=0), simple, jnp.floor(policy * _GRID) / _GRID)
    return moved, jnp.maximum(1.0 - moved.sum(axis=-1), 0.0)


def _shift(rows: Float[Array, "row evidence"], needed: Float[Array, " row"]) -> Float[Array, " evidence"]:
    """Finds the relative change of likelihoods that gives each row what it needs; none where nothing small does."""
    active = (rows != 0).any(axis=-1)
    goal = jnp.where(active, 1.0, 0.0)
    change = _least_squares(rows, goal)
    scale = jnp.abs(change).max()
    change = change / jnp.where(scale > 0, scale, 1.0)
    effect = jnp.where(active, rows @ change, jnp.inf).min()
    works = active.any() & (effect > _LEAST_EFFECT) & (needed.max() > 0)
    amount = needed.max() / jnp.where(works, effect, 1.0)
    return jnp.where(works & (amount <= _MOST_SHIFT), amount * change, 0.0)


def _least_squares(rows: Float[Array, "row evidence"], goal: Float[Array, " row"]) -> Float[Array, " evidence"]:
    """Solves `rows @ change = goal` by conjugate gradients, as far as it can be solved; the shortest solution."""

    def step(_, state):
        change, left, along, size = state
        ahead = rows @ along
        steep = ahead @ ahead
        go = (steep > 0) & (size > EPSILON**2)
        length = jnp.where(go, size / jnp.where(go, steep, 1.0), 0.0)
        change, left = change + length * along, left - length * (ahead @ rows)
        new = left @ left
        return change, left, left + jnp.where(go, new / jnp.where(go, size, 1.0), 0.0) * along, new

    start = goal @ rows
    state = jnp.zeros_like(start), start, start, start @ start
    return lax.fori_loop(0, np.int32(rows.shape[-1]), step, state)[0]
