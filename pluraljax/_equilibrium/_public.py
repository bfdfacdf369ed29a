"""Play among many users who share a policy: replies by gradient, wherever those that are quick to try do not gain.

Nothing is solved exactly there: what is certified is that a profile is refuted, that it is an equilibrium, or between
what the gains are.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from .._candidates import Annealing, in_common_units
from .._conversation import Conversation, Rational, as_kernels, pick_provider
from .._market import Market
from .._payoff import converse, lay_out_game
from .._ties import MEANT
from .._truth import Truth
from ._menus import Menus, with_best_reply
from ._reply import reply_by_gradient
from ._rounds import Looked, look

# Starts of each reply by gradient: silent and fully informative.
_STARTS = 2


class _State(eqx.Module):
    """Where play is: `replies` are tried in the next look, and `searched` says that gradients have found them."""

    turn: Int[Array, ""]
    menus: Menus
    replies: Float[Array, "provider segment evidence query signal"]
    searched: Bool[Array, ""]
    looked: Looked
    settled: Bool[Array, ""]


def play_public(
    market: Market,
    labels: tuple[int, ...],
    conversation: Conversation,
    menus: Menus,
    key: Array,
    annealing: Annealing,
    rounds: int,
    delta: Array,
    raise_by: float,
) -> tuple[Menus, Looked]:
    """Plays replies until nobody is seen to gain, or for so many rounds; returns the last profile, and its look.

    Only where no disclosure, private optimum or rival's policy refutes a profile do providers follow gradients.
    """
    told = _shape_of_replies(market, labels, conversation, menus)

    def advance(state: _State) -> _State:
        looked, found = look(market, labels, state.menus, delta, state.replies)
        fails, last = looked.holds == Truth.FAILS, state.turn >= 2 * rounds
        moves, searches = fails & ~last, (looked.holds == Truth.OPEN) & ~state.searched
        moved = with_best_reply(market, labels, state.menus, found, raise_by)
        pick = lambda mask, new, old: jax.tree.map(lambda a, b: jnp.where(mask, a, b), new, old)
        found_replies = lax.cond(
            searches,
            lambda menus: _replies(market, labels, told, menus, key, annealing),
            lambda menus: _silent(menus, told),
            state.menus,
        )
        return _State(
            turn=state.turn + jnp.int32(1),
            menus=pick(moves, moved, state.menus),
            replies=found_replies,
            searched=searches,
            looked=looked,
            settled=~moves & ~searches,
        )

    nobody = _silent(menus, told)
    blank = jax.eval_shape(lambda: look(market, labels, menus, delta, nobody)[0])
    nothing = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), blank)
    no = jnp.zeros((), bool)
    start = _State(jnp.int32(0), menus, nobody, no, nothing, no)
    # A search takes a turn of its own, after the last move too.
    most = jnp.int32(2 * rounds + 2)
    ended = lax.while_loop(lambda state: ~state.settled & (state.turn < most), advance, start)
    return ended.menus, ended.looked


def _shape_of_replies(
    market: Market, labels: tuple[int, ...], conversation: Conversation, menus: Menus
) -> Conversation:
    """Replies have one query, and as many signals as leave room in the menus for telling a little more."""
    room = menus.policy.shape[-1] - 1 - market.prior.shape[2]
    return Conversation(signals=min(conversation.num_signals(market), room))


def _silent(menus: Menus, told: Conversation) -> Array:
    providers, segments, evidences = menus.policy.shape[:3]
    policy = np.zeros((providers, segments, evidences, 1, told.signals or 1))
    policy[..., 0] = 1.0
    return jnp.asarray(policy, jnp.float64)


def _replies(
    market: Market, labels: tuple[int, ...], told: Conversation, menus: Menus, key: Array, annealing: Annealing
) -> Float[Array, "provider segment evidence query signal"]:
    """Every provider's reply by gradient to a profile, one provider after the other."""
    game = in_common_units(lay_out_game(market, labels))
    offers = converse(game, as_kernels(menus.policy), Rational(), menus.profile())
    choice = pick_provider(offers.value, MEANT * game.size(), menus.choice)
    full = as_kernels(tuple(jnp.asarray(kernel) for kernel in told.informative(market, np.asarray(labels))))
    reply = lambda i: reply_by_gradient(
        game, told, labels, offers, choice, full, i, jr.fold_in(key, np.int32(-1)), _STARTS, annealing
    )
    everyone = jnp.arange(menus.policy.shape[0], dtype=jnp.int32)
    (found,) = lax.map(reply, everyone)
    return found.reshape(*menus.policy.shape[:3], 1, -1)
