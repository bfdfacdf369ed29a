"""What is reported about worst equilibria with shared policies, and the profiles that show the upper ends."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from .._bracket import Bracket
from .._conversation import Profile
from .._market import Market
from .._on_scale import UtilityAnswer
from .._precision import in_float64
from .._signals import Crowd
from ._base import Unsearched
from ._profiles import Found


class WorstEquilibrium(UtilityAnswer):
    """A bracket of the least that a delta-equilibrium gives each user.

    `value` is in expected utility: no delta-equilibrium gives user j less than `value.lower[j]`, and one gives her at
    most `value.upper[j]`. Where `has_profile[j]`, it is `profile` in its row j: `deviation` says the same of it.
    `served_by[j]` is the provider that each user talks to there. Elsewhere the upper end is her aligned utility, which
    several providers who tell everything give her. `looked` counts the parts of the space of profiles that were looked
    at for her. `status` is a `Status` code per user: `OPEN` where the bracket is valid but wider than 1e-3 of the
    distance between silent and aligned utility. Where the market's data are invalid, every number is NaN.
    """

    attained_by = "profile"

    value: Bracket
    profile: Profile
    has_profile: Bool[Array, "*batch user"]
    served_by: Int[Array, "*batch user everyone"]
    looked: Int[Array, "*batch user"]
    status: Int[Array, "*batch user"]


class Drawn(eqx.Module):
    """A profile of one segment as arrays, everything that is left told at the end of the signals."""

    policy: Float[np.ndarray, "provider evidence signal"]
    recommended: Int[np.ndarray, "provider user signal"]
    served_by: Int[np.ndarray, " user"]


def draw_profile(crowd: Crowd, found: Found) -> Drawn:
    """Writes the policies of a profile out, with the actions that they recommend."""
    most = max(int((weight > 0).sum()) for weight in found.weight)
    evidences, policies = crowd.num_evidences, len(found.weight)
    policy = np.zeros((policies, evidences, most + evidences))
    action = np.full((policies, crowd.num_users, most + evidences), -1)
    for place, weight in enumerate(found.weight):
        (used,) = np.nonzero(weight > 0)
        policy[place, :, : len(used)] = (weight[used, None] * crowd.signal_belief[used]).T
        action[place, :, : len(used)] = crowd.signal_action[used].T
        told = np.maximum(1.0 - policy[place].sum(axis=-1), 0.0)
        policy[place, :, most:] = np.diag(told)
        action[place, :, most:] = crowd.first_action
        policy[place] /= policy[place].sum(axis=-1, keepdims=True)
    offers = list(found.plan.offers)
    return Drawn(policy[offers], action[offers], np.array(found.plan.served_by))


def as_profile(
    drawn: list[list[Drawn | None]], members_of: list[np.ndarray], shape: tuple[int, int, int, int]
) -> tuple[Profile, np.ndarray, np.ndarray]:
    """Puts profiles of segments into one of the whole market for every target: [target] leading.

    `drawn[target]` goes over segments, as `members_of` does; where a segment has none, it is told everything. Also
    returns which targets have a profile of their own segment, and who serves whom.
    """
    providers, users, segments, evidences = shape
    widths = [one.policy.shape[-1] for row in drawn for one in row if one is not None]
    signals = max([evidences, *widths])
    targets = len(drawn)
    policy = np.zeros((targets, providers, segments, evidences, 1, signals))
    policy[..., 0, :evidences] = np.eye(evidences)
    told = np.full((targets, providers, users, 1, 1, signals), -1, np.int32)
    choice = np.zeros((targets, users), np.int32)
    has = np.zeros(targets, bool)
    for target, row in enumerate(drawn):
        for segment, one in enumerate(row):
            if one is None:
                continue
            has[target] = True
            width, members = one.policy.shape[-1], members_of[segment]
            policy[target, :, segment, :, 0] = 0.0
            policy[target, :, segment, :, 0, :width] = one.policy
            told[target][:, members, 0, 0, :width] = one.recommended
            choice[target, members] = one.served_by
    # A profile of one target says how the arrays are put together; those of all are beyond what it checks.
    structure = jax.tree.structure(Profile(policy[0], told[0], None, choice[0]))
    return jax.tree.unflatten(structure, [policy, told, choice]), has, choice


@in_float64
def without_profile(market: Market, segments: int, found: Unsearched) -> WorstEquilibrium:
    """The answer where nothing was searched: every provider tells everything."""
    providers, users = market.provider_value.shape[:2]
    evidences = market.prior.shape[2]
    policy = np.broadcast_to(np.eye(evidences)[:, None], (users, providers, segments, evidences, 1, evidences))
    told = np.full((users, providers, users, 1, 1, evidences), -1, np.int32)
    choice = jnp.zeros((users, users), jnp.int32)
    one = lambda policy, told, choice: Profile(policy, told, None, choice)
    return WorstEquilibrium(
        value=found.value,
        profile=jax.vmap(one)(jnp.asarray(policy), jnp.asarray(told), choice),
        has_profile=jnp.zeros(users, bool),
        served_by=choice,
        looked=jnp.zeros(users, jnp.int32),
        status=found.status,
    )
