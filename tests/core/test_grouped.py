"""Programmes whose variables come in groups, against HiGHS on the matrix of all rows; and guarantees that use them."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiled import CHEAP
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import linprog

import pluraljax as plx
from pluraljax._candidates import GroupedProgram, SolverStatus, solve_grouped

ROWS, OPTIONS, GROUPS = 3, 2, 7
SHAPES = {"use": (ROWS, OPTIONS, GROUPS), "limit": (ROWS,), "room": (GROUPS,), "cost": (OPTIONS, GROUPS)}


def random_program(rng, kind):
    """`generic`; `integers`, that tie everywhere; `tight`, with limits of zero; `twins`, groups that are alike."""
    draw = {
        "use": rng.normal(size=SHAPES["use"]),
        "limit": rng.uniform(0, 0.5, ROWS),
        "room": rng.uniform(0.1, 1, GROUPS),
        "cost": rng.normal(size=SHAPES["cost"]),
    }
    if kind == "integers":
        return {
            name: np.clip(np.round(2 * leaf), 0 if name in ("limit", "room") else -3, 3) for name, leaf in draw.items()
        }
    if kind == "tight":
        draw["limit"] = np.zeros(ROWS)
        draw["cost"][:, 1:] = 0.0  # as a guarantee: one user counts, and the others make room
    if kind == "twins":
        draw["use"], draw["cost"] = draw["use"][..., [0, 0, 0, 1, 1, 2, 2]], draw["cost"][:, [0, 0, 0, 1, 1, 2, 2]]
        draw["use"][1] = -draw["use"][0]
    return draw


def posed(programs):
    with jax.enable_x64(True):
        stacked = {name: jnp.asarray(np.stack([one[name] for one in programs]), jnp.float64) for name in SHAPES}
        return GroupedProgram(**stacked)


@pytest.fixture(scope="module")
def solve():
    compiled = jax.jit(solve_grouped, compiler_options=CHEAP)

    def run(programs):
        with jax.enable_x64(True):
            return jax.tree.map(np.asarray, compiled(posed(programs)))

    return run


def dense(program):
    """The matrix of all rows, written down one by one."""
    columns = [(group, option) for group in range(GROUPS) for option in range(OPTIONS)]
    within = [[float(group == own) for own, _ in columns] for group in range(GROUPS)]
    shared = [[program["use"][row, option, group] for group, option in columns] for row in range(ROWS)]
    cost = np.array([program["cost"][option, group] for group, option in columns])
    return np.array(within + shared), np.concatenate([program["room"], program["limit"]]), cost


def check(programs, found):
    for number, program in enumerate(programs):
        matrix, limit, cost = dense(program)
        exact = linprog(-cost, A_ub=matrix, b_ub=limit, method="highs")
        assert exact.status == 0
        primal, dual = found.primal[number], found.dual[number]
        assert found.status[number] == SolverStatus.OPTIMAL
        assert (matrix @ primal <= limit + 1e-11).all()
        assert primal.min() >= 0
        assert dual.min() >= 0
        assert (dual @ matrix >= cost - 1e-10).all()
        assert cost @ primal == pytest.approx(-exact.fun, abs=1e-10)
        assert limit @ dual == pytest.approx(-exact.fun, abs=1e-10)


@pytest.mark.parametrize("kind", ["generic", "integers", "tight", "twins"])
def test_solutions_are_those_of_highs(kind, solve):
    rng = np.random.default_rng(1)
    programs = [random_program(rng, kind) for _ in range(64)]
    check(programs, solve(programs))


numbers = {
    "use": hnp.arrays(float, SHAPES["use"], elements=st.sampled_from([-1.0, 0.0, 0.5, 1.0])),
    "limit": hnp.arrays(float, SHAPES["limit"], elements=st.sampled_from([0.0, 0.25, 1.0])),
    "room": hnp.arrays(float, SHAPES["room"], elements=st.sampled_from([0.0, 0.5, 1.0])),
    "cost": hnp.arrays(float, SHAPES["cost"], elements=st.sampled_from([-1.0, 0.0, 1.0])),
}


@given(st.fixed_dictionaries(numbers))
def test_ties_of_every_kind(solve, program):
    # In the batch of the other tests, which is compiled.
    found = solve([program] * 64)
    check([program], found)


def test_neighbours_do_not_matter_and_bad_data_end_unsolved(solve):
    rng = np.random.default_rng(3)
    programs = [random_program(rng, "generic") for _ in range(64)]
    alone = solve(programs)
    broken = [one | {"use": one["use"] * np.nan} if number % 2 else one for number, one in enumerate(programs)]
    beside = solve(broken)
    assert (beside.status[1::2] == SolverStatus.UNSOLVED).all()
    for one, other in zip(jax.tree.leaves(alone), jax.tree.leaves(beside), strict=True):
        np.testing.assert_array_equal(one[::2], other[::2])


@pytest.fixture(scope="module")
def crowd():
    """So many users that their guarantees are posed by group."""
    return plx.families.gaussian(providers=3, users=24, actions=3, states=3, shared=1.0)(jax.random.key(4))


def test_both_ways_to_pose_a_guarantee_say_the_same(crowd):
    module = sys.modules["pluraljax._guarantee"]
    with jax.enable_x64(True):
        (block,) = module._lay_out(crowd, plx.anonymous(24))
        delta = module._delta_of(crowd, jnp.float64(0.01))
        places = np.arange(3, dtype=np.int32)
        grouped = module._pose(block, delta, places, module.pose_by_group)
        linear = module._pose(block, delta, places, module.pose_guarantee)
    groups, by_group = grouped.room.shape[1], lambda leaf: np.moveaxis(np.asarray(leaf), -1, -2)
    use = by_group(grouped.use).reshape(3, 3, -1)
    within = np.broadcast_to(np.repeat(np.eye(groups), grouped.cost.shape[1], axis=1), (3, groups, use.shape[-1]))
    np.testing.assert_allclose(np.concatenate([within, use], axis=1), linear.matrix, rtol=1e-15, atol=1e-15)
    np.testing.assert_allclose(np.concatenate([grouped.room, grouped.limit], axis=1), linear.limit, rtol=1e-15)
    np.testing.assert_allclose(by_group(grouped.cost).reshape(3, -1), linear.cost, rtol=1e-15)


def test_guarantees_of_many_users_are_those_of_highs(crowd):
    found, exact = (
        plx.guarantee(crowd, plx.anonymous(24), solver=how) for how in (plx.solvers.simplex, plx.solvers.highs)
    )
    assert (np.asarray(found.status) == plx.Status.OK).all()
    scale = np.ptp(np.asarray(crowd.user_value))
    np.testing.assert_allclose(found.value.lower, exact.value.lower, rtol=0, atol=1e-9 * scale)
    np.testing.assert_allclose(found.value.upper, exact.value.upper, rtol=0, atol=1e-9 * scale)
    assert (np.asarray(found.value.lower) < np.asarray(plx.benchmarks(crowd).aligned) - 1e-3).any()


def test_they_do_not_depend_on_the_order_of_users_and_providers(crowd):
    found = plx.guarantee(crowd, plx.anonymous(24))
    order, turned = np.arange(24)[::-1], np.array([2, 0, 1])
    market = plx.Market(
        prior=crowd.prior[order],
        user_value=crowd.user_value[order],
        provider_value=crowd.provider_value[turned][:, order],
        mass=crowd.mass[order],
    )
    other = plx.guarantee(market, plx.anonymous(24))
    np.testing.assert_allclose(np.asarray(found.value.lower)[order], other.value.lower, rtol=0, atol=1e-9)


def test_where_groups_fail_the_matrix_of_all_rows_is_solved(crowd, monkeypatch):
    module = sys.modules["pluraljax._guarantee"]
    wanted = plx.guarantee(crowd, plx.anonymous(24))
    solved = module._solve_grouped

    asked = []

    def failing(programs):
        found = solved(programs)
        asked.append(found)
        nothing = jax.tree.map(jnp.zeros_like, found)
        return type(found)(
            nothing.primal, nothing.dual, jnp.full_like(found.status, SolverStatus.UNSOLVED), found.pivots
        )

    monkeypatch.setattr(module, "_solve_grouped", failing)
    found = plx.guarantee(crowd, plx.anonymous(24))
    assert asked
    assert (np.asarray(found.status) == plx.Status.OK).all()
    np.testing.assert_allclose(found.value.lower, wanted.value.lower, rtol=0, atol=1e-9)
