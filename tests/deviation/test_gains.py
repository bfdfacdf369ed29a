"""Gains from deviating hold against HiGHS, on random and on degenerate markets, and replies reach what they promise."""

import asked
import cases
import deviation_oracle as oracle
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pluraljax as plx
from pluraljax._deviation._segment import is_small

SHAPES = {
    "pair": (asked.PAIR, [0, 0]),
    "two segments": (cases.Shape(providers=3, users=3, evidence=4, states=4, actions=2), [7, 1, 7]),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pair", pytest.param("two segments", marks=pytest.mark.slow)])
def test_deviations_agree_with_highs(name):
    shape, segments = SHAPES[name]
    generator = np.random.default_rng(0)
    names = (*cases.RANDOM, *cases.CASES)
    for seed, case in enumerate(names):
        market = cases.as_market(cases.build(case, seed, shape))
        profile = asked.random_profile(generator, shape, segments)
        found, gains, standing = asked.ask(market, segments, profile)
        asked.check(market, found, gains)
        np.testing.assert_allclose(found.user_value - oracle.user_baseline(market), standing.user_value, atol=1e-9)
        assert asked.is_closed(market, found), case
        assert (found.status != plx.Status.OPEN).all()


def test_silence_agrees_with_highs():
    for seed, case in enumerate((*cases.RANDOM, *cases.CASES)):
        market = cases.as_market(cases.build(case, seed, asked.PAIR))
        found, gains, _ = asked.ask(market, [3, 3])
        asked.check(market, found, gains)
        assert asked.is_closed(market, found), case


def small_integers(shape):
    return st.lists(st.integers(-1, 1), min_size=int(np.prod(shape)), max_size=int(np.prod(shape))).map(
        lambda entries: np.reshape(np.array(entries, float), shape)
    )


@pytest.mark.slow
@settings(max_examples=12)
@given(small_integers((2, 3, 3)), small_integers((2, 2, 3, 3)), st.lists(st.integers(0, 2), min_size=6, max_size=6))
def test_ties_of_every_kind_leave_brackets_valid(user, provider, signals):
    """Every provider tells each evidence by a signal of its own, or pools some."""
    market = plx.observed_market(user, provider)
    policy = np.eye(3)[np.reshape(signals, (2, 1, 3, 1))]
    found, gains, _ = asked.ask(market, [0, 0], plx.Profile(policy))
    asked.check(market, found, gains)


def with_reply(profile, found, i):
    """The profile in which provider i gives its reply, the others' policies padded to as many signals."""
    reply = found.reply.policy[i]
    policy = np.zeros((*found.reply.policy.shape[:-1], reply.shape[-1]))
    policy[..., : profile.policy.shape[-1]] = np.asarray(profile.policy)
    policy[i] = reply
    told = np.full(found.reply.recommended.shape, -1, np.int32)
    told[i] = found.reply.recommended[i]
    return policy, told


@pytest.mark.slow
def test_replies_gain_the_lower_end():
    """The slow twin plays the profile with each provider's reply in place of its policy."""
    generator = np.random.default_rng(5)
    shape, segments = SHAPES["two segments"]
    for seed in range(6):
        market = cases.as_market(cases.build("observed", seed, shape))
        profile = asked.random_profile(generator, shape, segments)
        found, _, before = asked.ask(market, segments, profile)
        assert found.value.lower.max() > 1e-3
        for i in range(shape.providers):
            policy, told = with_reply(profile, found, i)
            after = oracle.profile_standing(market, segments, policy[:, :, :, 0], told[:, :, 0, 0], found.choice)
            gain = after.present[i].sum() - before.present[i].sum()
            np.testing.assert_allclose(gain, found.value.lower[i], atol=1e-8)


def test_exact_search_is_for_small_segments():
    assert is_small(members=4, types=1, actions=4)
    assert not is_small(members=1, types=1, actions=3)
    assert not is_small(members=2, types=2, actions=3)
    assert not is_small(members=2, types=1, actions=17)
    assert not is_small(members=7, types=1, actions=2)
