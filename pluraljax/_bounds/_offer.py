"""Evaluates public policies that are mixtures of given signals, for several users at once. Imports no solver.

A policy sends signal n with probability `weight[n] * signal[n, x]` where the evidence is x, and tells the evidence with
what probability is left. Everything counts against telling the evidence always.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

# Actions within this share of the size of a user's stakes are ties; sums are exact to the other share.
TIE = 1e-11
ROUNDING = 1e-13


class Offers(eqx.Module):
    """What signals do to an audience: what each user loses, and what each provider earns more from her, per weight.

    Users of one type. A signal that recommends to someone what is no best action of hers holds zeros everywhere.
    """

    signal: Float[Array, "*batch atom evidence"]
    lost: Float[Array, "*batch member atom"]
    earned: Float[Array, "*batch provider member atom"]
    rounding: Float[Array, "*batch member"]


def lay_out_offers(
    user: Float[Array, "member evidence action"],
    provider: Float[Array, "provider member evidence action"],
    informed: Float[Array, "provider member evidence"],
    signal: Float[Array, "atom evidence"],
    action: Int[Array, "member atom"],
) -> Offers:
    """Lays out ANY signals; `informed` is what each provider gets from each user who is told the evidence."""
    actions = jnp.arange(user.shape[-1], dtype=jnp.int32)
    signal = jnp.where(jnp.isfinite(signal), jnp.maximum(signal, 0.0), 0.0)
    size = jnp.abs(user).max(axis=-1)
    taken = action[..., None] == actions[None, None]
    worth = jnp.einsum("nx,mxa->mna", signal, user)
    at_action = jnp.where(taken, worth, 0.0).sum(axis=-1)
    miss = worth.max(axis=-1) - at_action - TIE * jnp.einsum("nx,mx->mn", signal, size)
    obeyed = ((miss <= 0) & taken.any(axis=-1)).all(axis=0)
    signal = jnp.where(obeyed[:, None], signal, 0.0)
    lost = jnp.einsum("nx,mx->mn", signal, user.max(axis=-1)) - jnp.where(obeyed[None], at_action, 0.0)
    gained = jnp.einsum("nx,imxa->imna", signal, provider)
    gained = jnp.where(taken[None], gained, 0.0).sum(axis=-1)
    return Offers(
        signal=signal,
        lost=jnp.maximum(lost, 0.0),
        earned=gained - jnp.einsum("nx,imx->imn", signal, informed),
        rounding=ROUNDING * size.sum(axis=-1),
    )


def usable_weight(
    offers: Offers, weight: Float[Array, " atom"], room: Float[Array, " member"]
) -> Float[Array, " atom"]:
    """Turns ANY numbers into the weights of a policy at which no user loses more than `room` (>= 0).

    What is too much is replaced by telling the evidence; signals that cost a user without room are left out.
    """
    weight = jnp.where(jnp.isfinite(weight), jnp.maximum(weight, 0.0), 0.0)
    dear = (room <= offers.rounding)[:, None] & (offers.lost > offers.rounding[:, None])
    weight = jnp.where(dear.any(axis=0), 0.0, weight)
    used = (weight @ offers.signal).max()
    lost, least = offers.lost @ weight, jnp.maximum(room, offers.rounding)
    share = jnp.where(lost > least, least / jnp.where(lost > least, lost, 1.0), 1.0).min()
    return weight * jnp.minimum(share, jnp.where(used > 1.0, 1.0 / jnp.maximum(used, 1.0), 1.0))
