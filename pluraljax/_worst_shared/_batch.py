"""The worst equilibria of a batch of markets as plain arrays: what a scan stores."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from .._arguments import PARTS, checked, instance_of, num_parts
from .._market import Market, slack
from .._precision import float64_scope
from .._segments import as_labels
from ._question import search_all
from ._tree import Further


class WorstEquilibria(NamedTuple):
    """`WorstEquilibrium` without profiles, for many markets, in NumPy arrays.

    `lower` and `upper` bracket the least that a delta-equilibrium gives each user, in expected utility; `status` is a
    `Status` code. `served_by[market, user]` is the provider that each user talks to in the profile of the upper end; -1
    where that end is her aligned utility without a search's profile. `nodes` counts parts that were looked at for her.
    `left` says whether parts were left to look at, and `moving` whether the last half of them still told more.
    """

    lower: Float[np.ndarray, "market user"]
    upper: Float[np.ndarray, "market user"]
    status: Int[np.ndarray, "market user"]
    served_by: Int[np.ndarray, "market user everyone"]
    nodes: Int[np.ndarray, "market user"]
    left: Bool[np.ndarray, " market"]
    moving: Bool[np.ndarray, " market"]


@checked(markets=instance_of(Market), delta=slack)
@float64_scope
def worst_equilibria(
    markets: Market,
    labels: Any,
    delta: Any = 0.0,
    budget: int = PARTS,
    *,
    unsearched: Any = None,
    level: float | None = None,
    progress: Callable[[int, int], None] | None = None,
    further: Further | None = None,
) -> WorstEquilibria:
    """Brackets what each user gets in her worst delta-equilibrium, for a batch of markets, on the host.

    Without `level` the numbers are those of `worst_equilibrium`, whatever else is in the batch. Markets that are not
    valid have a status and NaN.

    **Arguments:**

    - `markets`: a `Market` whose leaves have a leading axis; NumPy arrays will do.
    - `labels`: an integer label per user; equal labels share a policy. The same for all markets.
    - `delta`: how much a provider may leave on the table, in units of its objective; >= 0.
    - `budget`: the number of parts to look at in each market. More never widens a bracket.
    - `unsearched`: the brackets without a search, `[end market user]`, for markets that cannot be searched; default:
      they are computed where they are needed.
    - `level`: asks for less than the worst equilibrium: whether somebody loses more than this share of the way from
      aligned to silent in some equilibrium. The search ends once that is known, and looks for equilibria earlier;
      brackets hold all the same.
    - `progress`: called after every step with the number of searches that have ended, and of all. What it raises ends
      the search.
    - `further`: whether a search that would end by its budget, and told more in the last half of it, goes on; asked
      every 64 parts with the shares of the way that each user never loses more than, and loses in an equilibrium. A
      search with what it looked at for a `budget` ends with the same brackets.

    **Returns:** a `WorstEquilibria`.

    Example::

        markets = jax.vmap(plx.families.gaussian(providers=3))(jax.random.split(jax.random.key(0), 64))
        found = worst_equilibria(markets, plx.anonymous(markets.num_users), budget=100)
        always_served = (found.lower >= 0.99 * aligned + 0.01 * silent).all(axis=1)
    """
    if markets.user_value.ndim != 4:
        raise ValueError(
            f"markets must be a batch, user_value[market,user,action,state], got shape {markets.user_value.shape}."
        )
    known = as_labels(labels, markets.user_value.shape[1])
    if not isinstance(known, tuple):
        raise ValueError("labels must be known, got traced ones.")
    base = None if unsearched is None else np.asarray(unsearched)
    delta, budget = jnp.asarray(delta, jnp.float64), num_parts("budget", budget)
    searched, course = search_all(markets, known, delta, budget, progress, base, level, further=further)
    found = jax.tree.map(np.asarray, searched)
    served = np.where(found.has_profile[..., None], found.served_by, -1)
    return WorstEquilibria(found.value.lower, found.value.upper, found.status, served, found.looked, *course)
