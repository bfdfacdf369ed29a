"""The pieces under the search for worst equilibria: corners of signals, the host's simplex method, and bounds."""

import os
import subprocess
import sys
from pathlib import Path

import cases
import deviation_oracle
import numpy as np
import pytest
import shared_oracle
from scipy.optimize import linprog

from pluraljax import _loops
from pluraljax._bounds import outcomes_upper, winning_lower, winning_upper
from pluraljax._candidates import INFEASIBLE, OPTIMAL, host_simplex
from pluraljax._loops import compiled_loops
from pluraljax._signals import find_corners, lay_out
from pluraljax._worst_shared._curves import Curves, lowest_tangents

ROOT = Path(__file__).parents[2]
SHAPE = cases.Shape(providers=2, users=2)
NAMES = [
    "gaussian",
    "observed",
    "skewed",
    "integers",
    "twin_users",
    "grid",
    "constant_user",
    "zero_user",
    "opposed_pair",
]


def laid_out(market):
    user, provider = deviation_oracle.stakes(market)
    reach = np.ptp(market.provider_value, axis=(2, 3)) @ market.mass
    return lay_out(user, provider, 1e-9 * reach, reach), user, provider, np.where(reach > 0, reach, 1.0)


def random_programmes():
    generator = np.random.default_rng(0)
    for place in range(300):
        rows, columns = generator.integers(3, 12), generator.integers(5, 60)
        matrix, limit = generator.normal(size=(rows, columns)), generator.normal(size=rows)
        if place % 3 == 0:
            matrix, limit = np.round(matrix), np.round(limit)
        matrix[0], limit[0] = np.abs(matrix[0]) + 0.1, 3.0
        yield matrix, limit, generator.normal(size=columns)


def test_the_hosts_simplex_agrees_with_highs():
    infeasible = 0
    for matrix, limit, cost in random_programmes():
        primal, dual, status = host_simplex(matrix, limit, cost)
        found = linprog(-cost, matrix, limit, method="highs")
        if found.status == 2:
            infeasible += 1
            assert status == INFEASIBLE
            assert (dual @ matrix >= -1e-9).all()
            assert dual @ limit < 0
        else:
            assert status == OPTIMAL
            np.testing.assert_allclose([cost @ primal, dual @ limit], -found.fun, atol=1e-7)
            assert (matrix @ primal <= limit + 1e-8).all()
    assert infeasible > 20


def test_a_degenerate_programme_does_not_cycle():
    """Beale's example, on which the largest coefficient cycles for ever without further care; the optimum is 5/100."""
    matrix = np.array([[0.25, -60.0, -0.04, 9.0], [0.5, -90.0, -0.02, 3.0], [0.0, 0.0, 1.0, 0.0]])
    limit, cost = np.array([0.0, 0.0, 1.0]), np.array([0.75, -150.0, 0.02, -6.0])
    primal, dual, status = host_simplex(matrix, limit, cost)
    assert status == OPTIMAL
    np.testing.assert_allclose([cost @ primal, limit @ dual], 0.05, atol=1e-9)


LOOPS = """
from pluraljax._loops import compiled_loops
{imported}

@compiled_loops(calls=[{called}])
def {name}(value):
    return {value}
"""


def ask_loops(folder):
    """In a process of its own: what two files of loops compute, and whether the second was compiled anew."""
    code = "import two; print(two.twice(3), sum(two.twice._cache_misses.values()))"
    found = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    return found.stdout.split()


def test_loops_are_kept_until_what_they_call_changes(tmp_path, monkeypatch):
    """Numba itself looks at a function's own file only."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(tmp_path)]))
    write = lambda file, **words: (tmp_path / f"{file}.py").write_text(LOOPS.format(**words))
    write("one", imported="", called="", name="once", value="value")
    write("two", imported="from one import once", called="once", name="twice", value="2 * once(value)")
    assert [ask_loops(tmp_path) for _ in range(2)] == [["6", "1"], ["6", "0"]]
    write("one", imported="", called="", name="once", value="value + 1")
    assert [ask_loops(tmp_path) for _ in range(2)] == [["8", "1"], ["8", "0"]]


def test_loops_are_compiled_where_nothing_can_be_kept(monkeypatch):
    def unwritable(*arguments):
        raise RuntimeError("cannot cache function: no locator available")

    monkeypatch.setattr(_loops, "_KnownByCalls", unwritable)
    assert compiled_loops(lambda value: value + 1)(2) == 3


@pytest.mark.parametrize("name", NAMES)
def test_curves_agree_with_highs(name):
    """Policies as mixtures of listed signals get as much as distributions over all profiles of actions."""
    market = cases.build(name, 3, SHAPE)
    crowd, _, _, reach = laid_out(market)
    public = shared_oracle.Public(market)
    generator = np.random.default_rng(1)
    for _ in range(3):
        room = np.where(crowd.cares, generator.uniform(0.2, 0.8, size=2), 0.0)
        level = public.aligned - room * (public.aligned - public.silent)
        curves = Curves(crowd)
        pairs = [(i, w) for i in range(2) for w in range(3) if (crowd.cares | ~curves.sets[w]).all()]
        pairs = np.array(pairs, int).reshape(-1, 2)
        (values,) = curves.points(room[None], pairs)
        curves.touch(room)
        above = lowest_tangents(curves.known, np.repeat(room[None], len(pairs), axis=0), pairs)
        for (i, w), low, height, slope in zip(pairs, values, *above, strict=True):
            assert curves.above(room)[i, w] <= height + slope @ room + 1e-12
            known = public.tangent(i, curves.sets[w], level)
            top = (height + slope @ room) * reach[i]
            if known is None:
                assert low == -np.inf
                continue
            exact = known[0] + known[1] @ level
            assert low * reach[i] <= exact + 1e-7 * reach[i] <= top + 2e-7 * reach[i]
            np.testing.assert_allclose(top, exact, atol=1e-6 * reach[i])
            if np.isfinite(low):
                np.testing.assert_allclose(low * reach[i], exact, atol=1e-4 * reach[i])


def test_any_numbers_make_valid_bounds():
    """Bounds at random weights and multipliers never pass the optimum that good ones prove."""
    generator = np.random.default_rng(0)
    market = cases.build("gaussian", 0, SHAPE)
    crowd, *_ = laid_out(market)
    curves, room = Curves(crowd), np.array([0.6, 0.5])
    for which, won in enumerate(curves.sets):
        ((best,),) = curves.points(room[None], np.array([(0, which)]))
        for scale in (0.1, 1.0, 10.0):
            weight = scale * generator.normal(size=len(crowd.belief))
            assert winning_lower(crowd.offers, 0, won, room, weight) <= best + 1e-6
            height, slope = winning_upper(crowd.offers, 0, won, scale * generator.normal(size=5))
            assert height + slope @ room >= best - 1e-6
    assert winning_lower(crowd.offers, 0, curves.sets[2], room, np.full(len(crowd.belief), np.nan)) > -np.inf


def test_any_multipliers_bound_outcomes():
    generator = np.random.default_rng(2)
    crowd, *_ = laid_out(cases.build("gaussian", 1, SHAPE))
    rows, limit = generator.normal(size=(2, 2 * len(crowd.signal_belief))), np.array([0.2, -0.1])
    goal = np.concatenate([crowd.signal_lost[:, 0], -crowd.signal_lost[:, 1]])
    used = np.kron(np.eye(2), crowd.signal_belief.T)
    belief, policy = np.tile(crowd.signal_belief, (2, 1)), np.repeat([0, 1], len(crowd.signal_belief))
    best = -linprog(-goal, np.vstack([used, rows]), np.r_[np.ones(6), limit], method="highs").fun
    for scale in (0.0, 0.3, 3.0):
        assert outcomes_upper(belief, policy, goal, rows, limit, scale * generator.normal(size=8)) >= best - 1e-9


@pytest.mark.parametrize(("gap", "clear"), [(0.0, True), (1e-15, False), (1e-13, False), (1e-9, False), (1e-2, True)])
def test_what_nearly_ties_is_not_listed(gap, clear):
    """On all evidence, on some, and where three lines of indifference nearly meet in one corner."""
    generator = np.random.default_rng(0)
    user = generator.normal(size=(2, 3, 3))
    copied = np.concatenate([user, user[:, :, :1] - gap], axis=2)
    assert find_corners(copied)[2] == clear
    somewhere = np.concatenate([user, user.min(axis=2, keepdims=True) - 1], axis=2)
    best = user[0, 0].argmax()
    somewhere[0, 0, 3] = user[0, 0, best] - gap
    assert find_corners(somewhere)[2] == clear
    # A user who is indifferent between three actions in the middle, and one whose line misses it by a little.
    other = np.array([[[1.0, 0.0, -3.0], [-2.0, 0.0, -3.0], [1.0 - gap, 0.0, -3.0]]])
    assert find_corners(np.concatenate([np.eye(3)[None], other]))[2] == (clear or gap < 1e-12)
