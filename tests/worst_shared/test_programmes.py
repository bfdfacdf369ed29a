"""The pieces under the search for worst equilibria: corners of signals, the host's simplex method, and bounds."""

import cases
import deviation_oracle
import numba
import numpy as np
import pytest
import shared_oracle
from scipy.optimize import linprog

from pluraljax._bounds import outcomes_upper, winning_lower, winning_upper
from pluraljax._candidates import Programmes, _tableau, solve_programmes
from pluraljax._signals import find_corners, lay_out
from pluraljax._worst_shared._curves import Curves
from pluraljax._worst_shared._pool import run_together

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
        yield Programmes(matrix[None], limit[None], generator.normal(size=(1, columns)))


def test_the_hosts_simplex_agrees_with_highs():
    programmes = list(random_programmes())
    infeasible = 0
    for programme, answer in zip(programmes, solve_programmes(programmes), strict=True):
        matrix, limit, cost = programme.matrix[0], programme.limit[0], programme.cost[0]
        (primal,), (dual,), (feasible,) = answer.primal, answer.dual, answer.feasible
        found = linprog(-cost, matrix, limit, method="highs")
        if found.status == 2:
            infeasible += 1
            assert not feasible
            assert (dual @ matrix >= -1e-9).all()
            assert dual @ limit < 0
        else:
            assert feasible
            np.testing.assert_allclose([cost @ primal, dual @ limit], -found.fun, atol=1e-7)
            assert (matrix @ primal <= limit + 1e-8).all()
    assert infeasible > 20


def test_answers_do_not_depend_on_neighbours():
    generator = np.random.default_rng(1)
    batch = Programmes(*(generator.normal(size=shape) for shape in ((40, 6, 30), (40, 6), (40, 30))))
    batch.matrix[:, 0] = 1.0 + abs(batch.matrix[:, 0])
    (together,) = solve_programmes([batch])
    assert 5 < together.feasible.sum() < 40
    for place in range(len(batch)):
        one = slice(place, place + 1)
        (alone,) = solve_programmes([Programmes(batch.matrix[one], batch.limit[one], batch.cost[one])])
        np.testing.assert_array_equal(alone.primal[0], together.primal[place])
        np.testing.assert_array_equal(alone.dual[0], together.dual[place])


def test_a_degenerate_programme_does_not_cycle():
    """Beale's example, on which the largest coefficient cycles for ever without further care; the optimum is 5/100."""
    matrix = np.array([[0.25, -60.0, -0.04, 9.0], [0.5, -90.0, -0.02, 3.0], [0.0, 0.0, 1.0, 0.0]])
    limit, cost = np.array([0.0, 0.0, 1.0]), np.array([0.75, -150.0, 0.02, -6.0])
    (answer,) = solve_programmes([Programmes(matrix[None], limit[None], cost[None])])
    assert answer.feasible[0]
    np.testing.assert_allclose([cost @ answer.primal[0], limit @ answer.dual[0]], 0.05, atol=1e-9)


def test_loops_are_compiled_where_nothing_can_be_kept(monkeypatch):
    tried, compiled = [], numba.njit

    def unwritable(function, cache=False, **options):
        tried.append(cache)
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return compiled(function, **options)

    monkeypatch.setattr(numba, "njit", unwritable)
    assert _tableau._compiled(lambda value: value + 1)(2) == 3
    assert tried == [True, False]


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
        ((values,),) = run_together([curves.points(room[None], pairs)])
        rooms = np.broadcast_to(room, (len(pairs), 2))
        (above,) = run_together([curves.tangents(rooms, pairs)])
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
        ((best,),) = run_together([curves.points(room[None], np.array([(0, which)]))])
        for scale in (0.1, 1.0, 10.0):
            weight = scale * generator.normal(size=len(crowd.belief))
            assert winning_lower(crowd, 0, won, room, weight) <= best[0] + 1e-6
            price, dear = scale * generator.normal(size=3), scale * generator.normal(size=2)
            height, slope = winning_upper(crowd, 0, won, price, dear)
            assert height + slope @ room >= best[0] - 1e-6
    assert winning_lower(crowd, 0, curves.sets[2], room, np.full(len(crowd.belief), np.nan)) > -np.inf


def test_any_multipliers_bound_outcomes():
    generator = np.random.default_rng(2)
    crowd, *_ = laid_out(cases.build("gaussian", 1, SHAPE))
    rows, limit = generator.normal(size=(2, 2 * len(crowd.signal_belief))), np.array([0.2, -0.1])
    goal = np.concatenate([crowd.signal_lost[:, 0], -crowd.signal_lost[:, 1]])
    used = np.kron(np.eye(2), crowd.signal_belief.T)
    best = -linprog(-goal, np.vstack([used, rows]), np.r_[np.ones(6), limit], method="highs").fun
    for scale in (0.0, 0.3, 3.0):
        dual, price = scale * generator.normal(size=2), scale * generator.normal(size=(2, 3))
        assert outcomes_upper([crowd.signal_belief] * 2, goal, rows, limit, dual, price) >= best - 1e-9


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
