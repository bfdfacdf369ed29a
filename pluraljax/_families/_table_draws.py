"""What `Table` draws: which raters, items and contexts depends on the key alone. Call it in a float64 scope."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Int, Shaped

from .._market import Market, observed_market
from ._draws import ordered_sum, state_prior
from ._table_core import Core, load


def draw(family: Any, key: Array) -> Market:
    """Draws one market with `u_j(a, y)` and `v_i(a, y)` looked up in the table (design 7)."""
    core = load(family)
    places, prior_key = _places(family, core, key)
    user_value = _look_up(core.ratings, places.users, places)
    if core.scores is None:
        members = _look_up(core.ratings, places.providers, places)
        members = members.reshape(family.providers, family.group, *members.shape[1:])
        provider_value = ordered_sum(jnp.moveaxis(members, 1, 0)) / family.group
    else:
        provider_value = _look_up(core.scores, places.providers, places)
    # A provider cares about items, whoever takes them.
    shape = (family.providers, family.users, *provider_value.shape[1:])
    provider_value = jnp.broadcast_to(provider_value[:, None], shape)
    prior = state_prior(prior_key, family.prior, family.users, family.states)
    return observed_market(user_value, provider_value, prior)


def filled(family: Any, key: Array) -> Int[Array, "2"]:
    """Counts the filled entries behind one market's users and providers; each provider's once, not once per user."""
    core = load(family)
    places, _ = _places(family, core, key)
    users = _look_up(core.rating_filled, places.users, places)
    source = core.rating_filled if core.score_filled is None else core.score_filled
    providers = _look_up(source, places.providers, places)
    providers = providers.reshape(family.providers, -1, *providers.shape[1:]).any(axis=1)
    return jnp.stack([users.sum(dtype=jnp.int32), providers.sum(dtype=jnp.int32)])


class _Places(NamedTuple):
    """Where a market's values are in the table."""

    users: Int[Array, " user"]
    providers: Int[Array, " provider"]
    items: Int[Array, "action state"]
    contexts: Int[Array, " state"]


def _places(family: Any, core: Core, key: Array) -> tuple[_Places, Array]:
    """Draws rows, columns and contexts without replacement; with more providers the first ones stay the same."""
    rater_key, provider_key, item_key, context_key, prior_key = jr.split(key, 5)
    counts = core.counts
    raters = _order(rater_key, counts.raters)
    users = raters[: family.users]
    if core.scores is None:
        providers = raters[family.users : family.users + family.providers * family.group]
    else:
        providers = _order(provider_key, counts.providers)[: family.providers]
    items = _order(item_key, counts.items)
    if counts.contexts:
        items = jnp.broadcast_to(items[: family.actions, None], (family.actions, family.states))
        contexts = _order(context_key, counts.contexts)[: family.states]
    else:
        # Slates: more states, or providers, leave the earlier slates as they are.
        items = items[: family.actions * family.states].reshape(family.states, family.actions).T
        contexts = jnp.zeros((family.states,), jnp.int32)
    return _Places(users, providers, items, contexts), prior_key


def _order(key: Array, size: int) -> Int[Array, " size"]:
    """A random order of `0 .. size - 1`, of 32-bit numbers only."""
    bits = jr.bits(key, (size,), jnp.uint32)
    return jax.lax.sort((bits, jnp.arange(size, dtype=jnp.int32)), num_keys=2)[1]


def _look_up(
    values: Shaped[np.ndarray, "row item context"], rows: Int[Array, " some"], places: _Places
) -> Shaped[Array, "some action state"]:
    """The entries at some rows, the items on offer in each state, and the states' contexts."""
    _, items, contexts = values.shape
    index = (rows[:, None, None] * items + places.items[None]) * contexts + places.contexts[None, None, :]
    return jnp.asarray(values).reshape(-1).at[index].get(mode="promise_in_bounds")
