"""A provider's reply as advice that users have no reason to ignore: mirror ascent with a price on their regret.

Once it is fixed what each user is meant to do after every transcript, a provider's payoff is linear in a policy of one
round, and what users lose by doing as they are told, their regret, is convex. The payoff less a multiple of the regret
then has no local maxima, and from some price on its maximum is a policy that users follow (an exact penalty). Maxima
are smoothed at temperatures that fall. Proposes policies only: they are judged by what rational users do with them.
"""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from .._conversation import (
    Conversation,
    Response,
    likelihoods,
    pick_provider,
    plan,
    reaches,
    respond,
    smooth_maximum,
    smooth_value,
)
from .._payoff import Game, spread
from .._ties import MEANT
from ._dynamics import Annealing

# What a unit of regret costs, in units of a provider's range over those of its users, start by start. The dearer, the
# fewer markets in which regret still pays, and the slower the ascent.
_PRICES = (6.0, 20.0, 2.0, 60.0)
# Steps of logits per unit of the derivative, and the share of the last step that is taken again.
_STEP, _MOMENTUM = 0.06, 0.9
# Steps shrink with this power of the temperature in one round of prices, and stay in the next: shorter ones settle
# where users are nearly indifferent between menus, longer ones get to the end where a policy is slow to move.
_PACES = (0.25, 0.0)
# Steps between two looks at what rational users do with a policy; the best that is seen is kept.
_LOOK = 20
# Logits this far below the largest are as good as never sent, and can still come back.
_FLOOR = -60.0


class Advice(eqx.Module):
    """What each user is meant to do with a policy; `served` says who is meant to be won at all."""

    action: Float[Array, "user type transcript action"]
    asks: tuple[Float[Array, "user type _ _"], ...]
    served: Bool[Array, " user"]


class Rivals(eqx.Module):
    """What users can have elsewhere, `[provider user]`, and what provider `own` gets from them there.

    Its own row is not looked at. `wanted` is whom they talk to at a tie.
    """

    own: Int[Array, ""]
    value: Float[Array, "provider user"]
    pays: Float[Array, "provider user"]
    wanted: Int[Array, " user"]


def rivals_of(game: Game, offers: Response, own: Array, wanted: Int[Array, " user"]) -> Rivals:
    """Reads them off offers to rational users."""
    return Rivals(own, offers.value, (game.provider[own][None] * offers.outcome).sum(axis=(2, 3, 4)), wanted)


def advises_all(conversation: Conversation, labels: tuple[int, ...], types: int, actions: int, signals: int) -> bool:
    """Whether a query per type and a signal per action fit, for users who share no policy: no advice is then better."""
    rounds = conversation.rounds
    alone = len(set(labels)) == len(labels)
    return alone and conversation.queries**rounds >= types and signals**rounds >= actions


def full_advice(game: Game, conversation: Conversation, signals: int) -> Advice:
    """Type t asks the t-th sequence of queries, and the n-th sequence of signals stands for the n-th action."""
    users, types, _, actions = game.user.shape
    asks, transcripts = [], 1
    said = np.zeros(1, int)
    for turn in range(conversation.rounds):
        asked = np.arange(types) // conversation.queries**turn % conversation.queries
        one = np.arange(conversation.queries)[None] == asked[:, None]
        asks.append(np.broadcast_to(one[None, :, None], (users, types, transcripts, conversation.queries)))
        said = said[:, None, None] + (np.arange(signals) * signals**turn)[None, None, :]
        said = np.broadcast_to(said, (transcripts, conversation.queries, signals)).reshape(-1)
        transcripts = said.size
    action = np.arange(actions)[None] == said[:, None] % actions
    as_chances = lambda mask: jnp.asarray(mask, jnp.float64)
    everywhere = np.broadcast_to(action[None, None], (users, types, transcripts, actions))
    return Advice(as_chances(everywhere), tuple(as_chances(ask) for ask in asks), jnp.ones(users, bool))


def followed_advice(game: Game, rivals: Rivals, kernels: Sequence[Array]) -> Advice:
    """What rational users do with a policy, `[1 segment ...]`, is what they are told."""
    policies = [spread(kernel, game.member)[0] for kernel in kernels]
    action, asks = jax.vmap(plan)(game.user, policies, game.provider[rivals.own])
    return Advice(action, tuple(asks), _picks(game, rivals, kernels)[0] == rivals.own)


def _picks(game: Game, rivals: Rivals, kernels: Sequence[Array]) -> tuple[Int[Array, " user"], Response]:
    """Whom rational users talk to, and what a policy leads to."""
    policies = [spread(kernel, game.member)[0] for kernel in kernels]
    reply = jax.vmap(respond)(game.user, policies, game.provider[rivals.own])
    everyone = jnp.arange(rivals.value.shape[0], dtype=jnp.int32)[:, None]
    values = jnp.where(everyone == rivals.own, reply.value[None], rivals.value)
    return pick_provider(values, MEANT * game.size(), rivals.wanted), reply


def earned(game: Game, rivals: Rivals, kernels: Sequence[Array]) -> Float[Array, " segment"]:
    """What a provider gets from the users of each segment by a policy, `[1 segment ...]`, when they are rational."""
    choice, reply = _picks(game, rivals, kernels)
    stakes = game.provider[rivals.own]
    everyone = jnp.arange(rivals.value.shape[0], dtype=jnp.int32)[:, None]
    elsewhere = jnp.where(everyone == choice[None], rivals.pays, 0.0).sum(axis=0)
    each = jnp.where(choice == rivals.own, (stakes * reply.outcome).sum(axis=(1, 2, 3)), elsewhere)
    return _by_segment(game, each)


def _by_segment(game: Game, each: Float[Array, " user"]) -> Float[Array, " segment"]:
    return each if game.member is None else jnp.where(game.member, each[:, None], 0.0).sum(axis=0)


def advised_reply(
    game: Game, rivals: Rivals, advice: Advice, logits: list[Array], start: Array, annealing: Annealing
) -> tuple[list[Array], Float[Array, " segment"]]:
    """Improves a policy that users are to follow; returns the best one seen for each segment, and what it earns there.

    **Arguments:**

    - `game`: payoffs in common units.
    - `logits`: where to start, `[1 segment ...]` per round.
    - `start`: the number of the start, which says what regret costs.
    """
    told = _stakes_of(game, advice, game.user, logits)
    paid = _stakes_of(game, advice, game.provider[rivals.own], logits)
    size = _reach(game.provider[rivals.own], game.probability)
    # In a shared policy one user's regret may pay in what others do.
    size = size if game.member is None else jnp.where(game.member, _by_segment(game, size)[None], 0.0).sum(axis=1)
    prices, paces = jnp.int32(len(_PRICES)), jnp.int32(len(_PACES))
    price = jnp.asarray(_PRICES, annealing.precision)[start % prices]
    pace = jnp.asarray(_PACES, annealing.precision)[start // prices % paces]
    weights = _row_weights(game, advice, size, logits)
    # Steps are taken in these; what is looked at is `game`.
    known = (game, told, paid, size, weights, _outside(rivals))
    near, told, paid, size, weights, outside = annealing.in_steps(known)

    def objective(kernels: list[Array], temperature: Array) -> Array:
        policies = [spread(kernel, near.member)[0] for kernel in kernels]
        likelihood = jax.vmap(lambda policy: likelihoods(policy)[-1])(policies)
        promised, pay = ((likelihood * stakes).sum(axis=(1, 2)) for stakes in (told, paid))
        value = jax.vmap(smooth_value, in_axes=(0, 0, 0, None))(near.user, near.probability, policies, temperature)
        if outside is not None:
            value = smooth_maximum(jnp.stack([value, outside], axis=-1), jnp.broadcast_to(temperature, value.shape))
            promised, pay = jnp.where(advice.served, promised, outside), jnp.where(advice.served, pay, 0.0)
        return (pay - price * size * (value - promised)).sum()

    # What regret costs follows the price: the dearer, the colder.
    cool = _PRICES[0] / price

    def advance(step: Array, state: tuple[list[Array], list[Array]]) -> tuple[list[Array], list[Array]]:
        logits, speed = state
        ahead = [jax.nn.softmax(at + _MOMENTUM * by, axis=-1) for at, by in zip(logits, speed, strict=True)]
        temperature = annealing.temperature(step)
        slopes = jax.grad(objective)(ahead, cool * temperature)
        length = _STEP * (temperature / annealing.hottest) ** pace
        speed = [_MOMENTUM * by + length * g / row for by, g, row in zip(speed, slopes, weights, strict=True)]
        moved = [at + by for at, by in zip(logits, speed, strict=True)]
        return [jnp.maximum(at - at.max(axis=-1, keepdims=True), _FLOOR) for at in moved], speed

    def look(logits: list[Array], best: tuple[list[Array], Array]) -> tuple[list[Array], Array]:
        kernels = [jax.nn.softmax(each.astype(jnp.float64), axis=-1) for each in logits]
        return better(best, (kernels, earned(game, rivals, kernels)))

    def leg(number: Array, state):
        logits, speed, best = state
        logits, speed = lax.fori_loop(number * _LOOK, (number + 1) * _LOOK, advance, (logits, speed))
        return logits, speed, look(logits, best)

    kernels = [jax.nn.softmax(each, axis=-1) for each in logits]
    logits = annealing.in_steps(logits)
    state = (logits, [jnp.zeros_like(each) for each in logits], (kernels, earned(game, rivals, kernels)))
    legs = -(-annealing.steps // _LOOK)
    return lax.fori_loop(jnp.int32(0), jnp.int32(legs), leg, state)[2]


def better(one: tuple[list[Array], Array], other: tuple[list[Array], Array]) -> tuple[list[Array], Array]:
    """Takes the policy of each segment from where it earns more; from the first at a tie."""
    wins = other[1] > one[1]
    pick = lambda a, b: jnp.where(wins.reshape(1, -1, *(1,) * (a.ndim - 2)), b, a)
    return [pick(a, b) for a, b in zip(one[0], other[0], strict=True)], jnp.maximum(one[1], other[1])


def _stakes_of(
    game: Game, advice: Advice, stakes: Float[Array, "user type evidence action"], kernels: Sequence[Array]
) -> Float[Array, "user evidence transcript"]:
    """What each transcript is worth, per unit of its likelihood, to those who do as they are told."""
    signals = [kernel.shape[-1] for kernel in kernels]
    of_one = lambda asks, action, values: jnp.einsum("tn,tna,txa->xn", reaches(asks, signals)[1], action, values)
    return jax.vmap(of_one)(list(advice.asks), advice.action, stakes)


def _reach(stakes: Float[Array, "user type evidence action"], probability: Array) -> Float[Array, " user"]:
    """The range of stakes per unit of probability."""
    share = jnp.where(probability > 0, probability, 1.0)[..., None]
    return jnp.asarray(jnp.ptp(stakes / share, axis=-1)).max(axis=(-2, -1))


def _outside(rivals: Rivals) -> Float[Array, " user"] | None:
    """The best that users can have elsewhere."""
    providers = rivals.value.shape[0]
    if providers == 1:
        return None
    other = jnp.arange(providers, dtype=jnp.int32)[:, None] != rivals.own
    return jnp.where(other, rivals.value, -jnp.inf).max(axis=0)


def _row_weights(game: Game, advice: Advice, size: Array, kernels: Sequence[Array]) -> list[Array]:
    """How much each row of a policy matters, `[1 segment evidence history query 1]`: derivatives are in this unit."""
    signals = [kernel.shape[-1] for kernel in kernels]
    queries = kernels[0].shape[-2]

    def of_one(asks: list[Array], probability: Array, size: Array) -> list[Array]:
        found, _ = reaches(asks, signals)
        # Rows that nobody is told to use matter as lies, which hold the others back.
        used = [each / signals[0] ** turn + 0.1 / queries for turn, each in enumerate(found)]
        return [size * jnp.einsum("thq,tx->xhq", each, probability) for each in used]

    rows = jax.vmap(of_one)(list(advice.asks), game.probability, size)
    if game.member is not None:
        chosen = jnp.asarray(game.member, jnp.float64)
        rows = [jnp.einsum("jg,jxhq->gxhq", chosen, each) for each in rows]
    return [jnp.where(each > 0, each, 1.0)[None, ..., None] for each in rows]
