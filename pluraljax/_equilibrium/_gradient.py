"""Gradient play as a question of its own: where policies go when all providers follow their gradients."""

from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Int

from .._arguments import checked, instance_of
from .._candidates import METHODS, Annealing, gradient_play, in_common_units, starting_logits
from .._conversation import Conversation, Profile, as_kernels
from .._market import Market, market_status, one_market, with_zeros_if_invalid
from .._payoff import lay_out_game
from .._precision import float64_scope, in_float64
from .._segments import known_labels

SILENT, INFORMATIVE = 0, 1


def played_kernels(
    market: Market,
    labels: tuple[int, ...],
    conversation: Conversation,
    key: Array,
    method: str | None,
    annealing: Annealing,
    start: Int[Array, ""],
) -> list[Array]:
    """The kernels that gradient play ends with, or starts from where `method` is `None`."""
    told = as_kernels(tuple(jnp.asarray(k) for k in conversation.informative(market, np.asarray(labels))))
    logits = starting_logits(jr.fold_in(key, start), told, start)
    if method is None:
        return [jax.nn.softmax(each, axis=-1) for each in logits]
    game = in_common_units(lay_out_game(market, labels))
    return gradient_play(game, logits, annealing, method)  # pyright: ignore[reportArgumentType]


@checked(market=one_market, segments=known_labels, conversation=instance_of(Conversation))
@float64_scope
def gradient_policies(
    market: Market,
    segments: Any,
    conversation: Conversation,
    key: Any,
    *,
    start: str = "random",
    method: str = "simultaneous",
    annealing: Annealing | None = None,
) -> Profile:
    """Lets all providers follow the gradients of their objectives against softened users, from one start.

    Nothing is certified: `deviation` says what the profile is, and `equilibrium` does all of it from many starts.

    **Arguments:**

    - `market`: one market; use `jax.vmap` for a batch. An invalid market counts as one where nobody wants anything.
    - `segments`: an integer label per user, not traced; equal labels share a policy.
    - `conversation`: the shape of the policies.
    - `key`: a PRNG key.
    - `start`: `"silent"`, `"informative"` or `"random"`.
    - `method`: `"simultaneous"`, `"alternating"` or `"logit"`, as for `equilibrium`.
    - `annealing`: how play goes; default `Annealing(steps=300)`.

    **Returns:** a `Profile` with a kernel per round.

    Example::

        market = plx.families.gaussian(providers=2, users=2)(jax.random.key(0))
        told = plx.Conversation(signals=2)
        profile = plx.play.gradient_policies(market, plx.anonymous(2), told, jax.random.key(1))
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}; got {method!r}.")
    places = {"silent": SILENT, "informative": INFORMATIVE, "random": 2}
    if start not in places:
        raise ValueError(f"start must be one of {', '.join(places)}; got {start!r}.")
    annealing = Annealing(steps=300) if annealing is None else annealing
    return _gradient_policies(market, segments, conversation, key, method, annealing, places[start])


@in_float64(optimised=True)
def _gradient_policies(
    market: Market,
    labels: tuple[int, ...],
    conversation: Conversation,
    key: Array,
    method: str,
    annealing: Annealing,
    start: int,
) -> Profile:
    sound = with_zeros_if_invalid(market, market_status(market))
    kernels = played_kernels(sound, labels, conversation, key, method, annealing, jnp.int32(start))
    shapes = conversation.kernel_shapes(market, np.asarray(labels))
    return Profile(tuple(kernel.reshape(shape) for kernel, shape in zip(kernels, shapes, strict=True)))
