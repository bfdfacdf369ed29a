"""Finds equilibria by play from many starts, and certifies what it finds."""

from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from .._answer import Decided, Readable, truth_of
from .._arguments import checked, instance_of
from .._bracket import Bracket
from .._candidates import METHODS, Annealing
from .._conversation import Conversation, Profile
from .._deviation import has_crowd
from .._market import Market, benchmarks, market_status, one_market, slack, slack_of, with_zeros_if_invalid
from .._precision import float64_scope, in_float64
from .._segments import known_labels
from .._status import Status
from .._truth import Truth
from ._gradient import INFORMATIVE, SILENT, played_kernels
from ._menus import Menus, blank, from_kernels, informative, is_personalized, menu_shape, play
from ._public import play_public
from ._rounds import Looked, certifies, jump, play_rounds


class Equilibria(Readable):
    """Where play ended from each start, in rising order of what users get on average (per unit of mass).

    Fields are as in `Equilibrium`. `is_first` marks the certified ones that give somebody something else than those
    before; `start` is the start that each came from.
    """

    profile: Profile
    user_value: Float[Array, "start user"]
    provider_value: Float[Array, "start provider"]
    value: Bracket
    most: Float[Array, "start provider"]
    holds: Int[Array, " start"]
    is_first: Bool[Array, " start"]
    start: Int[Array, " start"]


class Equilibrium(Decided):
    """An equilibrium found by play: the certified one that is worst for users, out of `found`.

    `profile` are its policies, told as one round (a query is a plan of what to ask). `user_value` is what each user
    gets, `provider_value` each provider's objective, `value` brackets its best deviation, and `most` bounds what it
    gains by any conversation at all. `holds` is a `Truth` code: where it is not `HOLDS`, nothing that was found is an
    equilibrium for sure, and the profile is only where play from some start ended. `num_certified` counts the starts
    that ended in one. `status` is the `Status` code of this profile's brackets; where the market's data are invalid,
    every number is NaN and the question open.
    """

    attained_by = "profile"

    profile: Profile
    user_value: Float[Array, " user"]
    provider_value: Float[Array, " provider"]
    value: Bracket
    most: Float[Array, " provider"]
    holds: Int[Array, ""]
    num_certified: Int[Array, ""]
    found: Equilibria
    status: Int[Array, ""]


@checked(market=one_market, segments=known_labels, conversation=instance_of(Conversation, type(None)), delta=slack)
@float64_scope
def equilibrium(
    market: Market,
    segments: Any,
    conversation: Conversation | None = None,
    key: Any = None,
    *,
    method: str = "simultaneous",
    starts: int = 8,
    annealing: Annealing | None = None,
    rounds: int = 6,
    delta: Any = 0.0,
) -> Equilibrium:
    """Looks for equilibria by play from several starts, and certifies each.

    First providers play against softened users while temperatures fall, by gradients of their policies: all at once, in
    turn, or to a damped fixed point of logit play. Then users are made rational; a profile that gives all of them what
    silence or full information would, up to 2 % of the way between, becomes that; and it is certified. If it is no
    equilibrium, personalized segments go on to the least equilibrium that is worth to each user what she has less 1 %
    of that way; others, and a single provider, play exact best replies. Nothing that fails to certify is called an
    equilibrium. The conversation shapes gradient play; certificates are about policies that may tell as much as they
    like, menus where a segment is one user.

    **Arguments:**

    - `market`: one market; use `jax.vmap` for a batch.
    - `segments`: an integer label per user, not traced; equal labels share a policy.
    - `conversation`: its shape; default `Conversation()`.
    - `key`: a PRNG key for the starts; default `jax.random.key(0)`.
    - `method`: `"simultaneous"`, `"alternating"`, `"logit"`, or `"best_response"` (exact replies from the start on).
    - `starts`: the first is silent, the second fully informative, the others random; >= 1.
    - `annealing`: how gradient play goes; default `Annealing(steps=300)`.
    - `rounds`: exact best replies at most, after the gradient play; >= 1.
    - `delta`: how much a provider may leave on the table in an equilibrium, in units of its objective; >= 0.

    **Returns:** an `Equilibrium`. With queries, segments of several users are certified against every conversation
    (`most`), which may leave true equilibria open. Raises `ValueError` for anything that makes no sense.

    Example::

        market = plx.families.gaussian(providers=2, users=2)(jax.random.key(0))
        found = plx.equilibrium(market, plx.personalized(2), key=jax.random.key(1), starts=2)
        found.holds, found.profile  # which starts end in an equilibrium, and in which
    """
    if method not in (*METHODS, "best_response"):
        raise ValueError(f"method must be one of {', '.join(METHODS)}, best_response; got {method!r}.")
    if starts < 1 or rounds < 1:
        raise ValueError(f"starts and rounds must be >= 1, got {starts} and {rounds}.")
    annealing = Annealing(steps=300) if annealing is None else annealing
    key = jr.key(0) if key is None else key
    delta = jnp.asarray(delta, jnp.float64)
    return _equilibrium(market, segments, conversation or Conversation(), key, method, starts, annealing, rounds, delta)


@in_float64(optimised=True)
def _equilibrium(
    market: Market,
    labels: tuple[int, ...],
    conversation: Conversation,
    key: Array,
    method: str,
    starts: int,
    annealing: Annealing,
    rounds: int,
    delta: Array,
) -> Equilibrium:
    market, delta = lax.stop_gradient((market, delta))
    status = market_status(market)
    sound = with_zeros_if_invalid(market, status)
    begin = lambda start: _begin(sound, labels, conversation, key, method, annealing, start)
    numbers = jnp.arange(starts, dtype=jnp.int32)
    if has_crowd(labels):
        # One start after the other: that takes the least memory, and a start that has settled costs nothing more.
        menus, last = lax.map(
            lambda start: play_public(
                sound, labels, conversation, begin(start), jr.fold_in(key, start), annealing, rounds, delta, _RAISE
            ),
            numbers,
        )
        return _collect(market, labels, conversation, status, menus, last, numbers, delta)
    menus = jax.vmap(begin)(numbers)
    # A single provider's best replies do not depend on what its users have, and need no search.
    if is_personalized(labels) and method != "best_response" and market.provider_value.shape[0] > 1:
        menus, looked = jax.vmap(lambda one: jump(sound, labels, one, delta))(menus)
    else:
        menus, looked = jax.vmap(lambda one: play_rounds(sound, labels, one, rounds, delta, _RAISE))(menus)
    last = jax.tree.map(lambda leaf: leaf[:, -1], looked)
    return _collect(market, labels, conversation, status, menus, last, numbers, delta)


# A share of full information that replies add while play settles.
_RAISE = 0.05
# Play that ends this near to silence or full information, as a share of the way between, ended there.
_SNAP = 0.02


def _begin(
    market: Market,
    labels: tuple[int, ...],
    conversation: Conversation,
    key: Array,
    method: str,
    annealing: Annealing,
    start: Array,
) -> Menus:
    """Where gradient play ends, made rational: silence or full information where it is next to that."""
    shape = menu_shape(market, labels, conversation)
    exact = method == "best_response"
    kernels = played_kernels(market, labels, conversation, key, None if exact else method, annealing, start)
    menus = from_kernels(market, labels, shape, kernels)
    if exact:
        quiet, loud = start == SILENT, start == INFORMATIVE
    else:
        marks, value = benchmarks(market), play(market, labels, menus).user_value
        near = _SNAP * (marks.aligned - marks.silent)
        quiet, loud = (value <= marks.silent + near).all(), (value >= marks.aligned - near).all()
    pick = lambda mask, new, old: jax.tree.map(lambda a, b: jnp.where(mask, a, b), new, old)
    menus = pick(loud, informative(market, labels, shape), menus)
    return pick(quiet, blank(market, labels, shape), menus)


def _collect(
    market: Market,
    labels: tuple[int, ...],
    conversation: Conversation,
    status: Array,
    menus: Menus,
    looked: Looked,
    numbers: Array,
    delta: Array,
) -> Equilibrium:
    allowed = slack_of(market, delta)
    certified = certifies(labels, conversation, looked, allowed[None])
    holds = truth_of(certified, looked.holds == Truth.FAILS)
    scale = market.user_value.max(axis=(-2, -1)) - market.user_value.min(axis=(-2, -1))
    mean = (looked.user_value * market.mass[None]).sum(axis=-1)
    # Not `argsort`: its 64-bit integers do not lower under a caller's float32 `jit`.
    _, order = lax.sort((mean, numbers), num_keys=1)
    row = lambda tree: jax.tree.map(lambda leaf: leaf[order], tree)
    valid = status < Status.NOT_FINITE
    hide = lambda tree: jax.tree.map(lambda leaf: jnp.where(valid, leaf, jnp.nan), tree)
    holds = jnp.where(valid, holds, jnp.int32(Truth.OPEN))[order]
    found = Equilibria(
        profile=jax.vmap(Menus.profile)(row(menus)),
        user_value=hide(row(looked.user_value)),
        provider_value=hide(row(looked.provider_value)),
        value=hide(row(looked.value)),
        most=hide(row(looked.most)),
        holds=holds,
        is_first=_first_of_kind(row(looked.user_value), scale, holds == Truth.HOLDS),
        start=numbers[order],
    )
    best = _first_in_rank(holds)
    place = jnp.where(best, numbers, np.int32(numbers.shape[0])).min()  # the first certified one
    take = lambda tree: jax.tree.map(lambda leaf: leaf[place], tree)
    return Equilibrium(
        profile=take(found.profile),
        user_value=found.user_value[place],
        provider_value=found.provider_value[place],
        value=take(found.value),
        most=found.most[place],
        holds=holds[place],
        num_certified=(holds == Truth.HOLDS).sum(dtype=jnp.int32),
        found=found,
        status=jnp.where(valid, jnp.max(row(looked.status)[place]), status).astype(jnp.int32),
    )


def _first_in_rank(holds: Int[Array, " start"]) -> Bool[Array, " start"]:
    """Marks the certified ones; the open ones where there are none, or else all."""
    proved, still_open = holds == Truth.HOLDS, holds == Truth.OPEN
    return jnp.where(proved.any(), proved, jnp.where(still_open.any(), still_open, True))


# Equilibria whose users' values are all closer than this share of their payoff ranges are taken for the same.
_SAME = 1e-6


def _first_of_kind(values: Float[Array, "start user"], scale: Float[Array, " user"], certified: Array) -> Array:
    same = (jnp.abs(values[:, None] - values[None]) <= _SAME * scale[None, None]).all(axis=-1)
    before = np.tri(values.shape[0], k=-1, dtype=bool)
    return certified & ~(same & before & certified[None]).any(axis=1)
