"""Branch and bound over boxes of the users' utilities, for the worst equilibrium of one of them.

Each turn takes the box with the least bound, bounds it, looks for an equilibrium in it, and splits it. What is left
open never holds less than its bound, so the search may stop at any time.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from .._candidates import LinearProgram, Solution, in_queue, pose_offer, read_offer, solve
from ._box import Box, pose_box, read_box
from ._curves import corners_of, curve_task, curve_values, each_provider, minorants
from ._joint import Tangents, pose_common, read_common, read_tangents, sets_to_win
from ._shared import Shared

# Share of the span within which a bracket counts as closed in the search: below what a result is judged by.
_CLOSED = 5e-4
# A box is cut where its bound has moved by this share of its width, and halved otherwise.
_MOVED = 0.3


class Task(eqx.Module):
    """A segment, the user whose worst equilibrium is asked for, and a utility that some equilibrium does not exceed.

    The search looks at no more than `limit` boxes.
    """

    shared: Shared
    target: Float[Array, "*batch member"]
    upper: Float[Array, "*batch"]
    limit: Int[Array, "*batch"]


class Tree(eqx.Module):
    """Boxes and what is known of them; places from `count` on are not in use.

    `value[box, corner, provider]` is below the curves at the corners. No equilibrium in an open box gives the target
    less than `bound`. `weight` are those of a common policy that is worth `upper`, where `found`.
    """

    low: Float[Array, "box member"]
    high: Float[Array, "box member"]
    value: Float[Array, "box corner provider"]
    bound: Float[Array, " box"]
    open: Bool[Array, " box"]
    count: Int[Array, ""]
    looked: Int[Array, ""]
    upper: Float[Array, ""]
    weight: Float[Array, " atom"]
    found: Bool[Array, ""]


def _levels(low: Float[Array, " member"], high: Float[Array, " member"]) -> Float[Array, "corner member"]:
    return jnp.where(corners_of(low.shape[0]), high[None], low[None])


def start_tree(task: Task, value: Float[Array, "corner provider"], most: int) -> Tree:
    """Starts with the box of all utilities that are left; `value` are the curves at its corners."""
    shared = task.shared
    members, corners = shared.num_members, 2**shared.num_members
    boxes = most + 1
    blank = lambda *shape: jnp.zeros((boxes, *shape), jnp.float64)
    first = jnp.arange(boxes, dtype=jnp.int32) == 0
    return Tree(
        low=blank(members).at[0].set(shared.least),
        high=blank(members).at[0].set(shared.aligned),
        value=blank(corners, shared.num_providers).at[0].set(value),
        bound=jnp.where(first, task.target @ shared.least, jnp.inf),
        open=first,
        count=jnp.int32(1),
        looked=jnp.int32(0),
        upper=task.upper,
        weight=jnp.zeros(shared.told.shape[-1], jnp.float64),
        found=jnp.array(False),
    )


def lower_end(task: Task, tree: Tree) -> Float[Array, ""]:
    """The least that is left: the bound of an open box, or what an equilibrium gives."""
    return jnp.minimum(jnp.where(tree.open, tree.bound, jnp.inf).min(), tree.upper)


def finished(task: Task, tree: Tree) -> Bool[Array, ""]:
    close = _CLOSED * task.target @ task.shared.span + task.target @ task.shared.near
    return (tree.upper - lower_end(task, tree) <= close) | (tree.looked >= task.limit)


class Pick(eqx.Module):
    """The box of a turn: its place, and itself with its lower end raised to its bound."""

    place: Bool[Array, " box"]
    low: Float[Array, " member"]
    high: Float[Array, " member"]
    value: Float[Array, "corner provider"]
    bound: Float[Array, ""]


def _pick(tree: Tree) -> Pick:
    bound = jnp.where(tree.open, tree.bound, jnp.inf)
    places = jnp.arange(bound.shape[0], dtype=jnp.int32)
    first = jnp.where(bound == bound.min(), places, places[-1]).min()
    place = places == first
    take = lambda leaf: jnp.asarray(jnp.where(_like(place, leaf), leaf, 0.0)).sum(axis=0)
    return Pick(place, take(tree.low), take(tree.high), take(tree.value), bound.min())


def _box(task: Task, tree: Tree) -> tuple[Pick, Box]:
    """The box of the turn. Its curves are known at the corners it was made with, its lower end may be higher."""
    pick = _pick(tree)
    below = minorants(_levels(pick.low, pick.high), pick.value, pick.high - pick.low)
    is_target = task.target > 0
    low = jnp.where(is_target, jnp.clip(pick.bound, pick.low, pick.high), pick.low)
    return pick, Box(low, pick.high, below, task.target)


def pose_boxes(task: Task, tree: Tree) -> LinearProgram:
    _, box = _box(task, tree)
    return pose_box(task.shared, box).idle_where(finished(task, tree))


class Cut(eqx.Module):
    """What the bound of a box leads to: where to split it, along which coordinate, and where an equilibrium may be."""

    bound: Float[Array, ""]
    along: Bool[Array, " member"]
    level: Float[Array, ""]
    guess: Float[Array, " member"]


def choose_cut(task: Task, tree: Tree, solution: Solution) -> Cut:
    """Reads the bound of the box, and picks where to split it."""
    shared = task.shared
    pick, box = _box(task, tree)
    bound, guess = read_box(shared, box, solution)
    bound = jnp.maximum(bound, pick.bound)
    is_target = task.target > 0
    unit = jnp.where(shared.span > shared.near, shared.span, jnp.inf)
    width = box.high - jnp.where(is_target, jnp.clip(bound, box.low, box.high), box.low)
    members = np.arange(shared.num_members, dtype=np.int32)
    share = width / unit
    widest = jnp.asarray(jnp.where(share == share.max(), members, members[-1])).min() == members
    # Above the bound there is nothing left to split off, but new corners to learn.
    moved = task.target @ ((bound - pick.low) - _MOVED * (pick.high - pick.low)) > 0
    along = jnp.where(moved, is_target, widest)
    middle = jnp.where(along, 0.5 * (box.low + box.high), 0.0).sum()
    level = jnp.where(moved, jnp.minimum(bound, task.target @ box.high), middle)
    return Cut(bound, along, level, guess)


def _new_levels(task: Task, tree: Tree, cut: Cut) -> Float[Array, "corner member"]:
    """The corners on the cut: those of a box of one dimension less, whose other coordinates come in order."""
    pick = _pick(tree)
    members = task.shared.num_members
    at = corners_of(members - 1)
    before = jnp.cumsum(cut.along, dtype=jnp.int32) > 0
    lesser = np.concatenate([at, np.zeros((len(at), 1), bool)], axis=1)
    shifted = np.concatenate([np.zeros((len(at), 1), bool), at], axis=1)
    ends = jnp.where(before[None], shifted, lesser)
    level = jnp.where(ends, pick.high[None], pick.low[None])
    return jnp.where(cut.along[None], cut.level, level)


def pose_curves(
    shared: Shared, level: Float[Array, "curve member"], won: Bool[Array, "curve member"], idle: Bool[Array, ""]
) -> LinearProgram:
    """One programme per level and provider."""

    def one(level: Array, won: Array, provider: Array) -> LinearProgram:
        return pose_offer(curve_task(shared, provider, level, won)).idle_where(idle)

    return jax.vmap(jax.vmap(one, in_axes=(None, None, 0)), in_axes=(0, 0, None))(level, won, each_provider(shared))


def read_curves(
    shared: Shared, level: Float[Array, "curve member"], solutions: Solution
) -> Float[Array, "curve provider"]:
    """Bounds the curves of winning everybody from below."""
    everybody = jnp.ones(shared.num_members, bool)

    def one(level: Array, provider: Array, solution: Solution) -> Array:
        return read_offer(curve_task(shared, provider, level, everybody), solution).weight

    each = jax.vmap(jax.vmap(one, in_axes=(None, 0, 0)), in_axes=(0, None, 0))
    return curve_values(shared, level, each(level, each_provider(shared), solutions))


def pose_turn_curves(task: Task, tree: Tree, cut: Cut) -> LinearProgram:
    """The curves at the corners on the cut, and for all sets of users where an equilibrium may be."""
    corners, sets = _new_levels(task, tree, cut), jnp.asarray(sets_to_win(task.shared))
    guess = jnp.broadcast_to(cut.guess, sets.shape)
    won = jnp.concatenate([jnp.ones(corners.shape, bool), sets])
    return pose_curves(task.shared, jnp.concatenate([corners, guess]), won, finished(task, tree))


def _on_cut(task: Task) -> int:
    return 2 ** (task.shared.num_members - 1)


def tangents_of(task: Task, cut: Cut, curves: Solution) -> Tangents:
    return read_tangents(task.shared, cut.guess, jax.tree.map(lambda leaf: leaf[_on_cut(task) :], curves))


def pose_commons(task: Task, tree: Tree, tangents: Tangents) -> LinearProgram:
    return pose_common(task.shared, task.target, tangents).idle_where(finished(task, tree))


def split(task: Task, tree: Tree, cut: Cut, curves: Solution, tangents: Tangents, common: Solution) -> Tree:
    """Keeps the equilibrium found if it is the worst so far, and puts the two parts of the box in the place of it."""
    offer = read_common(task.shared, task.target, tangents, common)
    holds = offer.met & (task.target @ offer.value < tree.upper)
    upper = jnp.where(holds, task.target @ offer.value, tree.upper)
    pick = _pick(tree)
    on_cut = jax.tree.map(lambda leaf: leaf[: _on_cut(task)], curves)
    on_cut = read_curves(task.shared, _new_levels(task, tree, cut), on_cut)
    members = task.shared.num_members
    at = corners_of(members)
    # The place of each corner among those on the cut, for every coordinate that may be cut.
    rest = np.stack([np.delete(at, j, axis=1) @ (2 ** np.arange(members - 1)[::-1]) for j in range(members)])
    moved = jnp.where(cut.along[:, None, None], on_cut[rest.astype(np.int32)], 0.0).sum(axis=0)
    is_high = (jnp.asarray(at) & cut.along[None]).any(axis=1)[:, None]
    left = jnp.where(is_high, moved, pick.value)
    right = jnp.where(is_high, pick.value, moved)
    left_high = jnp.where(cut.along, cut.level, pick.high)
    right_low = jnp.where(cut.along, cut.level, pick.low)
    least = jnp.where(task.target > 0, jnp.where(cut.along, cut.level, -jnp.inf), -jnp.inf).max()
    place, fresh = pick.place, jnp.arange(tree.open.shape[0], dtype=jnp.int32) == tree.count
    put = lambda old, here, there: jnp.where(_like(place, old), here, jnp.where(_like(fresh, old), there, old))
    right_bound = jnp.maximum(cut.bound, least)
    left_open = cut.bound < task.target @ left_high
    right_open = right_bound <= task.target @ pick.high
    after = Tree(
        low=put(tree.low, pick.low, right_low),
        high=put(tree.high, left_high, pick.high),
        value=put(tree.value, left, right),
        bound=put(tree.bound, cut.bound, right_bound),
        open=jnp.asarray(put(tree.open, left_open, right_open)),
        count=tree.count + jnp.int32(1),
        looked=tree.looked + jnp.int32(1),
        upper=upper,
        weight=jnp.where(holds, offer.weight, tree.weight),
        found=tree.found | holds,
    )
    idle = finished(task, tree)
    return jax.tree.map(lambda old, new: jnp.where(idle, old, new), tree, after)


def _like(mask: Array, leaf: Array) -> Array:
    return mask.reshape(-1, *(1,) * (leaf.ndim - 1))


def _turn(task: Task, tree: Tree) -> Tree:
    """One box for each lane of a group."""
    cut = jax.vmap(choose_cut)(task, tree, solve(jax.vmap(pose_boxes)(task, tree)))
    curves = solve(jax.vmap(pose_turn_curves)(task, tree, cut))
    tangents = jax.vmap(tangents_of)(task, cut, curves)
    common = solve(jax.vmap(pose_commons)(task, tree, tangents))
    return jax.vmap(split)(task, tree, cut, curves, tangents, common)


def search(task: Task, value: Float[Array, "member corner provider"], most: int) -> Tree:
    """Searches for every member of a segment (leading axis of `task` and `value`); no limit is above `most`."""
    start = lambda both: start_tree(both[0], both[1], most)
    return in_queue(start, lambda both, tree: _turn(both[0], tree), lambda both, tree: finished(both[0], tree))(
        (task, value)
    )
