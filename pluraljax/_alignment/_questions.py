"""Alignment conditions: how well mixtures of provider payoffs match what users want.

Each is a linear programme whose optimum is bracketed: weights give the upper end, a dual direction the lower one.
"""

from typing import Any, Literal

import jax

from .._arguments import checked
from .._bounds import Fit
from .._bracket import Bracket
from .._candidates import FitCandidate, Solution, Solver, pose_fit, read_fit, run_search, simplex
from .._market import Market, one_market
from .._precision import float64_scope, in_float64
from .._segments import anonymous, as_labels, personalized, user_labels
from ._answer import Alignment, StrongAlignment
from ._collect import collect
from ._scales import ScaleSearch, allowed
from ._units import lay_out_segments

Weights = Literal["cone", "hull"]
Offset = Literal["constant", "state"]
Scale = Literal["unit", "free"]


@checked(market=one_market)
def weak_alignment(
    market: Market, weights: Weights = "cone", offset: Offset = "constant", *, solver: Solver = simplex
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

    Example::

        market = plx.families.gaussian(providers=2, users=2)(jax.random.key(0))
        found = plx.weak_alignment(market)
        found.value, found.weights  # the least error for each user, and the mixture of providers that reaches it
    """
    return segment_alignment(market, personalized(market.user_value.shape[0]), weights, offset, solver=solver)


@checked(market=one_market)
def strong_alignment(
    market: Market,
    scale: Scale = "unit",
    offset: Offset = "constant",
    weights: Weights = "cone",
    *,
    solver: Solver = simplex,
) -> StrongAlignment:
    """Measures how well one mixture of provider payoffs matches all users' utilities at once.

    The least `max_j eps_j / scale_j` with `|sum_i w_i v_ij + c_j - scale_j u_j| <= eps_j`.

    **Arguments:**

    - `market`: one market; use `jax.vmap` for a batch.
    - `scale`: `"unit"`, or `"free"` where each user's utility may be scaled up (scale_j >= 1).
    - `offset`, `weights`, `solver`: as for `weak_alignment`.

    **Returns:** a `StrongAlignment`; `user_error` holds every user's eps_j at the reported weights and scales.

    Example::

        market = plx.families.gaussian(providers=2, users=2)(jax.random.key(0))
        found = plx.strong_alignment(market)
        found.value, found.weights  # the least error of one mixture of providers for all users, and the mixture
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
    solver: Solver = simplex,
) -> Alignment:
    """Measures alignment with one vector of weights per segment; weak and strong alignment are its two ends.

    **Arguments:**

    - `market`: one market; use `jax.vmap` for a batch.
    - `segments`: an integer label per user; equal labels share a segment. Labels known at compile time are faster.
    - `weights`, `offset`, `scale`, `solver`: as for `weak_alignment` and `strong_alignment`.

    **Returns:** an `Alignment` in which all users of a segment report the same `value` and `weights`.

    Example::

        market = plx.families.gaussian(providers=2, users=3)(jax.random.key(0))
        plx.segment_alignment(market, [0, 0, 1]).value  # the first two users share a policy
    """
    hull = _choice("weights", weights, ("cone", "hull")) == "hull"
    free = _choice("scale", scale, ("unit", "free")) == "free"
    _choice("offset", offset, ("constant", "state"))
    labels = as_labels(segments, market.user_value.shape[0])
    fits = lay_out_segments(market, labels, hull, offset)
    found = []
    for fit in fits:
        if free:
            search = run_search(ScaleSearch(hull), fit, solver)
            found.append((search.candidate, search.status))
        else:
            solution = solver(_pose(fit, hull))
            found.append((_read(fit, hull, solution), solution.status))
    return collect(market, labels, fits, found, hull, free, offset)


def _choice(name: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}.")
    return value


@in_float64
def _pose(fits: Fit, hull: bool):
    return jax.vmap(lambda fit: pose_fit(fit.user, fit.provider, hull))(fits)


@in_float64
def _read(fits: Fit, hull: bool, solutions) -> FitCandidate:
    def one(fit: Fit, solution: Solution) -> FitCandidate:
        return allowed(fit, hull, read_fit(fit.user, fit.provider, hull, solution))

    return jax.vmap(one)(fits, solutions)
