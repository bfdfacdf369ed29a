"""Equilibria that play finds: certified ones are equilibria, and what is proved of all equilibria holds for them."""

import cases
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import pluraljax as plx

# Shapes and settings are shared, because each is compiled.
MARKETS, STARTS = 12, 4
QUICK = plx.play.Annealing(steps=60)
PERSONALIZED, ANONYMOUS = plx.personalized(2), plx.anonymous(2)
SHAPE = {"providers": 2, "users": 2, "actions": 3, "states": 3}


@jax.jit
@jax.vmap
def apart(market, key):
    return plx.equilibrium(market, PERSONALIZED, key=key, starts=STARTS, annealing=QUICK)


@jax.jit
def _together(markets, keys, delta):
    options = {"starts": STARTS, "method": "best_response", "rounds": 3, "delta": delta}
    return jax.vmap(lambda market, key: plx.equilibrium(market, ANONYMOUS, key=key, **options))(markets, keys)


def together(markets, keys, delta=0.0):
    return _together(markets, keys, float(delta))


recheck_apart = jax.jit(jax.vmap(lambda market, profile: plx.deviation(market, PERSONALIZED, profile)))
recheck_together = jax.jit(jax.vmap(lambda market, profile: plx.deviation(market, ANONYMOUS, profile)))


def draws(family, count=MARKETS):
    keys = jr.split(jr.key(3), count)
    return jax.vmap(family)(keys), keys


def pair(strength):
    """The two-provider, two-user market of the design: each provider loves one user and hates the other."""
    value = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    signs = np.array([[1.0, -strength], [-strength, 1.0]])
    return plx.observed_market(np.stack([value] * 2), signs[:, :, None, None] * value, mass=np.ones(2))


def stack(markets):
    """As many markets as `draws` draws, the last ones again and again, so that all batches compile as one."""
    filled = [*markets, *[markets[-1]] * (MARKETS - len(markets))]
    with jax.enable_x64(True):
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *filled)


@pytest.mark.slow
def test_personalized_equilibria_of_weakly_aligned_markets_give_everybody_what_is_aligned():
    markets, keys = draws(plx.families.conic(**SHAPE, perturbation=0.0))
    found = apart(markets, keys).found
    certified = np.asarray(found.holds) == plx.Truth.HOLDS
    assert certified.mean() > 0.9
    alignment, marks = jax.vmap(plx.weak_alignment)(markets), jax.vmap(plx.benchmarks)(markets)
    scale = np.ptp(np.asarray(markets.user_value), axis=(2, 3))
    assert (np.asarray(alignment.value.upper) <= 1e-8 * scale).all()
    gain = np.asarray(found.value.upper).max(axis=-1)[..., None]
    weights = np.asarray(alignment.weights).sum(axis=-1) / np.asarray(markets.mass)
    lost = np.asarray(marks.aligned)[:, None] - np.asarray(found.user_value)
    assert (lost <= 1e-6 * scale[:, None] + gain * weights[:, None])[certified].all()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["personalized", "anonymous"])
def test_verdicts_and_values_stand_when_each_profile_is_looked_at_again(scheme):
    find, recheck = {"personalized": (apart, recheck_apart), "anonymous": (together, recheck_together)}[scheme]
    markets, keys = draws(plx.families.gaussian(**SHAPE))
    found = find(markets, keys).found
    for start in range(STARTS):
        one = jax.tree.map(lambda leaf, start=start: leaf[:, start], found)
        again = recheck(markets, one.profile)
        np.testing.assert_allclose(one.user_value, again.user_value, atol=1e-9)
        np.testing.assert_allclose(one.provider_value, again.provider_value, atol=1e-9)
        verdict = np.asarray(one.holds)
        assert np.asarray(again.is_equilibrium)[verdict == plx.Truth.HOLDS].all()
        assert np.asarray(again.is_refuted)[verdict == plx.Truth.FAILS].all()
        assert not np.asarray(again.is_equilibrium)[verdict == plx.Truth.FAILS].any()


@pytest.mark.slow
def test_equilibria_found_lie_between_the_worst_one_and_aligned_and_are_sorted():
    markets, keys = draws(plx.families.gaussian(**SHAPE))
    result = apart(markets, keys)
    certified = np.asarray(result.found.holds) == plx.Truth.HOLDS
    worst, marks = (
        jax.jit(jax.vmap(lambda m: plx.worst_equilibrium(m, PERSONALIZED).value))(markets),
        jax.vmap(plx.benchmarks)(markets),
    )
    value = np.asarray(result.found.user_value)
    assert (value >= np.asarray(worst.lower)[:, None] - 1e-7)[certified].all()
    assert (value <= np.asarray(marks.aligned)[:, None] + 1e-9)[certified].all()
    assert (np.diff((value * np.asarray(markets.mass)[:, None]).sum(axis=-1), axis=1) >= -1e-12).all()
    # The one reported is the first certified one, and play does reach equilibria below aligned.
    first = certified.argmax(axis=1)
    np.testing.assert_array_equal(result.user_value, value[np.arange(MARKETS), first])
    below = (value < np.asarray(marks.aligned)[:, None] - 1e-3) & certified[..., None]
    assert below.any()
    assert (np.asarray(result.num_certified) == certified.sum(axis=1)).all()
    assert (np.asarray(result.found.is_first).sum(axis=1) >= certified.any(axis=1)).all()
    assert np.sort(np.asarray(result.found.start), axis=1).tolist() == [[0, 1, 2, 3]] * MARKETS


@pytest.mark.slow
def test_silence_is_found_where_opposed_providers_hold_each_other_and_not_where_they_do_not():
    markets = stack([pair(2.0), pair(0.5)])
    result = together(markets, jr.split(jr.key(0), MARKETS))
    marks = jax.vmap(plx.benchmarks)(markets)
    start, verdict = np.asarray(result.found.start), np.asarray(result.found.holds)
    silent = np.asarray(result.found.user_value)[start == 0]
    assert verdict[0][start[0] == 0] == plx.Truth.HOLDS
    np.testing.assert_allclose(silent[0], marks.silent[0])
    assert (silent[1] > np.asarray(marks.silent[1]) + 1e-3).any()
    # Full information stays one in both: no offer is strictly better.
    told = np.asarray(result.found.user_value)[start == 1]
    np.testing.assert_allclose(told, marks.aligned)
    assert (verdict[start == 1] == plx.Truth.HOLDS).all()


@pytest.mark.slow
def test_a_profile_that_leaves_less_than_delta_on_the_table_is_an_equilibrium():
    market, keys = pair(0.5), jr.split(jr.key(0), MARKETS)
    for mass in (np.ones(2), np.array([1.0, 1.5])):
        market = plx.Market(market.prior, market.user_value, market.provider_value, mass)
        worth = np.asarray(plx.silence(market, ANONYMOUS).value.upper).max()
        assert worth > 0.1
        for share, certified in ((1.01, True), (0.99, False)):
            found = together(stack([market]), keys, share * worth).found
            silent = np.isclose(found.user_value[0], plx.benchmarks(market).silent).all(axis=-1)
            verdict = np.asarray(found.holds[0])
            assert ((verdict == plx.Truth.HOLDS) & silent & (np.asarray(found.start[0]) == 0)).any() == certified


@pytest.mark.slow
def test_labels_need_not_be_in_order():
    market = plx.families.gaussian(**SHAPE)(jr.key(2))
    result = plx.equilibrium(market, (7, -3), method="best_response", starts=1, rounds=2)
    # The policies of the profile are in the order of the sorted labels.
    paid = plx.payoffs(market, (7, -3), None, result.profile)
    np.testing.assert_allclose(paid.user_value, result.user_value, atol=1e-9)
    assert np.abs(plx.payoffs(market, (-3, 7), None, result.profile).user_value - paid.user_value).max() > 1e-3
    assert (np.asarray(result.most) >= np.asarray(result.value.upper) - 1e-9).all()
    assert result.status == plx.Status.OK


@pytest.mark.slow
def test_a_single_provider_of_a_user_with_types_does_as_well_as_it_can():
    shape = cases.Shape(providers=1, users=1, types=2, evidence=2, states=2, actions=2)
    for seed in range(4):
        market = cases.as_market(cases.build("gaussian", seed, shape))
        result = plx.equilibrium(market, (0,), method="best_response", starts=1, rounds=2)
        assert result.holds == plx.Truth.HOLDS
        silence = plx.deviation(market, (0,), plx.play.silent_profile(market, (0,)))
        np.testing.assert_allclose(result.provider_value, silence.provider_value + silence.value.upper, atol=1e-6)


@pytest.mark.slow
def test_users_with_nothing_to_choose_are_in_equilibrium_whatever_they_are_told():
    market = cases.as_market(cases.build("gaussian", 0, cases.Shape(providers=2, users=2, actions=1)))
    result = plx.equilibrium(market, PERSONALIZED, method="best_response", starts=3, rounds=1)
    assert result.num_certified == 3
    np.testing.assert_allclose(result.user_value, plx.benchmarks(market).silent, atol=1e-12)
    assert int(result.found.is_first.sum()) == 1


@pytest.mark.slow
def test_batch_rows_do_not_depend_on_each_other_and_starts_on_the_key_alone():
    markets, keys = draws(plx.families.gaussian(**SHAPE))
    together_, half = together(markets, keys), together(*jax.tree.map(lambda leaf: leaf[::-1], (markets, keys)))
    np.testing.assert_allclose(together_.found.user_value, np.asarray(half.found.user_value)[::-1], atol=1e-9)


@pytest.mark.slow
def test_an_invalid_market_is_told_by_its_status_and_leaves_the_others_alone():
    good, bad = pair(2.0), pair(2.0)
    bad = plx.Market(bad.prior, np.asarray(bad.user_value) * np.nan, bad.provider_value, bad.mass)
    result = together(stack([good, bad]), jr.split(jr.key(0), MARKETS))
    assert (result.status[1:] == plx.Status.NOT_FINITE).all()
    assert np.isnan(np.asarray(result.user_value[1])).all()
    assert np.isnan(np.asarray(result.value.upper[1])).all()
    assert result.holds[1] == plx.Truth.OPEN
    assert result.num_certified[1] == 0
    assert result.holds[0] == plx.Truth.HOLDS
    assert np.isfinite(np.asarray(result.user_value[0])).all()


@pytest.mark.parametrize("method", ["simultaneous", "alternating", "logit"])
def test_gradient_play_brings_softened_users_of_a_friendly_provider_to_full_information(method):
    value = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    market = plx.observed_market(value[None], np.stack([value[None]] * 2))
    profile = plx.play.gradient_policies(
        market,
        plx.personalized(1),
        plx.Conversation(),
        jr.key(1),
        method=method,
        annealing=plx.play.Annealing(steps=400),
    )
    found = plx.payoffs(market, plx.personalized(1), None, profile)
    assert np.asarray(found.user_value)[0] > 0.95 * np.asarray(plx.benchmarks(market).aligned)[0]
    np.testing.assert_allclose(np.asarray(profile.policy).sum(axis=-1), 1.0)


@pytest.mark.slow
def test_conversations_of_several_rounds_end_in_profiles_of_one():
    market = plx.families.gaussian(providers=2, users=1, actions=2, states=2)(jr.key(5))
    conversation = plx.Conversation(rounds=2, queries=2, signals=2)
    result = plx.equilibrium(
        market, plx.personalized(1), conversation, starts=2, annealing=plx.play.Annealing(steps=20)
    )
    assert result.profile.policy.shape[-2] == 8  # a plan: a first query, and one after each of two answers
    assert result.holds == plx.Truth.HOLDS
    again = plx.deviation(market, plx.personalized(1), result.profile)
    np.testing.assert_allclose(again.user_value, result.user_value, atol=1e-9)


def test_bad_arguments_are_refused():
    market = pair(2.0)
    for wanted, changes in (
        ("method must be one of", {"method": "magic"}),
        ("starts and rounds must be >= 1", {"starts": 0}),
        ("starts and rounds must be >= 1", {"rounds": 0}),
    ):
        with pytest.raises(ValueError, match=wanted):
            plx.equilibrium(market, ANONYMOUS, **changes)
    with pytest.raises(ValueError, match="known before compilation"):
        jax.jit(lambda labels: plx.equilibrium(market, labels).user_value)(jnp.zeros(2, jnp.int32))
    for changes in (
        {"steps": 0},
        {"rate": 0.0},
        {"rate": 2.0},
        {"hottest": -1.0},
        {"coldest": 0.0},
        {"turn": 0},
        {"precision": "float16"},
    ):
        with pytest.raises(ValueError, match="Annealing"):
            plx.play.Annealing(**changes)
