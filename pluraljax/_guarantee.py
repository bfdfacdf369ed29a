"""What every equilibrium guarantees each user, however providers may personalize."""

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int

from ._arguments import checked
from ._bounds import (
    equalities,
    floor_rounding,
    floors,
    guarantee_lower,
    guarantee_upper,
    guarantee_value_at,
)
from ._bracket import Bracket
from ._candidates import (
    GroupedProgram,
    GuaranteeCandidate,
    Solution,
    Solver,
    SolverStatus,
    answered,
    pose_by_group,
    pose_guarantee,
    read_guarantee,
    simplex,
    solve_grouped,
)
from ._counted import Counted, OptimalPlay, counted
from ._market import Market, action_range, market_status, one_market, slack
from ._on_scale import UtilityAnswer
from ._precision import float64_scope, in_float64
from ._segments import Block, Labels, as_labels, blocks, gather, user_labels
from ._stakes import SegmentStakes, aligned_action, view
from ._status import Status


class Guarantee(UtilityAnswer):
    """A bracket of what every delta-equilibrium gives each user at least, in expected utility.

    `value` brackets the bound: the least utility that the inequalities of equilibria leave her. `weights[j]` are the
    multipliers that prove its lower end for user j, the `proof`, in the units of alignment weights: her payoff is
    compared with `sum_i weights[j, i] v_ij`. `outcome[j]` meets the inequalities and reaches the upper end, the
    `witness`: the probability of each action of the members of her segment, in their order, given type and evidence.
    `status` is a `Status` code per user; where it is `IN_DOUBT`, `plx.certify` is the one to ask, which reads the
    stored numbers exactly. Where the market's data are invalid, every number is NaN.
    """

    attained_by = "outcome"
    proved_by = "weights"
    in_doubt = "plx.certify may decide it"

    value: Bracket
    weights: Float[Array, "user provider"]
    outcome: Float[Array, "user member type evidence action"]
    status: Int[Array, " user"]


class _Found(eqx.Module):
    """The numbers of a block of segments `[segment member]`, in the units of `counted`."""

    value: Bracket
    weights: Float[Array, "*user provider"]
    outcome: Float[Array, "*user member situation action"]
    status: Int[Array, "*user"]


@checked(market=one_market, segments=user_labels, delta=slack)
@float64_scope
def guarantee(market: Market, segments: Any, delta: Any = 0.0, *, solver: Solver = simplex) -> Guarantee:
    """Bounds each user's utility in every delta-equilibrium from below, by the best linear-programming bound.

    A provider may always deviate to telling a segment g everything, so in equilibrium
    `sum_{j in g} mass_j <V_ij, q_j> >= sum_{j in g} mass_j <V_ij, D_j> - delta` for each provider i, where D_j is
    aligned play (among several optimal plays the worst for i). The guarantee is the least `<U_j, q_j>` over all
    outcomes that meet these inequalities. Any alignment weights give a feasible dual point, so it is at least the bound
    of the weak, segment and strong alignment theorems. A user also never gets less than `benchmarks(market).silent`.

    **Arguments:**

    - `market`: one market; use `jax.vmap` for a batch.
    - `segments`: an integer label per user; equal labels share a policy (`personalized`, `anonymous`, or any other).
    - `delta`: how much a provider may leave on the table in an equilibrium, in units of its objective; >= 0.
    - `solver`: proposes candidates; the bracket is valid whatever it returns.

    **Returns:** a `Guarantee`. Where `status` is `OPEN` the bracket is valid but wider than 1e-6 of the user's payoff
    range.

    Example::

        market = plx.families.gaussian(providers=2, users=2)(jax.random.key(0))
        plx.guarantee(market, plx.anonymous(2)).lower  # each user gets as much in every equilibrium
    """
    labels = as_labels(segments, market.user_value.shape[0])
    delta = jnp.asarray(delta, jnp.float64)
    segment_stakes, each_delta = _lay_out(market, labels), _delta_of(market, delta)
    solutions = [_solve_block(block, each_delta, solver) for block in segment_stakes]
    return _collect(market, labels, segment_stakes, solutions, each_delta)


@in_float64
def _delta_of(market: Market, delta: Float[Array, ""]) -> Float[Array, " provider"]:
    return counted(market).delta(delta)


# Outcomes are wanted that clear every floor by so many times its rounding: solutions are not exact themselves.
_CLEAR = 4.0

# What the programmes of one market that are laid out side by side may take, if there is more than one of them: with
# tableaux, and without, when markets are many.
_MOST_MEMORY, _MOST_FOR_GROUPS = 2**27, 2**17  # bytes
# Measured: from so many entries on, a tableau of all rows takes longer than one with a row for each provider.
_LARGE = 2**13


def _solve_block(block: SegmentStakes, delta: Float[Array, " provider"], solver: Solver) -> Solution:
    """Solves one programme per segment and member, so many at a time that memory is bounded."""
    lead = block.mass.shape
    count = math.prod(lead)
    providers, members, situations, actions = block.provider.shape[-4:]
    groups, columns = members * situations, members * situations * (actions - 1)
    entries = (groups + providers) * columns
    if solver is simplex and entries >= _LARGE:
        solve, most = _solve_by_group, _MOST_FOR_GROUPS // (8 * providers * columns)
    else:
        solve, most = _solve_densely, _MOST_MEMORY // (8 * max(entries, 1))
    together = 2 ** (max(most, 1).bit_length() - 1)
    places = np.arange(-(-count // together) * together, dtype=np.int32) % count
    if count <= together:
        found = solve(block, delta, places[:count], solver)
    elif isinstance(block.mass, Tracer):
        found = _solve_one_by_one(block, delta, places.reshape(-1, together), solve, solver)
    else:
        each = [solve(block, delta, some, solver) for some in places.reshape(-1, together)]
        found = jax.tree.map(lambda *leaves: jnp.stack(leaves), *each)
    groups = found.status.ndim

    def own(leaf: Array) -> Array:
        # Without `-1`: programmes of a market with one action have no variables.
        rows = leaf.reshape(math.prod(leaf.shape[:groups]), *leaf.shape[groups:])
        return rows[:count].reshape(*lead, *leaf.shape[groups:])

    return jax.tree.map(own, found)


def _solve_densely(block: SegmentStakes, delta: Array, places: Any, solver: Solver) -> Solution:
    return solver(_pose(block, delta, places, pose_guarantee))


def _solve_by_group(block: SegmentStakes, delta: Array, places: Any, solver: Solver) -> Solution:
    """What is left unsolved gets the tableau of all rows, where that can be told."""
    found = _solve_grouped(lax.stop_gradient(_pose(block, delta, places, pose_by_group)))
    if isinstance(found.status, Tracer) or (found.status == SolverStatus.OPTIMAL).all():
        return found
    left = found.status != SolverStatus.OPTIMAL
    again = solver(_pose(block, delta, places, pose_guarantee).idle_where(~left))
    pick = lambda new, old: jnp.where(left.reshape(-1, *(1,) * (old.ndim - 1)), new, old)
    return jax.tree.map(pick, again, found)


@in_float64
def _solve_grouped(programs: GroupedProgram) -> Solution:
    return solve_grouped(programs)


@in_float64
def _solve_one_by_one(block: SegmentStakes, delta: Array, places: Any, solve: Any, solver: Solver) -> Solution:
    return lax.map(lambda some: solve(block, delta, some, solver), jnp.asarray(places))


@in_float64
def _lay_out(market: Market, labels: Labels) -> list[SegmentStakes]:
    """Lays out the segments of each size, in the units of `counted`."""
    given, seen = market, view(market)
    found, market = seen.counted, seen.market
    flat = lambda values, axis: values.reshape(*values.shape[:axis], -1, values.shape[-1])
    of_users = jax.tree.map(lambda leaf: flat(leaf, 1), seen.user)
    of_providers = jax.tree.map(lambda leaf: flat(leaf, 2), seen.provider)
    optimal = seen.optimal()
    probability = market.prior.sum(axis=-1).reshape(of_users.value.shape[:2])
    # Units are powers of two: nothing is rounded here.
    own = given.provider_value / found.provider_unit[:, None, None, None]
    return [
        SegmentStakes(
            user=gather(of_users.value, block, 0),
            provider=gather(of_providers.value, block, 1),
            user_size=gather(of_users.size, block, 0),
            provider_size=gather(of_providers.size, block, 1),
            optimal=_gather_optimal(optimal, block),
            opposed=_opposed(gather(own, block, 1), block),
            states=seen.num_states,
            probability=gather(probability, block, 0),
            mass=gather(market.mass, block, 0),
        )
        for block in blocks(labels)
    ]


def _gather_optimal(optimal: OptimalPlay, block: Block) -> OptimalPlay:
    """Absent members are indifferent."""
    absent = ~block.present[..., None]
    action, is_exact = (
        jnp.take(optimal.action, block.members, axis=0),
        jnp.take(optimal.is_exact, block.members, axis=0),
    )
    return OptimalPlay(action | absent[..., None], is_exact | absent)


def _opposed(
    own: Float[Array, "segment provider member action state"], block: Block
) -> Bool[Array, "segment provider"]:
    """Marks the first provider that some other is the opposite of, and all that are like the one or the other."""
    absent = ~block.present[:, None, None, :, None, None]
    one, other = own[:, :, None], own[:, None]
    like, opposite = (((one == other_) | absent).all(axis=(-3, -2, -1)) for other_ in (other, -other))
    found = opposite.any(axis=-1)
    providers = jnp.arange(own.shape[1], dtype=jnp.int32)
    first = jnp.where(found, providers, providers[-1]).min(axis=-1, keepdims=True)
    of_first = jnp.take_along_axis(like | opposite, first[..., None], axis=1)[:, 0]
    return of_first & found.any(axis=-1, keepdims=True)


def _targets(stakes: SegmentStakes) -> Float[Array, "target member"]:
    return jnp.eye(stakes.mass.shape[-1], dtype=jnp.float64)


@in_float64
def _pose(
    block: SegmentStakes,
    delta: Float[Array, " provider"],
    places: Int[Array | np.ndarray, " place"],
    pose: Callable[..., Any],
) -> Any:
    """One programme for each place among segments and members: the largest loss of that member."""
    members = block.mass.shape[-1]

    def one(place: Array) -> Any:
        stakes = jax.tree.map(lambda leaf: leaf[place // members], block)
        target = (jnp.arange(members, dtype=jnp.int32) == place % members).astype(jnp.float64)
        aligned = aligned_action(stakes)
        taken = jnp.take_along_axis(
            stakes.provider, jnp.broadcast_to(aligned[..., None], (*stakes.provider.shape[:-1], 1)), axis=-1
        )
        spare = jnp.einsum("m,ims->i", stakes.mass, taken[..., 0]) - floors(stakes, delta)
        room = jnp.where(equalities(stakes, delta), 0.0, _CLEAR * floor_rounding(stakes))
        return pose(stakes, aligned, spare, room, target)

    return jax.vmap(one)(jnp.asarray(places))


@in_float64
def tie_slack(market: Market, weights: Float[Array, "user provider"]) -> Float[Array, " user"]:
    """Computes what the alignment theorems lose where a user has several optimal plays; 0 where she has one.

    Each floor takes her optimal play that is worst for that provider, and these differ between providers:
    `sum_{t,x} (min_a sum_i w_i V_ij - sum_i w_i min_a V_ij)`, with both minima over her optimal actions.
    """

    def one(stakes: SegmentStakes, weights: Array) -> Array:
        optimal, mixed = stakes.optimal.action, jnp.einsum("i,imsa->msa", weights, stakes.provider)
        together = jnp.where(optimal, mixed, jnp.inf).min(axis=-1).sum()
        apart = jnp.where(optimal, stakes.provider, jnp.inf).min(axis=-1).sum(axis=(-2, -1))
        return together - weights @ apart

    unit, (alone,) = counted(market), _lay_out(market, tuple(range(market.user_value.shape[0])))
    weights = weights * unit.provider_unit[None] / unit.user_unit[:, None]
    return jnp.maximum(jax.vmap(one)(alone, weights), 0.0) * unit.user_unit


@in_float64
def _collect(
    market: Market, labels: Labels, segment_stakes: list[SegmentStakes], solutions: list[Solution], delta: Array
) -> Guarantee:
    """Evaluates the bounds at the candidates, and puts each user's numbers in her place."""
    status = market_status(market)
    valid = status < Status.NOT_FINITE
    providers, users = market.provider_value.shape[:2]
    nothing = jnp.full(users, jnp.nan, jnp.float64)
    weights = jnp.full((users, providers), jnp.nan, jnp.float64)
    largest = max(block.members.shape[1] for block in blocks(labels))
    situations, actions = segment_stakes[0].user.shape[2:]
    outcome = jnp.zeros((users, largest, situations, actions), jnp.float64)
    result = _Found(Bracket(nothing, nothing), weights, outcome, jnp.zeros(users, jnp.int32))
    unit = counted(market)
    payoff_range = action_range(unit.market.user_value).max(axis=-1)
    for block, stakes_of_block, solution in zip(blocks(labels), segment_stakes, solutions, strict=True):
        found = _evaluate_block(stakes_of_block, gather(payoff_range, block, 0), solution, delta)
        result = _scatter(result, block, found)
    types, evidences = market.prior.shape[1:3]
    result = _in_own_units(result, unit, (types, evidences))
    masked = jax.tree.map(lambda leaf: jnp.where(valid, leaf, jnp.nan), eqx.filter(result, eqx.is_inexact_array))
    return eqx.tree_at(lambda r: r.status, eqx.combine(masked, result), jnp.where(valid, result.status, status))


def _in_own_units(found: _Found, unit: Counted, situations: tuple[int, int]) -> Guarantee:
    weights = found.weights * unit.user_unit[:, None] / unit.provider_unit[None]
    users, members, _, actions = found.outcome.shape
    outcome = found.outcome.reshape(users, members, *situations, actions)
    return Guarantee(jax.tree.map(unit.user_value, found.value), weights, outcome, found.status)


def _evaluate_block(block: SegmentStakes, payoff_range: Array, solutions: Solution, delta: Array) -> _Found:
    def one(stakes: SegmentStakes, target: Array, scale: Array, solution: Solution) -> _Found:
        candidate = lax.stop_gradient(read_guarantee(stakes, aligned_action(stakes), target, solution))
        return _evaluate(stakes, target, scale, candidate, solution.status, delta)

    each_target = jax.vmap(one, in_axes=(None, 0, 0, 0))
    return jax.vmap(lambda s, scale, solution: each_target(s, _targets(s), scale, solution))(
        block, payoff_range, solutions
    )


def _evaluate(
    stakes: SegmentStakes, target: Array, scale: Array, candidate: GuaranteeCandidate, outcome: Array, delta: Array
) -> _Found:
    multipliers = jnp.maximum(candidate.multipliers, 0.0)
    lower = guarantee_lower(stakes, delta, target, multipliers)
    upper = guarantee_upper(stakes, delta, target, candidate.outcome)
    bracket = Bracket(lower, upper.value)
    bracket = bracket.with_derivative_of(guarantee_value_at(stakes, delta, target, multipliers, candidate.outcome))
    hangs = Bracket(lower, upper.almost).is_exact(scale)
    status = jnp.where(hangs, jnp.int32(Status.IN_DOUBT), jnp.int32(Status.OPEN))
    status = jnp.asarray(jnp.where(bracket.is_exact(scale), answered(outcome), status))
    return _Found(bracket, (target @ stakes.mass) * multipliers, candidate.outcome, status)


def _scatter(result: _Found, block: Block, values: _Found) -> _Found:
    spare = result.outcome.shape[1] - block.members.shape[1]
    padded = jnp.pad(values.outcome, ((0, 0), (0, 0), (0, spare), (0, 0), (0, 0)))
    values = eqx.tree_at(lambda v: v.outcome, values, padded)
    return jax.tree.map(lambda old, new: old.at[block.users].set(new[block.row, block.place]), result, values)
