"""Poses an alignment fit as a linear programme, and reads weights, scales and a dual direction off its solution.

The programme is the dual of `min max_j (half range of residual j)`: its variables are where the
residual touches its upper and lower ends, and x = 0 is feasible.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from ._program import LinearProgram, Solution


class FitUnits(eqx.Module):
    """Units in which the programme is posed, so that its entries are of order one."""

    user: Float[Array, ""]
    provider: Float[Array, " provider"]


def _largest(values: Array) -> Array:
    largest = jnp.abs(values).max()
    return jnp.where(largest > 0, largest, 1.0)


def fit_units(user: Float[Array, "member part row"], provider: Float[Array, "provider member part row"]) -> FitUnits:
    return FitUnits(_largest(user), jax.vmap(_largest)(provider))


def pose_fit(
    user: Float[Array, "member part row"], provider: Float[Array, "provider member part row"], hull: bool
) -> LinearProgram:
    """Poses `min max_j (half range of residual j)`. Each part's first row is its zero and needs no column.

    Columns: touching above, touching below (one per part and row each), share of each part, then the hull's level.
    Rows: providers, parts above, parts below, total share.
    """
    units = fit_units(user, provider)
    matrix, flat_u, groups = _touching(user / units.user, provider / units.provider[:, None, None, None])
    limit = jnp.zeros(matrix.shape[0], jnp.float64)
    cost = jnp.concatenate([flat_u, -flat_u])
    if groups == 1:
        limit = limit.at[-2:].set(0.5)
    else:
        matrix, limit, cost = _add_shares(matrix, limit, cost, jnp.zeros(groups, jnp.float64))
    program = LinearProgram(matrix, limit, cost)
    return _add_level(program, units) if hull else program


# A step may take a member's scale to between these multiples of what it was, relative to the other members.
_SHRINK, _GROW = 0.02, 2.0


def _smallest_factor(scale: Float[Array, " member"], hull: bool) -> Float[Array, " member"]:
    # Hull weights cannot be rescaled along with the scales, so there each scale itself must stay at least 1.
    return 1.0 / scale if hull else jnp.full_like(scale, _SHRINK)


def pose_scaled_fit(
    user: Float[Array, "member part row"],
    provider: Float[Array, "provider member part row"],
    hull: bool,
    target: Float[Array, ""],
    scale: Float[Array, " member"],
) -> LinearProgram:
    """Poses one step towards the least `max_j eps_j / beta_j`, from scales that reach the ratio `target`.

    `min max_j (eps_j - target beta_j) / scale_j` over weights and factors beta_j / scale_j in a range around 1. Steps
    converge superlinearly (the Dinkelbach-type method for generalized fractional programmes, Crouzeix and Ferland
    1991). A multiple of the target is added so that the optimum is not negative. Columns and rows as in `pose_fit`,
    then one of each per member for her factor.
    """
    units = fit_units(user, provider / scale[None, :, None, None])
    target = target / units.user
    members, parts, _ = user.shape
    scaled = provider / (units.provider[:, None, None, None] * scale[None, :, None, None])
    matrix, flat_u, _ = _touching(user / units.user, scaled)
    least = _smallest_factor(scale, hull)
    mine = jnp.eye(members, dtype=jnp.float64)
    mine_rows, mine_parts = jnp.repeat(mine, flat_u.shape[0] // members, axis=1), jnp.repeat(mine, parts, axis=1)
    cost = (least @ mine_rows) * flat_u
    share_cost = target * (least.max() + _GROW - least @ mine_parts)
    limit = jnp.zeros(matrix.shape[0], jnp.float64)
    matrix, limit, cost = _add_shares(matrix, limit, jnp.concatenate([cost, -cost]), share_cost)
    factors = jnp.concatenate([-mine_rows * flat_u[None], mine_rows * flat_u[None], target * mine_parts, -mine], axis=1)
    matrix = jnp.concatenate([jnp.pad(matrix, ((0, 0), (0, members))), factors])
    cost = jnp.concatenate([cost, jnp.full(members, -_GROW, jnp.float64)])
    program = LinearProgram(matrix, jnp.concatenate([limit, jnp.zeros(members, jnp.float64)]), cost)
    return _add_level(program, units) if hull else program


def _touching(user: Array, provider: Array) -> tuple[Array, Array, int]:
    """Rows of providers and of parts, columns of touching above and below; and the payoffs as one row."""
    groups, rows = user.shape[0] * user.shape[1], user.shape[2] - 1
    flat_u, flat_v = user[..., 1:].reshape(groups * rows), provider[..., 1:].reshape(provider.shape[0], groups * rows)
    touching = jnp.repeat(jnp.eye(groups, dtype=jnp.float64), rows, axis=1)
    nothing = jnp.zeros_like(touching)
    matrix = [
        jnp.concatenate([flat_v, -flat_v], axis=1),
        jnp.concatenate([touching, nothing], axis=1),
        jnp.concatenate([nothing, touching], axis=1),
    ]
    return jnp.concatenate(matrix), flat_u, groups


def _add_shares(matrix: Array, limit: Array, cost: Array, share_cost: Array) -> tuple[Array, Array, Array]:
    """Lets the unit of touching weight be shared out among the parts."""
    groups = share_cost.shape[0]
    half = 0.5 * jnp.eye(groups, dtype=jnp.float64)
    providers = matrix.shape[0] - 2 * groups
    column = jnp.concatenate([jnp.zeros((providers, groups), jnp.float64), -half, -half])
    total = jnp.concatenate([jnp.zeros(matrix.shape[1], jnp.float64), jnp.ones(groups, jnp.float64)])
    matrix = jnp.concatenate([jnp.concatenate([matrix, column], axis=1), total[None]])
    return matrix, jnp.concatenate([limit, jnp.ones(1, jnp.float64)]), jnp.concatenate([cost, share_cost])


def _add_level(program: LinearProgram, units: FitUnits) -> LinearProgram:
    """Adds the multiplier of `sum w = 1`, a free variable split in two."""
    level = units.user / units.provider
    size = level.max()
    column = jnp.concatenate([level, jnp.zeros(program.limit.shape[0] - level.shape[0], jnp.float64)]) / size
    matrix = jnp.concatenate([program.matrix, -column[:, None], column[:, None]], axis=1)
    cost = jnp.concatenate([program.cost, jnp.array([-1.0, 1.0], jnp.float64) / size])
    return LinearProgram(matrix, program.limit, cost)


class FitCandidate(eqx.Module):
    """Weights and scales (for the upper end) and a direction (for the lower end)."""

    weights: Float[Array, " provider"]
    scale: Float[Array, " member"]
    direction: Float[Array, "member part row"]


def read_fit(
    user: Float[Array, "member part row"],
    provider: Float[Array, "provider member part row"],
    hull: bool,
    solution: Solution,
) -> FitCandidate:
    """Reads the candidate off a solution of `pose_fit` (whether or not the solver claims success)."""
    solution, units = solution.finite(), fit_units(user, provider)
    direction = _direction(user, solution)
    if not hull:
        direction = _polish(direction, provider / units.provider[:, None, None, None])
    return FitCandidate(_weights(solution, units, hull), jnp.ones(user.shape[0], jnp.float64), direction)


def read_scaled_fit(
    user: Float[Array, "member part row"],
    provider: Float[Array, "provider member part row"],
    hull: bool,
    scale: Float[Array, " member"],
    solution: Solution,
) -> FitCandidate:
    """Reads the candidate off a solution of `pose_scaled_fit`; scales are at least 1."""
    solution, units = solution.finite(), fit_units(user, provider / scale[None, :, None, None])
    weights = _weights(solution, units, hull)
    new_scale = scale * (_smallest_factor(scale, hull) + jnp.maximum(solution.dual[-scale.shape[0] :], 0.0))
    if hull:
        new_scale = jnp.maximum(new_scale, 1.0)
    else:
        # Members who do not take part (all zeros) are unconstrained: their scales must not drag the others along.
        present = (jnp.abs(user).max(axis=(1, 2)) > 0) | (jnp.abs(provider).max(axis=(0, 2, 3)) > 0)
        least = jnp.where(present, new_scale, jnp.inf).min()
        least = jnp.where(jnp.isfinite(least), least, 1.0)
        new_scale = jnp.where(present, new_scale, least)
        weights, new_scale = weights / least, new_scale / least
    direction = _direction(user, solution) / scale[:, None, None]
    if not hull:
        direction = _polish(direction, provider / fit_units(user, provider).provider[:, None, None, None])
    return FitCandidate(weights, new_scale, direction)


def _direction(user: Array, solution: Solution) -> Float[Array, "member part row"]:
    members, parts, rows = user.shape
    entries = members * parts * (rows - 1)
    touching = solution.primal[:entries] - solution.primal[entries : 2 * entries]
    touching = touching.reshape(members, parts, rows - 1)
    return jnp.concatenate([-touching.sum(axis=-1, keepdims=True), touching], axis=-1)


def _weights(solution: Solution, units: FitUnits, hull: bool) -> Float[Array, " provider"]:
    count = units.provider.shape[0]
    weights = jnp.maximum(solution.dual[:count], 0.0) * units.user / units.provider
    if hull:
        total = weights.sum()
        weights = jnp.where(total > 0, weights / jnp.where(total > 0, total, 1.0), 1.0 / count)
    return weights


# Slopes this small ought to be zero or negative; pivoting leaves them at about 1e-13.
_SMALL_SLOPE = 1e-9


def _polish(direction: Float[Array, "member part row"], provider: Float[Array, "provider member part row"]) -> Array:
    """Removes what rounding left of the direction's slopes along providers, by a step within its support.

    With cone weights the lower end pays for a positive slope times the largest weights, so that 1e-13 would show.
    """
    size = jnp.abs(direction)
    mass = size.sum(axis=-1, keepdims=True)
    mean = (size[None] * provider).sum(axis=-1, keepdims=True) / jnp.where(mass > 0, mass, 1.0)[None]
    centred = provider - mean
    gram = jnp.einsum("mpr,impr,kmpr->ik", size, centred, centred)
    slope = jnp.einsum("mpr,impr->i", direction, provider)
    small = jnp.abs(slope) < _SMALL_SLOPE
    gram = jnp.where(small[:, None] & small[None], gram, 0.0)
    step = _conjugate_gradients(gram, jnp.where(small, slope, 0.0))
    polished = direction - size * jnp.einsum("i,impr->mpr", step, centred)
    steepest = lambda values: jnp.einsum("mpr,impr->i", values, provider).max()
    return jnp.where(steepest(polished) < steepest(direction), polished, direction)


def _conjugate_gradients(matrix: Float[Array, "n n"], target: Float[Array, " n"]) -> Float[Array, " n"]:
    """Solves a small positive semidefinite system, singular but consistent when providers are duplicates."""

    scale = jnp.abs(matrix).max()

    def turn(_, state):
        solution, residual, search = state
        image = matrix @ search
        curvature, size = search @ image, residual @ residual
        # Past convergence, directions are noise, and their curvature may be next to nothing.
        useful = (curvature > 1e-12 * scale * (search @ search)) & (size > 1e-20 * (target @ target))
        length = jnp.where(useful, size / jnp.where(useful, curvature, 1.0), 0.0)
        left = residual - length * image
        fresh = left + (left @ left) / jnp.where(size > 0, size, 1.0) * search
        return solution + length * search, left, fresh

    start = (jnp.zeros_like(target), target, target)
    return lax.fori_loop(jnp.int32(0), jnp.int32(matrix.shape[0]), turn, start)[0]
