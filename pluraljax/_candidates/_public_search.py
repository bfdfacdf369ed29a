"""The search for one public policy for several users, and multipliers: a linear programme over profiles of actions.

Every signal of a public policy leaves an unnormalised belief mu (one entry per evidence; over signals they add up to
the prior) at which each user has a best action. The programme maximises a provider's payoff over such beliefs, while
the users to be won lose at most, and the others at least, so much against what full information gives them. It is a
revised simplex method with few rows, one per evidence and user; its columns are the corners of the cells of
`_cells.py`, which climb towards columns that pay at the current prices while the method goes on.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from ._cells import (
    Cells,
    climb,
    count_profiles,
    obedience_prices,
    over_profiles,
    paid_for_obedience,
    profile_actions,
    start_cells,
)
from ._program import SolverStatus

# What counts as a gain, in units of the task and as a share of the prices that it is the difference of.
OPTIMALITY = 1e-12
_ROUNDING = 1e-14
# Beliefs of columns add up to 1; where a column's entries are larger, as a share of the largest.
SMALLEST_PIVOT = 1e-9
# Weights below this are zero: rounding must not order them.
ZERO = 1e-13
TIE = 1e-14
# Pivots of the programme for each move of the cells: cells are far dearer.
_PIVOTS = 3
# The price of users' losses that fall short: raised until nothing does, or until it rules the set of users out.
_FIRST_PENALTY, _MORE_PENALTY, _MOST_PENALTY = 1e2, 1e2, 1e8
# Where no more than this is short, it may be for want of the room that the task asks for.
_TINY = 1e-6
# A search is sound when its multipliers prove its value to this many times what counts as a gain.
_SOUND = 1e3
# How far from the identity an inverse may be, times its matrix, for Newton's method to take the rest out.
_NEWTON = 1e-3


class PublicTask(eqx.Module):
    """A programme over public policies for an audience.

    `user` and `target` are stakes; the users marked `won` may lose at most `loss` against full information, the others
    lose at least that much. Policies keep a distance `room` from these limits if any does. `probability` is that of the
    evidence: entries are divided by it, however small it is. The search ends early when the optimum is known to be
    below `enough`; a task where that is infinite is not looked at, and gets zeros.
    """

    user: Float[Array, "*batch member evidence action"]
    target: Float[Array, "*batch member evidence action"]
    probability: Float[Array, "*batch evidence"]
    won: Bool[Array, "*batch member"]
    loss: Float[Array, "*batch member"]
    room: Float[Array, "*batch member"]
    enough: Float[Array, "*batch"]


class PublicCandidate(eqx.Module):
    """A policy (each signal recommends an action to every user), and multipliers in the units of the task.

    `policy[x, s]` is the probability of signal s; `obedience[profile, member, action]` is for a user who does that
    when the profile has another action for her.
    """

    policy: Float[Array, "*batch evidence signal"]
    recommended: Int[Array, "*batch member signal"]
    obedience: Float[Array, "*batch profile member action"]
    participation: Float[Array, "*batch member"]
    outcome: Int[Array, "*batch"]
    steps: Int[Array, "*batch"]


class Scaled(eqx.Module):
    """A task in units of order one: losses against the best action, payoffs against the best one for the provider."""

    user: Float[Array, "member evidence action"]
    lost: Float[Array, "member evidence action"]
    target: Float[Array, "member evidence action"]
    share: Float[Array, " evidence"]
    won: Bool[Array, " member"]
    loss: Float[Array, " member"]
    room: Float[Array, " member"]
    user_unit: Float[Array, " member"]
    target_unit: Float[Array, ""]
    enough: Float[Array, ""]


def scale(task: PublicTask) -> Scaled:
    share = jnp.where(task.probability > 0, task.probability, 1.0)
    user, target = task.user / share[None, :, None], task.target / share[None, :, None]
    user_unit, target_unit = _positive(_spread(user).max(axis=-1)), _positive(_spread(target).sum(axis=0).max())
    target = jnp.where(task.won[:, None, None], target - target.max(axis=-1, keepdims=True), 0.0) / target_unit
    best = jnp.where(task.won[:, None], task.target.max(axis=-1), 0.0).sum()
    return Scaled(
        user=user / user_unit[:, None, None],
        lost=(user.max(axis=-1, keepdims=True) - user) / user_unit[:, None, None],
        target=target,
        share=share,
        won=task.won,
        loss=jnp.maximum(task.loss, 0.0) / user_unit,
        room=task.room / user_unit,
        user_unit=user_unit,
        target_unit=target_unit,
        enough=(task.enough - best) / target_unit,
    )


def _spread(values: Array) -> Array:
    return values.max(axis=-1) - values.min(axis=-1)


def _positive(unit: Array) -> Array:
    return jnp.where(unit > 0, unit, 1.0)


class Search(eqx.Module):
    """A basis of the programme (rows: evidences, then users), and the corners that its next columns come from.

    `columns[n]` are the entries of the n-th column of the basis, and `inverse` is the inverse of the basis.
    """

    columns: Float[Array, "row row"]
    inverse: Float[Array, "row row"]
    weight: Float[Array, " row"]
    nudge: Float[Array, " row"]
    cost: Float[Array, " row"]
    unmet: Bool[Array, " row"]
    profile: Int[Array, " row"]
    penalty: Float[Array, ""]
    roomy: Bool[Array, ""]
    cells: Cells
    again: Bool[Array, ""]
    outcome: Int[Array, ""]
    steps: Int[Array, ""]


RUNNING = -1


def start(scaled: Scaled, again: Bool[Array, ""]) -> Search:
    """Starts with full information, which costs the users nothing; those not to be won then lose too little.

    Ties are broken in another way where a search is started again.
    """
    members, evidences, actions = scaled.user.shape
    rows, pairs = evidences + members, members * (actions - 1)
    bits = jr.bits(jr.key(jnp.uint32(0)), (2, rows + pairs), jnp.uint32)
    noise = (bits.astype(jnp.float64) * 2.0**-32 + 0.5)[again.astype(jnp.int32)]
    best = jnp.where(scaled.lost <= TIE, scaled.target, -jnp.inf)
    action = _first(best == best.max(axis=-1, keepdims=True))
    place = _places(members, actions)
    nobody = jnp.zeros(members, jnp.float64)
    return Search(
        columns=jnp.eye(rows, dtype=jnp.float64),
        inverse=jnp.eye(rows, dtype=jnp.float64),
        weight=_limits(scaled, jnp.array(True)),
        nudge=noise[:rows],
        cost=jnp.concatenate([best.max(axis=-1).sum(axis=0), nobody]),
        unmet=jnp.concatenate([jnp.zeros(evidences, bool), ~scaled.won]),
        profile=jnp.concatenate(
            [jnp.sum(place[:, None] * action, axis=0, dtype=jnp.int32), jnp.zeros(members, jnp.int32)]
        ),
        penalty=jnp.full((), _FIRST_PENALTY, jnp.float64),
        roomy=jnp.array(True),
        cells=start_cells(scaled.user, noise[rows:]),
        again=again,
        outcome=jnp.int32(RUNNING),
        steps=jnp.int32(0),
    )


def _limits(scaled: Scaled, roomy: Bool[Array, ""]) -> Float[Array, " row"]:
    """The right-hand side: the weight of each evidence, then each user's loss."""
    room = jnp.where(roomy, jnp.where(scaled.won, -scaled.room, scaled.room), 0.0)
    return jnp.concatenate([scaled.share, jnp.maximum(scaled.loss + room, 0.0)])


def _first(mask: Array) -> Int[Array, "..."]:
    places = lax.broadcasted_iota(jnp.int32, mask.shape, mask.ndim - 1)
    return jnp.where(mask, places, np.int32(mask.shape[-1] - 1)).min(axis=-1)


def _prices(scaled: Scaled, search: Search) -> tuple[Array, Array, Array]:
    """Prices of the users at the basis, what a unit of belief in each cell would add, and what counts as a gain."""
    evidences = scaled.share.shape[0]
    cost = search.cost - jnp.where(search.unmet, search.penalty, 0.0)
    price = (cost[:, None] * search.inverse).sum(axis=0)
    rows, users = price[:evidences], price[evidences:]
    gain = over_profiles(scaled.target - users[:, None, None] * scaled.lost) - rows[:, None]
    return users, gain, OPTIMALITY + _ROUNDING * jnp.abs(price).max()


class _Column(eqx.Module):
    """A column that may enter the basis: the belief of a corner, or the slack of a user's row."""

    entries: Float[Array, " row"]
    cost: Float[Array, ""]
    profile: Int[Array, ""]
    pays: Bool[Array, ""]


def _best_column(scaled: Scaled, search: Search) -> _Column:
    """The column that adds most to the objective."""
    members, _, actions = scaled.user.shape
    users, gain, least = _prices(scaled, search)
    corner = search.cells.corner
    sign = jnp.where(scaled.won, 1.0, -1.0)
    offers = jnp.concatenate([(gain * corner).sum(axis=0), -sign * users])
    enter = _first(offers == offers.max())
    chosen = jnp.arange(offers.shape[0], dtype=jnp.int32) == enter
    is_cell, is_slack = chosen[: corner.shape[1]], chosen[corner.shape[1] :]
    belief = jnp.asarray(jnp.where(is_cell[None], corner, 0.0)).sum(axis=1)
    action = (enter // _places(members, actions)) % np.int32(actions)
    taken = action[:, None] == jnp.arange(actions, dtype=jnp.int32)[None]
    at_action = lambda values: jnp.asarray(jnp.where(taken[:, None, :], values, 0.0)).sum(axis=-1)
    lost = (at_action(scaled.lost) * belief[None]).sum(axis=-1)
    return _Column(
        entries=jnp.concatenate([belief, lost + jnp.where(is_slack, sign, 0.0)]),
        cost=(at_action(scaled.target) * belief[None]).sum(),
        profile=jnp.asarray(jnp.where(is_slack.any(), jnp.int32(0), enter)),
        pays=offers.max() > least,
    )


def _places(members: int, actions: int) -> Int[Array, " member"]:
    """What each member's action adds to the number of a profile."""
    return jnp.asarray(actions ** np.arange(members)[::-1], jnp.int32)


def _pivot(scaled: Scaled, search: Search) -> tuple[Search, Array]:
    """One exchange of the basis; tells whether there was one."""
    column = _best_column(scaled, search)
    along = (search.inverse * column.entries[None]).sum(axis=1)
    usable = along > SMALLEST_PIVOT * jnp.maximum(jnp.abs(along).max(), 1.0)
    speed = jnp.where(usable, along, 1.0)
    ratio = jnp.where(usable, jnp.where(search.weight > ZERO, search.weight, 0.0) / speed, jnp.inf)
    tied = usable & (ratio <= ratio.min())
    second = jnp.where(tied, search.nudge / speed, jnp.inf)
    leaves = jnp.arange(along.shape[0], dtype=jnp.int32) == _first(tied & (second == second.min()))
    go = column.pays & usable.any()

    pick = lambda values: jnp.asarray(jnp.where(leaves, values, 0.0)).sum()
    pivot = jnp.where(go, pick(along), 1.0)
    row = jnp.asarray(jnp.where(leaves[:, None], search.inverse, 0.0)).sum(axis=0) / pivot
    exchange = lambda old: jnp.where(leaves, pick(old) / pivot, old - along * (pick(old) / pivot))
    new = {
        "columns": jnp.where(leaves[:, None], column.entries[None], search.columns),
        "inverse": jnp.where(leaves[:, None], row[None], search.inverse - along[:, None] * row[None]),
        "weight": exchange(search.weight),
        "nudge": exchange(search.nudge),
        "cost": jnp.where(leaves, column.cost, search.cost),
        "unmet": search.unmet & ~leaves,
        "profile": jnp.where(leaves, column.profile, search.profile),
    }
    read = lambda state: tuple(getattr(state, name) for name in new)
    kept = tuple(jnp.where(go, value, getattr(search, name)) for name, value in new.items())
    return eqx.tree_at(read, search, kept), go


def step(scaled: Scaled, search: Search) -> Search:
    """A few exchanges, then one move of every cell; ends where neither finds anything to gain."""
    before = search

    def exchange(_, state):
        search, moved = state
        search, went = _pivot(scaled, search)
        return search, moved | went

    search, moved = lax.fori_loop(0, _PIVOTS, exchange, (search, jnp.array(False)))
    _, gain, least = _prices(scaled, search)
    cells, climbed = climb(search.cells, gain, least)
    still = ~moved & ~climbed.any()
    missing = jnp.where(search.unmet, search.weight, 0.0).sum()
    value = (search.cost * search.weight).sum()
    hopeless = value - search.penalty * missing <= scaled.enough
    short = still & (missing > OPTIMALITY) & ~hopeless
    # The basis at hand serves without room too; what it lacks to be feasible there is rounding.
    closer = short & search.roomy & (missing <= _TINY)
    dearer = short & ~closer & (search.penalty < _MOST_PENALTY)
    bare = jnp.maximum((search.inverse * _limits(scaled, jnp.array(False))[None]).sum(axis=1), 0.0)
    penalty = jnp.where(closer, _FIRST_PENALTY, search.penalty * jnp.where(dearer, _MORE_PENALTY, 1.0))
    ended = jnp.where(still & ~closer & ~dearer, jnp.int32(SolverStatus.OPTIMAL), jnp.int32(RUNNING))
    after = eqx.tree_at(
        lambda s: (s.weight, s.cells, s.penalty, s.roomy, s.outcome, s.steps),
        search,
        (
            jnp.where(closer, bare, search.weight),
            cells,
            penalty,
            search.roomy & ~closer,
            ended,
            search.steps + jnp.int32(1),
        ),
    )
    running = before.outcome == RUNNING
    return jax.tree.map(lambda old, new: jnp.where(running, new, old), before, after)


def read(scaled: Scaled, search: Search) -> PublicCandidate:
    members, _, actions = scaled.user.shape
    users, gain, _ = _prices(scaled, search)
    prices = obedience_prices(search.cells, gain, members)
    action = jnp.asarray(profile_actions(members, actions).T)
    own = action[:, :, None] == jnp.arange(actions, dtype=jnp.int32)[None, None]
    by_action = jnp.zeros((count_profiles(members, actions), members, actions), jnp.float64)
    for shift in range(1, actions):
        by_action = by_action + jnp.where(jnp.roll(own, shift, axis=-1), prices[:, :, shift - 1 : shift], 0.0)
    belief = search.columns[:, : scaled.share.shape[0]]
    policy = (jnp.maximum(search.weight, 0.0)[:, None] * belief / scaled.share[None]).T
    return PublicCandidate(
        policy=policy,
        recommended=(search.profile[None] // _places(members, actions)[:, None]) % np.int32(actions),
        obedience=by_action * (scaled.target_unit / scaled.user_unit)[None, :, None],
        participation=jnp.abs(users) * scaled.target_unit / scaled.user_unit,
        outcome=jnp.asarray(jnp.where(search.outcome == RUNNING, jnp.int32(SolverStatus.UNSOLVED), search.outcome)),
        steps=search.steps,
    )


def ended(search: Search) -> Bool[Array, ""]:
    """Tells whether a search has found what it looked for, or has taken too long."""
    return (search.outcome != RUNNING) | (search.steps >= 200 + 20 * search.weight.shape[0])


def polish(scaled: Scaled, search: Search) -> Search:
    """Takes the rounding of many exchanges out of the basis: a step of Newton's for its inverse, then new weights."""
    product = lambda left, right: (left[:, :, None] * right[None]).sum(axis=1)
    found = product(search.inverse, search.columns.T)
    close = jnp.abs(found - jnp.eye(found.shape[0], dtype=jnp.float64)).max() <= _NEWTON
    inverse = jnp.where(close, 2.0 * search.inverse - product(found, search.inverse), search.inverse)
    limits = _limits(scaled, search.roomy)
    solve = lambda side: (inverse * side[None]).sum(axis=1)
    weight = solve(limits)
    weight = weight + solve(limits - (search.columns * weight[:, None]).sum(axis=0))
    return eqx.tree_at(lambda s: (s.inverse, s.weight), search, (inverse, jnp.where(close, weight, search.weight)))


def is_sound(scaled: Scaled, search: Search) -> Bool[Array, ""]:
    """Checks the candidates of a search against the programme as it was given: bad pivots can spoil them."""
    _, gain, least = _prices(scaled, search)
    prices = obedience_prices(search.cells, gain, scaled.user.shape[0]).reshape(gain.shape[1], -1).T
    paid = gain + paid_for_obedience(scaled.user, prices)
    excess = (scaled.share * jnp.maximum(paid.max(axis=1), 0.0)).sum()
    told = (jnp.maximum(search.weight, 0.0)[:, None] * search.columns).sum(axis=0)[: scaled.share.shape[0]]
    # Without room the policy is of no use to the caller.
    off = jnp.where(search.roomy, jnp.abs(told - scaled.share).max(), 0.0)
    return (excess <= _SOUND * least) & (off <= least) & (search.outcome != RUNNING)
