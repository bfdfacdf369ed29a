"""Poses programmes over the outcomes of one user, and reads an outcome and multipliers off their solutions.

The programme is `min <target, q>` over incentive-compatible outcomes q with `<required[m], q> >= floors[m]`. It is
posed as its dual around each situation's action of least target, which meets every row with no multiplier at all.
Rows: a situation's other actions, then how multipliers of truth are shared out, then one limit on the whole. Columns:
probability of the situation, obedience, truth, recoding, floors.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from .._stakes import Multipliers
from ._program import LinearProgram, Solution


class OutcomeTask(eqx.Module):
    """A programme over outcomes. `probability` is that of the evidence: entries are divided by it, however small it is.

    Of the optional limits, `cap` ends the search once the optimum is known to be above it, and `soft[m]` lets
    floors be missed at a cost: it is then `min <target, q> + t` with `<required[m], q> + soft[m] t >= floors[m]`.
    `truthful` asks the same of truth: that it pays each type by `truthful (1 - t)` more than any lie, in units of the
    user's stakes.
    """

    user: Float[Array, "type evidence action"]
    probability: Float[Array, " evidence"]
    target: Float[Array, "type evidence action"]
    required: Float[Array, "floor type evidence action"]
    floors: Float[Array, " floor"]
    cap: Float[Array, ""] | None = None
    soft: Float[Array, " floor"] | None = None
    truthful: Float[Array, " type"] | None = None


def truthful_task(user: Float[Array, "type evidence action"], probability: Float[Array, " evidence"]) -> OutcomeTask:
    """The outcome under which the least that truth brings any type whom evidence can move is largest."""
    silent, soft = user.sum(axis=-2).max(axis=-1).sum()[None], jnp.zeros(1, jnp.float64)
    unmoved = (user == user.max(axis=-1, keepdims=True)).all(axis=1).any(axis=-1)
    moved = jnp.where(unmoved, 0.0, 1.0)
    return OutcomeTask(user, probability, jnp.zeros_like(user), user[None], silent, soft=soft, truthful=moved)


class _Scaled(eqx.Module):
    """A task in units of order one, per unit of probability of the evidence."""

    user: Float[Array, "type evidence action"]
    target: Float[Array, "type evidence action"]
    required: Float[Array, "floor type evidence action"]
    user_unit: Float[Array, ""]
    target_unit: Float[Array, ""]
    required_unit: Float[Array, " floor"]
    base: Float[Array, "type evidence action"]


def _scale(task: OutcomeTask) -> _Scaled:
    share = jnp.where(task.probability > 0, task.probability, 1.0)[None, :, None]
    user, target, required = task.user / share, task.target / share, task.required / share[None]
    user_unit, target_unit = _range(user, (0, 1)), _range(target, (0, 1))
    required_unit = _range(required, (1, 2))
    actions = lax.broadcasted_iota(jnp.int32, target.shape, target.ndim - 1)
    least = target == target.min(axis=-1, keepdims=True)
    first = jnp.min(actions, axis=-1, keepdims=True, where=least, initial=target.shape[-1] - 1)
    return _Scaled(
        user=user / user_unit,
        target=target / target_unit,
        required=required / required_unit[:, None, None, None],
        user_unit=user_unit,
        target_unit=target_unit,
        required_unit=required_unit,
        base=jnp.where(actions == first, 1.0, 0.0),
    )


def _range(values: Array, axes: tuple[int, ...]) -> Array:
    largest = (values.max(axis=-1) - values.min(axis=-1)).max(axis=axes)
    return jnp.where(largest > 0, largest, 1.0)


def _others(count: int) -> np.ndarray:
    """Marks, for each index, its place among the others in cyclic order: [index other index]."""
    following = (np.arange(count)[:, None] + 1 + np.arange(count - 1)) % count
    return np.eye(count)[following]


def _incentives(user: Float[Array, "type evidence action"]) -> tuple[Array, np.ndarray]:
    """Lists the stakes of all incentives, `<stakes[n], q> >= 0`, and how multipliers of truth are shared out."""
    types, _, actions = user.shape
    same, told = np.eye(types), np.eye(actions)
    gain = user[:, :, :, None] - jnp.einsum("txb,ajb->txaj", user, _others(actions))
    obedience = jnp.einsum("ts,ac,txaj->tajsxc", same, told, gain).reshape(-1, *user.shape)
    if types == 1:
        return obedience, np.zeros((0, obedience.shape[0]))
    lie = _others(types)
    truth = jnp.einsum("ts,txa->tsxa", same, user)[:, None] - jnp.einsum("tls,txa->tlsxa", lie, user)
    recoding = jnp.einsum("tls,ac,txaj->tlajsxc", lie, told, gain).reshape(-1, *user.shape)
    lies = types * (types - 1)
    before = np.zeros((lies * actions, obedience.shape[0]))
    shares = np.repeat(np.eye(lies * actions), actions - 1, axis=1)
    shared = np.concatenate([before, -np.repeat(np.eye(lies), actions, axis=0), shares], axis=1)
    return jnp.concatenate([obedience, truth.reshape(-1, *user.shape), recoding]), shared


def pose_outcome(task: OutcomeTask) -> LinearProgram:
    scaled = _scale(task)
    types, evidences, actions = task.user.shape
    situations = types * evidences
    incentives, shared = _incentives(scaled.user)
    weight = jnp.broadcast_to(task.probability, (types, evidences)).reshape(-1)
    at_base = lambda values: jnp.einsum("...txa,txa->...tx", values, scaled.base)
    stakes = jnp.concatenate([incentives, scaled.required])
    # The base action itself makes a row of zeros, which is left out by counting from it.
    moved = _from_base(stakes - at_base(stakes)[..., None], scaled.base[None])
    limit = _from_base(scaled.target - at_base(scaled.target)[..., None], scaled.base).reshape(-1)
    rows = moved.reshape(stakes.shape[0], -1).T
    probability_of = np.repeat(np.eye(situations), actions - 1, axis=0)
    matrix = jnp.concatenate([-jnp.asarray(probability_of, jnp.float64), rows], axis=1)
    floors = task.floors / scaled.required_unit
    base_value = -jnp.einsum("ntx,x->n", at_base(stakes), task.probability)
    base_value = base_value.at[incentives.shape[0] :].add(floors)
    truths = jnp.zeros(incentives.shape[0], jnp.float64)
    if task.truthful is not None:
        truths = _truths(task.truthful, actions, incentives.shape[0])
    base_value = base_value.at[: incentives.shape[0]].add(truths)
    cost = jnp.concatenate([-weight, base_value])
    blank = np.zeros((shared.shape[0], situations)), np.zeros((shared.shape[0], floors.shape[0]))
    matrix = jnp.concatenate([matrix, np.concatenate([blank[0], shared, blank[1]], axis=1)])
    limit = jnp.concatenate([limit, jnp.zeros(shared.shape[0], jnp.float64)])
    if task.cap is not None:
        start = jnp.einsum("tx,x->", at_base(scaled.target), task.probability)
        matrix = jnp.concatenate([matrix, cost[None]])
        limit = jnp.concatenate([limit, jnp.maximum(task.cap / scaled.target_unit - start, 0.0)[None]])
    if task.soft is not None:
        before = jnp.zeros(situations, jnp.float64)
        softened = jnp.concatenate([before, truths, task.soft * scaled.target_unit / scaled.required_unit])
        matrix = jnp.concatenate([matrix, softened[None]])
        limit = jnp.concatenate([limit, jnp.ones(1, jnp.float64)])
    return LinearProgram(matrix, limit, cost)


def _truths(truthful: Float[Array, " type"], actions: int, incentives: int) -> Float[Array, " incentive"]:
    """How much truth is asked to pay, among all incentives."""
    types = truthful.shape[0]
    pairs, lies = types * actions * (actions - 1), types * (types - 1)
    blank = lambda count: jnp.zeros(count, jnp.float64)
    return jnp.concatenate([blank(pairs), jnp.repeat(truthful, types - 1), blank(incentives - pairs - lies)])


def _from_base(values: Array, base: Array) -> Array:
    """Takes the entries of the other actions, in cyclic order from the base action on.

    A sum over possible base actions: gathers would be slower, and carry 64-bit integers.
    """
    turns = [
        base[..., c : c + 1] * jnp.concatenate([values[..., c + 1 :], values[..., :c]], axis=-1)
        for c in range(base.shape[-1])
    ]
    return sum(turns[1:], turns[0])


def _to_actions(values: Array, base: Array) -> Array:
    """Undoes `_from_base`; the base action holds zero."""
    count, blank = values.shape[-1], jnp.zeros((*values.shape[:-1], 1), jnp.float64)
    turns = [
        base[..., c : c + 1] * jnp.concatenate([values[..., count - c :], blank, values[..., : count - c]], axis=-1)
        for c in range(base.shape[-1])
    ]
    return sum(turns[1:], turns[0])


class OutcomeCandidate(eqx.Module):
    """An outcome, and multipliers in the units of the task, whose diagonals hold zeros."""

    outcome: Float[Array, "type evidence action"]
    multipliers: Multipliers


def read_outcome(task: OutcomeTask, solution: Solution) -> OutcomeCandidate:
    """Reads the candidate off a solution of `pose_outcome` (whether or not the solver claims success)."""
    solution, scaled = solution.finite(), _scale(task)
    types, evidences, actions = task.user.shape
    situations, floors = types * evidences, task.floors.shape[0]
    mass = solution.dual[: situations * (actions - 1)].reshape(types, evidences, actions - 1)
    kept = jnp.ones((), jnp.float64) if task.cap is None else 1.0 - solution.dual[-1]
    whole = task.probability * kept
    moved = mass / jnp.where(whole > 0, whole, 1.0)[None, :, None]
    moved = moved / jnp.maximum(moved.sum(axis=-1, keepdims=True), 1.0)
    outcome = _to_actions(moved, scaled.base) + scaled.base * (1.0 - moved.sum(axis=-1, keepdims=True))
    prices = jnp.maximum(solution.primal[situations:], 0.0) * scaled.target_unit
    incentives, required = prices[: prices.shape[0] - floors] / scaled.user_unit, prices[prices.shape[0] - floors :]
    pairs, lies = types * actions * (actions - 1), types * (types - 1)
    obedience, truth, recoding = incentives[:pairs], incentives[pairs : pairs + lies], incentives[pairs + lies :]
    other, lie = _others(actions), _others(types)
    multipliers = Multipliers(
        obedience=jnp.einsum("taj,ajb->tab", obedience.reshape(types, actions, actions - 1), other),
        truth=jnp.einsum("tl,tls->ts", truth.reshape(types, types - 1), lie),
        recoding=jnp.einsum("tlaj,tls,ajb->tsab", recoding.reshape(types, types - 1, actions, actions - 1), lie, other),
        required=required / scaled.required_unit,
    )
    return OutcomeCandidate(outcome, multipliers)
