"""Evaluates both ends of programmes over the outcomes of one user at given candidates. Imports no solver.

An outcome q(a | t, x) is incentive compatible when the user does what is recommended and reports her type truthfully:
no type t does better by reporting t' and then doing whatever is best for her after each recommendation,

    sum_a max_b sum_x q(a | t', x) U[t, x, b]  <=  sum_{x,a} q(a | t, x) U[t, x, a]        for all t, t'.

For t' = t this is obedience, and with one type there is nothing else.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from .._ties import EPSILON, doubt

# An outcome may miss an incentive by this share of the size of the user's stakes: the rounding of a solver's sums.
FEASIBLE = 1e-11
# Actions within this share of the size of the user's stakes are ties, so that rounding decides no optimal play.
TIE = 1e-14


class Prices(eqx.Module):
    """Multipliers of the constraints on an outcome. Any non-negative numbers make a valid bound.

    `obedience[t, a, b]` is for type t doing b when told a, `truth[t, s]` for type t reporting s and doing what she is
    told, `recoding[t, s, a, b]` for then doing b instead of a, `required[m]` for the floors. Diagonals are not used.
    """

    obedience: Float[Array, "type action action"]
    truth: Float[Array, "type type"]
    recoding: Float[Array, "type type action action"]
    required: Float[Array, " floor"]


def outcome_lower(
    user: Float[Array, "type evidence action"],
    target: Float[Array, "type evidence action"],
    required: Float[Array, "floor type evidence action"],
    floors: Float[Array, " floor"],
    prices: Prices,
) -> Float[Array, ""]:
    """Bounds `min <target, q>` over outcomes with `<required[m], q> >= floors[m]` from below, for ANY prices."""
    prices = usable_prices(prices)
    paid = prices.required @ floors - 4 * EPSILON * (prices.required @ jnp.abs(floors))
    bound = paid + _least_score(user, target, required, prices)
    # What the least targets add up to needs no prices; products that overflow prove nothing else.
    least = target.min(axis=-1).sum()
    return jnp.where(bound > least, bound, least)


def best_response_line(
    user: Float[Array, "type evidence action"], provider: Float[Array, "type evidence action"], prices: Prices
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Computes a height h and a slope s with `max {<provider, q> : <user, q> >= r} <= h - s r` for every r.

    Weak duality: valid for ANY prices; `prices.required` holds the one of the user's value. The height has room for
    the rounding of `h - s r` at any level r that an outcome can be worth.
    """
    prices = usable_prices(prices)
    height, slope = -_least_score(user, -provider, user[None], prices), prices.required[0]
    height = height + 4 * EPSILON * (jnp.abs(height) + slope * jnp.abs(user).max(axis=-1).sum())
    known, most = jnp.isfinite(height), provider.max(axis=-1).sum()
    return jnp.where(known, height, most), jnp.where(known, slope, 0.0)


def usable_prices(prices: Prices) -> Prices:
    """Turns ANY numbers into prices: those that are none count as zero."""
    known = lambda leaf: jnp.where(jnp.isfinite(leaf), jnp.maximum(leaf, 0.0), 0.0)
    return Prices(known(prices.obedience), known(prices.truth), known(prices.recoding), known(prices.required))


def _least_score(user: Array, target: Array, required: Array, prices: Prices) -> Array:
    """Adds up the least scores, less what rounding can have added to them."""
    types, _, actions = user.shape
    swap = prices.obedience * (1.0 - np.eye(actions))[None]
    kept = swap.sum(axis=-1)[:, None, :]
    instead = lambda stakes: jnp.einsum("tab,txb->txa", swap, stakes)
    priced = lambda stakes: jnp.einsum("m,mtxa->txa", prices.required, stakes)
    score = target - priced(required) - (user * kept - instead(user))
    size = jnp.abs(target) + priced(jnp.abs(required)) + jnp.abs(user) * kept + instead(jnp.abs(user))
    if types > 1:
        truth, recoding = _double_deviations(prices)
        honest = truth.sum(axis=1)[:, None, None]
        lying = lambda stakes: jnp.einsum("tsab,txb->sxa", recoding, stakes)
        score = score - honest * user + lying(user)
        size = size + honest * jnp.abs(user) + lying(jnp.abs(user))
    return (score - doubt(size, types * actions + required.shape[0])).min(axis=-1).sum()


def _double_deviations(prices: Prices) -> tuple[Array, Array]:
    """Shares each price of truth out over what the type does after each recommendation; raises it where it is short."""
    types, actions = prices.obedience.shape[:2]
    lies = 1.0 - np.eye(types)
    itself = np.eye(actions)[None, None]
    recoding = prices.recoding * lies[:, :, None, None] * (1.0 - itself)
    recoded = recoding.sum(axis=-1)
    truth = jnp.maximum(prices.truth * lies, recoded.max(axis=-1))
    return truth, recoding + (truth[:, :, None] - recoded)[..., None] * itself


def value_of(
    stakes: Float[Array, "*more type evidence action"], outcome: Float[Array, "type evidence action"]
) -> Array:
    """Computes what an outcome is worth on given stakes."""
    return jnp.einsum("...txa,txa->...", stakes, outcome)


def optimal_play(
    user: Float[Array, "type evidence action"], prefer: Float[Array, "type evidence action"]
) -> Float[Array, "type evidence action"]:
    """Plays a best action of the fully informed user everywhere; among ties the one with the most of `prefer`."""
    ties = user >= user.max(axis=-1, keepdims=True) - TIE * jnp.abs(user).max(axis=-1, keepdims=True)
    wanted = jnp.where(ties, prefer, -jnp.inf)
    return _first(wanted == wanted.max(axis=-1, keepdims=True))


def _first(mask: Array) -> Array:
    # Not `argmax`: float64 ones do not lower under a caller's float32 `jit`.
    actions = lax.broadcasted_iota(jnp.int32, mask.shape, mask.ndim - 1)
    first = jnp.min(actions, axis=-1, keepdims=True, where=mask, initial=mask.shape[-1] - 1)
    return jnp.where(actions == first, 1.0, 0.0)


def incentive_slack(
    user: Float[Array, "type evidence action"], outcome: Float[Array, "type evidence action"]
) -> Float[Array, " incentive"]:
    """Computes what each incentive of an outcome has to spare: obedience for all (t, a, b), then truth for all (t, s).

    An outcome is incentive compatible exactly when nothing is negative. The slack of a mixture of outcomes is at least
    the mixture of their slacks.
    """
    types = user.shape[0]
    instead = jnp.einsum("txa,txb->tab", outcome, user)
    obeying = jnp.einsum("txa,txa->ta", outcome, user)
    slack = (obeying[:, :, None] - instead).reshape(-1)
    if types == 1:
        return slack
    lying = jnp.einsum("sxa,txb->tsab", outcome, user).max(axis=-1).sum(axis=-1)
    honest = np.eye(types, dtype=bool)
    truth = jnp.where(honest, 0.0, obeying.sum(axis=-1)[:, None] - lying)
    return jnp.concatenate([slack, truth.reshape(-1)])


def compatible(
    user: Float[Array, "type evidence action"],
    outcome: Float[Array, "type evidence action"],
    least_value: Float[Array, ""],
    informed: Float[Array, "type evidence action"],
) -> Float[Array, "type evidence action"]:
    """Turns ANY numbers into an incentive-compatible outcome that is worth `least_value` to the user.

    What misses an incentive by more than rounding, or the value at all, is mixed with `informed`, an optimal play of
    the fully informed user, which misses none. `least_value` must not be above what that one is worth.
    """
    outcome = jnp.where(jnp.isfinite(outcome), jnp.maximum(outcome, 0.0), 0.0)
    total = outcome.sum(axis=-1, keepdims=True)
    outcome = jnp.where(total > 0, outcome / jnp.where(total > 0, total, 1.0), informed)
    miss, room = -incentive_slack(user, outcome), jnp.maximum(incentive_slack(user, informed), 0.0)
    allowed = FEASIBLE * jnp.abs(user).max(axis=-1).sum()
    share = jnp.where(miss > allowed, (miss - allowed) / jnp.where(miss > allowed, miss + room, 1.0), 0.0).max()
    value, aligned = value_of(user, outcome), value_of(user, informed)
    short = least_value - value
    share = jnp.maximum(share, jnp.where(short > 0, short / jnp.where(aligned > value, aligned - value, 1.0), 0.0))
    share = jnp.clip(share, 0.0, 1.0)
    return (1 - share) * outcome + share * informed


def silent_play(user: Float[Array, "type evidence action"]) -> Float[Array, "type evidence action"]:
    """Plays the best action of the uninformed user."""
    total = user.sum(axis=-2, keepdims=True)
    return jnp.broadcast_to(_first(total == total.max(axis=-1, keepdims=True)), user.shape)


def worth(
    user: Float[Array, "type evidence action"], outcome: Float[Array, "type evidence action"], value: Float[Array, ""]
) -> Float[Array, "type evidence action"]:
    """Mixes an incentive-compatible outcome with the silent one, until it is worth no more than `value` to the user."""
    silent = silent_play(user)
    least, now = value_of(user, silent), value_of(user, outcome)
    high = now > value + FEASIBLE * jnp.abs(user).max(axis=-1).sum()
    share = jnp.where(high, (now - value) / jnp.where(high, now - least, 1.0), 0.0)
    share = jnp.clip(share, 0.0, 1.0)
    return (1 - share) * outcome + share * silent
