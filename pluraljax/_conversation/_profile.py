"""Policies that providers commit to, and the profiles of them that everybody knows."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from .._arguments import checked, instance_of
from .._market import Market, _as_float_array, one_market
from .._precision import float64_scope, in_float64, to_float64
from .._segments import known_labels
from ._shape import Conversation

# Probabilities that come from float32 data sum to 1 only this well.
POLICY_SUM_TOLERANCE = 1e-6


def _as_int_array(value: Any) -> Array:
    if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jnp.integer):
        return value
    value = np.asarray(value)
    if value.dtype.kind not in "iu":
        raise ValueError(f"A profile's choices are integers, got an array of {value.dtype}.")
    return jnp.asarray(value, jnp.int32)


def _as_policy(value: Any) -> Array | tuple[Array, ...]:
    """One kernel as an array, several rounds as a tuple of them."""
    if isinstance(value, tuple) and all(hasattr(kernel, "shape") for kernel in value):
        if not value:
            raise ValueError("A profile has at least one round, got no kernels.")
        kernels = tuple(_as_float_array(kernel) for kernel in value)
        return kernels[0] if len(kernels) == 1 else kernels
    return _as_float_array(value)


def _as_choices(value: Any) -> Any:
    if value is None:
        return None
    return tuple(_as_int_array(each) for each in value) if isinstance(value, tuple) else _as_int_array(value)


class Profile(eqx.Module):
    """One policy of every provider for every segment, and what users do where they are indifferent.

    In its one round, a user of type t sends a query, hears a signal drawn from
    `policy[provider, segment, evidence, query]`, and acts. Users respond optimally; the other fields only say which of
    several best responses they choose, where "best" is up to 2^-36 of the size of their payoffs: a profile of rounded
    numbers stands for one near by. A batch of profiles is a `Profile` with a leading axis.

    A conversation of several rounds is a tuple of kernels, one per round. Its kernel of a round has the queries and
    signals of the earlier rounds for further axes, `[provider segment evidence query signal query signal ...]`.

    **Arguments:**

    - `policy`: probability of each signal. Segments are in the order of their sorted labels. With a single query there
      is nothing to ask. Rows are probabilities (they are divided by their sum, which must be 1 to 1e-6).
    - `recommended`: the action that a user takes after each query and signal (of every round) of each provider, if it
      is among her best ones there. Default, and where it is not: among her best actions the one that this provider
      likes most.
    - `asked`: the query that each type of a user sends to each provider, if it is among her best ones. Default, and
      where it is not: among her best queries the one that this provider likes most. With several rounds a tuple, with
      the queries and signals of the earlier rounds for further axes.
    - `choice`: the provider that each user talks to, if it is among her best ones. Default, and where it is not: the
      first of her best providers.

    Raises `ValueError` when shapes disagree. Values are not looked at here: what evaluates a profile reports on them by
    a status.
    """

    policy: Float[Array, "provider segment evidence query signal"] | tuple[Array, ...] = eqx.field(converter=_as_policy)
    recommended: Int[Array, "provider user type query signal *more"] | None = eqx.field(
        default=None, converter=_as_choices
    )
    asked: Int[Array, "provider user type"] | tuple[Array, ...] | None = eqx.field(default=None, converter=_as_choices)
    choice: Int[Array, " user"] | None = eqx.field(default=None, converter=_as_choices)

    @property
    def rounds(self) -> tuple[Array, ...]:
        """The kernels of all rounds."""
        return self.policy if isinstance(self.policy, tuple) else (self.policy,)

    def __check_init__(self):
        for turn, kernel in enumerate(self.rounds):
            _check_kernel(kernel.shape, turn, self.rounds[turn - 1].shape)
        last, rounds = self.rounds[-1].shape, len(self.rounds)
        axes = ",".join(["query,signal"] * rounds)
        if self.recommended is not None:
            _check_choices("recommended", f"provider,user,type,{axes}", self.recommended.shape, last)
        if self.asked is not None:
            asked = self.asked if isinstance(self.asked, tuple) else (self.asked,)
            if len(asked) != rounds:
                raise ValueError(f"Profile.asked needs one array for each of {rounds} rounds, got {len(asked)}.")
            for turn, leaf in enumerate(asked):
                _check_choices("asked", "provider,user,type" + ",query,signal" * turn, leaf.shape, last)
        if self.choice is not None and len(self.choice.shape) != 1:
            raise ValueError(f"Profile.choice[user] needs 1 axis, got shape {self.choice.shape}.")


def _check_kernel(shape: tuple[int, ...], turn: int, before: tuple[int, ...]) -> None:
    axes = "provider,segment,evidence" + ",query,signal" * (turn + 1)
    if len(shape) != axes.count(",") + 1 or 0 in shape:
        raise ValueError(
            f"Profile.policy[{axes}] needs {axes.count(',') + 1} non-empty axes, got shape {shape}."
            + (f" (This is the kernel of round {turn + 1}.)" if turn else "")
        )
    if turn and shape[:-2] != before:
        raise ValueError(f"Profile axes disagree: round {turn} is {before}, but round {turn + 1} is {shape}.")


def _check_choices(name: str, axes: str, shape: tuple[int, ...], policy: tuple[int, ...]) -> None:
    wanted = axes.count(",") + 1
    if len(shape) != wanted or 0 in shape or shape[0] != policy[0]:
        raise ValueError(
            f"Profile.{name}[{axes}] needs {wanted} non-empty axes and {policy[0]} providers, got shape {shape}."
        )
    if shape[3:] != policy[3:wanted]:
        raise ValueError(
            f"Profile axes disagree: policy has {policy[3]} queries and {policy[4]} signals, "
            f"but {name}[{axes}] is {shape}."
        )


def check_profile(profile: Profile, market: Market, num_segments: int | None) -> None:
    """Raises `ValueError` where a profile does not fit a market; segments count where their number is known."""
    providers, users, _, _ = market.provider_value.shape
    _, types, evidences, _ = market.prior.shape
    policy = profile.rounds[0].shape
    segments = policy[1] if num_segments is None else num_segments
    wanted = (providers, segments, evidences)
    if policy[:3] != wanted:
        raise ValueError(
            f"policy must be [provider segment evidence ...] = {wanted} for this market, got {policy[:3]}."
        )
    for name in ("recommended", "asked"):
        for leaf in jax.tree.leaves(getattr(profile, name)):
            if leaf.shape[:3] != (providers, users, types):
                raise ValueError(
                    f"{name} must be [provider user type ...] = {(providers, users, types)} for this market, "
                    f"got {leaf.shape[:3]}."
                )
    if profile.choice is not None and profile.choice.shape != (users,):
        raise ValueError(f"choice must be [user] = ({users},) for this market, got shape {profile.choice.shape}.")


@checked(market=one_market, segments=known_labels, conversation=instance_of(Conversation, type(None)))
def silent_profile(market: Market, segments: Any, conversation: Conversation | None = None) -> Profile:
    """Makes the profile in which every provider tells nobody anything.

    **Arguments:**

    - `market`: one market; only its shape counts.
    - `segments`: an integer label per user, not traced.
    - `conversation`: its shape; default one round, one query, one signal.

    Example::

        market = plx.families.gaussian(providers=2, users=2)(jax.random.key(0))
        plx.play.silent_profile(market, plx.anonymous(2))  # nobody tells anything
    """
    return Profile(tuple((conversation or Conversation(signals=1)).silent(market, segments)))


@checked(market=one_market, segments=known_labels, conversation=instance_of(Conversation, type(None)))
def informative_profile(market: Market, segments: Any, conversation: Conversation | None = None) -> Profile:
    """Makes the profile in which every provider tells everybody all the evidence.

    **Arguments:**

    - `market`: one market; only its shape counts.
    - `segments`: an integer label per user, not traced.
    - `conversation`: its shape; default one round, one query, and a signal per evidence. One that is too short to spell
      out the evidence, a digit per round, leaves its leading digits away.

    Example::

        market = plx.families.gaussian(providers=2, users=2)(jax.random.key(0))
        plx.play.informative_profile(market, plx.anonymous(2))  # every provider tells everything
    """
    conversation = conversation or Conversation(signals=market.prior.shape[-2])
    return Profile(tuple(conversation.informative(market, segments)))


@float64_scope
def recommending_profile(outcome: Any, num_providers: int) -> Profile:
    """Makes the personalized profile in which every provider offers each user the same outcome.

    It recommends an action to her, drawn from `outcome[user, type, evidence]` for the type that she reports. Users
    report truthfully and follow where that is a best response, which is so when the outcome is incentive compatible, as
    the ones of `frontier` are. For segments in which every user is alone, in the order of the users.

    **Arguments:**

    - `outcome`: `[user type evidence action]`, the probability of each recommended action.
    - `num_providers`: how many providers make this offer.

    Example::

        market = plx.families.gaussian(providers=2, users=2)(jax.random.key(0))
        outcome = plx.persuasion(market).outcome[0]  # [user type evidence action]
        plx.play.recommending_profile(outcome, 2)  # both providers recommend it to each user
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
