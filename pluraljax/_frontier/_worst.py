"""The worst personalized equilibrium of every user, bracketed."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from .._arguments import checked
from .._bounds import value_of
from .._bracket import Bracket
from .._candidates import Solver, simplex
from .._market import Market, market_status, one_market, slack
from .._on_scale import UtilityAnswer
from .._precision import float64_scope, in_float64
from .._stakes import fold_actions
from .._status import Status
from ._envelope import lower_at
from ._search import Search, excess, find_worst
from ._stakes import UserStakes, lay_out, where_valid


class Frontier(UtilityAnswer):
    """The least that a personalized delta-equilibrium gives each user, and an equilibrium that gives it.

    `value` is in expected utility. In the equilibrium at `value.upper` every provider offers user j `outcome[j]`, the
    probability of each recommended action given her type and the evidence; `gap` brackets the most that a provider
    could gain by another offer to her, per unit of her mass. `turns` counts the rounds of the search. `status` is a
    `Status` code per user; where the market's data are invalid, every number is NaN.
    """

    attained_by = "outcome"

    value: Bracket
    outcome: Float[Array, "user type evidence action"]
    gap: Bracket
    turns: Int[Array, " user"]
    status: Int[Array, " user"]


@checked(market=one_market, delta=slack)
@float64_scope
def frontier(market: Market, delta: Any = 0.0, *, solver: Solver = simplex) -> Frontier:
    """Brackets each user's utility in her worst delta-equilibrium when providers may personalize.

    Put `phi_i(r) = max {<V_i, q> : <U, q> >= r}` over the user's incentive-compatible outcomes q. With two or more
    providers, q is what some delta-equilibrium gives her exactly when `<V_i, q> >= phi_i(<U, q>) - delta / mass` for
    all i, or when it gives her all that an aligned model would (no offer is strictly better then). With one provider
    `phi_1(silent)` takes the place of `phi_1(<U, q>)`. The lower end is proved by intervals of utility that hold no
    such q, the upper end by such a q. Derivatives are not provided: they are zero.

    **Arguments:**

    - `market`: one market; use `jax.vmap` for a batch.
    - `delta`: how much a provider may leave on the table in an equilibrium, in units of its objective; >= 0. Never read
      as less than 1e-9 of the range of a provider's payoffs from a user: the most that an action makes of a difference.
    - `solver`: proposes candidates; the bracket is valid whatever it returns. Other solvers than the batched one need
      concrete arrays.

    **Returns:** a `Frontier`. Where `status` is `OPEN` the bracket is valid but wider than 1e-6 of the distance between
    silent and aligned utility.
    """
    return worst_equilibria(market, delta, None, solver=solver)


@float64_scope
def worst_equilibria(market: Market, delta: Any, alone: Any, *, solver: Solver = simplex) -> Frontier:
    """`frontier` of a market that may hold twins of its providers; `alone` says whether there is only one otherwise."""
    stakes = lay_out(market, jnp.asarray(delta, jnp.float64), None if alone is None else jnp.asarray(alone, bool))
    return collect(market, stakes, find_worst(stakes, solver))


@float64_scope
def next_equilibria(market: Market, above: Any, delta: Any = 0.0, *, solver: Solver = simplex) -> Frontier:
    """`frontier` from a level of each user's utility on, `[user]`: her least equilibrium that is worth so much."""
    above = jnp.asarray(above, jnp.float64)
    stakes = lay_out(market, jnp.asarray(delta, jnp.float64), None, above)
    return collect(market, stakes, find_worst(stakes, solver))


# Brackets close to this share of the way from silent to aligned, plus the rounding of the user's payoffs.
_TOLERANCE = 1e-6


@in_float64
def collect(market: Market, stakes: UserStakes, search: Search) -> Frontier:
    status = market_status(market)
    valid = status < Status.NOT_FINITE
    found = Bracket(search.lower, search.upper)
    near, span, size = jax.vmap(lambda s: (s.near, s.span, s.receiver.size))(stakes)
    closed = found.is_within(_TOLERANCE * span + 2 * near, span + size)
    # Ends that meet may cross by rounding; more than that is an error, and stays to be seen.
    lower = jnp.where(closed, jnp.minimum(found.lower, found.upper), found.lower)
    worst = jax.vmap(lambda s, ends: jax.tree.map(s.units.own_level, ends))(stakes, Bracket(lower, found.upper))
    gap = jax.vmap(_gap)(stakes, search)
    solved = jnp.where(search.rescued, jnp.int32(Status.RESCUED), jnp.int32(Status.OK))
    row_status = jnp.where(closed, solved, jnp.int32(Status.OPEN))
    return Frontier(
        value=where_valid(market, worst),
        outcome=where_valid(market, fold_actions(search.outcome, market.user_value.shape[-2])),
        gap=where_valid(market, gap),
        turns=search.turn,
        status=jnp.asarray(jnp.where(valid, row_status, status)),
    )


def _gap(stakes: UserStakes, search: Search) -> Bracket:
    """Brackets what a provider can gain at the outcome found: nothing where no offer is strictly better for her."""
    value = value_of(stakes.user, search.outcome)
    level = jnp.where(stakes.alone, stakes.silent, value)
    least = jax.vmap(lower_at, in_axes=(0, None, None))(search.envelope, level, stakes.near)
    least = jnp.where(stakes.alone, search.envelope.value[:, 1], least)
    offered = 2 * value_of(stakes.provider, search.outcome) - stakes.brings(search.outcome)
    top = ~stakes.alone & (search.upper >= stakes.aligned)
    least = ((least - offered) * stakes.units.provider).max()
    most = (excess(stakes, search, search.outcome) * stakes.units.provider).max()
    return Bracket(jnp.where(top, 0.0, jnp.maximum(least, 0.0)), jnp.where(top, 0.0, jnp.maximum(most, 0.0)))
