"""What must not matter to a conversation, how it is asked for, and what is refused."""

import functools
from typing import NamedTuple

import cases
import conversation_oracle as oracle
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conversation_oracle import Talk

import pluraljax as plx

# The shape of all tests here: each function is compiled once.
SHAPE = cases.Shape(providers=2, users=3, types=2, evidence=3, states=2, actions=3)
MIXED = [4, 1, 4]
PEOPLE = [plx.play.Rational(), plx.Logit(0.3, 0.2, 0.1)]
CHEAP = {"xla_backend_optimization_level": 0}
both_kinds = pytest.mark.parametrize("people", PEOPLE, ids=["rational", "logit"])


class Paid(NamedTuple):
    """The fields of `Payoffs`, as NumPy."""

    user_value: np.ndarray
    provider_value: np.ndarray
    offer_value: np.ndarray
    choice: np.ndarray
    outcome: np.ndarray
    status: np.ndarray


def numbers(found):
    return Paid(*(np.asarray(getattr(found, name)) for name in Paid._fields))


def payoffs(primitives, policies, people, segments=MIXED):
    return numbers(plx.payoffs(cases.as_market(primitives), segments, None, plx.Profile(policies), people))


@functools.cache
def examples():
    """Markets and policies in which no user is indifferent between providers, and what all kinds of people get."""
    generator, found = np.random.default_rng(0), []
    for seed in range(30):
        market = oracle.primitives("keen", seed, SHAPE)
        policies = oracle.random_policies(generator, Talk(), SHAPE, 2)
        paid = [payoffs(market, policies, people) for people in PEOPLE]
        if np.ptp(paid[0].offer_value, axis=0).min() > 1e-3:
            found.append((market, policies, paid))
    return found[:8]


def shown(people):
    """For each example what this kind of people gets."""
    return [(market, policies, paid[PEOPLE.index(people)]) for market, policies, paid in examples()]


def assert_same(found, wanted, tolerance=1e-12):
    for name, ours, theirs in zip(Paid._fields, found, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance, err_msg=name)


@functools.cache
def batched(rational):
    """`payoffs` for a batch, with traced labels and temperatures; one programme for every way to segment."""
    ask = lambda market, segments, profile, people: plx.payoffs(market, segments, None, profile, people)
    ask = jax.vmap(ask, in_axes=(0, 0, 0, None if rational else 0))
    return jax.jit(ask, compiler_options=CHEAP)


def each_row(people):
    return people if isinstance(people, plx.play.Rational) else [people] * 8


def in_batch(rows, labels, people):
    """All rows at once; `people` is one kind for all, or logit people for each row."""
    with jax.enable_x64(True):
        policies = [tuple(jnp.asarray(kernel) for kernel in policies) for _, policies in rows]
        profile = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[plx.Profile(policy) for policy in policies])
        rational = isinstance(people, plx.play.Rational)
        if not rational:
            people = jax.tree.map(lambda *leaves: jnp.stack(leaves), *people)
    market = cases.stack([market for market, _ in rows])
    found = numbers(batched(rational)(market, np.array(labels, np.int32), profile, people))
    return [Paid(*row) for row in zip(*found, strict=True)]


@both_kinds
def test_names_of_actions_queries_and_signals_do_not_matter(people):
    generator = np.random.default_rng(1)
    for market, policies, wanted in shown(people):
        actions = generator.permutation(SHAPE.actions)
        renamed = market._replace(
            user_value=market.user_value[:, actions], provider_value=market.provider_value[:, :, actions]
        )
        # Queries and signals of each round by names of their own.
        names = [generator.permutation(2) for _ in range(4)]
        kernels = []
        for kernel in policies:
            for axis in range(3, kernel.ndim):
                kernel = kernel.take(names[axis - 3], axis=axis)
            kernels.append(kernel)
        found = payoffs(renamed, tuple(kernels), people)
        assert_same(found, wanted._replace(outcome=wanted.outcome[..., actions]))


@both_kinds
def test_names_of_users_providers_and_segments_do_not_matter(people):
    """Labels are traced here, and compared with static ones."""
    generator = np.random.default_rng(2)
    rows, labels, wanted = [], [], []
    for market, policies, paid in shown(people):
        users, providers = generator.permutation(SHAPE.users), generator.permutation(SHAPE.providers)
        # In the order of labels the first and last user are the second segment now, and may become the first.
        label = np.array([[4, 1, 4], [-2, 0, -2]][generator.integers(2)])
        groups = [1, 0] if label[0] < label[1] else [0, 1]
        renamed = cases.Primitives(
            market.prior[users],
            market.user_value[users],
            market.provider_value[providers][:, users],
            market.mass[users],
        )
        rows.append((renamed, tuple(kernel[providers][:, groups] for kernel in policies)))
        labels.append(label[users])
        offers, choice = paid.offer_value[providers][:, users], paid.choice[providers][:, users]
        rivals = paid.provider_value[providers]
        wanted.append(Paid(paid.user_value[users], rivals, offers, choice, paid.outcome[users], paid.status))
    for found, theirs in zip(in_batch(rows, labels, each_row(people)), wanted, strict=True):
        assert_same(found, theirs)
    assert len({tuple(label) for label in labels}) > 3


@both_kinds
def test_units_do_not_matter(people):
    """Payoffs in other units, plus what no action changes; temperatures are in units of the user's payoff."""
    generator = np.random.default_rng(3)
    for market, policies, wanted in shown(people):
        scale, rival = generator.uniform(0.1, 10, size=3), generator.uniform(0.1, 10, size=2)
        offset, base = generator.normal(size=(3, 1, 2)), generator.normal(size=2)
        others = people
        if isinstance(people, plx.Logit):
            scale = np.full(3, scale[0])
            others = plx.Logit(*(scale[0] * float(heat) for heat in (people.action, people.query, people.provider)))
        changed = cases.Primitives(
            market.prior,
            scale[:, None, None] * market.user_value + offset,
            rival[:, None, None, None] * market.provider_value + base[:, None, None, None],
            3 * market.mass,
        )
        found = payoffs(changed, policies, others)
        own = scale * wanted.user_value + np.einsum("jtxy,jy->j", market.prior, offset[:, 0])
        np.testing.assert_allclose(found.user_value, own, rtol=0, atol=1e-10)
        theirs = 3 * (rival * wanted.provider_value + base * market.mass.sum())
        np.testing.assert_allclose(found.provider_value, theirs, rtol=0, atol=1e-10)
        np.testing.assert_allclose(found.choice, wanted.choice, atol=1e-10)
        np.testing.assert_allclose(found.outcome, wanted.outcome, atol=1e-10)


@both_kinds
def test_a_market_counts_the_same_alone_and_in_a_batch(people):
    """Rows that are no markets, or no policies, and other temperatures spoil no others."""
    rows, alone = [], []
    rational = isinstance(people, plx.play.Rational)
    each = [people if rational else plx.Logit(0.1 * i, 0.2, 0.5) for i in range(8)]
    for i, (market, policies, paid) in enumerate(shown(people)):
        if i == 1:
            market = market._replace(prior=np.full_like(market.prior, np.nan))
        if i == 2:
            policies = (policies[0], 2 * policies[1])
        rows.append((market, policies))
        alone.append(paid if rational and i not in (1, 2) else payoffs(market, policies, each[i]))
    found = in_batch(rows, [MIXED] * 8, people if rational else each)
    for ours, theirs in zip(found, alone, strict=True):
        assert_same(ours, theirs)
    codes = [plx.Status.OK, plx.Status.NOT_FINITE, plx.Status.POLICY_NOT_NORMALISED, plx.Status.OK]
    assert [int(row.status) for row in found[:4]] == codes
    for row in found[1:3]:
        assert all(np.isnan(leaf).all() for leaf in row[:-1])


@both_kinds
def test_compiled_is_the_same(people):
    static = lambda market, profile, people: plx.payoffs(market, np.array(MIXED), None, profile, people)
    compiled = jax.jit(static, compiler_options=CHEAP)
    for market, policies, wanted in shown(people)[:3]:
        assert_same(numbers(compiled(cases.as_market(market), plx.Profile(policies), people)), wanted)


@both_kinds
def test_single_precision_goes_in_and_double_precision_comes_out(people):
    single = lambda tree: tuple(np.asarray(leaf, np.float32) for leaf in tree)
    double = lambda tree: tuple(np.asarray(leaf, np.float64) for leaf in tree)
    for market, policies, wanted in shown(people)[:3]:
        market, policies = single(market), single(policies)
        found = payoffs(market, policies, people)
        assert found.user_value.dtype == found.outcome.dtype == np.float64
        assert_same(found, payoffs(double(market), double(policies), people))
        np.testing.assert_allclose(found.user_value, wanted.user_value, atol=1e-5)
        np.testing.assert_allclose(found.provider_value, wanted.provider_value, atol=1e-5)
        assert plx.Profile(policies).policy[1].dtype == np.float32


def test_no_distribution_is_reported():
    market, policies, _ = examples()[0]
    for turn in range(2):
        for wrong in (np.nan, np.inf, -0.5, 0.5 + 1e-5):
            broken = [np.full(kernel.shape, 0.5) for kernel in policies]
            broken[turn].flat[-1] = wrong
            if wrong == -0.5:
                broken[turn].flat[-2] = 1.5
            for people in PEOPLE:
                found = payoffs(market, tuple(broken), people)
                assert found.status == plx.Status.POLICY_NOT_NORMALISED
                assert all(np.isnan(leaf).all() for leaf in found[:-1])
                # What is wrong with the market comes first.
                worse = payoffs(market._replace(mass=-market.mass), tuple(broken), people)
                assert worse.status == plx.Status.MASS_NOT_POSITIVE
    # Rounding is none of its faults: probabilities are divided by their sum.
    near = tuple(kernel * (1 + 1e-7) for kernel in policies)
    assert_same(payoffs(market, near, PEOPLE[0]), payoffs(market, policies, PEOPLE[0]))


@pytest.mark.parametrize("name", ["rounds", "queries", "signals"])
@pytest.mark.parametrize("wrong", [0, -1, True])
def test_conversations_are_counted_in_whole_numbers(name, wrong):
    with pytest.raises(ValueError, match=f"Conversation.{name} must be a whole number of at least 1, got"):
        plx.Conversation(**{name: wrong})


def test_signals_may_be_left_to_the_market():
    assert plx.Conversation(2, 3) == plx.Conversation(rounds=2, queries=3, signals=None)


@pytest.mark.parametrize("wrong", [-1e-9, np.nan, -np.inf, np.inf])
@pytest.mark.parametrize("name", ["action", "query", "provider"])
def test_temperatures_are_finite_and_not_negative(name, wrong):
    with pytest.raises(ValueError, match=rf"Logit.{name} is a temperature: wanted a finite number >= 0"):
        plx.Logit(**{"action": 0.0, name: wrong})


def kernels(*lengths):
    """Kernels of all rounds whose rows are even; `lengths` are queries and signals of the first, the second, ..."""
    sizes = [(2, 2, 3, *lengths[: 2 * (turn + 1)]) for turn in range(len(lengths) // 2)]
    return tuple(np.full(size, 1 / size[-1]) for size in sizes)


@pytest.mark.parametrize(
    ("conversation", "policy"),
    [
        (plx.Conversation(2, 2, 2), kernels(2, 2)),
        (plx.Conversation(1, 2, 2), kernels(2, 2, 2, 2)),
        (plx.Conversation(2, 3, 2), kernels(2, 2, 2, 2)),
        (plx.Conversation(2, 2, 2), kernels(2, 2, 2, 3)),
        (plx.Conversation(2, 2, 2), kernels(2, 2, 1, 2)),
        (plx.Conversation(2, 2), kernels(2, 2, 2, 2)),
    ],
)
def test_profiles_fit_their_conversation(conversation, policy):
    market = cases.as_market(cases.build("gaussian", 0, SHAPE))
    with pytest.raises(ValueError, match=r"The conversation has \[query signal\] = .*, the profile \["):
        plx.payoffs(market, MIXED, conversation, plx.Profile(policy))


def test_profiles_fit_their_market():
    market = cases.as_market(cases.build("gaussian", 0, SHAPE))
    ask = lambda profile, segments=MIXED: plx.payoffs(market, segments, None, profile)
    policy = kernels(2, 2, 2, 2)
    with pytest.raises(ValueError, match=r"= \(2, 3, 3\) for this market, got \(2, 2, 3\)"):
        ask(plx.Profile(policy), [0, 1, 2])
    for axis, got in enumerate(((1, 2, 3), (2, 1, 3), (2, 2, 2))):
        cut = tuple(kernel.take(range(got[axis]), axis=axis) for kernel in policy)
        with pytest.raises(ValueError, match=rf"= \(2, 2, 3\) for this market, got \({', '.join(map(str, got))}\)"):
            ask(plx.Profile(cut))
    for people in ((2, 2, 2), (2, 3, 1)):
        with pytest.raises(ValueError, match=r"recommended must be \[provider user type \.\.\.\] = \(2, 3, 2\)"):
            ask(plx.Profile(policy, recommended=np.zeros((*people, 2, 2, 2, 2), int)))
        asked = (np.zeros((2, 3, 2), int), np.zeros((*people, 2, 2), int))
        with pytest.raises(ValueError, match=r"asked must be \[provider user type \.\.\.\] = \(2, 3, 2\)"):
            ask(plx.Profile(policy, asked=asked))
    with pytest.raises(ValueError, match=r"choice must be \[user\] = \(3,\)"):
        ask(plx.Profile(policy, choice=np.zeros(2, int)))
    with pytest.raises(ValueError, match="one integer label per user"):
        ask(plx.Profile(policy), [0, 1])


def test_transcripts_have_their_axes():
    first, second = kernels(2, 2, 2, 2)
    with pytest.raises(ValueError, match=r"needs 7 non-empty axes, got shape .* \(This is the kernel of round 2.\)"):
        plx.Profile((first, first))
    with pytest.raises(ValueError, match=r"needs 5 non-empty axes, got shape"):
        plx.Profile((second, first))
    with pytest.raises(ValueError, match=r"needs 7 non-empty axes"):
        plx.Profile((first, second[..., :0]))
    for axis in range(5):
        with pytest.raises(ValueError, match=r"Profile axes disagree: round 1 is .*, but round 2 is"):
            plx.Profile((first, second.take([0], axis=axis)))
    with pytest.raises(ValueError, match=r"needs one array for each of 2 rounds, got 1"):
        plx.Profile((first, second), asked=np.zeros((2, 3, 2), int))
    with pytest.raises(ValueError, match=r"Profile.asked\[provider,user,type,query,signal\] needs 5"):
        plx.Profile((first, second), asked=(np.zeros((2, 3, 2), int),) * 2)
    with pytest.raises(ValueError, match=r"Profile axes disagree: policy has .* but asked\[.*\] is \(2, 3, 2, 3, 2\)"):
        plx.Profile((first, second), asked=(np.zeros((2, 3, 2), int), np.zeros((2, 3, 2, 3, 2), int)))
    with pytest.raises(ValueError, match=r"Profile.recommended\[.*query,signal,query,signal\] needs 7"):
        plx.Profile((first, second), recommended=np.zeros((2, 3, 2, 2, 2), int))
    with pytest.raises(ValueError, match=r"Profile axes disagree: policy has .* but recommended\["):
        plx.Profile((first, second), recommended=np.zeros((2, 3, 2, 2, 2, 2, 3), int))
    with pytest.raises(ValueError, match="choices are integers"):
        plx.Profile((first, second), asked=(np.zeros((2, 3, 2)), np.zeros((2, 3, 2, 2, 2))))
    # One round in a tuple is one round.
    assert plx.Profile((first,)).policy.shape == first.shape


def test_segments_of_profiles_to_be_made_are_known():
    market = cases.as_market(cases.build("gaussian", 0, SHAPE))
    with pytest.raises(ValueError, match="segments must be known before compilation"):
        jax.jit(lambda segments: plx.play.silent_profile(market, segments))(np.array(MIXED, np.int32))
