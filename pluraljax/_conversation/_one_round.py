"""Conversations of several rounds told as one: a query is a plan of what to ask after every possible answer."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from .._arguments import checked, instance_of
from .._precision import float64_scope, to_float64
from ._play import Kernels, as_kernels
from ._profile import Profile

# Larger menus than this are not made: evidences times plans of queries times answers.
_MOST_ENTRIES = 2**20


def menu_of_plans(rounds: int, queries: int, signals: int, evidences: int) -> tuple[int, int]:
    """Counts the plans of queries, and the sequences of answers, of a conversation.

    Raises `ValueError` where a menu of them is too large to be made.
    """
    nodes, answers = sum(signals**turn for turn in range(rounds)), signals**rounds
    few = nodes * np.log2(queries) + rounds * np.log2(signals) + np.log2(evidences) <= np.log2(_MOST_ENTRIES)
    if not few:
        raise ValueError(
            f"A conversation of {rounds} rounds, {queries} queries and {signals} signals has too many plans of queries "
            f"or sequences of answers: as one round it would have more than {_MOST_ENTRIES:,} entries."
        )
    return queries**nodes, answers


def _digits(count: int, base: int, places: int) -> np.ndarray:
    """The digits of the numbers below `count`, most significant first: [number place]."""
    digits = np.zeros((count, places), np.int32)
    rest = np.arange(count, dtype=np.int32)
    for place in reversed(range(places)):
        rest, digits[:, place] = np.divmod(rest, base)
    return digits


class _Walk:
    """What is asked and said in every round when a plan of queries meets a sequence of answers: `[plan answers]` each.

    `history` and `node` number what was asked and said before a round, and what was said alone.
    """

    def __init__(self, rounds: int, queries: int, signals: int, evidences: int):
        plans, answers = menu_of_plans(rounds, queries, signals, evidences)
        nodes = [signals**turn for turn in range(rounds)]
        planned, heard = _digits(plans, queries, sum(nodes)), _digits(answers, signals, rounds)
        history = node = np.zeros((plans, answers), np.int32)
        self.history, self.query, self.signal = [], [], []
        first = 0
        for turn in range(rounds):
            query = np.take_along_axis(planned, first + node, axis=1)
            signal = np.broadcast_to(heard[:, turn], query.shape)
            self.history.append(history)
            self.query.append(query)
            self.signal.append(signal)
            history = (history * queries + query) * signals + signal
            node, first = node * signals + signal, first + nodes[turn]
        self.history.append(history)


def menu_from_kernels(kernels: Kernels) -> Float[Array, "evidence plan answers"]:
    """The kernels of a conversation as one: a query is a plan, and what it hears is the answers of all rounds.

    Raises `ValueError` where there are too many plans.
    """
    evidences, _, queries, signals = kernels[0].shape
    walk = _Walk(len(kernels), queries, signals, evidences)
    menu = jnp.ones((evidences, *walk.query[0].shape), kernels[0].dtype)
    for turn, kernel in enumerate(kernels):
        menu = menu * kernel[:, walk.history[turn], walk.query[turn], walk.signal[turn]]
    return menu


@checked(profile=instance_of(Profile))
@float64_scope
def in_one_round(profile: Profile) -> Profile:
    """Tells a conversation of several rounds as one round, whose queries are plans of what to ask after every answer.

    A signal of the new profile is the sequence of all answers. Users do as well with it, and are recommended the same
    actions and queries; a user whose recommended queries are not all best ones asks none of them. So what is said of
    profiles of one round (`deviation`, certificates, files) can be said of it.

    **Arguments:**

    - `profile`: one profile, or a batch under `jax.vmap`. One of one round comes back as it is.

    **Returns:** a `Profile` with `queries ** (1 + signals + ... + signals ** (rounds - 1))` queries and
    `signals ** rounds` signals. Raises `ValueError` where a policy would have more than 2^20 entries.

    Example::

        market = plx.families.gaussian(providers=2, users=2)(jax.random.key(0))
        everyone = plx.anonymous(2)
        told = plx.play.informative_profile(market, everyone, plx.Conversation(rounds=2, signals=2))
        plx.play.in_one_round(told)  # the same, told at once
    """
    kernels, rounds = as_kernels(to_float64(profile.policy)), len(profile.rounds)
    if rounds == 1:
        return profile
    evidences, _, queries, signals = kernels[0].shape[2:]
    policy = jax.vmap(jax.vmap(menu_from_kernels))(kernels)
    told = profile.recommended
    if told is not None:
        walk = _Walk(rounds, queries, signals, evidences)
        told = told.reshape(*told.shape[:3], -1)[..., walk.history[-1]]
    # With several rounds it is a tuple; `Profile` sees to that.
    asked = _plans_asked(profile.asked, queries, signals) if isinstance(profile.asked, tuple) else None
    return Profile(policy, told, asked, profile.choice)


def _plans_asked(asked: tuple[Array, ...], queries: int, signals: int) -> Int[Array, "provider user type"]:
    """The plan that asks what is wanted after each answer; -1, which wants nothing, where a round wants nothing."""
    lead = asked[0].shape
    history = jnp.zeros((*lead, 1), jnp.int32)
    plan, known = jnp.zeros(lead, jnp.int32), jnp.ones(lead, bool)
    for wanted in asked:
        flat = jnp.reshape(wanted.astype(jnp.int32), (*lead, -1))
        query = jnp.take_along_axis(flat, history, axis=-1)
        known = known & ((query >= 0) & (query < queries)).all(axis=-1)
        query = jnp.clip(query, 0, queries - 1)
        for node in range(query.shape[-1]):
            plan = plan * jnp.int32(queries) + query[..., node]
        answers = jnp.arange(signals, dtype=jnp.int32).reshape(*[1] * history.ndim, -1)
        history = (history * jnp.int32(queries) + query)[..., None] * jnp.int32(signals) + answers
        history = history.reshape(*lead, -1)
    return jnp.asarray(jnp.where(known, plan, jnp.int32(-1)))
