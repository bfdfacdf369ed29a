"""The most that a provider can get by one public policy for everybody, in terms of what each user has elsewhere.

`phi_i(r)` is the most that provider i gets from all users by a public policy worth at least `r[j]` to each user j. It
is concave and falls in every r[j]: mixing two policies mixes what they are worth. So an affine function that is below
it at the corners of a box of utilities is below it in the whole box.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from .._bounds import usable_weight
from .._candidates import OfferTask
from ._shared import Shared


def corners_of(members: int) -> Bool[np.ndarray, "corner member"]:
    """Lists the corners of a box: whether each coordinate is at its upper end."""
    return np.indices((2,) * members).reshape(members, -1).T.astype(bool)


def _room(shared: Shared, level: Float[Array, " member"]) -> tuple[Array, Array]:
    """What each user may lose against full information, and whether she may lose nothing at all."""
    if shared.num_providers == 1:
        # A single provider's deviations do not have to beat anybody.
        return shared.span, jnp.zeros(shared.num_members, bool)
    room = jnp.clip(shared.aligned - level, 0.0, shared.span)
    full = room <= shared.near
    return jnp.where(full, 0.0, room), full


def curve_task(
    shared: Shared, provider: Float[Array, " provider"], level: Float[Array, " member"], won: Bool[Array, " member"]
) -> OfferTask:
    """The programme of what a provider gets at most from the users `won`, who get at least `level`, the others at most.

    If all are won, it is that of phi(level). Payoffs count from what `constant_of` counts.
    """
    room, _ = _room(shared, level)
    earned = jnp.einsum("i,imn->mn", provider, shared.offers.earned)
    lost = shared.offers.lost
    return OfferTask(
        signal=shared.offers.signal,
        gain=jnp.where(won[:, None], earned, 0.0).sum(axis=0),
        spent=jnp.where(won[:, None], lost, 0.0),
        limit=jnp.where(won, room, 0.0),
        needed=jnp.where(won[:, None], 0.0, lost),
        need=jnp.where(won, 0.0, room),
    )


def curve_value(
    shared: Shared, provider: Float[Array, " provider"], level: Float[Array, " member"], weight: Float[Array, " atom"]
) -> Float[Array, ""]:
    """Bounds phi(level) from below at ANY weights.

    A user who is to get all that full information gives her may not come. So she has to be offered that much, and then
    takes one of her optimal actions, whoever tells her: count the worst one.
    """
    room, full = _room(shared, level)
    weight = usable_weight(shared.offers, weight, room)
    earned = provider @ shared.best + jnp.einsum("i,imn,n->m", provider, shared.offers.earned, weight)
    return jnp.where(full, provider @ shared.worst, earned).sum()


def constant_of(shared: Shared, provider: Float[Array, " provider"], won: Bool[Array, " member"]) -> Float[Array, ""]:
    """What the programme of `curve_task` counts from: what the users won bring if they are told the evidence."""
    return jnp.where(won, provider @ shared.best, 0.0).sum()


def posed_level(shared: Shared, level: Float[Array, " member"]) -> Float[Array, " member"]:
    """The level that the programme of `curve_task` is posed for: full information where the level is near it."""
    return shared.aligned - _room(shared, level)[0]


class Minorants(eqx.Module):
    """Affine functions `height - <slope, r>`, several for each provider, that are below phi in a box."""

    height: Float[Array, "provider minorant"]
    slope: Float[Array, "provider minorant member"]


def minorants(
    level: Float[Array, "corner member"], value: Float[Array, "corner provider"], width: Float[Array, " member"]
) -> Minorants:
    """Draws affine functions through the corners of a box; any slopes make valid ones.

    For each of some corners, the function with the slopes of the edges that meet there, and one with mean slopes, each
    lowered until it is below phi at all corners.
    """
    members = level.shape[1]
    at = corners_of(members)
    places = np.arange(len(at))
    flip = [places ^ (1 << (members - 1 - j)) for j in range(members)]
    sign = np.where(at, -1.0, 1.0)
    slopes = []
    for j in range(members):
        known = width[j] > 0
        rise = sign[:, j : j + 1] * (value - value[flip[j]])
        slopes.append(jnp.where(known, rise / jnp.where(known, width[j], 1.0), 0.0))
    slope = jnp.maximum(jnp.stack(slopes, axis=-1), 0.0)
    chosen = jnp.concatenate([slope.mean(axis=0, keepdims=True), slope[_hinges(members)]])
    height = (value[None] + jnp.einsum("cj,sij->sci", level, chosen)).min(axis=1)
    return Minorants(height.T, jnp.swapaxes(chosen, 0, 1))


def _hinges(members: int) -> np.ndarray:
    """The corners whose edges give slopes: all of a rectangle, otherwise the lowest and the highest."""
    return np.arange(4) if members == 2 else np.array([0, 2**members - 1])


def each_provider(shared: Shared) -> Float[Array, "provider provider"]:
    return jnp.eye(shared.num_providers, dtype=jnp.float64)


def curve_values(
    shared: Shared, level: Float[Array, "corner member"], weight: Float[Array, "corner provider atom"]
) -> Float[Array, "corner provider"]:
    by_provider = jax.vmap(curve_value, in_axes=(None, 0, None, 0))
    by_corner = jax.vmap(by_provider, in_axes=(None, None, 0, 0))
    return by_corner(shared, each_provider(shared), level, weight)
