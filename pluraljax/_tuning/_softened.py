"""The logit equilibrium of a market with softened users, and its derivatives by the implicit function theorem.

Every row of logits z of a provider's policy satisfies `z = (g - mean g) / temperature` there, g being the derivatives
of its payoff in the row's probabilities: the row is stationary for the payoff plus the temperature times its entropy
(McKelvey and Palfrey 1995). With `F(z, market) = z - (g - mean g) / temperature`, `dz = -F_z^{-1} F_market dmarket`:
one linear system, however many steps it took to get there.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float

from .._answer import Readable
from .._arguments import checked, instance_of
from .._conversation import Conversation, Logit, as_kernels
from .._market import Market, market_status, one_market, with_zeros_if_invalid
from .._payoff import Game, evaluate, game_gradient, lay_out_game
from .._precision import float64_scope, in_float64
from .._segments import Labels, known_labels
from .._status import Status

# Newton's steps at most after the damped ones, and the largest residual, in logits, of what counts as an equilibrium.
_NEWTON = 8
_SOLVED = 1e-9


class SoftEquilibrium(Readable):
    """A logit equilibrium: what everybody gets, and the policies.

    `user_value` and `provider_value` are those of `payoffs` with these users; `logits` hold a kernel per round,
    `[provider segment evidence history query signal]`. `gain[i]` is what provider i could still add, to first order, to
    its objective plus its temperature times the entropy of its policy: zero at an equilibrium. `residual` is the
    largest miss of the equilibrium's equations, in logits. Derivatives mean something where `solved`; where the
    market's data are invalid, nothing is solved and every number is NaN.
    """

    user_value: Float[Array, " user"]
    provider_value: Float[Array, " provider"]
    logits: tuple[Float[Array, "..."], ...]
    gain: Float[Array, " provider"]
    residual: Float[Array, ""]
    solved: Bool[Array, ""]


def _positive(name: str, value: Any, _: dict[str, Any]) -> Any:
    """The check of a temperature."""
    if isinstance(value, Tracer):
        return value
    if not (np.asarray(value) > 0).all():
        raise ValueError(f"{name} must be > 0, got {value}.")
    return np.float64(value)


@checked(
    market=one_market,
    segments=known_labels,
    conversation=instance_of(Conversation),
    people=instance_of(Logit),
    temperature=_positive,
)
@float64_scope
def soft_equilibrium(
    market: Market,
    segments: Any,
    conversation: Conversation,
    people: Logit,
    temperature: Any,
    *,
    steps: int = 500,
    damping: float = 0.3,
) -> SoftEquilibrium:
    """Finds the logit equilibrium near informative play, differentiable in every array of the market.

    A damped fixed point comes first and Newton's method after it. Derivatives, forward and backward, with respect to
    market arrays and to all temperatures come from the implicit function theorem at the point found: they cost one
    linear system with its Jacobian, and no further search. Nothing here is certified.

    **Arguments:**

    - `market`: one market; use `jax.vmap` for a batch.
    - `segments`: an integer label per user, not traced; equal labels share a policy.
    - `conversation`: the shape of the policies.
    - `people`: the users' temperatures, in expected utility; positive.
    - `temperature`: of the providers, in units of their objective; positive. Low ones have no fixed point that damped
      steps reach.
    - `steps`, `damping`: damped steps, and the share of the way to the reply that each goes; in (0, 1].

    **Returns:** a `SoftEquilibrium`; where `solved` is false the search did not end at an equilibrium.
    Raises `ValueError` for traced segments, and for steps, a damping or a temperature that are out of range.

    Example::

        market = plx.families.gaussian(providers=2, users=2)(jax.random.key(0))
        people = plx.Logit(0.5, 0.5, 0.5)
        plx.tuning.soft_equilibrium(market, plx.anonymous(2), plx.Conversation(signals=2), people, 0.5, steps=50)
    """
    if steps < 1 or not 0 < damping <= 1:
        raise ValueError(f"steps must be at least 1 and damping in (0, 1], got {steps} and {damping}.")
    return _soft_equilibrium(
        market, segments, conversation, people, jnp.asarray(temperature, jnp.float64), steps, damping
    )


@in_float64(optimised=True)
def _soft_equilibrium(
    market: Market,
    labels: Labels,
    conversation: Conversation,
    people: Logit,
    temperature: Float[Array, ""],
    steps: int,
    damping: float,
) -> SoftEquilibrium:
    status = market_status(lax.stop_gradient(market))
    valid = status < Status.NOT_FINITE
    market = with_zeros_if_invalid(market, status)
    game = lay_out_game(market, labels)
    told = as_kernels(tuple(jnp.asarray(k) for k in conversation.informative(market, np.asarray(labels))))
    told = [kernel - kernel.mean(axis=-1, keepdims=True) for kernel in told]
    start, unravel = ravel_pytree(told)

    def reply(flat: Array, game: Game, people: Logit, temperature: Array) -> Array:
        kernels = [jax.nn.softmax(each, axis=-1) for each in unravel(flat)]
        _, slopes = game_gradient(game, kernels, people)
        aim = [(slope - slope.mean(axis=-1, keepdims=True)) / temperature for slope in slopes]
        return ravel_pytree(aim)[0]

    arguments = (game, people, temperature)
    fixed = lax.stop_gradient(arguments)
    miss = lambda flat: flat - reply(flat, *fixed)
    flat, jacobian = _search(miss, start, steps, damping)
    # One more step of Newton's, with derivatives through the equations only: this is the implicit function theorem.
    flat = flat - jnp.linalg.solve(jacobian, flat - reply(flat, *arguments))
    logits = unravel(flat)
    kernels = [jax.nn.softmax(each, axis=-1) for each in logits]
    found = evaluate(game, kernels, people)
    residual = jnp.abs(lax.stop_gradient(miss(flat))).max()
    numbers = (
        found.user_value,
        found.provider_value,
        tuple(logits),
        _gains(game, kernels, people, temperature),
        residual,
    )
    numbers = jax.tree.map(lambda leaf: jnp.where(valid, leaf, jnp.nan), numbers)
    return SoftEquilibrium(*numbers, solved=valid & (residual <= _SOLVED * (1.0 + jnp.abs(flat).max())))


def _search(miss: Any, start: Array, steps: int, damping: float) -> tuple[Array, Array]:
    """Damped steps, then Newton's; returns the point and the Jacobian there, without derivatives."""
    flat = lax.fori_loop(0, steps, lambda _, at: at - damping * miss(at), lax.stop_gradient(start))
    # Forward mode through the gradient of payoffs; a few dozen columns.
    slope = jax.jacfwd(miss)

    def newton(_: Any, at: Array) -> Array:
        moved = at - jnp.linalg.solve(slope(at), miss(at))
        better = jnp.abs(miss(moved)).max() < jnp.abs(miss(at)).max()
        return jnp.asarray(jnp.where(better, moved, at))

    flat = lax.stop_gradient(lax.fori_loop(0, _NEWTON, newton, flat))
    return flat, lax.stop_gradient(slope(flat))


def _gains(game: Game, kernels: list[Array], people: Logit, temperature: Array) -> Float[Array, " provider"]:
    """The most that each row could add to `<g, p> + temperature * entropy(p)`, summed over a provider's rows."""
    _, slopes = game_gradient(game, kernels, people)
    total = jnp.zeros(game.provider.shape[0], jnp.float64)
    for kernel, slope in zip(kernels, slopes, strict=True):
        best = temperature * jax.nn.logsumexp(slope / temperature, axis=-1)
        now = (kernel * slope).sum(axis=-1) - temperature * (kernel * jnp.log(kernel)).sum(axis=-1)
        total = total + jnp.asarray(best - now).reshape(total.shape[0], -1).sum(axis=-1)
    return total
