"""Bounds over outcomes hold at any candidate: multipliers and outcomes drawn at random, or found and then changed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from frontier_oracle import FrontierOracle

from pluraljax._bounds import (
    best_response_line,
    both_strictly,
    incentive_slack,
    least_value,
    obeyed,
    optimal_play,
    outcome_lower,
    strictly,
)
from pluraljax._candidates import (
    OutcomeTask,
    pose_outcome,
    read_outcome,
    simplex,
    strict_recommendations,
    truthful_task,
)
from pluraljax._precision import in_float64
from pluraljax._stakes import Receiver
from pluraljax._ties import Sized

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
    candidate = read_outcome(task, simplex(pose_outcome(task)))
    return candidate.outcome, candidate.multipliers


def strict_of(receiver, probability):
    """What is obeyed for certain and, with several types, makes truth pay."""
    informed = optimal_play(receiver, receiver.user)
    strict = strictly(receiver, strict_recommendations(receiver.lead.value), informed)
    if receiver.user.shape[0] == 1:
        return strict
    task = truthful_task(receiver.user, probability)
    return both_strictly(receiver, strict, read_outcome(task, simplex(pose_outcome(task))).outcome)


@in_float64
def evaluate(user, provider, probability, level, outcome, prices):
    """A bound from below on `min -<provider, q>`, and what the outcome is worth after its repair."""
    receiver, paid = Receiver.of(user), Sized.of(provider)
    repaired = obeyed(receiver, outcome, strict_of(receiver, probability), optimal_play(receiver, user))
    height, slope = best_response_line(receiver, paid, prices)
    required = Sized.of(user[None])
    lower = outcome_lower(receiver, Sized.of(-provider), required, level[None], prices)
    return (
        lower,
        height - slope * level,
        least_value(receiver, paid, repaired),
        least_value(receiver, receiver.stakes, repaired),
        missed(receiver, repaired),
    )


def missed(receiver, outcome):
    """By how much an incentive is missed at most, as a share of the stakes' size."""
    return (-incentive_slack(receiver, outcome)).max() / receiver.size


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_candidates_close_the_bracket_and_changed_ones_only_widen_it(shape):
    generator = np.random.default_rng(1)
    for seed in range(10):
        user, provider, probability, level = draw(shape, seed)
        oracle = FrontierOracle(user, provider[None])
        exact = oracle._phi(level)[0]
        outcome, prices = propose(user, provider, probability, np.float64(level))
        given = user, provider, probability, np.float64(level)
        ask = lambda *candidate, given=given: map(float, evaluate(*given, *candidate))
        lower, upper, reached, value, miss = ask(outcome, prices)
        np.testing.assert_allclose([-lower, upper, reached], exact, atol=1e-8)
        assert value >= level - 1e-8
        assert miss <= 1e-15
        for size in (1e-3, 1.0):
            noisy = lambda leaf, size=size: jnp.asarray(
                np.maximum(leaf + size * generator.normal(size=leaf.shape), 0.0)
            )
            with jax.enable_x64(True):
                changed = jax.tree.map(noisy, prices)
                moved = noisy(outcome)
            lower, upper, reached, value, miss = ask(moved, changed)
            assert -lower >= exact - 1e-9
            assert upper >= exact - 1e-9
            assert upper > exact + 1e-6
            # Worth less to her than the level, an outcome may bring more than phi of the level.
            assert reached <= oracle._phi(value)[0] + 1e-9
            assert miss <= 1e-15


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
            lower, upper, *_ = evaluate(user, provider, probability, np.float64(level), outcome, spoiled)
            assert -float(lower) >= exact - 1e-9
            assert float(upper) >= exact - 1e-9


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_any_numbers_become_an_incentive_compatible_outcome(shape):
    generator = np.random.default_rng(2)
    user, _, probability, _ = draw(shape, 3)
    types, evidences, actions = shape

    @in_float64
    def repair(user, probability, outcome):
        receiver = Receiver.of(user)
        fixed = obeyed(receiver, outcome, strict_of(receiver, probability), optimal_play(receiver, user))
        return fixed, missed(receiver, fixed)

    for outcome in (
        generator.normal(size=shape),
        np.zeros(shape),
        np.full(shape, np.nan),
        np.eye(actions)[np.zeros((types, evidences), int)],
    ):
        fixed, miss = repair(user, probability, outcome)
        np.testing.assert_allclose(np.asarray(fixed).sum(axis=-1), 1.0, atol=1e-12)
        assert float(miss) <= 1e-15


def test_beliefs_at_which_an_action_is_preferred_most_clearly():
    """Two states, three actions: the safe one is preferred most clearly in the middle, a dominated one nowhere."""
    user = np.array([[[1.0, 0.0, 0.7, -1.0], [0.0, 1.0, 0.7, -1.0]]]) / 2
    ask = in_float64(lambda user: strict_recommendations(Receiver.of(user).lead.value) * 4)
    rays = np.asarray(ask(user))[0]
    np.testing.assert_allclose(rays[:, :3], [[1, 0, 0.5], [0, 1, 0.5]], atol=1e-12)
    np.testing.assert_allclose(rays[:, 3].sum(), 1.0)
    strict = in_float64(
        lambda user: strictly(Receiver.of(user), ask(user) / 4, jnp.asarray([[[1.0, 0, 0, 0], [0, 1, 0, 0]]]))
    )
    assert (np.asarray(strict(user))[0, :, 3] == 0).all()
    np.testing.assert_allclose(np.asarray(strict(user))[0, :, 2], 0.125)


def test_a_lie_that_pays_shows_as_negative_slack():
    """Type 1 gets nothing from her own policy but would be told the truth under type 0's report."""
    user = np.zeros((2, 2, 2))
    user[:, 0, 0], user[:, 1, 1] = 0.25, 0.25
    told, silent = np.eye(2), np.array([[1.0, 0.0], [1.0, 0.0]])
    ask = in_float64(lambda user, outcome: incentive_slack(Receiver.of(user), outcome))
    slack = np.asarray(ask(user, np.stack([told, silent])))
    assert slack[:8].min() >= 0  # obedience: both types do as they are told
    np.testing.assert_allclose(slack[8:].reshape(2, 2), [[0.0, 0.25], [-0.25, 0.0]])
