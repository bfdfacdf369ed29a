"""The signals that public policies for a few users are made of, listed, and what each of them does to everybody.

A signal leaves a belief over the evidence, up to scale. Beliefs at which everybody's best actions stay the same form a
cone, and every public policy is a mixture of signals at the corners of these cones, each with a profile of actions that
are best there. Everything counts against telling all the evidence: signals lose users something, and nothing is lost
where the evidence is told. NumPy only, because searches on the host use it between compiled programmes.
"""

import functools
import itertools
import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

# Two actions closer than this, as a share of the size of a user's stakes, both count as best.
TIE = 1e-10
# Likelihoods below this share of the largest are zero, and directions shorter than this are no corners.
_ZERO = 1e-10
_DEGENERATE = 1e-9
# What is neither nothing nor more than this may be a tie or none: such a segment is not listed. Nothing is what
# rounding leaves of it: this much of numbers of order one, and more where planes meet at a small angle.
_CLEAR = 1e-8
_ROUNDING = 2.0**-46
# With more places where corners may be, or more signals, a segment counts as large.
MOST_PLACES = 30_000
MOST_SIGNALS = 4_000
# The search begins with a part for every order of the users.
MOST_USERS = 5
# A user for whom conversation is worth less than this share of the size of her stakes cannot be told anything.
_INDIFFERENT = 1e-9


class Offers(NamedTuple):
    """What compiled loops know of the corners of a `Crowd`, for deviations."""

    belief: Float[np.ndarray, "corner evidence"]
    lost: Float[np.ndarray, "corner user"]
    earned: Float[np.ndarray, "provider corner user"]
    told_best: Float[np.ndarray, "provider user"]
    told_worst: Float[np.ndarray, "provider user"]


@dataclass(frozen=True)
class Crowd:
    """One segment of users of one type each, in units of their own: see `room`.

    What users lose counts in shares of what conversation is worth to them, and what providers earn in shares of the
    range of their objective, masses included. `lost` and `earned` are per unit of weight of a corner, `told` is what a
    provider gets from users who are told the evidence: `told_best` and `told_worst` if they take, among their optimal
    actions, the one that it likes most or least. The corners come once for deviations, where users take the best
    actions that the deviator likes most (`earned`), and once with every profile of best actions (`signal_`).
    """

    belief: Float[np.ndarray, "corner evidence"]
    lost: Float[np.ndarray, "corner user"]
    earned: Float[np.ndarray, "provider corner user"]
    told_best: Float[np.ndarray, "provider user"]
    told_worst: Float[np.ndarray, "provider user"]
    told_first: Float[np.ndarray, "provider user"]
    signal_belief: Float[np.ndarray, "signal evidence"]
    signal_lost: Float[np.ndarray, "signal user"]
    signal_earned: Float[np.ndarray, "provider user signal"]
    signal_action: Int[np.ndarray, "signal user"]
    signal_corner: Int[np.ndarray, " signal"]
    first_action: Int[np.ndarray, "user evidence"]
    slack: Float[np.ndarray, " provider"]
    silent: Float[np.ndarray, " user"]
    aligned: Float[np.ndarray, " user"]
    cares: Bool[np.ndarray, " user"]
    _distinct: dict[tuple[int, ...], Int[np.ndarray, " some"]] = field(default_factory=dict, compare=False)

    def distinct(self, hearers: tuple[int, ...]) -> Int[np.ndarray, " some"]:
        """Signals that differ in their belief or in what some users do: all that matters if nobody else hears them."""
        if hearers not in self._distinct:
            told = np.column_stack([self.signal_corner, self.signal_action[:, list(hearers)]])
            self._distinct[hearers] = np.sort(np.unique(told, axis=0, return_index=True)[1])
        return self._distinct[hearers]

    @functools.cached_property
    def offers(self) -> Offers:
        return Offers(self.belief, self.lost, self.earned, self.told_best, self.told_worst)

    @property
    def num_users(self) -> int:
        return self.lost.shape[1]

    @property
    def num_providers(self) -> int:
        return self.earned.shape[0]

    @property
    def num_evidences(self) -> int:
        return self.belief.shape[1]

    def utility(self, room: Float[np.ndarray, " user"]) -> Float[np.ndarray, " user"]:
        """What users get who lose `room`: 0 is aligned, 1 is silent utility."""
        return self.aligned - room * (self.aligned - self.silent)


def is_small(users: int, types: int, evidences: int, actions: int) -> bool:
    """Tells whether the corners of a segment of so many users may be listed, and its orders of users looked through."""
    planes = evidences + users * math.comb(actions, 2)
    return types == 1 and users <= MOST_USERS and math.comb(planes, evidences - 1) <= MOST_PLACES


def find_corners(
    user: Float[np.ndarray, "user evidence action"],
) -> tuple[Float[np.ndarray, "corner evidence"], Bool[np.ndarray, "corner user action"], bool]:
    """Lists the corners as beliefs that sum to 1, and marks everybody's best actions there.

    A corner is where so many things hold with equality (an evidence is ruled out, or a user is indifferent between two
    of her best actions) that nothing but scale is left free. Also tells whether it is clear everywhere what does:
    whether nothing nearly does.
    """
    users, evidences, actions = user.shape
    # Evidence that is rare counts like any other, and so does a user with little at stake.
    often = np.abs(user).max(axis=(0, 2))
    often = np.where(often > 0, often, 1.0)
    even = user / often[None, :, None]
    size = np.abs(even).max(axis=(1, 2))
    scaled = even / np.where(size > 0, size, 1.0)[:, None, None]
    planes = [*np.eye(evidences)]
    for j, (a, b) in itertools.product(range(users), itertools.combinations(range(actions), 2)):
        normal = scaled[j, :, a] - scaled[j, :, b]
        if np.abs(normal).max() > TIE:
            planes.append(normal / np.abs(normal).max())
    direction = _orthogonal(np.array(planes)[_choices(len(planes), evidences - 1)])
    length = np.abs(direction).max(axis=1, keepdims=True)
    clear = not _is_between(length, _ROUNDING, _CLEAR).any() and _are_clear(scaled)
    direction, length = direction[length[:, 0] > _DEGENERATE], length[length[:, 0] > _DEGENERATE]
    direction = direction / length * np.where(direction.sum(axis=1, keepdims=True) < 0, -1.0, 1.0)
    inside = (direction >= -_ZERO).all(axis=1)
    order = np.flatnonzero(inside)[np.argsort(-length[inside, 0], kind="stable")]
    direction, rounding = direction[order], _ROUNDING / length[order, 0]
    belief = np.where(direction > _ZERO, direction, 0.0)
    belief = belief / belief.sum(axis=1, keepdims=True)
    # The best known of those that are alike.
    _, first = np.unique(np.round(belief, 9), axis=0, return_index=True)
    first = np.sort(first)
    clear = clear and not _is_between(np.abs(direction[first]), rounding[first, None], _CLEAR).any()
    belief = belief[first]
    worth = np.stack([belief @ scaled[j] for j in range(users)], axis=1)
    behind = worth.max(axis=-1, keepdims=True) - worth
    best = behind <= TIE
    kept = _are_corners(scaled, belief, best)
    clear = clear and not _is_between(behind, rounding[first, None, None], _CLEAR)[kept].any()
    belief = belief[kept] / often
    return belief / belief.sum(axis=1, keepdims=True), best[kept], clear


def _is_between(value: np.ndarray, low: Any, high: float) -> np.ndarray:
    return (value > low) & (value <= high)


def _are_clear(scaled: Float[np.ndarray, "user evidence action"]) -> bool:
    """Tells whether actions that nearly tie on all evidence, or best ones on some, do so exactly."""
    size = np.abs(scaled).max(axis=-1, keepdims=True)
    rows = scaled / np.where(size > 0, size, 1.0)
    apart = np.abs(rows[..., :, None] - rows[..., None, :]).max(axis=1)
    behind = rows.max(axis=-1, keepdims=True) - rows
    gained = scaled.max(axis=-1).sum(axis=-1) - scaled.sum(axis=1).max(axis=-1)
    nearly = [_is_between(apart, 0.0, _CLEAR), _is_between(behind, 0.0, _CLEAR), _is_between(gained, _ROUNDING, _CLEAR)]
    return not any(each.any() for each in nearly)


@functools.lru_cache(maxsize=16)
def _choices(things: int, count: int) -> Int[np.ndarray, "place some"]:
    return np.array(list(itertools.combinations(range(things), count)), int)


def _orthogonal(normals: Float[np.ndarray, "place plane evidence"]) -> Float[np.ndarray, "place evidence"]:
    """The direction in which the planes of each place meet, by cofactors.

    Minors are expanded by their last plane, those of all places at once.
    """
    planes, evidences = normals.shape[1:]
    rows = np.ascontiguousarray(np.moveaxis(normals, 0, 2))
    minors: dict[tuple[int, ...], np.ndarray] = {(): np.ones(len(normals))}
    for plane in range(planes):
        minors = {
            some: np.sum(
                [
                    (-1.0) ** (plane + place) * rows[plane, x] * minors[some[:place] + some[place + 1 :]]
                    for place, x in enumerate(some)
                ],
                axis=0,
            )
            for some in itertools.combinations(range(evidences), plane + 1)
        }
    return np.stack([(-1.0) ** x * minors[(*range(x), *range(x + 1, evidences))] for x in range(evidences)], axis=-1)


def _are_corners(scaled: np.ndarray, belief: np.ndarray, best: np.ndarray) -> Bool[np.ndarray, " corner"]:
    """Marks the beliefs that are left no freedom by the evidences ruled out and the ties among best actions."""
    users, evidences, actions = scaled.shape
    first = best.argmax(axis=-1)
    own = np.arange(users)[None]
    leader = scaled[own, :, first]
    ties = leader[:, :, None, :] - np.moveaxis(scaled, 1, 2)[None]
    ties = np.where(best[..., None], ties, 0.0).reshape(len(belief), users * actions, evidences)
    ruled = np.eye(evidences)[None] * (belief == 0)[:, :, None]
    rank = np.linalg.matrix_rank(np.concatenate([ruled, ties], axis=1), tol=1e-8)
    return rank >= evidences - 1


def lay_out(
    user: Float[np.ndarray, "user evidence action"],
    provider: Float[np.ndarray, "provider user evidence action"],
    slack: Float[np.ndarray, " provider"],
    reach: Float[np.ndarray, " provider"],
) -> Crowd | None:
    """Lays a segment out; None if it has too many signals, or nearly ties somewhere.

    `reach` is the range of each provider's objective, `slack` is what providers leave on the table; both are in the
    units of `provider`, which holds stakes times masses.
    """
    told = user.max(axis=-1)
    size = np.abs(user).max(axis=-1).sum(axis=-1)
    aligned, silent = told.sum(axis=-1), user.sum(axis=1).max(axis=-1)
    cares = aligned - silent > _INDIFFERENT * np.where(size > 0, size, 1.0)
    unit = np.where(cares, aligned - silent, 1.0)
    belief, best, clear = find_corners(user)
    if not clear or best.sum(axis=-1).prod(axis=-1).sum() > MOST_SIGNALS:
        return None
    worth = np.stack([(belief @ user[j]).max(axis=-1) for j in range(len(user))], axis=1)
    lost = np.where(cares, np.maximum(belief @ told.T - worth, 0.0) / unit, 0.0)
    scale = np.where(reach > 0, reach, 1.0)
    provider, slack = provider / scale[:, None, None, None], slack / scale
    tied = user == told[..., None]
    liked = np.where(tied[None], provider, -np.inf).max(axis=-1)
    disliked = np.where(tied[None], provider, np.inf).min(axis=-1)
    first = user.argmax(axis=-1)
    plain = np.take_along_axis(provider, first[None, ..., None], axis=-1)[..., 0]
    paid = np.einsum("nx,ijxa->inja", belief, provider)
    corner, action = _profiles(best)
    done = paid - np.einsum("nx,ijx->inj", belief, plain)[..., None]
    return Crowd(
        belief=belief,
        lost=np.ascontiguousarray(lost),
        earned=np.ascontiguousarray(
            np.where(best[None], paid, -np.inf).max(axis=-1) - np.einsum("nx,ijx->inj", belief, liked)
        ),
        told_best=liked.sum(axis=-1),
        told_worst=disliked.sum(axis=-1),
        told_first=plain.sum(axis=-1),
        signal_belief=belief[corner],
        signal_lost=lost[corner],
        signal_earned=np.stack([done[:, corner, j, action[:, j]] for j in range(len(user))], axis=1),
        signal_action=action,
        signal_corner=corner,
        first_action=first,
        slack=slack,
        silent=silent,
        aligned=aligned,
        cares=cares,
    )


def _profiles(
    best: Bool[np.ndarray, "corner user action"],
) -> tuple[Int[np.ndarray, " signal"], Int[np.ndarray, "signal user"]]:
    """Every corner with every profile of best actions."""
    each = [
        (corner, *profile)
        for corner, marks in enumerate(best.tolist())
        for profile in itertools.product(*([action for action, mark in enumerate(own) if mark] for own in marks))
    ]
    return np.array(each, int)[:, 0], np.array(each, int)[:, 1:]
