"""What is proved of one market, and of what is left of it after exits, as NumPy arrays."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from .._alignment import strong_alignment, weak_alignment
from .._compiling._rarely import run_rarely
from .._frontier import worst_equilibria as worst_personalized
from .._guarantee import guarantee
from .._market import Market, benchmarks
from .._robust import copies, staying
from .._segments import anonymous, personalized
from .._served import SERVED, has_way, intersected
from .._worst_shared import Outlook, Ran, outlook_of, silence_by_cells, worst_equilibria

# Markets after exits are asked about where there are so many users, copies counted, at most.
_MOST_COPIES = 256
# Guarantees read with a delta of 0 may say a little more than holds for the least delta: as much counts as nothing.
_NOTHING = 1e-6

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


class Conditions(NamedTuple):
    """Benchmarks and alignment conditions; errors are brackets with a leading axis of two ends."""

    silent: Float[np.ndarray, " user"]
    aligned: Float[np.ndarray, " user"]
    weak_error: Float[np.ndarray, "end user"]
    weak_weights: Float[np.ndarray, "user provider"]
    strong_error: Float[np.ndarray, " end"]
    strong_weights: Float[np.ndarray, " provider"]


class Guarantees(NamedTuple):
    """What every equilibrium gives at least; the weights prove it. Rows are exits, the first one is that of nobody."""

    apart: Float[np.ndarray, " user"]
    apart_weights: Float[np.ndarray, "user provider"]
    together: Float[np.ndarray, "row user"]
    together_weights: Float[np.ndarray, "user provider"]


class Shared(NamedTuple):
    """The worst anonymous equilibrium: a bracket, whom everybody talks to where one was found, and silence.

    `outlook` is what is said of a longer search, and `parts` the budget that this comes from; 0 without a search.
    """

    worst: Float[np.ndarray, "end user"]
    served_by: Int[np.ndarray, "user everyone"]
    outlook: Outlook
    silence: bool | None
    parts: int


class Search(NamedTuple):
    """How many parts a search looks at, and how many seconds it may go on for where more parts tell more."""

    budget: int
    seconds: float


@dataclass(frozen=True, eq=False)
class Rows:
    """Markets that are asked about together: the market itself, then one per change, all with as many providers.

    `kept` says who is in each provider's place, and `alone` whether nobody competes there.
    """

    kept: Int[np.ndarray, "row provider"]
    alone: Bool[np.ndarray, " row"]


def rows_of(users: int, providers: int) -> Rows:
    """After the market itself: the exit of each provider, or a copy of a single one; nothing where that is too much."""
    if providers == 1:
        # A twin is nobody new, but somebody who competes.
        return Rows(np.zeros((2, 1), np.int32), np.array([True, False]))
    gone = np.concatenate([np.zeros((1, providers), bool), np.eye(providers, dtype=bool)])
    if len(gone) * users > _MOST_COPIES:
        gone = gone[:1]
    alone = gone.sum(axis=1) == providers - 1
    return Rows(staying(gone), alone)


def _run(function: Callable[..., Any], *arguments: Any) -> Any:
    return jax.tree.map(np.asarray, run_rarely(function, *arguments))


def ask_conditions(arrays: Arrays) -> Conditions:
    return Conditions(*_run(_conditions, arrays))


def ask_guarantees(arrays: Arrays, rows: Rows, delta: float) -> Guarantees:
    return Guarantees(*_run(_guarantees, arrays, rows.kept, np.float64(delta)))


def ask_worst(arrays: Arrays, rows: Rows, delta: float) -> Float[np.ndarray, "end row user"]:
    """Brackets the worst personalized equilibria."""
    return np.stack(_run(_worst, arrays, rows.kept, rows.alone, np.float64(delta)))


def _conditions(arrays: Any) -> Any:
    market = Market(*arrays)
    marks, weak, strong = benchmarks(market), weak_alignment(market), strong_alignment(market)
    both = lambda bracket: jnp.stack([bracket.lower, bracket.upper])
    return marks.silent, marks.aligned, both(weak.value), weak.weights, both(strong.value), strong.weights


def _guarantees(arrays: Any, kept: Any, delta: Any) -> Any:
    market = Market(*arrays)
    users, rows = market.num_users, kept.shape[0]
    many = _copied(market, kept)
    apart = guarantee(market, personalized(users), delta)
    together = guarantee(many, np.repeat(np.arange(rows, dtype=np.int32), users), delta)
    return apart.lower, apart.weights, together.lower.reshape(rows, users), together.weights[:users]


def _worst(arrays: Any, kept: Any, alone: Any, delta: Any) -> Any:
    market = Market(*arrays)
    users, rows = market.num_users, kept.shape[0]
    found = worst_personalized(_copied(market, kept), delta, jnp.repeat(alone, users)).value
    return found.lower.reshape(rows, users), found.upper.reshape(rows, users)


def _copied(market: Market, kept: Any) -> Market:
    """Every user once per row; users vary fastest."""
    users, rows = market.num_users, kept.shape[0]
    return copies(market, np.tile(np.arange(users, dtype=np.int32), rows), jnp.repeat(kept, users, axis=0))


def search_shared(
    market: Market, delta: float, search: Search, silent: np.ndarray, aligned: np.ndarray, sure: np.ndarray
) -> Shared:
    """Searches for the worst anonymous equilibrium, on the host; `sure` is what is guaranteed.

    Where a search is not possible the bracket is `sure`, silence where that is an equilibrium, and aligned.
    """
    payoff_range = range_of(np.asarray(market.user_value))
    silence = is_silence_equilibrium(market, anonymous(market.num_users), delta)
    lower = np.maximum(sure, silent)
    if silence:
        lower = np.where(lower <= silent + _NOTHING * payoff_range, silent, lower)
    base = np.stack([lower, silent if silence else aligned])
    batch = jax.tree.map(lambda leaf: leaf[None], market)
    users, started = anonymous(market.num_users), time.monotonic()
    asks = has_way(silent, aligned, payoff_range)

    def further(lost: np.ndarray) -> bool:
        """Whether it is open who is served, and there is time."""
        is_open = (lost[0] > 1 - SERVED) & (lost[1] < 1 - SERVED) & asks
        return bool(is_open.any()) and time.monotonic() < started + search.seconds

    found = worst_equilibria(
        batch, users, delta, search.budget, unsearched=base[:, None], further=further if search.seconds else None
    )
    taken = time.monotonic() - started
    worst = intersected(np.stack([found.lower[0], found.upper[0]]), base, payoff_range)
    looked = int(found.nodes.sum())
    ran = Ran(max(looked, search.budget), looked > 0, bool(found.left[0]), bool(found.moving[0]), taken)
    outlook = outlook_of(market, tuple(users.tolist()), ran)
    return Shared(worst, found.served_by[0], outlook, silence, ran.parts if looked else 0)


def is_silence_equilibrium(market: Market, segments: np.ndarray, delta: float) -> bool | None:
    """Whether nobody gains by breaking silence; None where that is open, or the market too large to ask."""
    try:
        found = silence_by_cells(market, segments, delta)
    except ValueError:
        return None
    return True if found.is_equilibrium else False if found.is_refuted else None


def range_of(user_value: np.ndarray) -> np.ndarray:
    """What each user's largest and smallest payoff differ by."""
    return user_value.max(axis=(1, 2)) - user_value.min(axis=(1, 2))
