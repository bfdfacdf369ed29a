"""The worst equilibrium of every user when no two share a policy: each user's own search, which also works compiled."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._conversation import Profile
from .._frontier import Frontier, frontier
from .._market import Market, market_status
from .._precision import in_float64
from .._status import Status
from ._result import WorstEquilibrium


def worst_apart(market: Market, labels: tuple[int, ...], delta: Float[Array, ""]) -> WorstEquilibrium:
    """The answer for one market in which every user has a label of her own; works under `jit` and `vmap`."""
    return _answered(market, labels, frontier(market, delta))


@in_float64
def _answered(market: Market, labels: tuple[int, ...], found: Frontier) -> WorstEquilibrium:
    """All providers offer each user the outcome of her worst equilibrium: a menu that recommends actions by type.

    What one user is offered does not matter to the others, so that one profile is the worst for each of them.
    """
    valid = market_status(market) < Status.NOT_FINITE
    users, types, evidences, actions = found.outcome.shape
    providers = market.num_providers
    segments = np.argsort(np.array(labels)).astype(np.int32)
    recommending = jnp.asarray(np.eye(1, actions)[0], jnp.float64)
    outcome = jnp.where(valid, found.outcome, recommending)
    # [segment type evidence action] to [segment evidence query signal].
    policy = jnp.swapaxes(outcome[segments], 1, 2)
    told = np.where(np.eye(types, dtype=bool)[:, :, None], np.arange(actions), -1)
    each = lambda leaf, *shape: jnp.broadcast_to(jnp.asarray(leaf), (users, providers, *shape))
    asked = each(np.arange(types, dtype=np.int32), users, types)
    choice = jnp.zeros((users, users), jnp.int32)
    profile = jax.vmap(Profile)(
        each(policy, users, evidences, types, actions),
        each(told.astype(np.int32), users, types, types, actions),
        asked,
        choice,
    )
    return WorstEquilibrium(
        value=found.value,
        profile=profile,
        has_profile=jnp.broadcast_to(valid, (users,)),
        served_by=choice,
        looked=found.turns,
        status=found.status,
    )
