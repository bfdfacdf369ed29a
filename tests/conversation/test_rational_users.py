"""Rational users against conversations of several rounds: as good as the best of all strategies, and no better."""

import itertools

import cases
import conversation_oracle as oracle
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conversation_oracle import Talk

import pluraljax as plx
from pluraljax._conversation import as_kernels, menu_from_kernels

# The shape of nearly all tests here: each is compiled once.
SHAPE = cases.Shape(providers=2, users=3, types=2, evidence=3, states=2, actions=3)
MIXED = [4, 1, 4]
# Generic markets, and those with ties, with priors that hold zeros, and with users who do not care.
EXACT = ("dyadic", "integers", "integers_unseen", "grid", "zero_user", "all_zero", "duplicates", "keen", "state_only")
# Here some transcripts matter less than a tie does: values are exact, but choices are not unique.
FAINT = ("skewed", "shifted", "scales")


def make(name, seed, shape=SHAPE):
    return cases.as_market(oracle.primitives(name, seed, shape))


def draw(generator, name, talk=Talk(), shape=SHAPE, groups=2):  # noqa: B008
    """Policies that make ties with markets of integers."""
    kind = oracle.policies_in_quarters if name in EXACT[:4] else oracle.random_policies
    return kind(generator, talk, shape, groups)


def check_by_strategies(market, segments, policies, talk, exact=True):
    """Compares with all pure strategies; returns how many types of users had more than one best outcome."""
    found = jax.tree.map(np.asarray, plx.payoffs(market, segments, plx.Conversation(*talk), plx.Profile(policies)))
    assert found.status == plx.Status.OK
    own, theirs = oracle.stakes(market)
    place, actions = oracle.place_of(segments), own.shape[-1]
    groups = sorted(itertools.product(range(len(theirs)), set(place)))
    outcomes = {group: oracle.all_outcomes(oracle.policy_of(policies, *group), actions) for group in groups}
    several = 0
    np.testing.assert_allclose(found.outcome.sum(axis=-1), 1, atol=1e-12)
    for j, user in enumerate(own):
        size = oracle.size_of(user)
        best = [
            [oracle.best_outcomes(each, outcomes[i, place[j]], oracle.TIE * size) for each in user]
            for i in range(len(theirs))
        ]
        offers = np.array([sum(value for value, _ in row) for row in best])
        np.testing.assert_allclose(found.offer_value[:, j], offers, rtol=0, atol=1e-12 * size)
        np.testing.assert_allclose(found.user_value[j], offers.max(), rtol=0, atol=1e-12 * size)
        np.testing.assert_allclose((user * found.outcome[j]).sum(), offers.max(), rtol=0, atol=1e-10 * size)
        chosen = next(i for i in range(len(theirs)) if offers[i] >= offers.max() - oracle.TIE * size)
        np.testing.assert_array_equal(found.choice[:, j], np.eye(len(theirs))[chosen])
        for t in range(len(user)) if exact else ():
            # What all providers can get from her at her best; she picks what hers likes most.
            attainable = np.einsum("ixa,nxa->ni", theirs[:, j, t], best[chosen][t][1])
            got = np.einsum("ixa,xa->i", theirs[:, j, t], found.outcome[j, t])
            room = 1e-12 * np.abs(theirs[:, j]).max(axis=-1).sum()
            assert np.abs(attainable - got).max(axis=1).min() <= room
            np.testing.assert_allclose(got[chosen], attainable[:, chosen].max(), rtol=0, atol=room)
            several += np.ptp(attainable[:, chosen]) > 1e-6
    total = np.einsum("ijtxa,jtxa->i", theirs, found.outcome)
    np.testing.assert_allclose(found.provider_value, total, rtol=1e-12, atol=1e-12 * np.abs(theirs).sum())
    return several


def test_no_strategy_is_better():
    generator = np.random.default_rng(0)
    several = 0
    for seed in range(200):
        name = (EXACT + FAINT)[seed % len(EXACT + FAINT)]
        policies = draw(generator, name)
        several += check_by_strategies(make(name, seed), MIXED, policies, Talk(), exact=name in EXACT)
    assert several > 100, "too few ties to tell how users break them"


@pytest.mark.parametrize(
    ("talk", "shape", "segments", "count"),
    [
        (Talk(1, 1, 3), SHAPE, [0, 1, 2], 20),
        (Talk(1, 3, 2), SHAPE, [5, 5, 5], 20),
        (Talk(3, 2, 2), cases.Shape(providers=2, users=1, types=2, evidence=2, states=2, actions=2), [0], 6),
        (Talk(2, 2, 2), cases.Shape(providers=1, users=2, types=1, evidence=1, states=2, actions=1), [7, -7], 3),
    ],
)
def test_no_strategy_is_better_in_other_conversations(talk, shape, segments, count):
    generator = np.random.default_rng(1)
    for seed in range(count):
        name = EXACT[seed % len(EXACT)]
        policies = draw(generator, name, talk, shape, len(set(segments)))
        check_by_strategies(make(name, seed, shape), segments, policies, talk)


def test_users_at_a_tie_do_as_they_are_told():
    """Users who do not care about anything ask what they are asked to, and do what is recommended then."""
    generator = np.random.default_rng(2)
    market = make("keen", 0)
    idle = plx.Market(market.prior, 0 * np.asarray(market.user_value), market.provider_value, market.mass)
    policies, people = oracle.random_policies(generator, Talk(), SHAPE, 2), (2, 3, 2)
    told = generator.integers(0, 3, size=(*people, 2, 2, 2, 2))
    asked = (generator.integers(0, 2, size=people), generator.integers(0, 2, size=(*people, 2, 2)))
    choice = np.array([1, 0, 1])
    found = plx.payoffs(idle, MIXED, None, plx.Profile(policies, told, asked, choice))
    np.testing.assert_array_equal(np.asarray(found.choice).argmax(axis=0), choice)
    earned = np.zeros(2)
    for j, t in itertools.product(range(3), range(2)):
        mine = choice[j], j, t
        first = asked[0][mine]
        second = asked[1][mine][first]
        plan = {(): first, (0,): second[0], (1,): second[1]}
        does = np.eye(3)[[told[mine][first, s, second[s], r] for s, r in itertools.product(range(2), range(2))]]
        outcome = oracle.outcome_of(oracle.policy_of(policies, choice[j], oracle.place_of(MIXED)[j]), plan, does)
        np.testing.assert_allclose(np.asarray(found.outcome)[j, t], outcome, atol=1e-12)
        earned += np.einsum("ixa,xa->i", oracle.stakes(idle)[1][:, j, t], outcome)
    np.testing.assert_allclose(found.provider_value, earned, atol=1e-12)
    # Where providers do not care either, everybody takes the first of all options: this advice adds up the queries.
    nobody = plx.Market(idle.prior, idle.user_value, 0 * np.asarray(idle.provider_value), idle.mass)
    told = np.broadcast_to(np.add.outer(np.arange(2), np.arange(2))[:, None, :, None], told.shape)
    free = tuple(np.full(leaf.shape, -1) for leaf in asked)
    first = plx.payoffs(nobody, MIXED, None, plx.Profile(policies, told, free, np.array([-1, 2, 0])))
    np.testing.assert_allclose(first.outcome[..., 0], 1, atol=1e-12)
    np.testing.assert_array_equal(first.choice[0], 1)


def test_users_who_care_take_no_orders():
    generator = np.random.default_rng(3)
    compared, people = 0, (2, 3, 2)
    for seed in range(12):
        market, policies = make("keen", seed), oracle.random_policies(generator, Talk(), SHAPE, 2)
        alone = plx.payoffs(market, MIXED, None, plx.Profile(policies))
        if np.ptp(alone.offer_value, axis=0).min() < 1e-6:
            continue
        told = generator.integers(0, 3, size=(*people, 2, 2, 2, 2))
        asked = (generator.integers(0, 2, size=people), generator.integers(0, 2, size=(*people, 2, 2)))
        worst = np.asarray(alone.offer_value).argmin(axis=0)
        ordered = plx.payoffs(market, MIXED, None, plx.Profile(policies, told, asked, worst))
        for name in ("user_value", "provider_value", "choice", "outcome"):
            np.testing.assert_allclose(getattr(ordered, name), getattr(alone, name), rtol=0, atol=1e-12)
        compared += 1
    assert compared >= 6


def test_telling_all_is_worth_the_aligned_value_and_silence_the_silent_one():
    market = make("keen", 3)
    marks = plx.benchmarks(market)
    conversation = plx.Conversation(*Talk())
    for make_profile, wanted in (
        (plx.play.informative_profile, marks.aligned),
        (plx.play.silent_profile, marks.silent),
    ):
        profile = make_profile(market, MIXED, conversation)
        found = plx.payoffs(market, MIXED, conversation, profile)
        np.testing.assert_allclose(found.user_value, wanted, atol=1e-12)
    # One binary digit of three evidences: something, but not everything.
    short = plx.Conversation(1, 1, 2)
    found = plx.payoffs(market, MIXED, short, plx.play.informative_profile(market, MIXED, short))
    assert (np.asarray(found.user_value) < np.asarray(marks.aligned) - 1e-6).any()
    # By default an answer can tell all evidences, or all actions if there are more.
    assert plx.play.informative_profile(market, MIXED).policy.shape == (2, 2, 3, 1, 3)
    many = cases.as_market(cases.build("gaussian", 3, SHAPE._replace(actions=5)))
    assert plx.Conversation(2, 4).kernel_shapes(many, MIXED) == [(2, 2, 3, 4, 5), (2, 2, 3, 4, 5, 4, 5)]


def menus(policies):
    """The conversations of all providers and segments as menus: `[provider segment evidence plan signals]`."""
    with jax.enable_x64(True):
        kernels = as_kernels(tuple(jnp.asarray(kernel) for kernel in policies))
        return np.asarray(jax.vmap(jax.vmap(menu_from_kernels))(kernels))


def test_menus_of_plans_are_the_same_conversation():
    generator = np.random.default_rng(4)
    for seed in range(10):
        market, policies = make("keen", seed), oracle.random_policies(generator, Talk(), SHAPE, 2, zeros=0.0)
        menu = menus(policies)
        assert menu.shape == (2, 2, 3, 8, 4)
        there = plx.payoffs(market, MIXED, plx.Conversation(*Talk()), plx.Profile(policies))
        here = plx.payoffs(market, MIXED, plx.Conversation(1, 8, 4), plx.Profile(menu))
        for name in ("user_value", "provider_value", "offer_value", "choice"):
            np.testing.assert_allclose(getattr(here, name), getattr(there, name), rtol=0, atol=1e-12)
    # Each plan is one of the oracle's, and all of them are there.
    plans = [oracle.answer_chances(oracle.policy_of(policies, 1, 0), plan) for plan in oracle.query_plans(*Talk())]
    np.testing.assert_allclose(menu[1, 0].swapaxes(0, 1), plans, atol=1e-15)


def test_telling_a_conversation_as_one_round_keeps_what_is_recommended_and_asked():
    generator, talk = np.random.default_rng(6), Talk()
    options = (talk.queries, talk.signals)
    for name in ("all_zero", "keen"):
        # Where nothing matters, users do whatever they are told.
        market, policies = make(name, 6), oracle.random_policies(generator, talk, SHAPE, 2, zeros=0.0)
        lead = (SHAPE.providers, SHAPE.users, SHAPE.types)
        profile = plx.Profile(
            policies,
            generator.integers(SHAPE.actions, size=(*lead, *options, *options)),
            (generator.integers(2, size=lead), generator.integers(2, size=(*lead, *options))),
            generator.integers(2, size=SHAPE.users),
        )
        there = plx.payoffs(market, MIXED, None, profile)
        here = plx.payoffs(market, MIXED, None, plx.play.in_one_round(profile))
        for field in ("user_value", "provider_value", "offer_value", "choice"):
            np.testing.assert_allclose(getattr(here, field), getattr(there, field), rtol=0, atol=1e-12)
        if name == "all_zero":
            np.testing.assert_allclose(here.outcome, there.outcome, rtol=0, atol=1e-12)
            plain = plx.payoffs(market, MIXED, None, plx.Profile(policies))
            assert np.abs(np.asarray(plain.outcome) - np.asarray(there.outcome)).max() > 0.1
        assert plx.play.in_one_round(profile).policy.shape == (2, 2, 3, 8, 4)
    # A round that wants no query of its own leaves the plan to the user, and one round is left as it is.
    quiet = plx.Profile(policies, None, (np.full(lead, -1), profile.asked[1]))
    assert (np.asarray(plx.play.in_one_round(quiet).asked) == -1).all()
    once = plx.play.in_one_round(profile)
    jax.tree.map(np.testing.assert_array_equal, plx.play.in_one_round(once), once)


def test_menus_of_too_many_plans_are_refused():
    with pytest.raises(ValueError, match="too many plans of queries"):
        menu_from_kernels(as_kernels(tuple(jnp.ones((1, *(128, 2) * turn)) for turn in (1, 2))))


@pytest.mark.slow
def test_deviations_from_a_conversation_are_those_from_its_menu():
    shape, segments = cases.Shape(providers=2, users=2, types=2, evidence=2, states=2, actions=2), plx.personalized(2)
    generator = np.random.default_rng(5)
    gains = []
    for seed in range(24):
        market = make("keen", seed, shape)
        # Every other profile tells little, so that there is much to gain.
        share = (1.0, 0.2)[seed % 2]
        policies = tuple(
            share * kernel + (1 - share) / 2 for kernel in oracle.random_policies(generator, Talk(), shape, 2)
        )
        there, here = (plx.deviation(market, segments, plx.Profile(policy)) for policy in (policies, menus(policies)))
        for name in ("user_value", "provider_value", "choice", "most", "holds", "status"):
            np.testing.assert_allclose(getattr(here, name), getattr(there, name), rtol=0, atol=1e-8, err_msg=name)
        np.testing.assert_allclose(here.value.lower, there.value.lower, rtol=0, atol=1e-8)
        np.testing.assert_allclose(here.value.upper, there.value.upper, rtol=0, atol=1e-8)
        paid = plx.payoffs(market, segments, None, plx.Profile(policies))
        np.testing.assert_allclose(there.user_value, paid.user_value, atol=1e-12)
        np.testing.assert_allclose(there.provider_value, paid.provider_value, atol=1e-12)
        gains.append(np.asarray(there.value.lower))
    assert (np.max(gains, axis=1) > 1e-3).mean() > 0.2
