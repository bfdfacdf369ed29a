"""The worst equilibrium of every user when the users of a segment share a policy, bracketed."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from .._arguments import checked
from .._bracket import Bracket
from .._conversation import Profile
from .._deviation import Deviation, deviation, silence
from .._frontier import Frontier, frontier
from .._guarantee import guarantee
from .._market import Market, benchmarks, one_market, patience, slack
from .._precision import float64_scope, in_float64
from .._segments import anonymous, known_labels
from ._base import base_frontier, payoff_size
from ._joint import common_profile
from ._result import AnonymousFrontier, report
from ._rounds import Known, run_rounds
from ._shared import Shared, is_searchable, lay_out


def _known_or_one(name: str, value: Any, arguments: dict[str, Any]) -> tuple[int, ...]:
    """The check of segments that are one by default."""
    return known_labels(name, anonymous(arguments["market"].num_users) if value is None else value, arguments)


@checked(market=one_market, segments=_known_or_one, delta=slack)
@float64_scope
def anonymous_frontier(market: Market, delta: Any = 0.0, segments: Any = None, budget: int = 16) -> AnonymousFrontier:
    """Brackets each user's utility in her worst delta-equilibrium when the users of a segment share a policy.

    Below `worst.lower[j]` there is none: the guarantee says so, or boxes of the users' utilities that were shown to
    hold no equilibrium. There, some provider would gain more than delta by a public policy that all prefer. At most
    `worst.upper[j]` is what a profile gives her that was certified: silence, full information (two or more providers),
    or a policy that all providers offer. With one provider and none certified it is her aligned utility. Derivatives
    are not provided: they are zero where the search decides.

    The search is for segments of several users of one type each, and small ones: at most 30,000 places where corners
    of public policies may be (4 users, 4 actions and 4 evidences have 26,208). In others the bracket is that of
    `budget=0`. A segment of one user is that of `frontier`. Policies are public, as in `silence` and `deviation`; the
    lower end also holds for conversations with more rounds and queries.

    **Arguments:**

    - `market`: one market; use `jax.vmap` for a batch.
    - `delta`: how much a provider may leave on the table in an equilibrium, in units of its objective; >= 0. Never read
      as less than 1e-9 of the range of its objective in a segment.
    - `segments`: an integer label per user, not traced; equal labels share a policy. Default: all users share one.
    - `budget`: the number of boxes to look at for each user, not traced. More never widens a bracket. With 0 there is
      no search: the guarantee and silence from below, silence or full information from above.

    **Returns:** an `AnonymousFrontier`. Where `status` is `OPEN` the bracket is valid but wider than 1e-3 of the
    distance between silent and aligned utility.
    """
    users = market.user_value.shape[0]
    labels: tuple[int, ...] = segments
    if isinstance(budget, Tracer) or budget < 0:
        raise ValueError(f"budget must be a number of boxes known before compilation and >= 0, got {budget}.")
    delta = jnp.asarray(delta, jnp.float64)
    places, found = [], []
    for label in sorted(set(labels)):
        members = [user for user in range(users) if labels[user] == label]
        places += members
        found.append(_in_segment(_part(market, tuple(members)), delta, int(budget)))
    order = np.argsort(places).astype(np.int32)
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves)[order], *found)


@in_float64
def _part(market: Market, members: tuple[int, ...]) -> Market:
    """The market of some users only. Policies for others do not matter to them."""
    take = np.array(members, np.int32)
    return Market(market.prior[take], market.user_value[take], market.provider_value[:, take], market.mass[take])


@in_float64
def _least_delta(market: Market, delta: Float[Array, ""]) -> Float[Array, ""]:
    """The delta at which every provider is as patient as it is read at least."""
    least = patience(market, delta).max()
    # An invalid market has no such delta, and its status says so.
    return jnp.asarray(jnp.where(jnp.isfinite(least), least, delta))


def _in_segment(market: Market, delta: Float[Array, ""], budget: int) -> AnonymousFrontier:
    together = anonymous(market.user_value.shape[0])
    if budget > 0 and len(together) == 1:
        return _alone(market, frontier(market, delta))
    sure = guarantee(market, together, _least_delta(market, delta))
    base = base_frontier(market, sure.lower, silence(market, together, delta))
    if budget == 0 or not is_searchable(market):
        return base
    shared = lay_out(market, delta, sure.lower)
    known = run_rounds(shared, _start(shared, base), budget)
    profiles = _profiles(shared, known)
    found = jax.vmap(lambda profile: deviation(market, together, profile, delta))(profiles)
    return _collect(market, base, shared, known, found)


@in_float64
def _alone(market: Market, found: Frontier) -> AnonymousFrontier:
    """A segment of one user is the personalized case, which has a search of its own."""
    return report(benchmarks(market), payoff_size(market), found.worst, found.turns)


@in_float64
def _start(shared: Shared, base: AnonymousFrontier) -> Float[Array, " member"]:
    """What is known from above, in the units of the search."""
    upper = base.worst.upper
    return jnp.where(jnp.isfinite(upper), upper - shared.baseline, shared.aligned)


@in_float64
def _profiles(shared: Shared, known: Known) -> Profile:
    evidences = shared.share.shape[0]
    signals = min(evidences + shared.num_providers * 2**shared.num_members, known.weight.shape[-1])
    return jax.vmap(lambda weight: common_profile(shared, weight, signals))(known.weight)


@in_float64
def _collect(
    market: Market, base: AnonymousFrontier, shared: Shared, known: Known, found: Deviation
) -> AnonymousFrontier:
    """Keeps what is certified; the lower end never is above what the search took for an equilibrium."""
    lower = jnp.maximum(base.worst.lower, known.least + shared.baseline)
    proved = known.found & found.is_equilibrium
    upper = jnp.minimum(base.worst.upper, jnp.where(proved, jnp.einsum("jj->j", found.user_value), jnp.inf))
    return report(benchmarks(market), payoff_size(market), Bracket(lower, upper), known.looked)
