"""What a user makes of a policy that is on offer: what it is worth, and what it may lead to."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from .._bounds import Comparison, Instinct, Sense, brings_nothing, compare, tells_all
from .._conversation import Response, likelihoods, respond
from .._ties import MEANT, doubt


class Offer(eqx.Module):
    """One offer, and what every provider gets from a user who takes it: one number, and its ends.

    Its value is known up to `tie`: rounding, and what doing as told costs her where it is only nearly best.
    `bare` and `full` say that it surely is worth no more than silence, or as much as full information.
    """

    value: Float[Array, "*pair"]
    tie: Float[Array, "*pair"]
    bare: Bool[Array, "*pair"]
    full: Bool[Array, "*pair"]
    earned: Float[Array, "*pair provider"]
    low: Float[Array, "*pair provider"]
    high: Float[Array, "*pair provider"]


def consider(
    sense: Sense,
    instinct: Instinct,
    provider: Float[Array, "provider type evidence action"],
    offering: Int[Array, ""],
    kernels: list[Array],
    recommended: Array | None,
    asked: Array | tuple[Array, ...] | None,
) -> Offer:
    """Lets a user respond to a policy, `[evidence history query signal]` per round.

    What is recommended to her she does where that is nearly best (a policy of floats means it to be best). Elsewhere
    anything that nearly is may be what she does, unless it is sure which.
    """
    prefer = provider[offering]
    response: Response = respond(sense.user, kernels, prefer, recommended, asked)
    likelihood = likelihoods(kernels)[-1]
    found = compare(sense, likelihood)
    near = MEANT * sense.size.max(axis=-1).sum()
    liked = (likelihood[None, None, :, :, None] * provider[:, :, :, None]).sum(axis=2)
    largest = (likelihood[None, :, :, None] * jnp.abs(prefer[:, :, None])).sum(axis=1).max(axis=-1, keepdims=True)
    unsure = doubt(largest, likelihood.shape[0] * sense.states)
    may_do = _actions(found, liked[offering], unsure, near, recommended)
    missed = (found.worth.max(axis=-1) - jnp.where(may_do, found.worth, jnp.inf).min(axis=-1)).sum()
    ends = lambda join, filler: _fold(join, filler, liked, may_do, found, near, kernels, asked)
    return Offer(
        value=response.value,
        tie=doubt(sense.size.max(axis=-1).sum(), likelihood.shape[0] * sense.states) + missed,
        bare=brings_nothing(found, instinct.uninformed),
        full=tells_all(likelihood, instinct.optimal),
        earned=jnp.einsum("itxa,txa->i", provider, response.outcome),
        low=ends(jnp.min, jnp.inf),
        high=ends(jnp.max, -jnp.inf),
    )


def _actions(
    found: Comparison,
    liked: Float[Array, "type transcript action"],
    unsure: Float[Array, "type transcript single"],
    near: Array,
    recommended: Array | None,
) -> Bool[Array, "type transcript action"]:
    fair = found.worth >= found.worth.max(axis=-1, keepdims=True) - near
    # Those that surely tie she settles as the provider likes it, as far as that is sure.
    tied = (found.at_least | ~fair[..., None, :]).all(axis=-1)
    settled = (tied | ~fair).all(axis=-1, keepdims=True)
    top = jnp.where(fair, liked, -jnp.inf).max(axis=-1, keepdims=True)
    may_do = fair & ((liked >= top - unsure) | ~settled)
    if recommended is None:
        return may_do
    told = recommended.reshape(*fair.shape[:2], 1).astype(jnp.int32)
    obeyed = fair & (jnp.arange(fair.shape[-1], dtype=jnp.int32)[None, None] == told)
    return jnp.where(obeyed.any(axis=-1, keepdims=True), obeyed, may_do)


def _fold(join, filler: float, liked: Array, may_do: Array, found: Comparison, near: Array, kernels, asked) -> Array:
    """The least or the most that each provider may get, from the last answer back to the first query."""
    liked = join(jnp.asarray(jnp.where(may_do[None], liked, filler)), axis=-1)
    best = found.worth.max(axis=-1)
    told = asked if isinstance(asked, tuple) or asked is None else (asked,)
    for turn in reversed(range(len(kernels))):
        shape = (best.shape[0], *kernels[turn].shape[1:])
        value = best.reshape(shape).sum(axis=-1)
        liked = liked.reshape(liked.shape[0], *shape).sum(axis=-1)
        best = value.max(axis=-1)
        fair = value >= best[..., None] - near
        if told is not None:
            wanted = told[turn].reshape(*fair.shape[:2], 1).astype(jnp.int32)
            obeyed = fair & (jnp.arange(fair.shape[-1], dtype=jnp.int32)[None, None] == wanted)
            fair = jnp.asarray(jnp.where(obeyed.any(axis=-1, keepdims=True), obeyed, fair))
        liked = join(jnp.where(fair[None], liked, filler), axis=-1)
    return liked.sum(axis=(1, 2))
