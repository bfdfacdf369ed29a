"""Evaluates both ends of a provider's best deviation in one segment at given candidates. Imports no solver.

A deviation gains what the users whom it wins bring with it, less what they bring now, plus what changes with those who
go elsewhere. Users not with the provider now come for strictly more than their best other offer; users with it now stay
at a tie. What is in doubt about how things stand is read against the claim at both ends.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from .._ties import MEANT, doubt
from ._sense import Instinct, Sense

# As a share of the size of a user's stakes: far above rounding, far below what anything is worth.
_ROOM = 2.0**-31


class Ends(eqx.Module):
    """Bounds of a number that hangs on choices in doubt."""

    low: Float[Array, "*batch"]
    high: Float[Array, "*batch"]


class Audience(eqx.Module):
    """One segment, as a provider sees it that may deviate. Its stakes `provider` are weighted by the users' masses.

    `outside` is each user's best other offer, known up to `tie`. What the provider gets from her is `now`, and `stay`
    more if she then is elsewhere. `loyal` marks the users who surely are with the provider now, and `away` those who
    surely are not. Where `bare`, the best other offer surely is worth no more than silence, and where `full`, surely as
    much as full information: then it is what is said that decides, not what it adds up to. Absent members hold zeros.
    """

    sense: Sense
    instinct: Instinct
    provider: Float[Array, "*batch member type evidence action"]
    outside: Float[Array, "*batch member"]
    tie: Float[Array, "*batch member"]
    now: Ends
    stay: Ends
    loyal: Bool[Array, "*batch member"]
    away: Bool[Array, "*batch member"]
    bare: Bool[Array, "*batch member"]
    full: Bool[Array, "*batch member"]

    @property
    def user(self) -> Float[Array, "*batch member type evidence action"]:
        return self.sense.user

    @property
    def size(self) -> Float[Array, "*batch member"]:
        """The size of each user's stakes."""
        return jnp.abs(self.user).max(axis=-1).sum(axis=(-2, -1))

    @property
    def room(self) -> Float[Array, "*batch member"]:
        """By how much candidates keep away from the best other offer, so that it is sure on which side they are."""
        return _ROOM * self.size

    @property
    def aligned(self) -> Float[Array, "*batch member"]:
        """What full information is worth to each user, which no offer exceeds."""
        return self.user.max(axis=-1).sum(axis=(-2, -1))

    def winnable(self) -> Bool[Array, "*batch member"]:
        """Marks the users who may be won: no offer is strictly better than full information."""
        return ~(self.away & self.full)

    def losable(self) -> Bool[Array, "*batch member"]:
        """Marks the users who may be lost: no offer is worse than silence."""
        return ~(self.loyal & self.bare)

    def without(self, absent: Bool[Array, "*batch member"]) -> "Audience":
        """The audience of those who are not marked, whose entries are zero: nobody can win or lose the others."""
        marks = (self.away | absent, self.bare | absent, self.full | absent)
        return eqx.tree_at(lambda a: (a.away, a.bare, a.full), self, marks)


class Heard(eqx.Module):
    """What the users surely make of a policy: how it compares with what they have elsewhere, and what they bring.

    `earned` is the least that each may bring if she comes, whichever way her doubts go.
    """

    more: Bool[Array, "*member"]
    at_least: Bool[Array, "*member"]
    less: Bool[Array, "*member"]
    at_most: Bool[Array, "*member"]
    earned: Float[Array, "*member"]


def sets_of(members: int) -> Bool[np.ndarray, "set member"]:
    """Lists the sets of users whom a deviation may win, everybody last."""
    return np.indices((2,) * members).reshape(members, -1).T.astype(bool)


def possible(audience: Audience, won: Bool[Array, " member"]) -> Bool[Array, ""]:
    """Tells whether each user on her own may be won, or lost, as the set asks."""
    return jnp.where(won, audience.winnable(), audience.losable()).all()


def sure_gain(audience: Audience, heard: Heard) -> Float[Array, ""]:
    """Bounds what a policy gains from below: users of whom it is not sure whether they come do what brings less."""
    comes = heard.more | (audience.loyal & heard.at_least)
    stays = heard.less | (audience.away & heard.at_most)
    win = heard.earned - audience.now.high
    either = jnp.minimum(win, audience.stay.low)
    return jnp.where(comes, win, jnp.where(stays, audience.stay.low, either)).sum()


def gain_if_meant(
    audience: Audience, value: Float[Array, " member"], earned: Float[Array, " member"]
) -> Float[Array, ""]:
    """What a policy gains if users do as they are told where that is nearly best. Ranks candidates, and proves nothing.

    It is worth `value` to the users, and each who comes brings `earned`.
    """
    near = MEANT * audience.size
    won = jnp.where(audience.away, value > audience.outside + near, value >= audience.outside - near)
    return jnp.where(won, earned - audience.now.low, audience.stay.high).sum()


def private_upper(
    audience: Audience,
    height: Float[Array, " member"],
    slope: Float[Array, " member"],
    won: Bool[Array, " member"] | None = None,
) -> Float[Array, ""]:
    """Bounds the gain of any conversation at all, even one that treats every user apart, from above.

    `height - slope r` bounds what the provider gets from a user by an offer worth r to her, weighted by her mass
    (`best_response_line`). With `won`, a deviation that wins exactly these users.
    """
    win = height - slope * (audience.outside - audience.tie) - audience.now.low
    if won is not None:
        return jnp.where(won, win, audience.stay.high).sum()
    win = jnp.where(audience.winnable(), win, -jnp.inf)
    return jnp.maximum(win, jnp.where(audience.losable(), audience.stay.high, -jnp.inf)).sum()


def public_upper(
    audience: Audience,
    won: Bool[Array, " member"],
    obedience: Float[Array, "profile member action"],
    participation: Float[Array, " member"],
) -> Float[Array, ""]:
    """Bounds what one policy for all users gains that wins exactly the users `won`, from above (users of one type).

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
    # The first action's stakes are zero: differences from it are what every stake adds up.
    largest = audience.sense.size[:, 0].max(axis=-1)
    size = (jnp.abs(target).max(axis=-1) + participation[:, None] * largest).sum(axis=0)[:, None]
    size = 2 * size + 2 * jnp.einsum("pjc,jx->xp", obedience, largest)
    # What the best other offer is worth is known up to `tie`.
    level = (sign * audience.outside - participation * audience.tie).sum()
    level = level - doubt((participation * jnp.abs(audience.outside)).sum(), members)
    left = jnp.where(won, -audience.now.low, audience.stay.high).sum()
    bound = (total + doubt(size, members * actions + audience.sense.states)).max(axis=-1).sum() - level
    # What everybody's best action brings needs no multipliers; products that overflow prove nothing else.
    most = target.max(axis=-1).sum() + doubt(jnp.abs(target).max(axis=-1).sum(), members * evidences)
    return jnp.where(bound < most, bound, most) + left


def _profiles(members: int, actions: int) -> Int[np.ndarray, "member profile"]:
    return np.indices((actions,) * members).reshape(members, -1)


def _chosen(values: Float[Array, "evidence action"], place: Int[np.ndarray, " profile"]) -> Array:
    """Takes each profile's action: [evidence profile]. Choices, because products and gathers take ten times as long."""
    taken = values[:, :1]
    for c in range(1, values.shape[1]):
        taken = jnp.asarray(jnp.where(place[None] == c, values[:, c : c + 1], taken))
    return taken
