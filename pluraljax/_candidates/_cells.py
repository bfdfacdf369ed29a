"""The beliefs at which each user of a small audience has a given best action, and the corner where a cost is largest.

A profile names one action per user. Its cell is the cone of unnormalised beliefs mu >= 0 (one entry per evidence) at
which every user's action is a best one of hers. Cells are cut off at `sum mu <= 1`. Each cell keeps a corner and its
edges: a dictionary of every constraint's slack in terms of the slacks that are zero at the corner. The profile is the
last axis everywhere, so that all cells move at once.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

# As a share of the largest entry of an edge.
SMALLEST_PIVOT = 1e-10
# Slacks below this are zero: at the origin they all are, and rounding must not order them.
ZERO = 1e-12


class Cells(eqx.Module):
    """A corner of every cell. Constraints are `mu >= 0`, then obedience (user by user), then `sum mu <= 1`.

    `edges[c, n]` is what moving along edge n does to the slack of constraint c, and `active[n]` the constraint that
    this edge leaves. `nudge` is a second slack, that of an infinitesimal perturbation which breaks ties.
    """

    edges: Float[Array, "constraint edge profile"]
    slack: Float[Array, "constraint profile"]
    nudge: Float[Array, "constraint profile"]
    active: Int[Array, "edge profile"]

    @property
    def corner(self) -> Float[Array, "edge profile"]:
        """The belief at the corner: the first slacks are those of `mu >= 0`."""
        return self.slack[: self.edges.shape[1]]


def count_profiles(members: int, actions: int) -> int:
    return actions**members


def profile_actions(members: int, actions: int) -> Int[np.ndarray, "member profile"]:
    """Lists the profiles, the last member's action fastest."""
    return np.indices((actions,) * members, dtype=np.int32).reshape(members, -1)


def over_profiles(values: Float[Array, "member evidence action"]) -> Float[Array, "evidence profile"]:
    """Adds up what the members' actions of each profile are worth."""
    members, _, actions = values.shape
    place = profile_actions(members, actions)
    return _sum_of(_chosen(values[j], place[j]) for j in range(members))


def _chosen(values: Float[Array, "evidence action"], place: Int[np.ndarray, " profile"]) -> Array:
    """Takes each profile's action: [evidence profile]. Choices, because gathers do not become vector code."""
    taken = values[:, :1]
    for c in range(1, values.shape[1]):
        taken = jnp.asarray(jnp.where(place[None] == c, values[:, c : c + 1], taken))
    return taken


def start_cells(user: Float[Array, "member evidence action"], noise: Float[Array, " obedience"]) -> Cells:
    """Starts every cell at the origin, where all of `mu >= 0` holds with equality."""
    members, evidences, actions = user.shape
    profiles, pairs = count_profiles(members, actions), members * (actions - 1)
    rows = obedience(user)
    total = jnp.full((1, evidences, profiles), -1.0, jnp.float64)
    itself = jnp.broadcast_to(jnp.eye(evidences, dtype=jnp.float64)[:, :, None], (evidences, evidences, profiles))
    zeros = jnp.zeros((evidences + pairs, profiles), jnp.float64)
    one = jnp.ones((1, profiles), jnp.float64)
    nudge = jnp.broadcast_to(noise[:, None], (pairs, profiles))
    return Cells(
        edges=jnp.concatenate([itself, rows, total]),
        slack=jnp.concatenate([zeros, one]),
        nudge=jnp.concatenate([zeros[:evidences], nudge, jnp.zeros_like(one)]),
        active=jnp.broadcast_to(jnp.arange(evidences, dtype=jnp.int32)[:, None], (evidences, profiles)),
    )


def obedience(user: Float[Array, "member evidence action"]) -> Float[Array, "obedience evidence profile"]:
    """The stakes of doing as told, against each other action in cyclic order."""
    rows = _obedience(user)
    return jnp.stack(rows) if rows else jnp.zeros((0, user.shape[1], 1), jnp.float64)


def paid_for_obedience(
    user: Float[Array, "member evidence action"], prices: Float[Array, "obedience profile"]
) -> Float[Array, "evidence profile"]:
    """Adds up the stakes of obedience at these prices."""
    paid = jnp.zeros((user.shape[1], prices.shape[1]), jnp.float64)
    for price, stakes in zip(prices, _obedience(user), strict=True):
        paid = paid + price[None] * stakes
    return paid


def _obedience(user: Float[Array, "member evidence action"]) -> list[Float[Array, "evidence profile"]]:
    members, _, actions = user.shape
    place = profile_actions(members, actions)
    against = lambda j, shift: user[j] - jnp.concatenate([user[j, :, shift:], user[j, :, :shift]], axis=-1)
    return [_chosen(against(j, shift), place[j]) for j in range(members) for shift in range(1, actions)]


def climb(cells: Cells, cost: Float[Array, "evidence profile"], least: Float[Array, ""]) -> tuple[Cells, Array]:
    """Moves every cell to the next corner along its steepest edge; tells which cells moved."""
    evidences = cost.shape[0]
    slope = _sum_of(cost[x][None] * cells.edges[x] for x in range(evidences))
    steepest = slope.max(axis=0)
    go = steepest > least
    edge = _first_of(slope == steepest[None])
    along = _sum_of(jnp.where(edge[n][None], cells.edges[:, n], 0.0) for n in range(evidences))

    falling = along < -SMALLEST_PIVOT * jnp.abs(along).max(axis=0)[None]
    speed = jnp.where(falling, -along, 1.0)
    ratio = jnp.where(falling, jnp.where(cells.slack > ZERO, cells.slack, 0.0) / speed, jnp.inf)
    tied = falling & (ratio <= ratio.min(axis=0)[None])
    second = jnp.where(tied, cells.nudge / speed, jnp.inf)
    blocked = _first_of(tied & (second == second.min(axis=0)[None]))
    # Every edge ends, at `sum mu <= 1` if nowhere else; NaN data compare false everywhere.
    go = go & falling.any(axis=0)

    pick = lambda values: jnp.asarray(jnp.where(blocked, values, 0.0)).sum(axis=0)
    step, second_step = pick(jnp.where(falling, ratio, 0.0)), pick(jnp.where(falling, cells.nudge / speed, 0.0))
    pivot = jnp.where(go, pick(along), 1.0)
    row = jnp.where(blocked[:, None], cells.edges, 0.0).sum(axis=0)
    # Adding `keep` to the row makes the entering edge's own column come out as `along / pivot`.
    factor = jnp.where(edge, row - 1.0, row) / pivot[None]
    moved = cells.edges - along[:, None] * factor[None]
    new = lambda old, moved: jnp.where(go.reshape((1,) * (old.ndim - 1) + go.shape), moved, old)
    entering = _first_index(blocked)
    return (
        Cells(
            edges=new(cells.edges, moved),
            slack=new(cells.slack, jnp.where(blocked, 0.0, cells.slack + along * step[None])),
            nudge=new(cells.nudge, jnp.where(blocked, 0.0, cells.nudge + along * second_step[None])),
            active=jnp.where(go[None] & edge, entering[None], cells.active),
        ),
        go,
    )


def _sum_of(terms) -> Array:
    terms = iter(terms)
    total = next(terms)
    for term in terms:
        total = total + term
    return total


def _first_index(mask: Array) -> Int[Array, " profile"]:
    places = jnp.arange(mask.shape[0], dtype=jnp.int32)[:, None]
    return jnp.where(mask, places, np.int32(mask.shape[0] - 1)).min(axis=0)


def _first_of(mask: Array) -> Array:
    """Keeps the first true entry along the leading axis."""
    return jnp.arange(mask.shape[0], dtype=jnp.int32)[:, None] == _first_index(mask)[None]


def obedience_prices(
    cells: Cells, cost: Float[Array, "evidence profile"], members: int
) -> Float[Array, "profile member other"]:
    """Reads the multipliers of obedience at the corners: the other actions in cyclic order."""
    evidences, profiles = cost.shape
    pairs = cells.edges.shape[0] - evidences - 1
    slope = _sum_of(cost[x][None] * cells.edges[x] for x in range(evidences))
    constraint = evidences + jnp.arange(pairs, dtype=jnp.int32)[:, None]
    price = _sum_of(jnp.where(cells.active[n][None] == constraint, -slope[n][None], 0.0) for n in range(evidences))
    return jnp.maximum(price, 0.0).T.reshape(profiles, members, pairs // members)
