"""Linear programmes whose variables come in groups, each with a limit of its own, beside a few rows for all of them.

The simplex method with generalized upper bounds (Dantzig and Van Slyke, J. Comput. System Sci. 1, 1967). In every group
one variable, the key, takes what the others leave; the rest is a basis with as many variables as there are common rows,
however many groups there are. A tableau of all rows would have an entry for each row of each variable.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from ._lanes import in_lanes
from ._program import RESIDUAL_TOLERANCE, Solution, SolverStatus
from ._simplex import OPTIMALITY, RUNNING, SMALLEST_PIVOT, TIE, least

# What lanes side by side on a CPU may take of its cache.
_CACHE, _MOST_LANES = 2**18, 32


class GroupedProgram(eqx.Module):
    """maximise <cost, x>, where x >= 0, each group's sum is at most its room, and <use, x> at most the limit of a row.

    Limits and rooms are >= 0: x = 0 is feasible.
    """

    use: Float[Array, "*batch row option group"]
    limit: Float[Array, "*batch row"]
    room: Float[Array, "*batch group"]
    cost: Float[Array, "*batch option group"]


class _Data(NamedTuple):
    """A programme with an option more, the first one: to leave a group's room unused.

    Limits come twice: as given, and a perturbation of them, which breaks ties.
    """

    use: Float[Array, "row column"]
    limit: Float[Array, "two row"]
    room: Float[Array, "two group"]
    cost: Float[Array, " column"]


class _Basis(NamedTuple):
    """What is basic: an option of each group, its `key`, and a column at each place, or the slack of a row.

    Columns are counted on by the slacks. `inverse` is that of the columns at the places, less the columns of the keys
    of their groups; `rest` is what the keys leave of the limits if they take all there is.
    """

    key: Int[Array, " group"]
    column: Int[Array, " place"]
    inverse: Float[Array, "place row"]
    rest: Float[Array, "two row"]
    ended: Int[Array, ""]
    pivots: Int[Array, ""]


class _Sizes(NamedTuple):
    groups: int
    columns: int

    def group(self, column: Array) -> Array:
        """The group of a column; -1 for slacks."""
        return jnp.asarray(jnp.where(column < self.columns, column % jnp.int32(self.groups), jnp.int32(-1)))


def _sizes(data: _Data) -> _Sizes:
    return _Sizes(data.room.shape[1], data.cost.shape[0])


def _start(program: GroupedProgram) -> tuple[_Data, _Basis]:
    rows, options, groups = program.use.shape
    blank = lambda leaf: jnp.concatenate([jnp.zeros_like(leaf[..., :1, :]), leaf], axis=-2)
    flat = lambda leaf: leaf.reshape(*leaf.shape[:-2], (options + 1) * groups)
    ties = np.random.default_rng(0).uniform(0.5, 1.5, rows + groups)
    both = lambda leaf, tie: jnp.stack([leaf, jnp.asarray(tie, jnp.float64)])
    limit, room = both(program.limit, ties[:rows]), both(program.room, ties[rows:])
    data = _Data(flat(blank(program.use)), limit, room, flat(blank(program.cost)))
    basis = _Basis(
        key=jnp.zeros(groups, jnp.int32),
        column=jnp.arange(rows, dtype=jnp.int32) + jnp.int32((options + 1) * groups),
        inverse=jnp.eye(rows, dtype=jnp.float64),
        rest=limit,
        ended=jnp.int32(RUNNING),
        pivots=jnp.int32(0),
    )
    return data, basis


def _taken(data: _Data, column: Int[Array, " some"]) -> tuple[Float[Array, "row some"], Float[Array, " some"]]:
    """What columns take of the rows, and their cost; slacks take one of theirs."""
    rows, columns = data.use.shape
    slack = column >= columns
    place = jnp.where(slack, 0, column)
    unit = jnp.where(jnp.arange(rows, dtype=jnp.int32)[:, None] == column[None] - jnp.int32(columns), 1.0, 0.0)
    take = jnp.take(data.use, place, axis=1, mode="clip")
    cost = jnp.where(slack, 0.0, jnp.take(data.cost, place, mode="clip"))
    return jnp.asarray(jnp.where(slack[None], unit, take)), jnp.asarray(cost)


def _at(key: Int[Array, " group"], group: Int[Array, " some"], sizes: _Sizes) -> Int[Array, " some"]:
    """The columns of the keys of some groups; of a column that takes nothing for slacks."""
    some = jnp.maximum(group, 0)
    return jnp.asarray(jnp.where(group < 0, 0, jnp.take(key, some, mode="clip") * jnp.int32(sizes.groups) + some))


def _against_keys(data: _Data, key: Array, column: Array) -> tuple[Float[Array, "row some"], Float[Array, " some"]]:
    """What columns take and cost more than the keys of their groups."""
    sizes = _sizes(data)
    (take, cost), (old, dear) = _taken(data, column), _taken(data, _at(key, sizes.group(column), sizes))
    return take - old, cost - dear


def _priced(data: _Data, price: Float[Array, " row"]) -> Float[Array, " column"]:
    """What columns are worth at some prices of the rows. A sum of rows, which is vectorised, and no product."""
    worth = data.cost
    for i in range(data.use.shape[0]):
        worth = worth - price[i] * data.use[i]
    return worth


class _Move(NamedTuple):
    """What enters and leaves: `leaves` counts places, then the keys of their groups, then that of the group entered.

    `here` is what the columns at the places take of the rows, `column` the one that enters, each less the key of its
    group; `takes` is what the latter takes of what is basic.
    """

    here: Float[Array, "row place"]
    column: Float[Array, " row"]
    takes: Float[Array, " place"]
    enters: Int[Array, ""]
    leaves: Int[Array, ""]
    optimal: Bool[Array, ""]
    possible: Bool[Array, ""]


def _chosen(data: _Data, basis: _Basis, group: Int[Array, " place"]) -> _Move:
    """The column that gains most enters (Dantzig's rule), and what is used up first leaves."""
    sizes = _sizes(data)
    here, cost = _against_keys(data, basis.key, basis.column)
    price = cost @ basis.inverse
    worth = _priced(data, price).reshape(-1, sizes.groups)
    options = jnp.arange(worth.shape[0], dtype=jnp.int32)
    at_key = jnp.sum(jnp.where(basis.key[None] == options[:, None], worth, 0.0), axis=0)
    dearest, enters = least(jnp.concatenate([(at_key[None] - worth).reshape(-1), price]))
    column = _against_keys(data, basis.key, enters[None])[0][:, 0]
    takes = basis.inverse @ column

    group = jnp.append(group, sizes.group(enters))
    alike = jnp.asarray(jnp.where((group[:, None] == group[None]) & (group >= 0)[None], 1.0, 0.0))
    values = basis.rest @ basis.inverse.T
    at_keys = jnp.where((group >= 0)[None], jnp.take(data.room, jnp.maximum(group, 0), axis=1, mode="clip"), 0.0)
    rate = jnp.concatenate([takes, alike[:, -1] - alike[:, :-1] @ takes])
    value = jnp.concatenate([values, at_keys - values @ alike[:, :-1].T], axis=1)
    usable = rate > SMALLEST_PIVOT
    inverse = 1.0 / jnp.where(usable, rate, 1.0)
    ratio = jnp.where(usable, jnp.maximum(value[0], 0.0) * inverse, jnp.inf)
    shortest, _ = least(jnp.asarray(ratio))
    _, leaves = least(jnp.asarray(jnp.where(ratio <= shortest + TIE, value[1] * inverse, jnp.inf)))
    # NaN data compare false everywhere: the programme ends somewhere, and the check of its solution fails.
    return _Move(here, column, takes, enters, leaves, dearest >= -OPTIMALITY, shortest < jnp.inf)


def _step(data: _Data, basis: _Basis) -> _Basis:
    """One variable enters, and one leaves; or the verdict that none needs to enter.

    A key leaves from the first place where its group has a column, which becomes the key, and if there is none the
    column that enters becomes the key.
    """
    sizes, rows = _sizes(data), data.use.shape[0]
    group = sizes.group(basis.column)
    move = _chosen(data, basis, group)
    done = move.optimal | ~move.possible
    go = (basis.ended == RUNNING) & ~done

    is_key = move.leaves >= rows
    into = sizes.group(move.enters)
    left = jnp.take(jnp.append(group, into), jnp.where(is_key, move.leaves - rows, move.leaves), mode="clip")
    mates = (group == left) & is_key
    mate = jnp.argmax(mates).astype(jnp.int32)
    swap, flip = go & is_key & mates.any(), go & is_key & ~mates.any()

    # The new key takes the room of the old one.
    new = jnp.where(swap, jnp.take(basis.column, mate, mode="clip"), move.enters) // jnp.int32(sizes.groups)
    changed = (jnp.arange(sizes.groups, dtype=jnp.int32) == left) & (swap | flip)
    step = jnp.asarray(jnp.where(swap, jnp.take(move.here, mate, axis=1, mode="clip"), move.column))
    size = jnp.take(data.room, jnp.maximum(left, 0), axis=1, mode="clip")
    rest = jnp.where(swap | flip, basis.rest - size[:, None] * step[None], basis.rest)

    places = jnp.arange(rows, dtype=jnp.int32)
    handed = -jnp.sum(jnp.where(mates[:, None], basis.inverse, 0.0), axis=0)
    inverse = jnp.asarray(jnp.where((swap & (places == mate))[:, None], handed[None], basis.inverse))
    column = move.column - jnp.where(into == left, step, 0.0)
    takes = jnp.asarray(jnp.where(swap, inverse @ column, move.takes))
    at = places == jnp.where(swap, mate, move.leaves)
    exchanged = go & ~flip
    pivot = jnp.where(exchanged, jnp.sum(jnp.where(at, takes, 0.0)), 1.0)
    row = jnp.sum(jnp.where(at[:, None], inverse, 0.0), axis=0) / pivot
    pivoted = jnp.where(at[:, None], row[None], inverse - takes[:, None] * row[None])
    verdict = jnp.where(move.optimal, jnp.int32(SolverStatus.OPTIMAL), jnp.int32(SolverStatus.UNBOUNDED))
    return _Basis(
        key=jnp.asarray(jnp.where(changed, new, basis.key)),
        column=jnp.asarray(jnp.where(exchanged & at, move.enters, basis.column)),
        inverse=jnp.asarray(jnp.where(exchanged, pivoted, basis.inverse)),
        rest=jnp.asarray(rest),
        ended=jnp.asarray(jnp.where((basis.ended == RUNNING) & done, verdict, basis.ended)),
        pivots=basis.pivots + go.astype(jnp.int32),
    )


def _polished(data: _Data, basis: _Basis) -> _Basis:
    """Takes out what rounding has left: of the inverse by a step of Newton's method, the rest is added up anew."""
    columns, _ = _against_keys(data, basis.key, basis.column)
    missed = jnp.eye(columns.shape[0], dtype=jnp.float64) - columns @ basis.inverse
    sizes = _sizes(data)
    keys, _ = _taken(data, _at(basis.key, jnp.arange(sizes.groups, dtype=jnp.int32), sizes))
    return basis._replace(inverse=basis.inverse + basis.inverse @ missed, rest=data.limit - data.room @ keys.T)


def _read(data: _Data, basis: _Basis) -> Solution:
    """Reads both solutions off the last basis; what counts is whether they hold, not how the pivoting ended."""
    sizes, limit, room = _sizes(data), data.limit[0], data.room[0]
    values = basis.inverse @ basis.rest[0]
    every = jnp.arange(sizes.groups, dtype=jnp.int32)
    group = sizes.group(basis.column)
    at_key = room - jnp.sum(jnp.where(group[:, None] == every[None], values[:, None], 0.0), axis=0)
    primal = jnp.zeros(sizes.columns, jnp.float64).at[_at(basis.key, every, sizes)].set(at_key)
    primal = jnp.maximum(primal.at[basis.column].add(values, mode="drop"), 0.0)
    price = jnp.maximum(_against_keys(data, basis.key, basis.column)[1] @ basis.inverse, 0.0)
    worth = jnp.maximum(_priced(data, price).reshape(-1, sizes.groups).max(axis=0), 0.0)
    short = jnp.max((data.use @ primal - limit) / (1.0 + jnp.abs(limit) + jnp.abs(data.use) @ primal))
    over = jnp.max((primal.reshape(-1, sizes.groups).sum(axis=0) - room) / (1.0 + room))
    value, bound = data.cost @ primal, limit @ price + room @ worth
    gap = jnp.abs(bound - value) / (1.0 + jnp.abs(data.cost) @ primal + bound)
    holds = jnp.maximum(jnp.maximum(short, over), gap) <= RESIDUAL_TOLERANCE  # not where any is NaN
    return Solution(
        primal=primal.reshape(-1, sizes.groups)[1:].T.reshape(-1),
        dual=jnp.concatenate([worth, price]),
        status=jnp.asarray(jnp.where(holds, jnp.int32(SolverStatus.OPTIMAL), jnp.int32(SolverStatus.UNSOLVED))),
        pivots=basis.pivots,
    )


def _solve_lanes(programs: GroupedProgram) -> Solution:
    """Solves one group of lanes, until the last one ends."""
    _, rows, _, groups = programs.use.shape
    most = 32 + 8 * (rows + groups)
    data, bases = jax.vmap(_start)(programs)

    def running(state: tuple[_Basis, Array]) -> Array:
        return (state[1] < most) & jnp.any(state[0].ended == RUNNING)

    def advance(state: tuple[_Basis, Array]) -> tuple[_Basis, Array]:
        return jax.vmap(_step)(data, state[0]), state[1] + jnp.int32(1)

    bases, _ = lax.while_loop(running, advance, (bases, jnp.int32(0)))
    return jax.vmap(_read)(data, jax.vmap(_polished)(data, bases))


def _lanes(programs: GroupedProgram) -> int:
    _, rows, options, groups = programs.use.shape
    return min(max(_CACHE // (8 * (rows + 2) * (options + 1) * groups), 4), _MOST_LANES)


# Solves programmes along a leading axis. Variables come group by group, duals of groups before those of rows: as for a
# matrix with a row for each group, before the others.
solve_grouped = in_lanes(_solve_lanes, _lanes)
