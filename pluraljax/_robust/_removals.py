"""Which providers leave, and markets of those that stay."""

import itertools
import math
from collections.abc import Callable
from numbers import Integral
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Int

from .._arguments import described
from .._market import Market
from .._precision import in_float64

# So many removals are asked about at once where there are few, and so many, times users, where there are more.
_FEW, _TOGETHER = 16, 256


def num_removed(name: str, value: Any, arguments: dict[str, Any]) -> int:
    """The check of how many providers leave: a whole number, known before compilation, from 0 to all of them."""
    providers = arguments["market"].num_providers
    if isinstance(value, bool) or not isinstance(value, Integral) or not 0 <= int(value) <= providers:
        raise ValueError(
            f"{name} must be a whole number from 0 to the {providers} providers of the market, got {described(value)}."
        )
    return int(value)


def positive_budget(name: str, value: Any, _: Any = None) -> int:
    """The check of how many programmes a user may cost."""
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, got {described(value)}.")
    return int(value)


def check_known(market: Market, question: str, removed: int, count: int, budget: int) -> None:
    """Refuses to search while a caller's transformation traces the market."""
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(market)):
        raise ValueError(
            f"{question} has {count:,} removals of {removed} providers to look at, more than budget = {budget:,}: it "
            "would search, which it cannot do under jit or vmap. Raise the budget, or pass one concrete market."
        )


def all_removals(providers: int, removed: int) -> Bool[np.ndarray, "removal provider"]:
    """Every set of so many providers, as a row that marks them, in lexicographic order."""
    rows = np.zeros((math.comb(providers, removed), providers), bool)
    for row, leaving in enumerate(itertools.combinations(range(providers), removed)):
        rows[row, list(leaving)] = True
    return rows


def staying(gone: Bool[np.ndarray, "removal provider"]) -> Int[np.ndarray, "removal provider"]:
    """Who is in each provider's place: the first one that stays where it leaves, and -1, nobody, where all leave.

    A twin takes nothing away and adds nothing, so that markets after any exit have one shape and share programmes.
    """
    first = np.where(gone.all(axis=1), -1, np.argmin(gone, axis=1))
    return np.where(gone, first[:, None], np.arange(gone.shape[1])).astype(np.int32)


@in_float64
def copies(
    market: Market, user: Int[Array | np.ndarray, " copy"], kept: Int[Array | np.ndarray, "copy provider"]
) -> Market:
    """A market of copies of these users, each with providers of her own.

    Personalized questions are about one user at a time, so that copies do not see each other. Nobody is a provider who
    does not care.
    """
    kept, user = jnp.asarray(kept), jnp.asarray(user)
    provider = market.provider_value[jnp.maximum(kept, 0), user[:, None]]
    provider = jnp.where(kept[..., None, None] >= 0, provider, 0.0)
    return Market(market.prior[user], market.user_value[user], jnp.swapaxes(provider, 0, 1), market.mass[user])


def _without(market: Market, kept: Array | np.ndarray) -> Market:
    """Copies every user once per removal; users vary fastest."""
    users, removals = market.num_users, kept.shape[0]
    xp = jnp if isinstance(kept, jax.Array) else np
    return copies(market, np.tile(np.arange(users, dtype=np.int32), removals), xp.repeat(kept, users, axis=0))


def ask_all(market: Market, gone: Bool[np.ndarray, "removal provider"], ask: Callable[[Market], Any]) -> Any:
    """Asks a personalized question about every removal; `ask` returns a tree of arrays with a leading user axis.

    Returns that tree with leading axes `[removal user]`. So many removals are asked about at once that shapes are few.
    """
    count, users, kept = len(gone), market.num_users, staying(gone)
    traced = any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(market))
    most = max(1, _TOGETHER // users)
    together = min(count, most) if traced else _FEW if count <= _FEW else most
    groups = -(-count // together)
    rows = np.minimum(np.arange(groups * together), count - 1).reshape(groups, together)
    if groups == 1:
        found = ask(_without(market, kept[rows[0]]))
    elif traced:
        found = _ask_in_turn(market, kept[rows], ask)
    else:
        parts = [ask(_without(market, kept[part])) for part in rows]
        found = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)
    return jax.tree.map(lambda leaf: leaf.reshape(-1, users, *leaf.shape[1:])[:count], found)


@in_float64
def _ask_in_turn(market: Market, kept: Int[Array | np.ndarray, "group removal provider"], ask: Callable[[Market], Any]):
    found = jax.lax.map(lambda part: ask(_without(market, part)), jnp.asarray(kept))
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), found)
