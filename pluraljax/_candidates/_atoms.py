"""Lists the signals that public policies for a small audience are made of.

A signal is a likelihood for each evidence, together with an action that it recommends to every user. Those worth having
are corners: likelihoods at which so many things hold with equality (an evidence is ruled out, or a user is indifferent
between two of her best actions) that nothing but their scale is left free. Every obedient policy is a mixture of them.
"""

import itertools
import math

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

# Two actions closer than this, as a share of the size of the stakes, are ties, and likelihoods below it are zero.
TIE = 1e-11
# Directions shorter than this, per unit of the planes that meet there, are no corners.
_DEGENERATE = 1e-9
# With more places for corners, an audience counts as large.
MOST_PLACES = 30_000
# Places kept, per user and action: random markets have about half as many corners. Twice as many for each evidence
# from the third on.
_ROOM = 6
# How many times as many are kept until those that are alike are found, and how alike.
_SPARE = 4
_ALIKE = 1e-9


class Atoms(eqx.Module):
    """Signals: the largest likelihood of each is one, or all are zero where a place is not in use."""

    signal: Float[Array, "atom evidence"]
    action: Int[Array, "member atom"]


class _Places(eqx.Module):
    """Where corners may be: which planes meet, and which of the tied actions is recommended (-1: the best one)."""

    planes: Int[np.ndarray, "place meeting"]
    action: Int[np.ndarray, "member place"]


def _pairs(members: int, actions: int) -> list[tuple[int, int, int]]:
    return [(j, a, b) for j in range(members) for a, b in itertools.combinations(range(actions), 2)]


def count_places(members: int, evidences: int, actions: int) -> int:
    """Counts the places where corners may be, at most."""
    planes = evidences + len(_pairs(members, actions))
    return math.comb(planes, evidences - 1) * 2 ** (evidences - 1)


def count_atoms(members: int, evidences: int, actions: int) -> int:
    """The number of places kept for signals; corners beyond it are left out."""
    return min(count_places(members, evidences, actions), _ROOM * members * actions * 2 ** max(evidences - 2, 0))


def _places(members: int, evidences: int, actions: int) -> _Places:
    pairs = _pairs(members, actions)
    planes, chosen = [], []
    for meeting in itertools.combinations(range(evidences + len(pairs)), evidences - 1):
        met = [pairs[plane - evidences] for plane in meeting if plane >= evidences]
        tied = [{c for user, a, b in met if user == j for c in (a, b)} for j in range(members)]
        # Where only evidences are ruled out, one of them is told: that is full information. Of the ways to say that
        # several actions tie, those from the first one are enough.
        if (evidences > 1 and not met) or any(a != min(tied[j]) for j, a, _ in met):
            continue
        for action in itertools.product(*(sorted(some) or [-1] for some in tied)):
            planes.append(meeting)
            chosen.append(action)
    shape = (len(planes), evidences - 1)
    return _Places(np.array(planes, np.int32).reshape(shape), np.array(chosen, np.int32).reshape(-1, members).T)


def _determinant(rows: list[list[Array]]) -> Array:
    if len(rows) == 1:
        return rows[0][0]
    minor = lambda c: [row[:c] + row[c + 1 :] for row in rows[1:]]
    terms = [(-1.0) ** c * rows[0][c] * _determinant(minor(c)) for c in range(len(rows))]
    return sum(terms[1:], terms[0])


def _direction(normals: Float[Array, "place meeting evidence"]) -> Float[Array, "place evidence"]:
    """The direction that is orthogonal to all planes of a place, by cofactors."""
    evidences = normals.shape[-1]
    if evidences == 1:
        return jnp.ones((normals.shape[0], 1), jnp.float64)
    column = lambda r, x: normals[:, r, x]
    minor = lambda x: [[column(r, y) for y in range(evidences) if y != x] for r in range(evidences - 1)]
    direction = jnp.stack([(-1.0) ** x * _determinant(minor(x)) for x in range(evidences)], axis=-1)
    return direction * jnp.where(direction.sum(axis=-1, keepdims=True) < 0, -1.0, 1.0)


def find_atoms(user: Float[Array, "member evidence action"], share: Float[Array, " evidence"]) -> Atoms:
    """Finds the corners for the users' stakes; `share` is how likely each evidence is, about, and positive."""
    members, evidences, actions = user.shape
    pairs, places = _pairs(members, actions), _places(members, evidences, actions)
    scaled = user / share[None, :, None]
    size = jnp.abs(scaled).max(axis=(1, 2))
    scaled = scaled / jnp.where(size > 0, size, 1.0)[:, None, None]
    ties = [scaled[j, :, a] - scaled[j, :, b] for j, a, b in pairs]
    planes = jnp.stack([*jnp.eye(evidences, dtype=jnp.float64), *ties])
    length = jnp.abs(planes).max(axis=-1, keepdims=True)
    planes = planes / jnp.where(length > TIE, length, 1.0)
    flat = length[:, 0] <= TIE

    direction = _direction(planes[places.planes])
    longest = jnp.abs(direction).max(axis=-1, keepdims=True)
    belief = direction / jnp.where(longest > 0, longest, 1.0)
    good = (longest[:, 0] > _DEGENERATE) & (belief >= -TIE).all(axis=-1) & ~flat[places.planes].any(axis=-1)
    belief = jnp.where(belief > TIE, belief, 0.0)
    # Where others are indifferent too, as those who are alike: all do the first of their best actions, or all the last.
    tried = [_told(scaled, belief, places.action, last) for last in (False, True)]
    same = (tried[0][0] == tried[1][0]).all(axis=0)
    signal = belief / share[None]
    signal = signal / jnp.where(good, signal.max(axis=-1), 1.0)[:, None]
    count = count_atoms(members, evidences, actions)
    some = _kept(
        Atoms(jnp.concatenate([signal, signal]), jnp.concatenate([action for action, _ in tried], axis=1)),
        jnp.concatenate([good & tried[0][1], good & tried[1][1] & ~same]),
        _SPARE * count,
    )
    return _kept(some, ~_repeated(some), count)


def _told(
    scaled: Float[Array, "member evidence action"], belief: Float[Array, "place evidence"], told: np.ndarray, last: bool
) -> tuple[Int[Array, "member place"], Bool[Array, " place"]]:
    """The actions at each place, and whether all of them are best ones there."""
    actions = np.arange(scaled.shape[-1], dtype=np.int32)[None, None]
    worth = jnp.einsum("nx,mxa->mna", belief, scaled)
    best = worth >= worth.max(axis=-1, keepdims=True) - TIE
    first = jnp.asarray(jnp.where(best, actions, actions[0, 0, -1])).min(axis=-1)
    final = jnp.asarray(jnp.where(best, actions, np.int32(0))).max(axis=-1)
    action = jnp.asarray(jnp.where(told < 0, final if last else first, told))
    return action, (best & (action[..., None] == actions)).any(axis=-1).all(axis=0)


def _repeated(atoms: Atoms) -> Bool[Array, " atom"]:
    """Marks what an earlier place has too, as where users are alike, and what is not in use."""
    near = (jnp.abs(atoms.signal[:, None] - atoms.signal[None]) <= _ALIKE).all(axis=-1)
    near = near & (atoms.action[:, :, None] == atoms.action[:, None, :]).all(axis=0)
    earlier = np.tri(near.shape[0], k=-1, dtype=bool)
    return (near & earlier).any(axis=-1) | (atoms.signal <= 0).all(axis=-1)


def _kept(atoms: Atoms, good: Bool[Array, " place"], count: int) -> Atoms:
    """Moves the good places to the front, and cuts what is behind."""
    place = jnp.where(good, jnp.cumsum(good, dtype=jnp.int32) - jnp.int32(1), jnp.int32(count))
    blank = jnp.zeros((count, atoms.signal.shape[-1]), jnp.float64)
    nobody = jnp.zeros((atoms.action.shape[0], count), jnp.int32)
    return Atoms(
        lax.stop_gradient(blank.at[place].set(atoms.signal, mode="drop")),
        nobody.at[:, place].set(atoms.action, mode="drop"),
    )
