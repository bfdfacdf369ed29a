"""What a user does in a conversation with a policy: backward induction over transcripts, exact or softened.

Transcripts are flattened: a kernel is `[evidence history query signal]`, and its histories are the transcripts of the
rounds before it. Likelihoods of transcripts stay unnormalised, so that none is ever divided by zero.
"""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from .._ties import MEANT
from ._people import Logit, at_least_coldest, soften

# One per round: [evidence history query signal]. Sizes of histories differ, so that they are not checked together.
Kernels = Sequence[Float[Array, "_ _ _ _"]]


class Response(eqx.Module):
    """How a user plays against one policy: what it is worth to her, and what she then does."""

    value: Float[Array, ""]
    outcome: Float[Array, "type evidence action"]


def as_kernels(policy: Array | tuple[Array, ...] | list[Array]) -> list[Array]:
    """Flattens the transcripts of a policy: one array `[... evidence query signal]`, or a tuple with one per round.

    Kernels of later rounds have the queries and signals of all rounds so far for axes. A list of kernels is flat.
    """
    if isinstance(policy, list):
        return policy
    if not isinstance(policy, tuple):
        return [jnp.expand_dims(policy, -3)]
    kernels = []
    for turn, kernel in enumerate(policy):
        first = kernel.ndim - 2 * (turn + 1)
        history = int(np.prod(kernel.shape[first:-2]))
        kernels.append(kernel.reshape(*kernel.shape[:first], history, *kernel.shape[-2:]))
    return kernels


def likelihoods(kernels: Kernels) -> list[Array]:
    """The likelihood of every transcript of each length, given the evidence and the queries in it."""
    evidences = kernels[0].shape[0]
    found = [jnp.ones((evidences, 1), kernels[0].dtype)]
    for kernel in kernels:
        found.append((found[-1][:, :, None, None] * kernel).reshape(evidences, -1))
    return found


def _worth(likelihood: Float[Array, "evidence transcript"], stakes: Array) -> Float[Array, "type transcript action"]:
    """What each action is worth after each transcript, times the transcript's probability."""
    # A sum of products: XLA runs many tiny matrix products one by one.
    return (likelihood[None, :, :, None] * stakes[:, :, None, :]).sum(axis=1)


def _play(
    likelihood: Float[Array, "evidence transcript"],
    action: Float[Array, "type transcript action"],
    asks: Sequence[Array],
    kernels: Kernels,
) -> Float[Array, "type evidence action"]:
    """Composes choices into an outcome."""
    _, reach = reaches(asks, [kernel.shape[-1] for kernel in kernels])
    return (likelihood[None, :, :, None] * (reach[..., None] * action)[:, None]).sum(axis=2)


def reaches(asks: Sequence[Array], signals: Sequence[int]) -> tuple[list[Array], Float[Array, "type transcript"]]:
    """How likely her queries make each history and query, `[type history query]` a round, and each whole transcript.

    Products of the probabilities of queries alone: those of signals are likelihoods.
    """
    reach = jnp.ones((asks[0].shape[0], 1), asks[0].dtype)
    found = []
    for ask, heard in zip(asks, signals, strict=True):
        found.append(reach[:, :, None] * ask)
        reach = jnp.broadcast_to(found[-1][..., None], (*ask.shape, heard)).reshape(ask.shape[0], -1)
    return found, reach


def respond(
    user: Float[Array, "type evidence action"],
    policy: Array | tuple[Array, ...] | list[Array],
    prefer: Float[Array, "type evidence action"],
    recommended: Int[Array, "type *transcript"] | None = None,
    asked: Int[Array, " type"] | tuple[Int[Array, "type *_"], ...] | None = None,
) -> Response:
    """Plays exactly: the best query in each round, and the best action at the end, for each type.

    `sum_t max_q1 sum_s1 ... max_a sum_x L[x, q1 s1 ...] U[t, x, a]`, where L is the likelihood of the transcript. Of
    what is best up to `MEANT` a user does as she is told, or else what is worth most on the stakes `prefer`.

    **Arguments:**

    - `policy`: `[evidence query signal]`, a tuple with one such kernel per round, with all earlier queries and signals
      as further axes after the evidence, or a list of `[evidence history query signal]`.
    - `recommended`, `asked`: her wanted choices, with types first; `asked` holds one array per round of several.
    """
    kernels = as_kernels(policy)
    likelihood = likelihoods(kernels)[-1]
    action, asks, value = _choose(user, kernels, likelihood, prefer, recommended, asked)
    return Response(
        value, _play(likelihood, jnp.where(action, 1.0, 0.0), [jnp.where(ask, 1.0, 0.0) for ask in asks], kernels)
    )


def plan(
    user: Float[Array, "type evidence action"], kernels: Kernels, prefer: Float[Array, "type evidence action"]
) -> tuple[Float[Array, "type transcript action"], list[Array]]:
    """What `respond` does, as probabilities: of actions after each transcript, of queries `[type history query]`."""
    action, asks, _ = _choose(user, kernels, likelihoods(kernels)[-1], prefer, None, None)
    return jnp.where(action, 1.0, 0.0), [jnp.where(ask, 1.0, 0.0) for ask in asks]


def _choose(user: Array, kernels: Kernels, likelihood: Array, prefer: Array, recommended, asked):
    """Her action after each transcript, her query in each round, and what all that is worth."""
    types = user.shape[0]
    near = MEANT * jnp.abs(user).max(axis=-1).sum()
    worth, liked = _worth(likelihood, user), _worth(likelihood, prefer)
    wanted = None if recommended is None else recommended.reshape(types, -1)
    best = worth.max(axis=-1)
    action = _pick(worth >= best[..., None] - near, liked, wanted)
    likes = jnp.where(action, liked, 0.0).sum(axis=-1)
    asks, told = [], asked if isinstance(asked, tuple) or asked is None else (asked,)
    for turn in reversed(range(len(kernels))):
        shape = (types, *kernels[turn].shape[1:])
        value, likes = best.reshape(shape).sum(axis=-1), likes.reshape(shape).sum(axis=-1)
        best = value.max(axis=-1)
        wanted = None if told is None else told[turn].reshape(types, -1)
        ask = _pick(value >= best[..., None] - near, likes, wanted)
        likes = jnp.where(ask, likes, 0.0).sum(axis=-1)
        asks.append(ask)
    return action, asks[::-1], best.sum()


def choices(
    user: Float[Array, "type evidence action"],
    policy: Float[Array, "evidence query signal"],
    prefer: Float[Array, "type evidence action"],
    recommended: Int[Array, "type query signal"] | None = None,
) -> tuple[Int[Array, "type query signal"], Bool[Array, "type query"], Float[Array, ""]]:
    """What `respond` does against a policy of one round: her actions, which query she asks, and the policy's worth."""
    kernels = as_kernels(policy)
    action, asks, value = _choose(user, kernels, likelihoods(kernels)[-1], prefer, recommended, None)
    places = lax.broadcasted_iota(jnp.int32, action.shape, action.ndim - 1)
    chosen = jnp.where(action, places, 0).sum(axis=-1, dtype=jnp.int32)
    return chosen.reshape(user.shape[0], *policy.shape[1:]), asks[0][:, 0], value


def respond_softly(
    user: Float[Array, "type evidence action"],
    probability: Float[Array, "type evidence"],
    policy: Array | tuple[Array, ...] | list[Array],
    people: Logit,
) -> Response:
    """Plays as a logit user: probabilities of queries and actions in place of best ones.

    **Arguments:**

    - `user`: stakes, weighted by the probability of type and evidence.
    - `probability`: of type and evidence.
    - `policy`: as for `respond`.
    - `people`: the temperatures, in units of expected utility given what she knows when she chooses.
    """
    kernels = as_kernels(policy)
    types = user.shape[0]
    size = jnp.abs(user).max(axis=-1).sum()
    hot, curious = at_least_coldest(people.action, size), at_least_coldest(people.query, size)
    after = likelihoods(kernels)
    sizes = [_seen(probability, likelihood) for likelihood in after]
    worth = _worth(after[-1], user)
    action = soften(worth, sizes[-1] * hot)
    best, asks = (action * worth).sum(axis=-1), []
    for turn in reversed(range(len(kernels))):
        value = best.reshape(types, *kernels[turn].shape[1:]).sum(axis=-1)
        asks.append(soften(value, sizes[turn] * curious))
        best = (asks[-1] * value).sum(axis=-1)
    return Response(best.sum(), _play(after[-1], action, asks[::-1], kernels))


def smooth_value(
    user: Float[Array, "type evidence action"],
    probability: Float[Array, "type evidence"],
    kernels: Kernels,
    temperature: Float[Array, ""],
) -> Float[Array, ""]:
    """What a policy is worth to a rational user, with every largest value smoothed from above.

    Each maximum is `temperature * log(sum(exp(value / temperature)))`, in expected utility given what she knows when
    she chooses: at most `temperature * log(n)` too high for n options. Convex in a policy of one round.
    """
    after = likelihoods(kernels)
    sizes = [_seen(probability, likelihood) for likelihood in after]
    best = smooth_maximum(_worth(after[-1], user), sizes[-1] * temperature)
    for turn in reversed(range(len(kernels))):
        value = best.reshape(user.shape[0], *kernels[turn].shape[1:]).sum(axis=-1)
        best = smooth_maximum(value, sizes[turn] * temperature)
    return best.sum()


def smooth_maximum(values: Float[Array, "*batch option"], unit: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """`unit * log(sum(exp(values / unit)))` over options; their maximum where the unit is zero."""
    top = lax.stop_gradient(values.max(axis=-1))
    known = unit > 0
    weights = jnp.exp((values - top[..., None]) / jnp.where(known, unit, 1.0)[..., None])
    return top + jnp.where(known, unit * jnp.log(weights.sum(axis=-1)), 0.0)


def _seen(probability: Array, likelihood: Array) -> Float[Array, "type transcript"]:
    """The probability of each transcript and type, given the queries in it; zero for next to impossible ones."""
    size = (probability[:, :, None] * likelihood[None]).sum(axis=1)
    # Derivatives divide by its square, which must not vanish.
    return jnp.where(size > jnp.finfo(size.dtype).tiny ** (1 / 3), size, 0.0)


def _pick(ties: Bool[Array, "*batch option"], liked: Array, wanted: Array | None) -> Bool[Array, "*batch option"]:
    """Marks one of the ties along the last axis: the wanted one, or else the first of the most liked ones."""
    places = lax.broadcasted_iota(jnp.int32, ties.shape, ties.ndim - 1)
    liked = jnp.where(ties, liked, -jnp.inf)
    top = ties & (liked == liked.max(axis=-1, keepdims=True))
    if wanted is not None:
        obeyed = ties & (places == wanted.astype(jnp.int32)[..., None])
        top = jnp.where(obeyed.any(axis=-1, keepdims=True), obeyed, top)
    first = jnp.where(top, places, np.int32(ties.shape[-1] - 1)).min(axis=-1, keepdims=True)
    return places == first


def pick_provider(
    values: Float[Array, "provider user"], near: Float[Array, " user"], wanted: Int[Array, " user"] | None
) -> Int[Array, " user"]:
    """Chooses the provider of each user: the wanted one if it is nearly best, or else the first that nearly is."""
    everyone = jnp.arange(values.shape[0], dtype=jnp.int32)[:, None]
    fair = values >= (values.max(axis=0) - near)[None]
    choice = jnp.where(fair, everyone, np.int32(values.shape[0] - 1)).min(axis=0)
    if wanted is None:
        return choice
    agreed = ((everyone == wanted.astype(jnp.int32)[None]) & fair).any(axis=0)
    return jnp.where(agreed, wanted.astype(jnp.int32), choice)


def soften_providers(
    values: Float[Array, "provider user"], size: Float[Array, " user"], people: Logit
) -> Float[Array, "provider user"]:
    """The probability that each user talks to each provider; `size` is that of her payoffs."""
    unit = at_least_coldest(people.provider, size)
    return jnp.moveaxis(jax.vmap(soften, in_axes=(1, 0))(values, unit), 0, 1)
