"""Whether silence is an equilibrium when many users share policies and there is little evidence: decided on the host.

Profiles of actions are too many to go through for many users, but beliefs at which they change are not: with two
evidences beliefs are a line, cut by each user where she is indifferent between two actions. Public policies are
mixtures of the corners of the cells in between.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from .._arguments import checked
from .._market import Market, one_market, slack
from .._precision import float64_scope
from .._segments import known_labels
from .._signals import Crowd, lay_out
from .._status import Status
from ._curves import Curves
from ._question import laid_out, part_of

# With more sets of users than this, or more places where corners may be, segments are not looked at.
_MOST_USERS = 10


class PublicSilence(NamedTuple):
    """What each provider gains at most by breaking silence with public policies, in units of its objective.

    Both ends are evaluated at candidates: `lower` at policies, `upper` at multipliers. Silence is an equilibrium where
    `is_equilibrium`, it is none where `is_refuted`, and the question is open where neither holds.
    """

    lower: Float[np.ndarray, " provider"]
    upper: Float[np.ndarray, " provider"]
    is_equilibrium: bool
    is_refuted: bool


@checked(market=one_market, segments=known_labels, delta=slack)
@float64_scope
def silence_by_cells(market: Market, segments: Any, delta: Any = 0.0) -> PublicSilence:
    """Brackets what each provider gains by public policies when nobody else tells anybody anything, on the host.

    It asks what `silence` asks of segments of users of one type, and answers it for more users: up to 10, where the
    places at which corners of public policies may be are few (8 users, 4 actions and 2 evidences have 50). Raises
    `ValueError` on markets that are not valid, have types, or are too large.

    **Arguments:**

    - `market`: one market.
    - `segments`: an integer label per user; equal labels share a policy.
    - `delta`: how much a provider may leave on the table, in units of its objective; >= 0.

    **Returns:** a `PublicSilence`.

    Example::

        found = silence_by_cells(market, plx.anonymous(market.num_users))
        found.is_equilibrium, found.upper
    """
    labels = np.array(segments)
    whole = [np.asarray(leaf) for leaf in laid_out(market, jnp.asarray(delta, jnp.float64))]
    if whole[-1] >= Status.NOT_FINITE:
        raise ValueError(f"market is not valid: its status is {Status(int(whole[-1])).name}.")
    allowed = whole[3]
    ends = np.zeros((2, len(allowed)))
    for name in np.unique(labels):
        members = np.flatnonzero(labels == name)
        if market.prior.shape[1] > 1 or len(members) > _MOST_USERS:
            raise ValueError(
                f"segments may have at most {_MOST_USERS} users of one type, got {len(members)} users and "
                f"{market.prior.shape[1]} types."
            )
        user, provider, _, left, reach, _ = (
            np.asarray(leaf)
            for leaf in laid_out(part_of(market, tuple(members.tolist())), jnp.asarray(delta, jnp.float64))
        )
        crowd = lay_out(user, provider, left, reach)
        if crowd is None:
            raise ValueError("The market has too many signals for its users to be listed, or nearly ties somewhere.")
        unit = np.where(reach > 0, reach, 1.0)
        present = _uninformed(user, provider) / unit[:, None]
        ends += _gains(crowd, present) * unit
    return PublicSilence(ends[0], ends[1], bool((ends[1] <= allowed).all()), bool((ends[0] > allowed).any()))


def _uninformed(
    user: Float[np.ndarray, "user evidence action"], provider: Float[np.ndarray, "provider user evidence action"]
) -> Float[np.ndarray, "provider user"]:
    """What providers get from users who do what is best for them, the first of the best actions, uninformed."""
    action = user.sum(axis=1).argmax(axis=-1)
    return np.take_along_axis(provider.sum(axis=2), action[None, :, None], axis=-1)[..., 0]


def _gains(crowd: Crowd, present: Float[np.ndarray, "provider user"]) -> Float[np.ndarray, "end provider"]:
    """Both ends of what each provider gains by winning the best set of users; a single one has all of them."""
    curves, room = Curves(crowd), crowd.cares.astype(float)
    single = crowd.num_providers == 1
    indifferent = np.asarray((curves.sets & ~crowd.cares).any(axis=1))
    pairs = curves.pairs[-1:] if single else curves.pairs[~indifferent[curves.pairs[:, 1]]]
    if not len(pairs):
        return np.zeros((2, crowd.num_providers))
    # Nobody loses more than by silence, so that a single provider is asked for nothing by a little more room.
    (lower,) = curves.points((room + single)[None], pairs)
    curves.touch(room)
    upper = curves.above(room)[pairs[:, 0], pairs[:, 1]]
    now = (present[pairs[:, 0]] * curves.sets[pairs[:, 1]]).sum(axis=1)
    ends = np.zeros((2, crowd.num_providers))
    for end, value in zip(ends, (lower, upper), strict=True):
        np.maximum.at(end, pairs[:, 0], value - now)
    return ends
