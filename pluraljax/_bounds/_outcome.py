"""Bounds what programmes over the outcomes of one user can reach, at any multipliers. Imports no solver.

An outcome q(a | t, x) is incentive compatible when the user does what is recommended and reports her type truthfully:
no type t does better by reporting t' and then doing whatever is best for her after each recommendation,

    sum_a max_b sum_x q(a | t', x) U[t, x, b]  <=  sum_{x,a} q(a | t, x) U[t, x, a]        for all t, t'.

For t' = t this is obedience, and with one type there is nothing else.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._stakes import Multipliers, Receiver
from .._ties import EPSILON, Sized, doubt


def outcome_lower(
    receiver: Receiver,
    target: Sized,
    required: Sized,
    floors: Float[Array, " floor"],
    prices: Multipliers,
) -> Float[Array, ""]:
    """Bounds `min <target, q>` over outcomes with `<required[m], q> >= floors[m]` from below, for ANY prices."""
    prices = prices.usable()
    paid = prices.required @ floors - doubt(prices.required @ jnp.abs(floors), floors.shape[0])
    bound = paid + _least_score(receiver, target, required, prices)
    # What the least targets add up to needs no prices; products that overflow prove nothing else.
    least = target.least(receiver.states).min(axis=-1).sum()
    return jnp.where(bound > least, bound, least)


def best_response_line(
    receiver: Receiver, provider: Sized, prices: Multipliers
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Computes a height h and a slope s with `max {<provider, q> : <user, q> >= r} <= h - s r` for every r.

    Weak duality: valid for ANY prices; `prices.required` holds the one of the user's value. The height has room for
    the rounding of `h - s r` at any level r that an outcome can be worth.
    """
    prices = prices.usable()
    against, own = Sized(-provider.value, provider.size), Sized(receiver.stakes.value[None], receiver.stakes.size[None])
    height, slope = -_least_score(receiver, against, own, prices), prices.required[0]
    height = height + 4 * EPSILON * (jnp.abs(height) + slope * receiver.size)
    # A provider that is indifferent to what she does gets the same by every outcome.
    most = (provider.value + doubt(provider.size, receiver.states)).max(axis=-1).sum()
    known = jnp.isfinite(height) & (provider.size.max() > 0)
    return jnp.where(known, height, most), jnp.where(known, slope, 0.0)


def _least_score(receiver: Receiver, target: Sized, required: Sized, prices: Multipliers) -> Array:
    """Adds up the least scores, less what rounding can have added to them."""
    types, evidences, actions = receiver.user.shape
    swap = prices.obedience * (1.0 - np.eye(actions))[None]
    kept = lambda leads: jnp.einsum("tab,txab->txa", swap, leads)
    priced = lambda stakes: jnp.einsum("m,mtxa->txa", prices.required, stakes)
    score = target.value - priced(required.value) - kept(receiver.lead.value)
    size = target.size + priced(required.size) + kept(receiver.lead.size)
    if types > 1:
        truth, recoding = _double_deviations(prices)
        honest = truth.sum(axis=1)[:, None, None]
        lying = lambda stakes: jnp.einsum("tsab,txb->sxa", recoding, stakes)
        score = score - honest * receiver.stakes.value + lying(receiver.stakes.value)
        size = size + honest * receiver.stakes.size + lying(receiver.stakes.size)
    terms = types * actions + required.value.shape[0] + receiver.states + evidences
    return (score - doubt(size, terms)).min(axis=-1).sum()


def _double_deviations(prices: Multipliers) -> tuple[Array, Array]:
    """Shares each price of truth out over what the type does after each recommendation; raises it where it is short."""
    types, actions = prices.obedience.shape[:2]
    lies = 1.0 - np.eye(types)
    itself = np.eye(actions)[None, None]
    recoding = prices.recoding * lies[:, :, None, None] * (1.0 - itself)
    recoded = recoding.sum(axis=-1)
    truth = jnp.maximum(prices.truth * lies, recoded.max(axis=-1))
    return truth, recoding + (truth[:, :, None] - recoded)[..., None] * itself
