"""Turns candidates into outcomes that a user can be brought to for certain, and says what they are worth at least.

What is returned are floats next to an outcome that is incentive compatible in exact arithmetic: a mixture of outcomes
each of which is. Its slacks are bounded from the slacks of its parts, so that rounding a mixture breaks nothing.
"""

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from .._stakes import Receiver
from .._ties import Sized, doubt

# How often an action may be recommended by what a solver's rounding leaves.
_HARDLY = 2.0**-44


def value_of(
    stakes: Float[Array, "*more type evidence action"], outcome: Float[Array, "type evidence action"]
) -> Array:
    """Computes what an outcome is worth on given stakes."""
    return jnp.einsum("...txa,txa->...", stakes, outcome)


def least_value(receiver: Receiver, stakes: Sized, outcome: Float[Array, "type evidence action"]) -> Array:
    """What the outcome that is next to given floats is worth at least: rows of floats add up to 1 nearly."""
    rounding = doubt(value_of(stakes.size, outcome), receiver.terms + 4 * outcome.shape[-1])
    return value_of(stakes.value, outcome) - rounding - _in_doubt(receiver, stakes)


def _in_doubt(receiver: Receiver, stakes: Sized) -> Array:
    """What it may make of a difference which optimal action a fully informed user takes where that is in doubt."""
    values = stakes.value
    may = jnp.broadcast_to(receiver.optimal.action, values.shape)
    spread = jnp.where(may, values, -jnp.inf).max(axis=-1) - jnp.where(may, values, jnp.inf).min(axis=-1)
    return jnp.where(jnp.broadcast_to(receiver.has_doubts, spread.shape), spread, 0.0).sum(axis=(-2, -1))


def optimal_play(
    receiver: Receiver, prefer: Float[Array, "type evidence action"]
) -> Float[Array, "type evidence action"]:
    """Plays a best action of the fully informed user everywhere; among exact ties the one with the most of `prefer`.

    Where it is in doubt which action is best, this plays the one that is in floats; `least_value` counts the worst.
    """
    user, play = receiver.user, receiver.optimal
    best = user == user.max(axis=-1, keepdims=True)
    wanted = jnp.where(jnp.where(play.is_exact[..., None], play.action, best), prefer, -jnp.inf)
    return _first(wanted == wanted.max(axis=-1, keepdims=True))


def silent_play(receiver: Receiver) -> Float[Array, "type evidence action"]:
    """Plays the best action of the uninformed user; the first one where several are best in floats."""
    total = receiver.user.sum(axis=-2, keepdims=True)
    return jnp.broadcast_to(_first(total == total.max(axis=-1, keepdims=True)), receiver.user.shape)


def _first(mask: Array) -> Array:
    # Not `argmax`: float64 ones do not lower under a caller's float32 `jit`.
    actions = lax.broadcasted_iota(jnp.int32, mask.shape, mask.ndim - 1)
    first = jnp.min(actions, axis=-1, keepdims=True, where=mask, initial=mask.shape[-1] - 1)
    return jnp.where(actions == first, 1.0, 0.0)


def incentive_slack(
    receiver: Receiver, outcome: Float[Array, "type evidence action"], doubts: float = 0.0
) -> Float[Array, " incentive"]:
    """Computes what each incentive of an outcome has to spare: obedience for all (t, a, b), then truth for all (t, s).

    An outcome is incentive compatible exactly when nothing is negative. The slack of a mixture of outcomes is at least
    the mixture of their slacks. With `doubts = 1`, it is what there is to spare for certain.
    """
    types = receiver.user.shape[0]

    def unsure(size: Array) -> Array:
        return doubts * doubt(size, receiver.terms)

    obeying = lambda leads: jnp.einsum("txa,txab->tab", outcome, leads)
    slack = obeying(receiver.lead.value) - unsure(obeying(receiver.lead.size))
    if types == 1:
        return slack.reshape(-1)
    # Counted from what she does without any advice: one who never does anything else has nothing to gain by a lie.
    usual = silent_play(receiver)[:, 0]
    value = jnp.einsum("txab,tb->txa", receiver.lead.value, usual)
    size = jnp.einsum("txab,tb->txa", receiver.lead.size, usual)
    told = lambda stakes: jnp.einsum("txa,txa->t", outcome, stakes)
    lying = lambda stakes: jnp.einsum("sxa,txb->tsab", outcome, stakes)
    lie = (lying(value) + unsure(lying(size))).max(axis=-1).sum(axis=-1)
    truth = (told(value) - unsure(told(size)))[:, None] - lie
    truth = jnp.where(np.eye(types, dtype=bool), 0.0, truth)
    return jnp.concatenate([slack.reshape(-1), truth.reshape(-1)])


def _sure_slack(receiver: Receiver, outcome: Array) -> Array:
    return incentive_slack(receiver, outcome, 1.0)


def strictly(
    receiver: Receiver, rays: Float[Array, "type evidence action"], informed: Float[Array, "type evidence action"]
) -> Float[Array, "type evidence action"]:
    """Makes an outcome of ANY ways `rays[t, :, a]` to recommend actions: those obeyed for certain, and full evidence.

    With several types it may miss incentives to be truthful: see `both_strictly`.
    """
    rays = jnp.where(jnp.isfinite(rays), jnp.clip(rays, 0.0, 1.0 / rays.shape[-1]), 0.0)
    sure = _obedience(receiver, rays).min(axis=-1) >= 0
    rays = jnp.where(sure[:, None, :], rays, 0.0)
    return rays + (1.0 - rays.sum(axis=-1, keepdims=True)) * informed


def both_strictly(
    receiver: Receiver, strict: Float[Array, "type evidence action"], truthful: Float[Array, "type evidence action"]
) -> Float[Array, "type evidence action"]:
    """Mixes what is obeyed for certain with so much of an outcome under which truth pays that it still does."""
    truth = lambda outcome: jnp.min(_truth(receiver, outcome), where=_lies(receiver), initial=jnp.inf)
    truthful = _without_disobeyed(receiver, truthful, strict, optimal_play(receiver, receiver.user))
    room, miss = truth(truthful), jnp.maximum(-truth(strict), 0.0)
    part = jnp.where(room > 0, 0.5 * room / jnp.where(room > 0, room + miss, 1.0), 1.0)
    both = part * strict + (1 - part) * truthful
    return jnp.where((_obedience(receiver, both) >= 0).all(), both, strict)


def _truth(receiver: Receiver, outcome: Array) -> Float[Array, "type type"]:
    types = receiver.user.shape[0]
    return _sure_slack(receiver, outcome)[-types * types :].reshape(types, types)


def _lies(receiver: Receiver) -> np.ndarray:
    return ~np.eye(receiver.user.shape[0], dtype=bool)


def _obedience(receiver: Receiver, outcome: Array) -> Float[Array, "type action action"]:
    """What obedience has to spare for certain: zero where an action is not recommended."""
    types, _, actions = outcome.shape
    slack = _sure_slack(receiver, outcome)
    return slack[: types * actions * actions].reshape(types, actions, actions)


def obeyed(
    receiver: Receiver,
    outcome: Float[Array, "type evidence action"],
    strict: Float[Array, "type evidence action"],
    informed: Float[Array, "type evidence action"],
) -> Float[Array, "type evidence action"]:
    """Turns ANY numbers into an incentive-compatible outcome.

    Where an incentive is missed or in doubt, so much of `strict` (from `strictly`) is mixed in that it holds; or else
    of `informed`, an optimal play, which misses none. An action that would need more of that than it is
    recommended is not recommended any more; with several types, where that may make a lie pay, only if it hardly was.
    """
    outcome = jnp.where(jnp.isfinite(outcome), jnp.maximum(outcome, 0.0), 0.0)
    total = outcome.sum(axis=-1, keepdims=True)
    outcome = jnp.where(total > 0, outcome / jnp.where(total > 0, total, 1.0), informed)
    outcome = _without_disobeyed(receiver, outcome, strict, informed)
    spare = _sure_slack(receiver, outcome)
    room = _room(receiver, strict)
    needed = _needed(spare, jnp.maximum(room, 0.0)).max()
    allowed = jnp.where(room < 0, jnp.maximum(spare, 0.0) / (jnp.maximum(spare, 0.0) - room), 1.0).min()
    rescue = _needed(spare, jnp.maximum(_room(receiver, informed), 0.0)).max()
    enough = needed <= allowed
    share = jnp.where(enough, needed, rescue)
    return (1 - share) * outcome + share * jnp.where(enough, strict, informed)


def _room(receiver: Receiver, partner: Array) -> Array:
    """What a partner of a mixture has to spare: each action of it is obeyed for certain."""
    room = _sure_slack(receiver, partner)
    types, _, actions = partner.shape
    obedience = np.arange(room.shape[0]) < types * actions * actions
    return jnp.where(obedience, jnp.maximum(room, 0.0), room)


def _needed(spare: Array, room: Array) -> Array:
    """How much of a partner of a mixture makes up for what is missing."""
    return jnp.where(spare < 0, -spare / jnp.where(spare < 0, room - spare, 1.0), 0.0)


def _without_disobeyed(receiver: Receiver, outcome: Array, strict: Array, informed: Array) -> Array:
    room = jnp.maximum(_obedience(receiver, strict), 0.0)
    needed, often = _needed(_obedience(receiver, outcome), room).max(axis=-1), outcome.sum(axis=1)
    dropped = ((needed > often) & (often <= (jnp.inf if outcome.shape[0] == 1 else _HARDLY)))[:, None, :]
    return jnp.where(dropped, 0.0, outcome) + jnp.where(dropped, outcome, 0.0).sum(axis=-1, keepdims=True) * informed
