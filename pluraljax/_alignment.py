"""Alignment conditions: how well mixtures of provider payoffs match what users want.

Each is a linear programme whose optimum is bracketed: weights give the upper end, a dual direction the lower one.
"""

import functools
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from ._answer import Answer
from ._arguments import checked
from ._bounds import (
    Fit,
    fit_error,
    fit_lower,
    fit_offset,
    fit_value_at,
    largest_weights,
    lay_out,
    payoff_range,
    usable_weights,
)
from ._bracket import Bracket
from ._candidates import (
    FitCandidate,
    LinearProgram,
    Outcome,
    Solution,
    Solver,
    in_lanes,
    pose_fit,
    pose_scaled_fit,
    read_fit,
    read_scaled_fit,
    repeat,
    solve,
)
from ._float_bits import power_of_two
from ._market import Market, market_status, one_market, with_zeros_if_invalid
from ._precision import float64_scope, in_float64
from ._segments import Block, Labels, anonymous, as_labels, blocks, gather, personalized, user_labels
from ._status import Status

Weights = Literal["cone", "hull"]
Offset = Literal["constant", "state"]
Scale = Literal["unit", "free"]

# Search for free scales: linear programmes per fit at most, and the width (relative) at which it ends.
_MAX_STEPS = 16
_CLOSE = 5e-9
# Searches differ more in length than single programmes do, so that narrow groups pay (measured: 25 to 35 %).
_SEARCH_LANES = 8


class Alignment(Answer):
    """Alignment of each user (or of her segment).

    `value` brackets the least error, `max eps_j / scale_j` over the users of her segment, in utility. Its upper end is
    reached by the `witness`, which is `weights`: `|sum_i weights_i v_ij + offset_j - scale_j u_j| <= user_error_j`. Its
    lower end is proved by `direction`, a signed measure of situations (docs/mathematics.md, section 4): a row for each
    action and state, in one part, or in a part for each state where the offset depends on it. `status` is a `Status`
    code per user; where the market's data are invalid, every number is NaN.
    """

    attained_by = "weights"
    proved_by = "direction"

    value: Bracket
    user_error: Float[Array, " user"]
    weights: Float[Array, "user provider"]
    scale: Float[Array, " user"]
    offset: Float[Array, "user state"]
    direction: Float[Array, "user part row"]
    status: Int[Array, " user"]


class StrongAlignment(Answer):
    """Alignment of all users at once, by one vector of weights; fields as in `Alignment`."""

    attained_by = "weights"
    proved_by = "direction"

    value: Bracket
    user_error: Float[Array, " user"]
    weights: Float[Array, " provider"]
    scale: Float[Array, " user"]
    offset: Float[Array, "user state"]
    direction: Float[Array, "user part row"]
    status: Int[Array, ""]


@checked(market=one_market)
def weak_alignment(
    market: Market, weights: Weights = "cone", offset: Offset = "constant", *, solver: Solver = solve
) -> Alignment:
    """Measures how well each user's utility is matched by a mixture of provider payoffs of her own.

    For user j, the least eps_j with `|sum_i w_i v_ij(a,y) + c - u_j(a,y)| <= eps_j` for all a, y. With `"hull"` weights
    this is approximate weighted alignment, Definition 1 of "Emergent Alignment via Competition" (arXiv 2509.15090).

    **Arguments:**

    - `market`: one market; use `jax.vmap` for a batch.
    - `weights`: `"cone"` (w >= 0) or `"hull"` (w >= 0 and sum w = 1).
    - `offset`: `"constant"`, or `"state"` where c may depend on the state (still enough for every guarantee).
    - `solver`: proposes candidates; the bracket is valid whatever it returns.

    **Returns:** an `Alignment`. Where `status` is `OPEN` the bracket is valid but wider than 1e-6 of the payoff range.
    """
    return segment_alignment(market, personalized(market.user_value.shape[0]), weights, offset, solver=solver)


@checked(market=one_market)
def strong_alignment(
    market: Market,
    scale: Scale = "unit",
    offset: Offset = "constant",
    weights: Weights = "cone",
    *,
    solver: Solver = solve,
) -> StrongAlignment:
    """Measures how well one mixture of provider payoffs matches all users' utilities at once.

    The least `max_j eps_j / scale_j` with `|sum_i w_i v_ij + c_j - scale_j u_j| <= eps_j`.

    **Arguments:**

    - `market`: one market; use `jax.vmap` for a batch.
    - `scale`: `"unit"`, or `"free"` where each user's utility may be scaled up (scale_j >= 1).
    - `offset`, `weights`, `solver`: as for `weak_alignment`.

    **Returns:** a `StrongAlignment`; `user_error` holds every user's eps_j at the reported weights and scales.
    """
    users = market.user_value.shape[0]
    found = segment_alignment(market, anonymous(users), weights, offset, scale, solver=solver)
    first = lambda leaf: leaf[0]  # every user shares the one segment
    return StrongAlignment(
        value=Bracket(first(found.value.lower), first(found.value.upper)),
        user_error=found.user_error,
        weights=first(found.weights),
        scale=found.scale,
        offset=found.offset,
        direction=found.direction,
        status=first(found.status),
    )


@checked(market=one_market, segments=user_labels)
@float64_scope
def segment_alignment(
    market: Market,
    segments: Any,
    weights: Weights = "cone",
    offset: Offset = "constant",
    scale: Scale = "unit",
    *,
    solver: Solver = solve,
) -> Alignment:
    """Measures alignment with one vector of weights per segment; weak and strong alignment are its two ends.

    **Arguments:**

    - `market`: one market; use `jax.vmap` for a batch.
    - `segments`: an integer label per user; equal labels share a segment. Labels known at compile time are faster.
    - `weights`, `offset`, `scale`, `solver`: as for `weak_alignment` and `strong_alignment`.

    **Returns:** an `Alignment` in which all users of a segment report the same `value` and `weights`.
    """
    hull = _choice("weights", weights, ("cone", "hull")) == "hull"
    free = _choice("scale", scale, ("unit", "free")) == "free"
    _choice("offset", offset, ("constant", "state"))
    labels = as_labels(segments, market.user_value.shape[0])
    fits = _lay_out_segments(market, labels, hull, offset)
    if free:
        found = [_search_scales(fit, hull, solver) for fit in fits]
    else:
        found = []
        for fit in fits:
            solution = solver(_pose(fit, hull))
            found.append((_read(fit, hull, solution), solution.outcome))
    return _collect(market, labels, fits, found, hull, free, offset)


def _choice(name: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}.")
    return value


class _Units(eqx.Module):
    """Powers of two in which each segment's payoffs are of order one, whatever they are in.

    Weights that sum to 1 do so in one unit only: in the hull users and providers share the largest of theirs.
    """

    user: Float[Array, " segment"]
    provider: Float[Array, "segment provider"]

    @property
    def weight(self) -> Float[Array, "segment provider"]:
        """The unit of weights: utility for payoffs of a provider."""
        return self.user[:, None] / self.provider


@in_float64
def _units_of(market: Market, block: Block, hull: bool) -> _Units:
    user = jnp.abs(gather(market.user_value, block, axis=0)).max(axis=(1, 2, 3))
    provider = jnp.abs(gather(market.provider_value, block, axis=1)).max(axis=(2, 3, 4))
    if hull:
        user = jnp.maximum(user, provider.max(axis=1))
        provider = jnp.broadcast_to(user[:, None], provider.shape)
    return _Units(power_of_two(user), power_of_two(provider))


@in_float64
def _lay_out_segments(market: Market, labels: Labels, hull: bool, offset: str) -> list[Fit]:
    """Lays out every block of segments, in the units of `_units_of`."""
    market = with_zeros_if_invalid(market, market_status(market))
    fits = []
    for block in blocks(labels):
        user, provider = _in_units(market, block, hull)
        fits.append(jax.vmap(lay_out, in_axes=(0, 0, None))(user, provider, offset))
    return fits


def _in_units(market: Market, block: Block, hull: bool) -> tuple[Array, Array]:
    unit = _units_of(market, block, hull)
    user = gather(market.user_value, block, axis=0) / unit.user[:, None, None, None]
    return user, gather(market.provider_value, block, axis=1) / unit.provider[:, :, None, None, None]


@in_float64
def _pose(fits: Fit, hull: bool):
    return jax.vmap(lambda fit: pose_fit(fit.user, fit.provider, hull))(fits)


@in_float64
def _read(fits: Fit, hull: bool, solutions) -> FitCandidate:
    def one(fit: Fit, solution: Solution) -> FitCandidate:
        return _allowed(fit, hull, read_fit(fit.user, fit.provider, hull, solution))

    return jax.vmap(one)(fits, solutions)


def _allowed(fit: Fit, hull: bool, candidate: FitCandidate) -> FitCandidate:
    """Lowers cone weights to the largest that count."""
    weights = candidate.weights if hull else jnp.minimum(candidate.weights, largest_weights(fit))
    weights = usable_weights(weights, hull)
    return FitCandidate(weights, candidate.scale, candidate.direction)


class _Search(eqx.Module):
    """Search for free scales: the bracket so far, where to look next, and the candidates of the bracket's ends."""

    bracket: Bracket
    target: Float[Array, ""]
    candidate: FitCandidate
    outcome: Int[Array, ""]


def _search_scales(fits: Fit, hull: bool, solver: Solver) -> tuple[FitCandidate, Array]:
    """Finds the least ratio max_j eps_j / scale_j by steps that start at the scales of the best ratio so far."""
    search = _start_search(fits, hull)
    if solver is solve:
        search = _search_compiled(fits, hull, search)
        return search.candidate, search.outcome
    search, _ = repeat(
        lambda state: (state[1] < _MAX_STEPS) & jnp.any(_unfinished(fits, state[0])),
        lambda state: (
            _advance(fits, hull, state[0], solver(_pose_step(fits, hull, state[0]))),
            state[1] + jnp.int32(1),
        ),
        (search, jnp.int32(0)),
    )
    return search.candidate, search.outcome


@in_float64
def _search_compiled(fits: Fit, hull: bool, search: _Search) -> _Search:
    @functools.partial(in_lanes, lanes_on_cpu=_SEARCH_LANES)
    def search_lanes(fits, search):
        def advance(state):
            search, step = state
            moved = _advance(fits, hull, search, solve(_pose_step(fits, hull, search)))
            # A lane's answer may not depend on how long its neighbours take.
            going = _unfinished(fits, search)
            keep = jax.vmap(lambda go, new, old: jax.tree.map(lambda a, b: jnp.where(go, a, b), new, old))
            return keep(going, moved, search), step + jnp.int32(1)

        def unfinished(state):
            return (state[1] < _MAX_STEPS) & jnp.any(_unfinished(fits, state[0]))

        return lax.while_loop(unfinished, advance, (search, jnp.int32(0)))[0]

    return search_lanes(*lax.stop_gradient((fits, search)))


@in_float64
def _start_search(fits: Fit, hull: bool) -> _Search:
    """Starts from equal weights in the hull, or from no weights in the cone."""

    def one(fit: Fit) -> _Search:
        providers = fit.provider.shape[0]
        weights = jnp.full(providers, 1.0 / providers if hull else 0.0, jnp.float64)
        scale = jnp.ones(fit.user.shape[0], jnp.float64)
        bracket = Bracket(jnp.zeros((), jnp.float64), fit_error(fit, weights, scale).max())
        candidate = FitCandidate(weights, scale, jnp.zeros_like(fit.user))
        return _Search(bracket, bracket.upper, candidate, jnp.int32(Outcome.OPTIMAL))

    return jax.vmap(one)(fits)


@in_float64
def _unfinished(fits: Fit, searches: _Search) -> Array:
    size = jax.vmap(lambda fit: payoff_range(fit.user).max())(fits)
    return jnp.asarray(searches.bracket.width > _CLOSE * size)


@in_float64
def _pose_step(fits: Fit, hull: bool, searches: _Search) -> LinearProgram:
    def one(fit: Fit, search: _Search) -> LinearProgram:
        return pose_scaled_fit(fit.user, fit.provider, hull, search.target, search.candidate.scale)

    return jax.vmap(one)(fits, searches)


@in_float64
def _advance(fits: Fit, hull: bool, searches: _Search, solutions: Solution) -> _Search:
    def one(fit: Fit, search: _Search, solution: Solution) -> _Search:
        old, bracket = search.candidate, search.bracket
        new = _allowed(fit, hull, read_scaled_fit(fit.user, fit.provider, hull, old.scale, solution))
        upper = (fit_error(fit, new.weights, new.scale) / new.scale).max()
        lower = fit_lower(fit, new.direction, hull, True)
        lower_is_better, upper_is_better = lower > bracket.lower, upper < bracket.upper
        candidate = FitCandidate(
            weights=jnp.where(upper_is_better, new.weights, old.weights),
            scale=jnp.where(upper_is_better, new.scale, old.scale),
            direction=jnp.where(lower_is_better, new.direction, old.direction),
        )
        old_width = bracket.width
        bracket = Bracket(jnp.maximum(lower, bracket.lower), jnp.minimum(upper, bracket.upper))
        # Steps from the upper end converge fast, but not where the least ratio is only reached by ever larger scales.
        slow = (bracket.width > old_width / 2) & (search.target == search.bracket.upper)
        target = jnp.where(slow, (bracket.lower + bracket.upper) / 2, bracket.upper)
        return _Search(bracket, target, candidate, jnp.maximum(search.outcome, solution.outcome))

    return jax.vmap(one)(fits, searches, solutions)


@in_float64
def _collect(
    market: Market, labels: Labels, fits: list[Fit], found: list, hull: bool, free: bool, offset: str
) -> Alignment:
    """Evaluates the bounds at the candidates, and puts each user's numbers in her place."""
    status = market_status(market)
    valid = status < Status.NOT_FINITE
    users, _, states = market.user_value.shape
    providers = market.provider_value.shape[0]
    empty = lambda *shape: jnp.full((users, *shape), jnp.nan, jnp.float64)
    result = Alignment(
        value=Bracket(empty(), empty()),
        user_error=empty(),
        weights=empty(providers),
        scale=empty(),
        offset=empty(states),
        direction=empty(*fits[0].user.shape[2:]),
        status=jnp.zeros(users, jnp.int32),
    )
    for block, fit, (candidate, outcome) in zip(blocks(labels), fits, found, strict=True):
        user, provider = _in_units(with_zeros_if_invalid(market, status), block, hull)
        first = user[:, :, 0], provider[:, :, :, 0]
        evaluate = lambda *args: _evaluate(*args, hull=hull, free=free, offset=offset)
        block_result = jax.vmap(evaluate)(fit, lax.stop_gradient(candidate), outcome, *first)
        result = _scatter(result, block, _in_own_units(block_result, _units_of(market, block, hull)))
    masked = jax.tree.map(lambda leaf: jnp.where(valid, leaf, jnp.nan), eqx.filter(result, eqx.is_inexact_array))
    return eqx.tree_at(lambda r: r.status, eqx.combine(masked, result), jnp.where(valid, result.status, status))


def _in_own_units(found: Alignment, unit: _Units) -> Alignment:
    """Takes the results of a block back to the units of its users and providers."""

    def one(found: Alignment, user: Array, weight: Array) -> Alignment:
        utility = lambda leaf: leaf * user
        return Alignment(
            value=jax.tree.map(utility, found.value),
            user_error=utility(found.user_error),
            weights=found.weights * weight[None],
            scale=found.scale,
            offset=utility(found.offset),
            direction=found.direction,
            status=found.status,
        )

    return jax.vmap(one)(found, unit.user, unit.weight)


def _evaluate(fit: Fit, candidate: FitCandidate, outcome, user_first, provider_first, *, hull, free, offset):
    """Evaluates one segment; every leaf of the result has a leading member axis."""
    members = fit.user.shape[0]
    errors = fit_error(fit, candidate.weights, candidate.scale)
    lower = fit_lower(fit, candidate.direction, hull, free)
    bracket = Bracket(lower, (errors / candidate.scale).max())
    bracket = bracket.with_derivative_of(fit_value_at(fit, candidate.weights, candidate.scale, candidate.direction))
    # Hull weights leave providers' payoffs in the residual even where the user's own are constant.
    size = payoff_range(fit.user).max()
    size = jnp.maximum(size, payoff_range(fit.provider).max()) if hull else size
    closed = bracket.is_exact(size)
    base = candidate.scale[:, None] * user_first - jnp.einsum("i,imy->my", candidate.weights, provider_first)
    base = base if offset == "state" else base[:, :1]
    shift = fit_offset(fit, candidate.weights, candidate.scale) + base
    solved = jnp.where(outcome == Outcome.RESCUED, jnp.int32(Status.RESCUED), jnp.int32(Status.OK))
    return Alignment(
        value=jax.tree.map(lambda end: jnp.broadcast_to(end, members), bracket),
        user_error=errors,
        weights=jnp.broadcast_to(candidate.weights, (members, candidate.weights.shape[0])),
        scale=candidate.scale,
        offset=jnp.broadcast_to(shift, user_first.shape),
        direction=candidate.direction,
        status=jnp.broadcast_to(jnp.where(closed, solved, jnp.int32(Status.OPEN)), members),
    )


def _scatter(result: Alignment, block: Block, values: Alignment) -> Alignment:
    return jax.tree.map(lambda old, new: old.at[block.users].set(new[block.row, block.place]), result, values)
