"""Evaluates both ends of a provider's best deviation in one segment at given candidates. Imports no solver.

A deviation is worth `sum_j <provider_j, q_j>` over the users whom it wins, plus what the provider gets from the others
where they are. Users not with the provider now come for strictly more than their best other offer; users with it now
stay at a tie.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from .._ties import doubt

# Offers within this share of the size of a user's stakes are ties.
TIE = 1e-11


class Audience(eqx.Module):
    """One segment, as a provider sees it that may deviate. Its stakes `provider` are weighted by the users' masses.

    `outside` is each user's best other offer, and `elsewhere` what the provider gets from her there, weighted too.
    `loyal` marks the users who are with the provider now. Absent members hold zeros.
    """

    user: Float[Array, "*batch member type evidence action"]
    provider: Float[Array, "*batch member type evidence action"]
    outside: Float[Array, "*batch member"]
    elsewhere: Float[Array, "*batch member"]
    loyal: Bool[Array, "*batch member"]

    @property
    def tie(self) -> Float[Array, "*batch member"]:
        """How far apart two offers may be and still be a tie."""
        return TIE * jnp.abs(self.user).max(axis=-1).sum(axis=(-2, -1))

    @property
    def aligned(self) -> Float[Array, "*batch member"]:
        """What full information is worth to each user, which no offer exceeds."""
        return self.user.max(axis=-1).sum(axis=(-2, -1))

    def winnable(self) -> Bool[Array, "*batch member"]:
        """Marks the users for whom some offer is good enough."""
        return self.loyal | (self.outside < self.aligned - self.tie)

    def losable(self) -> Bool[Array, "*batch member"]:
        """Marks the users for whom some offer is bad enough: silence is the worst."""
        silent = self.user.sum(axis=-2).max(axis=-1).sum(axis=-1)
        return ~self.loyal | (self.outside > silent + self.tie)


def sets_of(members: int) -> Bool[np.ndarray, "set member"]:
    """Lists the sets of users whom a deviation may win, everybody last."""
    return np.indices((2,) * members).reshape(members, -1).T.astype(bool)


def possible(audience: Audience, won: Bool[Array, " member"]) -> Bool[Array, ""]:
    """Tells whether each user on her own can be won, or lost, as the set asks."""
    return jnp.where(won, audience.winnable(), audience.losable()).all()


def deviation_value(
    audience: Audience, value: Float[Array, " member"], earned: Float[Array, " member"]
) -> Float[Array, ""]:
    """Computes what a policy brings that is worth `value` to the users, and `earned` with each of them who comes."""
    won = jnp.where(audience.loyal, value >= audience.outside - audience.tie, value > audience.outside + audience.tie)
    return jnp.where(won, earned, audience.elsewhere).sum()


def private_upper(
    audience: Audience,
    height: Float[Array, " member"],
    slope: Float[Array, " member"],
    won: Bool[Array, " member"] | None = None,
) -> Float[Array, ""]:
    """Bounds a deviation by any conversation at all, even one that treats every user apart, from above.

    `height - slope r` bounds what the provider gets from a user by an offer worth r to her, weighted by her mass
    (`best_response_line`). With `won`, a deviation that wins exactly these users.
    """
    win = height - slope * audience.outside
    if won is not None:
        return jnp.where(won, win, audience.elsewhere).sum()
    win = jnp.where(audience.winnable(), win, -jnp.inf)
    return jnp.maximum(win, jnp.where(audience.losable(), audience.elsewhere, -jnp.inf)).sum()


def public_upper(
    audience: Audience,
    won: Bool[Array, " member"],
    obedience: Float[Array, "profile member action"],
    participation: Float[Array, " member"],
) -> Float[Array, ""]:
    """Bounds what one policy for all users brings that wins exactly the users `won`, from above (users of one type).

    Weak duality: valid for ANY non-negative multipliers. A signal of a public policy is a profile of actions, one per
    user, the last user's fastest; `obedience[p, j, c]` is for user j doing c where profile p has another action. The
    users won get at least `outside`, the others at most.
    """
    known = lambda leaf: jnp.where(jnp.isfinite(leaf), jnp.maximum(leaf, 0.0), 0.0)
    obedience, participation = known(obedience), known(participation)
    user, provider = audience.user[:, 0], audience.provider[:, 0]
    members, evidences, actions = user.shape
    sign = jnp.where(won, participation, -participation)
    target = jnp.where(won[:, None, None], provider, 0.0)
    score = target + sign[:, None, None] * user
    place = _profiles(members, actions)
    total = jnp.zeros((evidences, place.shape[1]), jnp.float64)
    for j in range(members):
        told = _chosen(user[j], place[j])
        total = total + _chosen(score[j], place[j])
        for c in range(actions):
            # The multiplier of doing as told has no effect: it meets a difference of zero.
            total = total + obedience[None, :, j, c] * (told - user[j, :, c : c + 1])
    largest = lambda stakes: jnp.abs(stakes).max(axis=-1)
    size = (largest(target) + participation[:, None] * largest(user)).sum(axis=0)[:, None]
    size = 2 * size + 2 * jnp.einsum("pjc,jx->xp", obedience, largest(user))
    left = jnp.where(won, 0.0, audience.elsewhere).sum()
    bound = (total + doubt(size, members * actions)).max(axis=-1).sum() - (sign * audience.outside).sum()
    # What everybody's best action brings needs no multipliers; products that overflow prove nothing else.
    most = target.max(axis=-1).sum()
    return jnp.where(bound < most, bound, most) + left


def _profiles(members: int, actions: int) -> Int[np.ndarray, "member profile"]:
    return np.indices((actions,) * members).reshape(members, -1)


def _chosen(values: Float[Array, "evidence action"], place: Int[np.ndarray, " profile"]) -> Array:
    """Takes each profile's action: [evidence profile]. Choices, because products and gathers take ten times as long."""
    taken = values[:, :1]
    for c in range(1, values.shape[1]):
        taken = jnp.asarray(jnp.where(place[None] == c, values[:, c : c + 1], taken))
    return taken
