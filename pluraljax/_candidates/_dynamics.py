"""Gradient play: providers change their policies together or in turn while temperatures fall. Proposes profiles only.

Policies are given by logits of their signals. All providers' gradients come from one backward pass. Nothing here is
certified: where a profile ends is looked at with exact play afterwards.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Literal, TypeVar

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array

from .._conversation import Logit, Response
from .._families._draws import normals
from .._payoff import Game, converse, game_gradient, settle

_Tree = TypeVar("_Tree")
Method = Literal["simultaneous", "alternating", "logit"]
METHODS: tuple[Method, ...] = ("simultaneous", "alternating", "logit")
PRECISIONS = ("float64", "float32")


@dataclass(frozen=True)
class Annealing:
    """How gradient play goes: so many steps, and temperatures that fall by a constant factor between two values.

    **Arguments:**

    - `steps`: gradient steps; >= 1.
    - `hottest`, `coldest`: temperatures of users at the start and at the end, as shares of a user's payoff range; > 0.
    - `rate`: Adam's learning rate for logits, or, in the logit method, the share by which they move towards the best
      reply; in (0, 1].
    - `turn`: steps that a provider has until it is the next one's turn, where providers alternate; >= 1.
    - `precision`: `"float64"`, or `"float32"`: the numbers that gradient steps are taken in. Policies are looked at,
      and every bracket is evaluated, in float64 either way, so that this only changes which profiles are found.

    Raises `ValueError` for anything else.
    """

    steps: int = 1000
    hottest: float = 0.03
    coldest: float = 3e-5
    rate: float = 0.03
    turn: int = 20
    precision: str = "float64"

    def __post_init__(self):
        if self.precision not in PRECISIONS:
            raise ValueError(f"Annealing.precision must be one of {', '.join(PRECISIONS)}, got {self.precision!r}.")
        for name in ("steps", "turn"):
            value = getattr(self, name)
            if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
                raise ValueError(f"Annealing.{name} must be a whole number of at least 1, got {value!r}.")
        if self.coldest > self.hottest:
            raise ValueError(f"Annealing.coldest must not be above hottest, got {self.coldest} and {self.hottest}.")
        for name in ("hottest", "coldest", "rate"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0 < value < float("inf") or (name == "rate" and value > 1):
                wanted = "in (0, 1]" if name == "rate" else "positive"
                raise ValueError(f"Annealing.{name} must be {wanted}, got {value!r}.")

    def temperature(self, step: Array) -> Array:
        """Falls over the first four fifths of the steps, and then stays."""
        share = jnp.clip(step.astype(self.precision) / max(0.8 * self.steps, 1.0), 0.0, 1.0)
        return self.hottest * (self.coldest / self.hottest) ** share

    def in_steps(self, tree: _Tree) -> _Tree:
        """All floats of a tree, in the numbers that gradient steps are taken in."""
        floats = lambda leaf: jnp.issubdtype(jnp.result_type(leaf), jnp.floating)
        return jax.tree.map(lambda leaf: leaf.astype(self.precision) if floats(leaf) else leaf, tree)


# Logits of the starts: how strongly an informative policy tells the evidence, and the spread of random ones.
_TELLING = 5.0
_SPREAD = 4.0
_NOISE = 0.1
# How step lengths follow the temperature: the colder, the more sharply a user's choice turns.
_PACE = 0.25


def starting_logits(key: Array, told: Sequence[Array], start: Array) -> list[Array]:
    """Makes logits that are silent (start 0), fully informative (1) or random (any other), with a little noise.

    `told` are kernels that tell everything.
    """
    logits = []
    for kernel, noise in zip(told, normals(key, *(kernel.shape for kernel in told)), strict=True):
        loud = _TELLING * kernel + _NOISE * noise
        logits.append(jnp.where(start == 0, _NOISE * noise, jnp.where(start == 1, loud, _SPREAD * noise)))
    return logits


def in_common_units(game: Game) -> Game:
    """Rescales payoffs so that each user's, and each provider's from its users together, range over one.

    Ranges are of stakes per unit of probability: temperatures then are shares of them.
    """
    share = jnp.where(game.probability > 0, game.probability, 1.0)[..., None]
    reach = lambda values: jnp.asarray(jnp.ptp(values / share.reshape((1,) * (values.ndim - 4) + share.shape), axis=-1))
    user = reach(game.user).max(axis=(-2, -1))
    provider = reach(game.provider).max(axis=(-2, -1)).sum(axis=-1)
    one = lambda size: jnp.asarray(jnp.where(size > 0, size, 1.0))
    return Game(
        game.user / one(user)[:, None, None, None],
        game.provider / one(provider)[:, None, None, None, None],
        game.probability,
        game.member,
        jnp.zeros_like(game.user_baseline),
        jnp.zeros_like(game.provider_baseline),
    )


def gradient_play(game: Game, logits: list[Array], annealing: Annealing, method: Method) -> list[Array]:
    """All providers play from some logits on; returns the kernels they end with. Payoffs are in common units."""
    game, logits = annealing.in_steps((game, logits))
    providers = game.provider.shape[0]
    everyone = jnp.arange(providers, dtype=jnp.int32)

    def slopes(kernels: list[Array], step: Array) -> list[Array]:
        _, found = game_gradient(game, kernels, Logit(annealing.temperature(step)))
        if method != "alternating":
            return found
        moves = everyone == (step // jnp.int32(annealing.turn)) % jnp.int32(providers)
        return [jnp.where(moves.reshape(-1, *(1,) * (slope.ndim - 1)), slope, 0.0) for slope in found]

    return _play_logit(logits, slopes, annealing) if method == "logit" else _climb(logits, slopes, annealing)


def gradient_reply(
    game: Game, offers: Response, provider: Array, logits: list[Array], annealing: Annealing
) -> list[Array]:
    """One provider plays against offers that stay; returns its kernels, `[1 segment ...]`.

    `offers` are what conversations with every provider are worth and lead to, `[provider user]`, in common units.
    """
    game, offers, logits = annealing.in_steps((game, offers, logits))
    value = lambda kernels, people: relaxed_value(game, offers, provider, kernels, people)
    slopes = lambda kernels, step: jax.grad(value)(kernels, Logit(annealing.temperature(step)))
    return _climb(logits, slopes, annealing)


def relaxed_value(game: Game, offers: Response, provider: Array, kernels: list[Array], people: Logit) -> Array:
    """What a provider gets by a policy, `[1 segment ...]`, from users who err, while all other offers stay."""
    own = converse(game, kernels, people)
    row = jnp.arange(game.provider.shape[0], dtype=jnp.int32) == provider
    mixed = jax.tree.map(lambda new, old: jnp.where(row.reshape(-1, *(1,) * (old.ndim - 1)), new, old), own, offers)
    return settle(game, mixed, people).provider_value[provider]


def _climb(
    logits: list[Array], slopes: Callable[[list[Array], Array], list[Array]], annealing: Annealing
) -> list[Array]:
    """Follows gradients by Adam; `slopes` are derivatives in the probabilities of signals."""
    optimiser = optax.adam(annealing.rate)

    def advance(step: Array, state: Any) -> Any:
        logits, memory = state
        kernels = _probabilities(logits)
        # Halfway to the natural gradient, so that signals out of use can come back.
        downhill = jax.tree.map(lambda p, g: -jnp.sqrt(p) * (g - _mean(p, g)), kernels, slopes(kernels, step))
        # Optax mixes types of numbers, which a caller may have forbidden.
        with jax.numpy_dtype_promotion("standard"):
            change, memory = optimiser.update(downhill, memory)
        pace = (annealing.temperature(step) / annealing.hottest) ** _PACE
        # Who has no slope, because it is another one's turn, does not move on by momentum.
        moved = jax.tree.map(lambda at, by, g: at + jnp.where(g == 0, 0.0, pace * by), logits, change, downhill)
        return moved, memory

    state = (logits, optimiser.init(logits))
    logits, _ = lax.fori_loop(jnp.int32(0), jnp.int32(annealing.steps), advance, state)
    return _ended(logits)


def _play_logit(
    logits: list[Array], slopes: Callable[[list[Array], Array], list[Array]], annealing: Annealing
) -> list[Array]:
    """Moves logits towards derivatives in units of the temperature: a damped fixed point.

    There, each row of a policy is stationary for the provider's payoff plus the temperature times the row's entropy.
    """

    def advance(step: Array, logits: list[Array]) -> list[Array]:
        temperature = annealing.temperature(step)
        found = slopes(_probabilities(logits), step)
        aim = jax.tree.map(lambda g: (g - g.mean(axis=-1, keepdims=True)) / temperature, found)
        return jax.tree.map(lambda at, to: at + annealing.rate * (to - at), logits, aim)

    return _ended(lax.fori_loop(jnp.int32(0), jnp.int32(annealing.steps), advance, logits))


def _ended(logits: list[Array]) -> list[Array]:
    """Where play ends, in float64 whatever the steps were taken in."""
    return _probabilities([each.astype(jnp.float64) for each in logits])


def _probabilities(logits: list[Array]) -> list[Array]:
    return [jax.nn.softmax(each, axis=-1) for each in logits]


def _mean(chances: Array, values: Array) -> Array:
    return (chances * values).sum(axis=-1, keepdims=True)
