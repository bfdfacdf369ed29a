"""Users who are many enough to be a crowd: brackets hold what is known of the few whose copies they are."""

import functools

import asked
import cases
import deviation_oracle as oracle
import jax
import numpy as np
import pytest

import pluraljax as plx

# Each user of a pair, in so many copies that share her mass: one policy does for them what it does for the pair.
COPIES = 4
EVERYONE = (0,) * (2 * COPIES)
SEEDS = range(6)


def pair(seed, case="observed"):
    return cases.as_market(cases.build(case, seed, asked.PAIR))


def crowd(market, order=None):
    order = np.repeat(np.arange(2), COPIES) if order is None else order
    take = lambda leaf, axis: np.take(np.asarray(leaf), order, axis)
    user, provider = take(market.user_value, 0), take(market.provider_value, 1)
    return plx.Market(take(market.prior, 0), user, provider, take(market.mass, 0) / COPIES)


@functools.cache
def programme():
    def run(market, profile, replies):
        return plx.deviation(market, np.array(EVERYONE), profile, replies=replies)

    return jax.jit(run), []


def ask(market, policy, replies=None):
    """The package's answer; one programme serves all markets and profiles, which are as exact as NumPy's."""
    run, compiled = programme()
    given = market, plx.Profile(policy), plx.Profile(silent(np.shape(policy)) if replies is None else replies)
    if not compiled:
        compiled.append(run.lower(*given).compile(asked.CHEAP))
    return asked.numbers(compiled[0](*given))


def silent(shape):
    return np.broadcast_to(np.eye(shape[-1])[0], shape).copy()


def told_all(shape):
    return np.broadcast_to(np.eye(3)[:, None], shape).copy()


def exact(market, policy):
    """What each provider gains at most among the pair, by HiGHS, and how things stand."""
    standing = oracle.profile_standing(market, [0, 0], policy[:, :, :, 0])
    return oracle.best_gains(market, [0, 0], standing), standing


def test_brackets_of_a_crowd_hold_the_exact_gain():
    generator, wide = np.random.default_rng(0), 0
    for seed, case in enumerate((*["observed"] * 4, *cases.CASES)):
        market = pair(seed, case)
        policy = np.asarray(asked.random_profile(generator, asked.PAIR, [0, 0]).policy)
        gains, standing = exact(market, policy)
        many = crowd(market)
        found = ask(many, policy)
        asked.check(many, found, gains)
        np.testing.assert_allclose(found.value.upper, found.most, atol=1e-12)
        # The bound is what the provider gains that may treat every user apart.
        apart = oracle.best_gains(market, [0, 1], standing)
        np.testing.assert_allclose(found.most, apart, atol=1e-6 * max(asked.scale(market).max(), 1.0))
        if found.holds == plx.Truth.FAILS:
            assert (gains > 0).any()
        if found.holds == plx.Truth.HOLDS:
            assert (gains <= 1e-8 * asked.scale(market)).all()
        wide += int((found.status == plx.Status.OPEN).sum())
    # What is not proved is said to be open.
    assert wide > 0


def test_replies_of_a_crowd_gain_the_lower_end():
    generator = np.random.default_rng(1)
    for seed in SEEDS:
        market = crowd(pair(seed))
        policy = np.asarray(asked.random_profile(generator, asked.PAIR, [0, 0]).policy)
        found = ask(market, policy)
        before = oracle.profile_standing(market, EVERYONE, policy[:, :, :, 0])
        assert found.value.lower.max() > 1e-3
        for i in range(asked.PAIR.providers):
            shape = found.reply.policy.shape
            tried = np.concatenate([policy, np.zeros((*shape[:-1], shape[-1] - policy.shape[-1]))], axis=-1)
            told = np.full(found.reply.recommended.shape, -1)
            tried[i], told[i] = found.reply.policy[i], found.reply.recommended[i]
            after = oracle.profile_standing(market, EVERYONE, tried[:, :, :, 0], told[:, :, 0, 0], found.choice)
            gain = after.present[i].sum() - before.present[i].sum()
            if found.value.lower[i] > 0:
                np.testing.assert_allclose(gain, found.value.lower[i], atol=1e-8)


def test_replies_found_elsewhere_raise_the_lower_end():
    generator, raised = np.random.default_rng(2), 0
    for seed in SEEDS:
        market = pair(seed)
        profile = asked.random_profile(generator, asked.PAIR, [0, 0])
        policy = np.asarray(profile.policy)
        best = asked.deviation(market, (0, 0), profile)
        # The three likeliest answers of an optimal reply, and what is left over told with the first.
        reply = best.reply.policy[:, :, :, :1]
        likeliest = np.argsort(-reply.sum(axis=(2, 3)), axis=-1)[..., None, None, :3]
        reply = np.take_along_axis(reply, np.broadcast_to(likeliest, (*reply.shape[:-1], 3)), axis=-1)
        reply[..., 0] += 1 - reply.sum(axis=-1)
        without, with_ = ask(crowd(market), policy), ask(crowd(market), policy, reply)
        assert (with_.value.lower >= without.value.lower - 1e-12).all()
        asked.check(market, with_, exact(market, policy)[0])
        raised += int((with_.value.lower > without.value.lower + 1e-3).sum())
    assert raised > 0


def test_the_order_of_users_does_not_matter():
    policy = np.asarray(asked.random_profile(np.random.default_rng(3), asked.PAIR, [0, 0]).policy)
    for seed in SEEDS:
        one = ask(crowd(pair(seed)), policy)
        other = ask(crowd(pair(seed), np.tile([1, 0], COPIES)), policy)
        for end in ("lower", "upper"):
            np.testing.assert_allclose(getattr(one.value, end), getattr(other.value, end), atol=1e-8)
        assert one.holds == other.holds


def test_full_information_is_certified_and_what_is_worse_for_users_refuted():
    shape = (2, 1, 3, 1, 3)
    for seed in SEEDS:
        market = pair(seed)
        told, quiet = ask(crowd(market), told_all(shape)), ask(crowd(market), silent(shape))
        assert told.holds == plx.Truth.HOLDS
        gains, _ = exact(market, silent(shape))
        assert quiet.holds != plx.Truth.HOLDS or (gains <= 1e-8).all()
        # One provider stops telling; the other one may now tell less.
        alone = told_all(shape)
        alone[1] = silent(shape)[1]
        gains, _ = exact(market, alone)
        found = ask(crowd(market), alone)
        assert found.holds != plx.Truth.HOLDS or (gains <= 1e-8).all()
    assert quiet.holds == plx.Truth.FAILS


def test_invalid_markets_have_a_status_and_wrong_replies_are_refused():
    shape, market = (2, 1, 3, 1, 3), crowd(pair(0))
    broken = plx.Market(market.prior, np.asarray(market.user_value) * np.nan, market.provider_value, market.mass)
    found = ask(broken, told_all(shape))
    assert (found.status == plx.Status.NOT_FINITE).all()
    assert np.isnan(found.value.upper).all()
    assert found.holds == plx.Truth.OPEN
    assert ask(market, told_all(shape), np.full(shape, np.nan)).holds == plx.Truth.HOLDS
    told = plx.Profile(told_all(shape))
    with pytest.raises(ValueError, match="replies must be a Profile"):
        plx.deviation(market, EVERYONE, told, replies=told.policy)
    with pytest.raises(ValueError, match="for this market"):
        plx.deviation(market, EVERYONE, told, replies=plx.Profile(told_all((3, *shape[1:]))))


@pytest.mark.slow
def test_a_batch_of_crowds_is_what_each_of_them_is(monkeypatch):
    generator = np.random.default_rng(4)
    profiles = [asked.random_profile(generator, asked.PAIR, [0, 0]) for _ in SEEDS]
    markets = [crowd(pair(seed)) for seed in SEEDS]
    with jax.enable_x64(True):
        stack = lambda trees: jax.tree.map(lambda *rows: jax.numpy.stack(rows), *trees)
        together, told = stack(markets), stack(profiles)
    batch = jax.vmap(lambda market, profile: plx.deviation(market, np.array(EVERYONE), profile))(together, told)
    for row, (market, profile) in enumerate(zip(markets, profiles, strict=True)):
        one = plx.deviation(market, np.array(EVERYONE), profile)
        np.testing.assert_allclose(batch.value.lower[row], one.value.lower, atol=1e-9)
        np.testing.assert_allclose(batch.value.upper[row], one.value.upper, atol=1e-9)
        assert batch.holds[row] == one.holds
    # Programmes that are too many for memory are solved part by part, the last part overlapping the one before.
    monkeypatch.setattr("pluraljax._deviation._private._MOST_AT_ONCE", 400)
    parts = plx.deviation(market, np.array(EVERYONE), profile)
    np.testing.assert_allclose(parts.value.upper, one.value.upper, atol=1e-12)
    assert (parts.multipliers.prices.obedience == one.multipliers.prices.obedience).all()
    traced = jax.jit(lambda market, profile: plx.deviation(market, np.array(EVERYONE), profile))(market, profile)
    np.testing.assert_allclose(traced.value.upper, one.value.upper, atol=1e-12)
