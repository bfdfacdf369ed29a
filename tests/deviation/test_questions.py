"""Silence, equilibria and profiles that are none: what is known by hand, invariances, and how input is checked."""

import asked
import cases
import deviation_oracle as oracle
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import pluraljax as plx
from pluraljax._deviation._standing import profile_standing
from pluraljax._frontier import frontier
from pluraljax._precision import in_float64

TOGETHER = np.zeros(2, np.int32)


def opposed(stronger):
    scales = [[1, -stronger], [-stronger, 1]]
    return plx.families.opposed(providers=2, users=2, scales=scales, common_decision=True)(jr.key(0))


def test_silence_is_an_anonymous_equilibrium_where_foes_are_stronger_than_friends():
    for stronger in (1.5, 4.0):
        found = asked.silence(opposed(stronger), TOGETHER)
        np.testing.assert_allclose([found.value.lower, found.value.upper], 0.0, atol=1e-10)
        assert found.is_equilibrium
        assert not found.is_refuted


def test_full_information_breaks_silence_where_friends_are_stronger():
    market = opposed(0.25)
    marks = asked.numbers(plx.benchmarks(market))
    found = asked.silence(market, TOGETHER)
    # Both users have mass 1/2 and gain the same; the friend counts 1, the foe -1/4.
    gain = 0.5 * (1 - 0.25) * (marks.aligned - marks.silent)[0]
    np.testing.assert_allclose([found.value.lower, found.value.upper], gain, atol=1e-9)
    assert found.is_refuted
    assert not found.is_equilibrium
    # A provider that is patient enough stays silent.
    assert asked.silence(market, TOGETHER, delta=1.01 * gain).is_equilibrium


def test_no_personalized_silence_where_everybody_has_a_friend():
    market = opposed(1.5)
    marks = asked.numbers(plx.benchmarks(market))
    found = asked.numbers(plx.silence(market, plx.personalized(2)))
    gain = 0.5 * (marks.aligned - marks.silent)[0]
    np.testing.assert_allclose([found.value.lower, found.value.upper, found.most], gain, atol=1e-9)
    assert found.is_refuted


@pytest.mark.slow
def test_all_providers_telling_everything_is_an_equilibrium():
    """Nobody can offer strictly more, and whoever offers less loses everybody to the others, who tell the same."""
    market = cases.as_market(cases.build("observed", 3, asked.PAIR))
    profile = plx.play.informative_profile(market, TOGETHER)
    found, gains, _ = asked.ask(market, TOGETHER, profile)
    asked.check(market, found, gains)
    assert found.is_equilibrium
    np.testing.assert_allclose(found.user_value, plx.benchmarks(market).aligned, atol=1e-12)


def test_silence_is_the_silent_profile_where_nothing_ties():
    for seed in range(5):
        market = cases.as_market(cases.build("observed", seed, asked.PAIR))
        silent = plx.Profile(np.ones((2, 1, 3, 1, 3)) / 3)
        by_name, by_profile = (asked.ask(market, TOGETHER, profile)[0] for profile in (None, silent))
        np.testing.assert_allclose(by_name.value.lower, by_profile.value.lower, atol=1e-9)
        np.testing.assert_allclose(by_name.value.upper, by_profile.value.upper, atol=1e-9)
        np.testing.assert_allclose(by_profile.user_value, plx.benchmarks(market).silent, atol=1e-12)
    shape = plx.play.silent_profile(market, TOGETHER).policy.shape
    assert shape == (2, 1, 3, 1, 1)


@pytest.mark.slow
def test_the_worst_personalized_equilibria_are_equilibria_and_worse_profiles_are_not():
    """The frontier's outcome, offered by all providers; and one worth less to a user than her worst equilibrium."""
    family = plx.families.gaussian(providers=2, users=2, actions=3, states=3, shared=1.0)
    ask = jax.jit(frontier).lower(family(jr.key(0))).compile(asked.CHEAP)
    checked = 0
    for seed in range(4):
        market, segments = family(jr.key(seed)), plx.personalized(2)
        marks, worst = asked.numbers(plx.benchmarks(market)), asked.numbers(ask(market))
        profile = plx.play.recommending_profile(worst.outcome, 2)
        found = asked.deviation(market, segments, profile, 1e-8)
        np.testing.assert_allclose(found.user_value, worst.value.upper, atol=1e-9)
        assert found.is_equilibrium
        assert (found.status == plx.Status.OK).all()
        below = worst.value.lower - marks.silent
        if below.max() < 1e-2:
            continue
        quiet = oracle.stakes(market)[0].sum(axis=1).argmax(axis=-1)
        mixed = 0.9 * worst.outcome + 0.1 * np.eye(3)[quiet][:, None, None]
        worse = asked.deviation(market, segments, plx.play.recommending_profile(mixed, 2))
        assert worse.is_refuted
        assert worse.value.lower.max() > 1e-4
        checked += 1
    assert checked >= 2


def with_types(seed, second=1.0):
    """Two users of two types, the second one `second` times as likely as drawn; two providers with the same payoffs."""
    generator = np.random.default_rng(seed)
    prior = generator.dirichlet(np.ones(6), size=2).reshape(2, 2, 3, 1) * np.array([1.0, second])[:, None, None]
    prior = prior / prior.sum(axis=(1, 2, 3), keepdims=True) * np.eye(3)
    user, provider = generator.normal(size=(2, 2, 3)), generator.normal(size=(1, 2, 2, 3))
    return plx.Market(prior, user, provider.repeat(2, axis=0), np.array([1.0, 0.5]))


@pytest.mark.slow
def test_menus_for_several_types_are_offered_and_reported_to():
    """What a single provider would give a user of unknown type: a rival with the same payoffs has nothing to add."""
    market, segments = with_types(0), plx.personalized(2)
    best = asked.numbers(plx.persuasion(market))
    found = asked.deviation(market, segments, plx.play.recommending_profile(best.outcome[0], 2), 1e-8)
    np.testing.assert_allclose(found.provider_value, best.value.lower[0] @ np.asarray(market.mass), atol=1e-9)
    assert found.is_equilibrium
    silent = plx.Profile(np.ones((2, 2, 3, 2, 2)) / 2)
    found = asked.deviation(market, segments, silent)
    wanted = best.value.lower[0] @ np.asarray(market.mass) - found.provider_value
    assert wanted.max() > 1e-3
    np.testing.assert_allclose([found.value.lower, found.value.upper], [wanted, wanted], atol=1e-8)


@pytest.mark.slow
def test_users_of_several_types_who_share_a_policy_get_the_private_bound():
    """A type that never occurs changes nothing but the method: the bracket still holds the public optimum."""
    generator = np.random.default_rng(2)
    for seed in range(6):
        market = with_types(seed, second=0.0)
        policy = generator.dirichlet(np.ones(2) * 0.5, size=(2, 1, 3, 1)).repeat(2, axis=3)
        found = asked.deviation(market, TOGETHER, plx.Profile(policy))
        standing = oracle.profile_standing(market, [0, 0], policy[:, :, :, 0])
        asked.check(market, found, oracle.best_gains(market, [0, 0], standing))
        np.testing.assert_allclose(found.value.upper, found.most)
        assert found.proof.public == (None,)


def test_a_single_provider_competes_with_silence():
    market = cases.as_market(cases.build("gaussian", 0, cases.Shape(providers=1, users=2)))
    policy = np.eye(3)[None, None, :, None]
    wanted = oracle.profile_standing(market, [0, 0], policy[:, :, :, 0])
    found = in_float64(profile_standing)(market, (0, 0), plx.Profile(policy))
    units = {"outside": found.user_unit, "user_value": found.user_unit}
    for name in ("outside", "elsewhere", "present", "user_value"):
        value = np.asarray(getattr(found, name)) * np.asarray(units.get(name, found.objective_unit[:, None]))
        np.testing.assert_allclose(value, getattr(wanted, name), atol=1e-12)
    assert np.asarray(found.loyal).all()


def relabelled(market, users, providers, actions):
    return plx.Market(
        np.asarray(market.prior)[users],
        np.asarray(market.user_value)[users][:, actions],
        np.asarray(market.provider_value)[providers][:, users][:, :, actions],
        np.asarray(market.mass)[users],
    )


def test_names_do_not_matter():
    generator = np.random.default_rng(0)
    for seed in range(5):
        market = cases.as_market(cases.build("observed", seed, asked.PAIR))
        profile = asked.random_profile(generator, asked.PAIR, TOGETHER)
        found, _, _ = asked.ask(market, TOGETHER, profile)
        users, providers, actions = (generator.permutation(n) for n in (2, 2, 3))
        other = relabelled(market, users, providers, actions)
        # Users who learn nothing of use are indifferent.
        choice = np.argsort(providers)[found.choice[users]]
        policy = np.asarray(profile.policy)[providers]
        again = asked.deviation(other, TOGETHER, plx.Profile(policy, choice=choice))
        np.testing.assert_allclose(again.value.lower, found.value.lower[providers], atol=1e-9)
        np.testing.assert_allclose(again.value.upper, found.value.upper[providers], atol=1e-9)
        np.testing.assert_allclose(again.most, found.most[providers], atol=1e-9)
        np.testing.assert_allclose(again.choice, choice)


def test_units_do_not_matter():
    market = cases.as_market(cases.build("observed", 1, asked.PAIR))
    profile = asked.random_profile(np.random.default_rng(1), asked.PAIR, TOGETHER)
    found, _, _ = asked.ask(market, TOGETHER, profile)
    scaled = plx.Market(
        market.prior,
        np.array([10.0, 1e-3])[:, None, None] * np.asarray(market.user_value) + 7,
        np.array([1e4, 1.0])[:, None, None, None] * np.asarray(market.provider_value) - 3,
        market.mass,
    )
    again, _, _ = asked.ask(scaled, TOGETHER, profile)
    np.testing.assert_allclose(again.value.lower, found.value.lower * [1e4, 1], rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(again.value.upper, found.value.upper * [1e4, 1], rtol=1e-7, atol=1e-9)


@pytest.mark.slow
def test_a_market_counts_the_same_alone_and_in_a_compiled_batch_with_traced_segments():
    """As a caller without the float64 switch runs it; labels are traced, which takes another path to each segment."""
    markets = [cases.as_market(cases.build("observed", seed, asked.PAIR)) for seed in range(4)]
    labels = np.array([[3, 3], [1, 0], [9, 5], [2, 2]], np.int32)
    generator = np.random.default_rng(0)
    policies = generator.dirichlet(np.ones(3) * 0.5, size=(4, 2, 2, 3, 1))
    run = jax.jit(jax.vmap(lambda market, segments, profile: plx.deviation(market, segments, profile, 0.01)))
    with jax.enable_x64(True):
        profiles = plx.Profile(policies[0])
        profiles = jax.tree.map(lambda leaf: jnp.asarray(policies), profiles)
    batch = cases.stack([cases.build("observed", seed, asked.PAIR) for seed in range(4)])
    together = asked.numbers(run.lower(batch, labels, profiles).compile(asked.CHEAP)(batch, labels, profiles))
    assert together.value.lower.dtype == np.float64
    for i, market in enumerate(markets):
        groups = len(set(labels[i].tolist()))
        alone = asked.deviation(market, labels[i], plx.Profile(policies[i][:, :groups]), 0.01)
        np.testing.assert_allclose(together.value.lower[i], alone.value.lower, atol=1e-9)
        np.testing.assert_allclose(together.value.upper[i], alone.value.upper, atol=1e-9)
        np.testing.assert_allclose(together.user_value[i], alone.user_value, atol=1e-12)
        assert together.is_refuted[i] == alone.is_refuted


def test_choices_break_ties():
    """Both providers are silent and users do not care: they go where they are told to, and do as they are told."""
    market = plx.Market(
        np.full((2, 1, 3, 3), 1 / 9), np.zeros((2, 3, 3)), np.eye(3)[None, None].repeat(2, 0).repeat(2, 1), np.ones(2)
    )
    policy = np.ones((2, 1, 3, 1, 3)) / 3
    told = np.broadcast_to(np.array([0, 1, 2], np.int32), (2, 2, 1, 1, 3))
    found = asked.deviation(market, TOGETHER, plx.Profile(policy, told, choice=np.array([1, 0])))
    np.testing.assert_array_equal(found.choice, [1, 0])
    astray = asked.deviation(market, TOGETHER, plx.Profile(policy, told + 7, choice=np.array([1, 9])))
    np.testing.assert_array_equal(astray.choice, [1, 0])
    np.testing.assert_allclose(astray.provider_value, 2 / 3, atol=1e-12)


def test_wrong_shapes_are_refused():
    market = cases.as_market(cases.build("observed", 0, asked.PAIR))
    policy = np.ones((2, 1, 3, 1, 3)) / 3
    with pytest.raises(ValueError, match="needs 5 non-empty axes, got shape"):
        plx.Profile(np.ones((2, 1, 3)))
    with pytest.raises(ValueError, match=r"= \(2, 2, 3\) for this market, got \(2, 1, 3\)"):
        plx.deviation(market, [0, 1], plx.Profile(policy))
    with pytest.raises(ValueError, match=r"= \(2, 1, 3\) for this market, got \(2, 1, 4\)"):
        plx.deviation(market, TOGETHER, plx.Profile(np.ones((2, 1, 4, 1, 3)) / 3))
    with pytest.raises(ValueError, match="policy has 1 queries and 3 signals"):
        plx.Profile(policy, recommended=np.zeros((2, 2, 1, 1, 2), int))
    with pytest.raises(ValueError, match=r"recommended must be .* = \(2, 2, 1\)"):
        plx.deviation(market, TOGETHER, plx.Profile(policy, recommended=np.zeros((2, 3, 1, 1, 3), int)))
    with pytest.raises(ValueError, match=r"choice must be \[user\] = \(2,\)"):
        plx.deviation(market, TOGETHER, plx.Profile(policy, choice=np.zeros(3, int)))
    with pytest.raises(ValueError, match="choices are integers"):
        plx.Profile(policy, choice=np.zeros(2))
    with pytest.raises(ValueError, match="delta must be >= 0"):
        plx.deviation(market, TOGETHER, plx.Profile(policy), -0.1)
    with pytest.raises(ValueError, match="one integer label per user"):
        plx.silence(market, np.zeros(3, np.int32))


def test_wrong_values_are_reported():
    market = cases.as_market(cases.build("observed", 0, asked.PAIR))
    policy = np.ones((2, 1, 3, 1, 3)) / 3
    for wrong in (np.nan, -1 / 3, 0.5):
        broken = policy.copy()
        broken[0, 0, 0, 0, 0] = wrong
        found = asked.deviation(market, TOGETHER, plx.Profile(broken))
        assert (found.status == plx.Status.POLICY_NOT_NORMALISED).all()
        assert np.isnan([*found.value.lower, *found.value.upper, *found.user_value, *found.provider_value]).all()
        assert not found.is_equilibrium
        assert not found.is_refuted
    nowhere = plx.Market(market.prior, np.full((2, 3, 3), np.nan), market.provider_value, market.mass)
    for found in (asked.deviation(nowhere, TOGETHER, plx.Profile(policy)), asked.silence(nowhere, TOGETHER)):
        assert (np.asarray(found.status) == plx.Status.NOT_FINITE).all()
        assert np.isnan(found.most).all()
