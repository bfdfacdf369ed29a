"""A solver of a user's own, from outside the package: it proposes, and the bounds are evaluated at what it says."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linprog

import pluraljax as plx

MARKET = plx.families.gaussian(providers=3, users=2, actions=3, states=3)(4)
QUESTIONS = {
    "weak": plx.weak_alignment,
    "strong": plx.strong_alignment,
    "free scales": lambda market, **options: plx.strong_alignment(market, "free", **options),
    "guarantee": lambda market, **options: plx.guarantee(market, plx.anonymous(2), **options),
    "persuasion": plx.persuasion,
}


def with_scipy(programs: plx.solvers.LinearProgram) -> plx.solvers.Solution:
    """SciPy's `linprog`, one programme after the other."""
    arrays = [np.asarray(leaf) for leaf in (programs.matrix, programs.limit, programs.cost)]
    lead = arrays[0].shape[:-2]
    flat = [leaf.reshape(-1, *leaf.shape[len(lead) :]) for leaf in arrays]
    primal, dual = [], []
    for matrix, limit, cost in zip(*flat, strict=True):
        found = linprog(-cost, matrix, limit)
        primal.append(found.x)
        dual.append(-found.ineqlin.marginals)
    back = lambda rows: jnp.asarray(np.stack(rows).reshape(*lead, -1), "float64")
    optimal = jnp.full(lead, plx.solvers.SolverStatus.OPTIMAL, "int32")
    return plx.solvers.Solution(back(primal), back(dual), optimal, jnp.zeros(lead, "int32"))


def with_nothing(programs: plx.solvers.LinearProgram) -> plx.solvers.Solution:
    """Claims that doing nothing is best."""
    none = jnp.zeros(programs.matrix.shape[:-2], "int32")
    return plx.solvers.Solution(0 * programs.cost, 0 * programs.limit, none, none)


@pytest.mark.parametrize("name", QUESTIONS)
def test_scipy_closes_the_same_brackets(name):
    own, built_in = QUESTIONS[name](MARKET, solver=with_scipy), QUESTIONS[name](MARKET)
    assert (np.asarray(own.status) == plx.Status.OK).all()
    np.testing.assert_allclose(own.lower, built_in.lower, atol=1e-6)
    np.testing.assert_allclose(own.upper, built_in.upper, atol=1e-6)


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_solver_that_does_nothing_leaves_brackets_wide(name):
    poor, built_in = QUESTIONS[name](MARKET, solver=with_nothing), QUESTIONS[name](MARKET)
    assert (np.asarray(poor.lower) <= np.asarray(built_in.upper) + 1e-12).all()
    assert (np.asarray(poor.upper) >= np.asarray(built_in.lower) - 1e-12).all()
    assert (np.asarray(poor.status) == plx.Status.OPEN).any()


def test_own_solvers_are_solvers():
    assert all(isinstance(each, plx.solvers.Solver) for each in (with_scipy, plx.solvers.simplex, plx.solvers.highs))
