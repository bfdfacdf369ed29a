"""Best replies: by gradient against the certified optimum, and exact ones round by round."""

import jax
import jax.random as jr
import numpy as np
import pytest

import pluraljax as plx

ONE = plx.personalized(1)
ONE_WAY = plx.Conversation(signals=4)


@jax.jit
@jax.vmap
def improve(market, key):
    silent = plx.play.silent_profile(market, ONE, ONE_WAY)
    return plx.best_response(market, ONE, ONE_WAY, silent, key, starts=8, annealing=plx.play.Annealing(steps=500))


@pytest.mark.slow
def test_gradient_replies_come_near_the_optimum_and_never_above_it():
    family = plx.families.gaussian(providers=1, users=1, actions=3, states=4)
    keys = jr.split(jr.key(2), 64)
    markets = jax.vmap(family)(keys)
    found = improve(markets, keys)
    assert (np.asarray(found.gain) <= np.asarray(found.value.upper) + 1e-9).all()
    assert (np.asarray(found.gain) >= 0).all()
    assert (np.asarray(found.ratio) >= 0.99).mean() >= 0.95  # 0.996 of 1,000 with the default steps
    # The gain is what users who respond to the reply give the provider.
    said = jax.vmap(lambda market, reply: plx.payoffs(market, ONE, ONE_WAY, reply).provider_value)(markets, found.reply)
    quiet = jax.vmap(lambda m: plx.payoffs(m, ONE, None, plx.play.silent_profile(m, ONE)).provider_value)(markets)
    better = np.asarray(found.gain) > 1e-9
    np.testing.assert_allclose(
        (np.asarray(said) - np.asarray(quiet))[better], np.asarray(found.gain)[better], atol=1e-9
    )


@pytest.mark.slow
def test_steps_in_single_precision_find_the_same_replies():
    """Bad steps could only lose: what is found is judged in float64 against the same optimum."""
    family = plx.families.gaussian(providers=1, users=1, actions=3, states=4)
    keys = jr.split(jr.key(2), 64)
    markets = jax.vmap(family)(keys)

    def ratios(precision):
        annealing = plx.play.Annealing(steps=500, precision=precision)
        silent = lambda market: plx.play.silent_profile(market, ONE, ONE_WAY)
        ask = lambda market, key: plx.best_response(market, ONE, ONE_WAY, silent(market), key, annealing=annealing)
        found = jax.jit(jax.vmap(ask))(markets, keys)
        assert found.reply.policy[0].dtype == found.gain.dtype == np.float64
        np.testing.assert_allclose(np.asarray(found.reply.policy[0]).sum(axis=-1), 1.0, atol=1e-12)
        return np.asarray(found.ratio)

    single, double = ratios("float32"), ratios("float64")
    assert not np.array_equal(single, double)
    # Where several replies are locally best, rounding may decide which one play ends in.
    assert (abs(single - double) < 0.01).mean() > 0.95
    assert (single >= 0.99).mean() > 0.95


# Found among random markets with whole payoffs: [action, state], where the states are (type, evidence) pairs.
USER = np.array([[-3.0, 0.0, 2.0, 1.0], [2.0, -1.0, -3.0, 1.0], [3.0, -3.0, -3.0, 1.0]])
PROVIDER = np.array([[3.0, -3.0, -3.0, -1.0], [-2.0, 2.0, -2.0, 1.0], [-1.0, -1.0, -1.0, -3.0]])


def screening_market():
    """One user of two types; the provider sees one of two evidences; all four pairs are equally likely."""
    prior = np.zeros((1, 2, 2, 4))
    for kind, evidence in np.ndindex(2, 2):
        prior[0, kind, evidence, 2 * kind + evidence] = 0.25
    return plx.Market(prior, USER[None], PROVIDER[None, None], np.ones(1))


def types_as_users():
    """The same types as two users who hear one policy without queries: its best value is an exact programme."""
    prior = np.zeros((2, 1, 2, 4))
    for kind, evidence in np.ndindex(2, 2):
        prior[kind, 0, evidence, 2 * kind + evidence] = 0.5
    return plx.Market(prior, np.stack([USER] * 2), np.stack([PROVIDER] * 2)[None], np.full(2, 0.5))


@pytest.mark.slow
def test_menus_beat_one_way_signals_where_that_is_proved():
    market = screening_market()
    found, signals = plx.silence(market, ONE), plx.silence(types_as_users(), plx.anonymous(2)).value
    np.testing.assert_allclose([found.value.lower[0], found.value.upper[0]], 1 / 2, atol=1e-9)
    np.testing.assert_allclose([signals.lower[0], signals.upper[0]], 1 / 5, atol=1e-9)
    # The menu itself, played by the user: one query per type.
    assert found.reply.policy.shape[3] == 2
    told = plx.payoffs(market, ONE, None, found.reply).provider_value
    quiet = plx.payoffs(market, ONE, None, plx.play.silent_profile(market, ONE)).provider_value
    np.testing.assert_allclose(np.asarray(told) - np.asarray(quiet), 1 / 2, atol=1e-2)


@pytest.mark.slow
def test_gradients_find_menus_that_screen_types_from_every_start():
    market, talk = screening_market(), plx.Conversation(queries=2)
    silent = plx.play.silent_profile(market, ONE, talk)
    found = jax.jit(jax.vmap(lambda key: plx.best_response(market, ONE, talk, silent, key, starts=1)))(
        jr.split(jr.key(0), 64)
    )
    gain = np.asarray(found.gain)[:, 0]
    # Without a menu there is 1/5 to gain.
    assert (gain >= 0.99 / 2).mean() >= 0.5
    assert (gain <= 1 / 2 + 1e-9).all()
    said = jax.vmap(lambda reply: plx.payoffs(market, ONE, talk, reply).provider_value)(found.reply)
    quiet = plx.payoffs(market, ONE, talk, silent).provider_value
    np.testing.assert_allclose(np.asarray(said)[:, 0] - np.asarray(quiet), gain, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(("segments", "share"), [(plx.personalized(2), 0.8), (plx.anonymous(2), 0.6)])
def test_replies_win_users_from_others_and_are_worth_what_is_said(segments, share):
    family = plx.families.gaussian(providers=2, users=2, actions=3, states=3)
    markets = jax.vmap(family)(jr.split(jr.key(5), 16))
    talk = plx.Conversation(signals=4)

    @jax.jit
    @jax.vmap
    def reply(market):
        start = plx.play.gradient_policies(market, segments, talk, jr.key(1), annealing=plx.play.Annealing(steps=20))
        found = plx.best_response(market, segments, talk, start, starts=4, annealing=plx.play.Annealing(steps=300))
        return start, plx.payoffs(market, segments, talk, start), found

    start, before, found = jax.tree.map(np.asarray, reply(markets))
    assert (found.gain <= found.value.upper + 1e-9).all()
    assert (found.ratio >= 0.95).mean() >= share
    for provider in range(2):
        policy = start.policy.copy()
        policy[:, provider] = found.reply.policy[:, provider]
        # Those who are indifferent stay where they are.
        choice = before.choice.argmax(axis=1)
        after = jax.vmap(lambda m, p, c: plx.payoffs(m, segments, talk, plx.Profile(p, choice=c)).provider_value)(
            markets, policy, choice
        )
        better = found.gain[:, provider] > 1e-9
        assert better.any()
        gained = np.asarray(after)[:, provider] - before.provider_value[:, provider]
        # Near-ties of rounded policies are read one way here and another way there.
        np.testing.assert_allclose(gained[better], found.gain[better, provider], atol=1e-7)


@jax.jit
@jax.vmap
def play(market):
    return plx.play.best_response_play(market, plx.anonymous(2), rounds=4)


@pytest.mark.slow
def test_best_response_play_moves_the_one_that_gains_most_and_stops_at_equilibria():
    family = plx.families.gaussian(providers=2, users=2, actions=3, states=3)
    markets = jax.vmap(family)(jr.split(jr.key(3), 16))
    run = play(markets)
    marks = jax.vmap(plx.benchmarks)(markets)
    np.testing.assert_allclose(run.user_value[:, 0], marks.silent, atol=1e-12)
    still = np.asarray(run.holds) == plx.Truth.HOLDS
    # An equilibrium is never left.
    assert (np.diff(still.astype(int), axis=1) >= 0).all()
    change = np.abs(np.diff(np.asarray(run.provider_value), axis=1)).max(axis=-1)
    assert (change[still[:, :-1]] < 1e-9).all()
    assert (np.asarray(run.converged) == still[:, -1]).all()
    assert still[:, -1].any()
    assert (np.asarray(run.ended) == (~still).sum(axis=1)).all()
    # Before that, the provider with the largest gain gets more than it had.
    mover = np.asarray(run.value.lower).argmax(axis=-1)
    value = np.asarray(run.provider_value)
    for market, turn in np.argwhere(~still[:, :-1]):
        who = mover[market, turn]
        assert value[market, turn + 1, who] > value[market, turn, who]


@pytest.mark.slow
def test_best_response_play_starts_where_it_is_told():
    market = plx.families.gaussian(providers=2, users=2, actions=3, states=3)(jr.key(0))
    told = plx.play.best_response_play(market, plx.anonymous(2), "informative", rounds=4)
    assert told.converged
    assert told.ended == 0
    np.testing.assert_allclose(told.user_value[-1], plx.benchmarks(market).aligned)
    with pytest.raises(ValueError, match="start must be"):
        plx.play.best_response_play(market, plx.anonymous(2), "loud")
    with pytest.raises(ValueError, match="rounds must be"):
        plx.play.best_response_play(market, plx.anonymous(2), rounds=0)
