"""Bounds over outcomes hold at any candidate: multipliers and outcomes drawn at random, or found and then changed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from frontier_oracle import FrontierOracle

from pluraljax._bounds import (
    Prices,
    best_response_line,
    compatible,
    incentive_slack,
    optimal_play,
    outcome_lower,
    value_of,
    worth,
)
from pluraljax._candidates import OutcomeTask, pose_outcome, read_outcome, solve
from pluraljax._precision import in_float64

SHAPES = [(1, 4, 3), (2, 3, 2)]


def draw(shape, seed):
    """Stakes of a user and a provider, the evidence's probability, and a level half way between silent and aligned."""
    generator = np.random.default_rng(seed)
    types, evidences, _ = shape
    probability = generator.dirichlet(np.ones(types * evidences)).reshape(types, evidences, 1)
    user, provider = (generator.normal(size=shape) * probability for _ in range(2))
    silent, aligned = user.sum(axis=1).max(axis=-1).sum(), user.max(axis=-1).sum()
    return user, provider, probability.sum(axis=(0, 2)), (silent + aligned) / 2


@in_float64
def propose(user, provider, probability, level):
    task = OutcomeTask(user, probability, -provider, user[None], level[None])
    candidate = read_outcome(task, solve(pose_outcome(task)))
    return candidate.outcome, Prices(candidate.obedience, candidate.truth, candidate.recoding, candidate.required)


@in_float64
def evaluate(user, provider, level, outcome, prices):
    """A bound from below on `min -<provider, q>`, and the value and slack of the outcome after its repair."""
    repaired = compatible(user, outcome, level, optimal_play(user, provider))
    height, slope = best_response_line(user, provider, prices)
    lower = outcome_lower(user, -provider, user[None], level[None], prices)
    return (
        lower,
        height - slope * level,
        value_of(provider, repaired),
        value_of(user, repaired),
        incentive_slack(user, repaired),
    )


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_candidates_close_the_bracket_and_changed_ones_only_widen_it(shape):
    generator = np.random.default_rng(1)
    for seed in range(10):
        user, provider, probability, level = draw(shape, seed)
        exact = FrontierOracle(user, provider[None])._phi(level)[0]
        outcome, prices = propose(user, provider, probability, np.float64(level))
        lower, upper, reached, value, slack = map(
            float, _last_least(evaluate(user, provider, np.float64(level), outcome, prices))
        )
        np.testing.assert_allclose([-lower, upper, reached], exact, atol=1e-8)
        assert value >= level - 1e-12
        assert slack >= -1.1e-11 * np.abs(user).max(axis=-1).sum()
        for size in (1e-3, 1.0):
            noisy = lambda leaf, size=size: jnp.asarray(
                np.maximum(leaf + size * generator.normal(size=leaf.shape), 0.0)
            )
            with jax.enable_x64(True):
                changed = jax.tree.map(noisy, prices)
                moved = noisy(outcome)
            lower, upper, reached, value, slack = map(
                float, _last_least(evaluate(user, provider, np.float64(level), moved, changed))
            )
            assert -lower >= exact - 1e-9
            assert upper >= exact - 1e-9
            assert upper > exact + 1e-6
            assert reached <= exact + 1e-9
            assert value >= level - 1e-12
            assert slack >= -1.1e-11 * np.abs(user).max(axis=-1).sum()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("planted", [1e300, 1e16, np.inf, np.nan, -1.0])
def test_prices_that_no_solver_should_return_bound_all_the_same(shape, planted):
    for seed in range(3):
        user, provider, probability, level = draw(shape, seed)
        exact = FrontierOracle(user, provider[None])._phi(level)[0]
        outcome, prices = propose(user, provider, probability, np.float64(level))
        for kept in ("none", "all but one"):
            spoil = lambda leaf, kept=kept: np.where((leaf > 0) & (kept != "none"), leaf, planted)
            spoiled = jax.tree.map(lambda leaf, spoil=spoil: spoil(np.asarray(leaf)), prices)
            lower, upper, *_ = evaluate(user, provider, np.float64(level), outcome, spoiled)
            assert -float(lower) >= exact - 1e-9
            assert float(upper) >= exact - 1e-9


def _last_least(results):
    return [*results[:-1], np.asarray(results[-1]).min()]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_any_numbers_become_an_incentive_compatible_outcome(shape):
    generator = np.random.default_rng(2)
    user, *_ = draw(shape, 3)
    types, evidences, actions = shape
    silent, aligned = user.sum(axis=1).max(axis=-1).sum(), user.max(axis=-1).sum()

    @in_float64
    def repair(user, outcome, level):
        fixed = compatible(user, outcome, level, optimal_play(user, user))
        lowered = worth(user, fixed, level)
        return fixed, incentive_slack(user, fixed), value_of(user, lowered), incentive_slack(user, lowered)

    rounding = 1.1e-11 * np.abs(user).max(axis=-1).sum()
    for outcome in (
        generator.normal(size=shape),
        np.zeros(shape),
        np.full(shape, np.nan),
        np.eye(actions)[np.zeros((types, evidences), int)],
    ):
        level = np.float64(0.3 * silent + 0.7 * aligned)
        fixed, slack, value, lowered_slack = repair(user, outcome, level)
        np.testing.assert_allclose(np.asarray(fixed).sum(axis=-1), 1.0, atol=1e-12)
        assert np.asarray(slack).min() >= -rounding
        np.testing.assert_allclose(value, level, atol=1e-10)
        assert np.asarray(lowered_slack).min() >= -rounding


def test_a_lie_that_pays_shows_as_negative_slack():
    """Type 1 gets nothing from her own policy but would be told the truth under type 0's report."""
    user = np.zeros((2, 2, 2))
    user[:, 0, 0], user[:, 1, 1] = 0.25, 0.25
    told, silent = np.eye(2), np.array([[1.0, 0.0], [1.0, 0.0]])
    slack = np.asarray(in_float64(incentive_slack)(user, np.stack([told, silent])))
    assert slack[:8].min() >= 0  # obedience: both types do as they are told
    np.testing.assert_allclose(slack[8:].reshape(2, 2), [[0.0, 0.25], [-0.25, 0.0]])
