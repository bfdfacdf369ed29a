"""Policies that providers commit to, and how a user converses with one: exact play of a single round."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from ._market import Market, _as_float_array
from ._precision import float64_scope, in_float64, to_float64
from ._segments import as_labels

# Actions, queries and offers within this share of the size of the user's stakes are ties: the rounding of a policy's
# entries decides nothing.
TIE = 1e-11
# Probabilities that come from float32 data sum to 1 only this well.
POLICY_SUM_TOLERANCE = 1e-6


def _as_int_array(value: Any) -> Array:
    if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jnp.integer):
        return value
    value = np.asarray(value)
    if value.dtype.kind not in "iu":
        raise ValueError(f"A profile's choices are integers, got an array of {value.dtype}.")
    return jnp.asarray(value, jnp.int32)


class Profile(eqx.Module):
    """One policy of every provider for every segment, and what users do where they are indifferent.

    In its one round, a user of type t sends a query, hears a signal drawn from
    `policy[provider, segment, evidence, query]`, and acts. Users respond optimally; the other fields only say which of
    several best responses they choose, where "best" is up to 1e-11 of the size of their payoffs. A batch of profiles is
    a `Profile` with a leading axis.

    **Arguments:**

    - `policy`: probability of each signal. Segments are in the order of their sorted labels. With a single query there
      is nothing to ask. Rows are probabilities (they are divided by their sum, which must be 1 to 1e-6).
    - `recommended`: the action that a user takes after each query and signal of each provider, if it is among her best
      ones there. Default, and where it is not: among her best actions the one that this provider likes most.
    - `asked`: the query that each type of a user sends to each provider, if it is among her best ones. Default, and
      where it is not: among her best queries the one that this provider likes most.
    - `choice`: the provider that each user talks to, if it is among her best ones. Default, and where it is not: the
      first of her best providers.

    Raises `ValueError` when shapes disagree. Values are not looked at here: what evaluates a profile reports on them by
    a status.
    """

    policy: Float[Array, "provider segment evidence query signal"] = eqx.field(converter=_as_float_array)
    recommended: Int[Array, "provider user type query signal"] | None = eqx.field(
        default=None, converter=lambda value: None if value is None else _as_int_array(value)
    )
    asked: Int[Array, "provider user type"] | None = eqx.field(
        default=None, converter=lambda value: None if value is None else _as_int_array(value)
    )
    choice: Int[Array, " user"] | None = eqx.field(
        default=None, converter=lambda value: None if value is None else _as_int_array(value)
    )

    def __check_init__(self):
        shape = self.policy.shape
        if len(shape) != 5 or 0 in shape:
            raise ValueError(
                f"Profile.policy[provider,segment,evidence,query,signal] needs 5 non-empty axes, got shape {shape}."
            )
        for name, axes in (("recommended", "provider,user,type,query,signal"), ("asked", "provider,user,type")):
            leaf, wanted = getattr(self, name), axes.count(",") + 1
            if leaf is None:
                continue
            if len(leaf.shape) != wanted or 0 in leaf.shape or leaf.shape[0] != shape[0]:
                raise ValueError(
                    f"Profile.{name}[{axes}] needs {wanted} non-empty axes and {shape[0]} providers, "
                    f"got shape {leaf.shape}."
                )
        if self.recommended is not None and self.recommended.shape[3:] != shape[3:]:
            raise ValueError(
                f"Profile axes disagree: policy has {shape[3]} queries and {shape[4]} signals, "
                f"but recommended[provider,user,type,query,signal] is {self.recommended.shape}."
            )
        if self.choice is not None and len(self.choice.shape) != 1:
            raise ValueError(f"Profile.choice[user] needs 1 axis, got shape {self.choice.shape}.")


def check_profile(profile: Profile, market: Market, num_segments: int | None) -> None:
    """Raises `ValueError` where a profile does not fit a market; segments count where their number is known."""
    providers, users, _, _ = market.provider_value.shape
    _, types, evidences, _ = market.prior.shape
    segments = profile.policy.shape[1] if num_segments is None else num_segments
    wanted = (providers, segments, evidences)
    if profile.policy.shape[:3] != wanted:
        raise ValueError(
            f"policy must be [provider segment evidence ...] = {wanted} for this market, "
            f"got {profile.policy.shape[:3]}."
        )
    for name in ("recommended", "asked"):
        leaf = getattr(profile, name)
        if leaf is not None and leaf.shape[:3] != (providers, users, types):
            raise ValueError(
                f"{name} must be [provider user type ...] = {(providers, users, types)} for this market, "
                f"got {leaf.shape[:3]}."
            )
    if profile.choice is not None and profile.choice.shape != (users,):
        raise ValueError(f"choice must be [user] = ({users},) for this market, got shape {profile.choice.shape}.")


def _shape(market: Market, segments: Any) -> tuple[int, int, int]:
    labels = as_labels(segments, market.user_value.shape[-3])
    if not isinstance(labels, tuple):
        raise ValueError("The segments of a profile to be made must be known: their number is an axis of it.")
    return market.provider_value.shape[-4], len(set(labels)), market.prior.shape[-2]


def silent_profile(market: Market, segments: Any) -> Profile:
    """Makes the profile in which every provider tells nobody anything.

    **Arguments:**

    - `market`: one market; only its shape counts.
    - `segments`: an integer label per user, not traced.
    """
    return Profile(np.ones((*_shape(market, segments), 1, 1)))


def informative_profile(market: Market, segments: Any) -> Profile:
    """Makes the profile in which every provider tells everybody all the evidence.

    **Arguments:**

    - `market`: one market; only its shape counts.
    - `segments`: an integer label per user, not traced.
    """
    providers, groups, evidences = _shape(market, segments)
    return Profile(np.broadcast_to(np.eye(evidences)[:, None], (providers, groups, evidences, 1, evidences)))


@float64_scope
def recommending_profile(outcome: Any, num_providers: int) -> Profile:
    """Makes the personalized profile in which every provider offers each user the same outcome.

    It recommends an action to her, drawn from `outcome[user, type, evidence]` for the type that she reports. Users
    report truthfully and follow where that is a best response, which is so when the outcome is incentive compatible, as
    the ones of `frontier` are. For segments in which every user is alone, in the order of the users.

    **Arguments:**

    - `outcome`: `[user type evidence action]`, the probability of each recommended action.
    - `num_providers`: how many providers make this offer.
    """
    outcome = to_float64(_as_float_array(outcome))
    if outcome.ndim != 4 or num_providers < 1:
        raise ValueError(
            f"recommending_profile needs outcome[user,type,evidence,action] and at least one provider, "
            f"got shape {outcome.shape} and num_providers={num_providers}."
        )
    users, types, _, actions = outcome.shape
    policy = jnp.moveaxis(outcome, 1, 2)[None]
    action = jnp.arange(actions, dtype=jnp.int32)
    report = jnp.arange(types, dtype=jnp.int32)
    return Profile(
        policy=jnp.broadcast_to(policy, (num_providers, *policy.shape[1:])),
        recommended=jnp.broadcast_to(action, (num_providers, users, types, types, actions)),
        asked=jnp.broadcast_to(report, (num_providers, users, types)),
    )


class Response(eqx.Module):
    """A user's best response to one policy: what it is worth to her, and what she then does."""

    value: Float[Array, ""]
    outcome: Float[Array, "type evidence action"]


def respond(
    user: Float[Array, "type evidence action"],
    policy: Float[Array, "evidence query signal"],
    prefer: Float[Array, "type evidence action"],
    recommended: Int[Array, "type query signal"] | None = None,
    asked: Int[Array, " type"] | None = None,
) -> Response:
    """Plays one round exactly: each type's best query, and the best action after each signal.

    `sum_t max_q sum_s max_a sum_x policy(s | x, q) U[t, x, a]`. Among ties a user does as she is told, or else what is
    worth most on the stakes `prefer`.
    """
    tie = TIE * jnp.abs(user).max(axis=-1).sum()
    worth, liked = (jnp.einsum("xqs,txa->tqsa", policy, stakes) for stakes in (user, prefer))
    best = worth.max(axis=-1, keepdims=True)
    action = _pick(worth >= best - tie, liked, recommended)
    ask_value = best[..., 0].sum(axis=-1)
    ask_liked = jnp.where(action, liked, 0.0).sum(axis=(-2, -1))
    asks = _pick(ask_value >= ask_value.max(axis=-1, keepdims=True) - tie, ask_liked, asked)
    played = jnp.einsum("xqs,tqsa->txqa", policy, jnp.where(action, 1.0, 0.0))
    outcome = jnp.where(asks[:, None, :, None], played, 0.0).sum(axis=-2)
    return Response(ask_value.max(axis=-1).sum(), outcome)


def _pick(ties: Array, liked: Array, wanted: Array | None) -> Array:
    """Marks one of the ties along the last axis: the wanted one, or else the first of the most liked ones."""
    places = lax.broadcasted_iota(jnp.int32, ties.shape, ties.ndim - 1)
    liked = jnp.where(ties, liked, -jnp.inf)
    top = ties & (liked == liked.max(axis=-1, keepdims=True))
    if wanted is not None:
        obeyed = ties & (places == wanted.astype(jnp.int32)[..., None])
        top = jnp.where(obeyed.any(axis=-1, keepdims=True), obeyed, top)
    first = jnp.where(top, places, np.int32(ties.shape[-1] - 1)).min(axis=-1, keepdims=True)
    return places == first


@in_float64
def is_distribution(policy: Float[Array, "*more signal"]) -> Array:
    """Tells whether every row is a probability distribution."""
    off = jnp.abs(policy.sum(axis=-1) - 1.0)
    return (policy >= 0).all() & (off <= POLICY_SUM_TOLERANCE).all()


def normalised(policy: Float[Array, "*more signal"]) -> Float[Array, "*more signal"]:
    """Turns ANY numbers into probabilities: rows of a distribution are divided by their sum, others made uniform."""
    policy = jnp.where(jnp.isfinite(policy), jnp.maximum(policy, 0.0), 0.0)
    total = policy.sum(axis=-1, keepdims=True)
    return jnp.where(total > 0, policy / jnp.where(total > 0, total, 1.0), 1.0 / policy.shape[-1])
