"""The worst equilibrium of every user, whoever shares policies: the question, and the search on the host."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int

from .._activity import told_as_part
from .._arguments import PARTS, checked, instance_of, num_parts
from .._bracket import Bracket
from .._market import (
    Market,
    benchmarks,
    counted_from_first_action,
    market_status,
    objective_range,
    one_market,
    slack,
    slack_of,
    stakes,
    with_zeros_if_invalid,
)
from .._precision import float64_scope, in_float64
from .._segments import known_labels
from .._signals import Crowd, is_small, lay_out
from .._stakes import with_two_actions
from .._status import Status
from ._apart import worst_apart
from ._base import TOLERANCE, part_of, unsearched
from ._outlook import Outlook, Ran, outlook_of
from ._proof import SegmentProof, Watch
from ._result import Drawn, WorstEquilibrium, as_profile, draw_profile, without_profile
from ._tree import Further, Searched, search

_ROUNDING = 1e-12


@checked(market=instance_of(Market), segments=known_labels, delta=slack)
@float64_scope
def worst_equilibrium(
    market: Market,
    segments: Any,
    delta: Any = 0.0,
    budget: int = PARTS,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> WorstEquilibrium:
    """Brackets each user's utility in her worst delta-equilibrium, for any segments.

    Where no two users share a policy (`personalized`) each user's equilibria are a curve away: put
    `phi_i(r) = max {<V_i, q> : <U, q> >= r}` over her incentive-compatible outcomes q. With two or more providers, q is
    what some delta-equilibrium gives her exactly when `<V_i, q> >= phi_i(<U, q>) - delta / mass` for all i, or when it
    gives her all that an aligned model would; with one, `phi_1(silent)` takes the place of `phi_1(<U, q>)`. The bracket
    closes to 1e-6 of the way from silent to aligned, with several types, too, and also under `jit` and `vmap`; `budget`
    and `progress` do not matter.

    Where users share public policies, it is a search on the host, in loops that are compiled once for all shapes. The
    markets of a batch, which is a `Market` with a leading axis, are searched one after the other, and each gets the
    bracket that it would get alone. The search cannot be traced; `budget=0`, the bracket without one, also works for
    one market under `jit` and `vmap`: the guarantee and silence from below, silence or full information from above.

    Below `value.lower` there is no equilibrium. There, in every part of the space of who serves whom and what users
    get, some provider would gain more than delta by winning some set of users that contains its own. `value.upper` is
    what an equilibrium gives that was found: all providers offer one policy, or one of them serves everybody beside a
    threat, or users split between two policies. The bracket closes for one provider, and mostly for many; with two or
    three it often stays open (docs/mathematics.md, section 11).

    The search is for segments of at most 5 users of one type each, with few places where corners of public policies may
    be (30,000 at most; 3 users, 4 actions and 4 evidences have 1,540). Others get the bracket without a search.

    **Arguments:**

    - `market`: one market, or a batch of them.
    - `segments`: an integer label per user, known before compilation; equal labels share a policy.
    - `delta`: how much a provider may leave on the table in an equilibrium, in units of its objective; >= 0. Never read
      as less than 1e-9 of the range of its objective in a segment.
    - `budget`: the number of parts to look at in each market, by default those of a study and of a certificate. More
      never widens a bracket.
    - `progress`: called with the number of searches that have ended, and of all.

    **Returns:** a `WorstEquilibrium`. Where `status` is `OPEN` the bracket is valid but wider than 1e-3 of the distance
    between silent and aligned utility (1e-6 where no two users share a policy). Derivatives are not provided: they are
    zero; `tuning.worst_value` has them.

    Example::

        market = plx.families.gaussian(providers=2, users=2)(jax.random.key(0))
        plx.worst_equilibrium(market, plx.personalized(2)).value
    """
    leaves = jax.tree.leaves((market, delta))
    parts = num_parts("budget", budget)
    is_batch = market.user_value.ndim == 4
    if len(set(segments)) == market.user_value.shape[-3]:
        apart = lambda one: worst_apart(one, segments, jnp.asarray(delta, jnp.float64))
        return jax.vmap(apart)(market) if is_batch else apart(market)
    if any(isinstance(leaf, Tracer) for leaf in leaves):
        if parts or is_batch:
            raise ValueError(
                "worst_equilibrium searches on the host: under jit and vmap pass budget=0, and one market at a time."
            )
        return without_profile(
            market, len(set(segments)), unsearched(market, segments, jnp.asarray(delta, jnp.float64))
        )
    batch = market if is_batch else jax.tree.map(lambda leaf: leaf[None], market)
    found, _ = search_all(batch, segments, jnp.asarray(delta, jnp.float64), parts, progress)
    return found if is_batch else _first(found)


@in_float64
def laid_out(market: Market, delta: Float[Array, ""]) -> tuple[jax.Array, ...]:
    """Stakes in which payoffs count from the first action, the baseline of users, and what providers may leave."""
    status = market_status(market)
    market = with_zeros_if_invalid(market, status)
    payoffs = stakes(with_two_actions(counted_from_first_action(market)))
    user = payoffs.user[:, 0]
    provider = payoffs.provider[:, :, 0] * market.mass[None, :, None, None]
    baseline = jnp.einsum("jxy,jy->j", market.prior[:, 0], market.user_value[:, 0])
    return user, provider, baseline, slack_of(market, delta), objective_range(market), status


@in_float64
def _all_laid_out(markets: Market, delta: Float[Array, ""]) -> tuple[jax.Array, ...]:
    return jax.vmap(lambda one: laid_out(one, delta))(markets)


@in_float64
def _all_unsearched(markets: Market, delta: Float[Array, ""]) -> Bracket:
    return jax.vmap(lambda one: unsearched(one, (0,) * markets.user_value.shape[1], delta).value)(markets)


@in_float64
def _parts_of(markets: Market, members: tuple[int, ...]) -> Market:
    return jax.vmap(lambda one: part_of(one, members))(markets)


@in_float64
def _spans(markets: Market) -> Float[Array, "market user"]:
    """What conversation is worth to each user, at most; zero in markets that are invalid."""
    base = jax.vmap(benchmarks)(markets)
    return jnp.nan_to_num(base.aligned - base.silent)


@checked(market=one_market, segments=known_labels, delta=slack)
@float64_scope
def shared_proof(
    market: Market, segments: Any, delta: Any = 0.0, budget: int = PARTS
) -> tuple[WorstEquilibrium, list[SegmentProof], Outlook]:
    """Runs the search of `worst_equilibrium` in one market, and keeps what proves its answer, segment by segment.

    The answer is the same, but where a segment is not searched: there it is NaN, and there is no proof. The last thing
    returned is what is said of a longer search.
    """
    batch = jax.tree.map(lambda leaf: leaf[None], market)
    unknown, proofs = np.full((2, 1, market.num_users), np.nan), []
    budget, started = num_parts("budget", budget), time.monotonic()
    found, course = search_all(batch, segments, jnp.asarray(delta, jnp.float64), budget, None, unknown, proofs=proofs)
    ran = Ran(budget, bool(proofs), bool(course.left[0]), bool(course.moving[0]), time.monotonic() - started)
    return _first(found), proofs, outlook_of(market, segments, ran)


def _first(found: WorstEquilibrium) -> WorstEquilibrium:
    return jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf)[0]), found)


class _Segment(NamedTuple):
    """What is known of one segment of every market."""

    ends: Float[np.ndarray, "end market member"]
    looked: Int[np.ndarray, "market member"]
    status: Int[np.ndarray, " market"]
    drawn: list[list[Drawn | None]]
    left: np.ndarray
    moving: np.ndarray


class Course(NamedTuple):
    """How the searches of each market went: whether parts were left, and the last half of them still told more."""

    left: Bool[np.ndarray, " market"]
    moving: Bool[np.ndarray, " market"]


def _in_segment(
    part: Market,
    delta: Float[Array, ""],
    budget: int,
    progress: Callable | None,
    known: np.ndarray | None,
    level: float | None,
    watch: Callable[[Crowd, np.ndarray], Watch] | None,
    further: Further | None,
) -> _Segment:
    """Searches one segment of every market; what is large or invalid has no search."""
    told = [np.asarray(leaf) for leaf in _all_laid_out(part, delta)]
    baseline, status = told[2], told[-1]
    count, members = baseline.shape
    crowds = _crowds(part, told) if budget else {}
    watches = [None if watch is None else watch(crowd, told[4][place]) for place, crowd in crowds.items()]
    answers = _searched(crowds, budget, progress, level, watches, further)
    left, moving = (np.zeros(count, bool) for _ in range(2))
    ends, looked = np.full((2, count, members), np.nan), np.zeros((count, members), np.int32)
    drawn: list[list[Drawn | None]] = [[None] * members for _ in range(count)]
    if any(status[place] < Status.NOT_FINITE and place not in crowds for place in range(count)):
        if known is None:
            value = _all_unsearched(part, delta)
            known = np.stack([np.asarray(value.lower), np.asarray(value.upper)])
        ends[:] = known
    for (place, crowd), searched in zip(crowds.items(), answers, strict=True):
        ends[:, place] = _ends(crowd, searched) + baseline[place]
        looked[place] = [one.looked for one in searched]
        left[place], moving[place] = searched[0].left, searched[0].moving
        drawn[place] = [draw_profile(crowd, one.found) if one.found else None for one in searched]
    return _Segment(ends, looked, status, drawn, left, moving)


def _searched(
    crowds: dict[int, Crowd],
    budget: int,
    progress: Callable | None,
    level: float | None,
    watches: list[Watch | None],
    further: Further | None,
) -> list[list[Searched]]:
    """Runs the searches; whoever has no `progress` of their own is told how far they are."""
    looked, whole, found = 0, budget * len(crowds), []

    def told(parts: int) -> None:
        nonlocal looked
        looked += parts
        if progress is not None:
            progress(len(found), len(crowds))

    def searched() -> list[list[Searched]]:
        for crowd, watch in zip(crowds.values(), watches, strict=True):
            found.append(search(crowd, budget, level, told, watch, further))
            told(0)
        return found

    if progress is not None or not whole:
        return searched()
    with told_as_part(lambda: f"searching, {looked:,} {f'of {whole:,} ' * (looked <= whole)}parts"):
        return searched()


def search_all(
    markets: Market,
    labels: tuple[int, ...],
    delta: Float[Array, ""],
    budget: int,
    progress: Callable | None,
    known: np.ndarray | None = None,
    level: float | None = None,
    proofs: list[SegmentProof] | None = None,
    further: Further | None = None,
) -> tuple[WorstEquilibrium, Course]:
    """`worst_equilibrium` for a batch, its arguments checked, and how the searches went.

    `known` are brackets without a search, if they are; with `level` the search ends earlier and with `further` later.
    What proves the brackets is added to `proofs`, for every segment that is searched.
    """
    count, users = markets.user_value.shape[:2]
    names = sorted(set(labels))
    members_of = [np.flatnonzero(np.array(labels) == name) for name in names]
    ends, looked, status = (
        np.zeros((2, count, users)),
        np.zeros((count, users), np.int32),
        np.zeros((count, users), int),
    )
    drawn: list[list[list[Drawn | None]]] = [[[None] * len(names) for _ in range(users)] for _ in range(count)]
    left, moving = (np.zeros(count, bool) for _ in range(2))
    for segment, members in enumerate(members_of):
        take = tuple(members.tolist())
        part = _parts_of(markets, take)
        base = None if known is None else known[:, :, members]
        watch = None if proofs is None else partial(Watch.adding_to, proofs, take)
        found = _in_segment(part, delta, budget, progress, base, level, watch, further)
        ends[:, :, members], looked[:, members], status[:, members] = found.ends, found.looked, found.status[:, None]
        left, moving = left | found.left, moving | found.moving
        for place, row in enumerate(found.drawn):
            for target, one in zip(members, row, strict=True):
                drawn[place][target][segment] = one
    size = np.abs(np.asarray(markets.user_value)).max(axis=(2, 3))
    width, allowed = ends[1] - ends[0], TOLERANCE * np.asarray(_spans(markets)) + _ROUNDING * size
    # Ends that cross by more than that contradict each other, and nothing is closed by it.
    closed = (width <= allowed) & (width >= -allowed)
    invalid = status >= int(Status.NOT_FINITE)
    status = np.where(invalid, status, np.where(closed, int(Status.OK), int(Status.OPEN)))
    sizes = (markets.provider_value.shape[1], users, len(names), markets.prior.shape[3])
    profile, has, served = as_profile([row for market in drawn for row in market], members_of, sizes)
    # On the host: JAX would compile a reshape for every number of signals.
    fold = lambda leaf: np.asarray(leaf).reshape(count, users, *leaf.shape[1:])
    answer = WorstEquilibrium(
        value=Bracket(*(jnp.asarray(np.where(invalid, np.nan, end)) for end in ends)),
        profile=jax.tree.map(lambda leaf: jnp.asarray(fold(leaf)), profile),
        has_profile=jnp.asarray(fold(has) & ~invalid),
        served_by=jnp.asarray(fold(served)),
        looked=jnp.asarray(looked),
        status=jnp.asarray(status.astype(np.int32)),
    )
    return answer, Course(left, moving)


def _crowds(part: Market, told: list[np.ndarray]) -> dict[int, Crowd]:
    """Lays every market out that is valid and small, by its place."""
    user, provider, _, slack, reach, status = told
    users, actions = user.shape[1], user.shape[-1]
    crowds: dict[int, Crowd] = {}
    if is_small(users, part.prior.shape[2], part.prior.shape[3], actions):
        for place in np.flatnonzero(status < Status.NOT_FINITE):
            crowd = lay_out(user[place], provider[place], slack[place], reach[place])
            if crowd is not None:
                crowds[int(place)] = crowd
    return crowds


def _ends(crowd: Crowd, answers: list[Searched]) -> np.ndarray:
    """Both ends in the units of the segment; where they cross by rounding, or by the least slack, they meet."""
    most = np.array([min(one.most, 1.0) for one in answers])
    least = np.array([one.found.room[j] if one.found else 0.0 for j, one in enumerate(answers)])
    most = np.where((most < least) & (most >= least - TOLERANCE), least, most)
    return np.stack([crowd.utility(np.where(crowd.cares, most, 0.0)), crowd.utility(least)])
