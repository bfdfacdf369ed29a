"""Logit users: their play against a slow twin, what it costs them, and derivatives of all that follows from it."""

import functools

import cases
import conversation_oracle as oracle
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conversation_oracle import Talk, Temperatures

import pluraljax as plx
from pluraljax._conversation import as_kernels
from pluraljax._payoff import evaluate, game_gradient, lay_out_game

# The shape of all tests here: each function is compiled once for each way to segment.
SHAPE = cases.Shape(providers=2, users=3, types=2, evidence=3, states=2, actions=3)
MIXED, PERSONALIZED, ANONYMOUS = (4, 1, 4), (0, 1, 2), (0, 0, 0)
TALK = Talk()
# Half the time to compile, for the price of a slower run.
CHEAP = {"xla_backend_optimization_level": 0}
FIELDS = ("offer_value", "choice", "user_value", "provider_value")


def make(name, seed):
    return cases.as_market(oracle.primitives(name, seed, SHAPE))


def payoffs(market, policies, heat, segments=MIXED):
    people = plx.play.Rational() if heat is None else plx.Logit(*heat)
    return jax.tree.map(np.asarray, plx.payoffs(market, segments, None, plx.Profile(policies), people))


def range_of(market):
    """The sizes of payoffs: a user's, and a provider's."""
    own, theirs = oracle.stakes(market)
    return np.abs(own).max(axis=-1).sum(axis=(1, 2)), np.abs(theirs).max(axis=-1).sum(axis=(1, 2, 3))


@pytest.mark.parametrize("segments", [MIXED, PERSONALIZED, ANONYMOUS])
def test_logit_users_play_as_the_slow_twin(segments):
    generator = np.random.default_rng(0)
    for seed, name in enumerate(("keen", "skewed", "integers_unseen", "zero_user", "duplicates", "observed") * 2):
        market = make(name, seed)
        policies = oracle.random_policies(generator, TALK, SHAPE, len(set(segments)))
        heat = Temperatures(*np.exp(generator.uniform(-4, 1, size=3)))
        found, wanted = payoffs(market, policies, heat, segments), oracle.soft_payoffs(market, segments, policies, heat)
        for field in FIELDS:
            np.testing.assert_allclose(getattr(found, field), getattr(wanted, field), rtol=1e-10, atol=1e-10)
        own, theirs = oracle.stakes(market)
        np.testing.assert_allclose((own * found.outcome).sum(axis=(1, 2, 3)), found.user_value, atol=1e-12)
        np.testing.assert_allclose((theirs * found.outcome).sum(axis=(1, 2, 3, 4)), found.provider_value, atol=1e-12)
        np.testing.assert_allclose(found.outcome.sum(axis=-1), 1, atol=1e-12)


def test_one_temperature_is_for_all_choices():
    generator = np.random.default_rng(1)
    market, policies = make("keen", 1), oracle.random_policies(generator, TALK, SHAPE, 2)
    wanted = payoffs(market, policies, (0.3, 0.3, 0.3))
    for heat in ((0.3,), (0.3, None, 0.3), (0.3, 0.3, None)):
        found = payoffs(market, policies, heat)
        jax.tree.map(np.testing.assert_array_equal, found, wanted)
    # And each is for one kind of choice only.
    for other in ((0.5, 0.3, 0.3), (0.3, 0.5, 0.3), (0.3, 0.3, 0.5)):
        assert np.abs(payoffs(market, policies, other).user_value - wanted.user_value).max() > 1e-6


def test_softness_costs_no_more_than_temperatures_times_logarithms():
    """`tau_a log A + R tau_q log Q + tau_c log k`, and it falls with the temperature."""
    generator = np.random.default_rng(2)
    costs = []
    for seed in range(12):
        market = make(("keen", "observed", "integers")[seed % 3], seed)
        policies = oracle.random_policies(generator, TALK, SHAPE, 2)
        exact, size = payoffs(market, policies, None), range_of(market)[0]
        shares = generator.dirichlet(np.ones(3))
        row = []
        for hot in 10.0 ** -np.arange(1, 6):
            action, query, provider = hot * shares * [3, 3, 3]
            soft = payoffs(market, policies, (action, query, provider))
            talk = action * np.log(SHAPE.actions) + TALK.rounds * query * np.log(TALK.queries)
            bounds = {"offer_value": talk, "user_value": talk + provider * np.log(SHAPE.providers)}
            for field, bound in bounds.items():
                cost = getattr(exact, field) - getattr(soft, field)
                assert (cost >= -1e-12 * size).all()
                assert (cost <= bound + 1e-12 * size).all(), (field, hot, cost, bound)
            row.append(cost.max())
        costs.append(row)
    median = np.median(costs, axis=0)
    assert median[0] > 1e-3, "the hottest users have to lose something"
    assert (median[1:] <= 0.11 * median[:-1] + 1e-12).all()


def test_without_temperature_users_are_rational():
    generator = np.random.default_rng(3)
    compared = 0
    for seed in range(24):
        market = make("keen", seed)
        policies = oracle.random_policies(generator, TALK, SHAPE, 2, zeros=0.0)
        cold, exact = payoffs(market, policies, (0.0,)), payoffs(market, policies, None)
        users, providers = range_of(market)
        np.testing.assert_allclose(cold.offer_value, exact.offer_value, rtol=0, atol=1e-10 * users.max())
        np.testing.assert_allclose(cold.user_value, exact.user_value, rtol=0, atol=1e-10 * users.max())
        # Users to whom nothing that is said matters go to both providers.
        if np.ptp(exact.offer_value, axis=0).min() > 1e-6:
            np.testing.assert_allclose(cold.choice, exact.choice, atol=1e-10)
            np.testing.assert_allclose(cold.provider_value, exact.provider_value, rtol=0, atol=1e-10 * providers.max())
            compared += 1
    assert compared >= 12


def test_without_temperature_ties_are_split_evenly():
    """Up to rounding: a temperature of 0 is one of a few hundred rounding errors."""
    generator = np.random.default_rng(4)
    uneven = []
    for seed in range(30):
        market = make(("dyadic", "integers_unseen")[seed % 2], seed)
        policies = oracle.policies_in_quarters(generator, TALK, SHAPE, 2)
        cold = payoffs(market, policies, (0.0, 0.0, 0.0))
        wanted = oracle.soft_payoffs(market, MIXED, policies, Temperatures(0.0, 0.0, 0.0))
        np.testing.assert_allclose(cold.user_value, wanted.user_value, atol=1e-12)
        np.testing.assert_allclose(cold.choice, wanted.choice, atol=1e-2)
        np.testing.assert_allclose(cold.provider_value, wanted.provider_value, atol=1e-2)
        uneven.append(np.abs(wanted.provider_value - payoffs(market, policies, None).provider_value).max())
    assert np.median(uneven) > 0.1, "too few ties"


# Derivatives. One programme gives them in the very arrays of market, policies and temperatures; for slopes these are
# functions of free numbers, of which a softmax makes probabilities.


@functools.cache
def values_and_derivatives(logit=True):
    """What all users and then all providers get, and its derivatives in what the function is given."""

    def values(market, policies, heat):
        people = plx.Logit(heat[0], heat[1], heat[2]) if logit else plx.play.Rational()
        found = plx.payoffs(market, MIXED, None, plx.Profile(policies), people)
        return jnp.concatenate([found.user_value, found.provider_value])

    both = lambda *given: (values(*given), jax.jacrev(values, argnums=(0, 1, 2))(*given))
    return jax.jit(both, compiler_options=CHEAP)


def free_numbers(generator):
    kernels = [generator.normal(size=size) for size in oracle.kernel_shapes(TALK, SHAPE, 2)]
    free = {
        "prior": generator.normal(size=(3, 2, 3, 2)),
        "user_value": generator.normal(size=(3, 3, 2)),
        "provider_value": generator.normal(size=(2, 3, 3, 2)),
        "mass": generator.normal(size=3) / 2,
        "first": kernels[0],
        "second": kernels[1],
        "heat": generator.uniform(0.1, 0.4, size=3),
    }
    return jax.tree.map(jnp.asarray, free)


def assemble(free):
    prior = jax.nn.softmax(free["prior"].reshape(3, -1)).reshape(free["prior"].shape)
    market = plx.Market(prior, free["user_value"], free["provider_value"], jnp.exp(free["mass"]))
    return market, (jax.nn.softmax(free["first"]), jax.nn.softmax(free["second"])), free["heat"]


@jax.jit
def moved(free, move):
    """The arrays at some free numbers, and how they change as these move."""
    return jax.jvp(assemble, (free,), (move,))


def check_derivatives(generator, logit=True, step=1e-5):
    """Compares with central differences in random directions, each of which moves one of the free arrays."""
    with jax.enable_x64(True):
        free, values = free_numbers(generator), values_and_derivatives(logit)
        for name in [name for name in free if logit or name != "heat"]:
            for _ in range(3):
                still = jax.tree.map(jnp.zeros_like, free)
                move = still | {name: jnp.asarray(generator.normal(size=free[name].shape))}
                here, tangent = moved(free, move)
                ends = [jax.tree.map(lambda at, by, s=s: at + s * step * by, free, move) for s in (1, -1)]
                ahead, behind = (np.asarray(values(*moved(end, move)[0])[0]) for end in ends)
                slope = (ahead - behind) / (2 * step)
                pairs = zip(*map(jax.tree.leaves, (values(*here)[1], tangent)), strict=True)
                found = sum(np.tensordot(leaf, by, np.ndim(by)) for leaf, by in pairs)
                size = np.abs(slope).max()
                np.testing.assert_allclose(found, slope, rtol=1e-6, atol=1e-6 * size, err_msg=name)
                assert size > 1e-3, name


def test_derivatives_are_slopes():
    generator = np.random.default_rng(5)
    for _ in range(4):
        check_derivatives(generator)


def test_derivatives_of_rational_users_hold_their_choices_fixed():
    check_derivatives(np.random.default_rng(6), logit=False, step=1e-6)


def extreme_policies(generator, exponents):
    """Signals that are nearly impossible: products of such likelihoods vanish in double precision."""
    kernels = []
    for size in oracle.kernel_shapes(TALK, SHAPE, 2):
        kernel = 10.0 ** generator.choice(exponents, size=size)
        kernel[..., 0] = 1 - kernel[..., 1]
        kernels.append(kernel)
    return tuple(kernels)


def degenerate_policies():
    generator = np.random.default_rng(7)
    shapes = oracle.kernel_shapes(TALK, SHAPE, 2)
    return {
        "zeros": oracle.random_policies(generator, TALK, SHAPE, 2),
        "silent": tuple(np.broadcast_to([1.0, 0.0], size) for size in shapes),
        "even": tuple(np.full(size, 0.5) for size in shapes),
        "quarters": oracle.policies_in_quarters(generator, TALK, SHAPE, 2),
        "faint": extreme_policies(generator, [-1.0, -20.0, -51.0, -60.0]),
        "vanishing": extreme_policies(generator, [-1.0, -100.0, -103.0, -150.0, -200.0, -308.0]),
    }


DEGENERATE = ("all_zero", "zero_user", "integers", "duplicates", "skewed", "scales", "shifted", "twin_users", "grid")


@pytest.mark.parametrize("hot", [0.0, 1e-4, 1.0])
def test_derivatives_are_finite_at_degenerate_points(hot):
    for name in DEGENERATE:
        market = make(name, 0)
        for kind, policies in degenerate_policies().items():
            with jax.enable_x64(True):
                given = market, tuple(jnp.asarray(kernel) for kernel in policies), jnp.asarray(np.full(3, hot))
                found = values_and_derivatives()(*given)
            for leaf in jax.tree.leaves(found):
                assert np.isfinite(leaf).all(), (name, kind)


@functools.cache
def gradients(segments):
    """Gradients of each provider's objective in its own kernels: all at once, and one by one."""

    def both(market, policies, heat):
        game, kernels = lay_out_game(market, segments), as_kernels(policies)
        people = plx.Logit(heat[0], heat[1], heat[2])
        found, together = game_gradient(game, kernels, people)
        slopes = jax.jacrev(lambda changed: evaluate(game, changed, people).provider_value)(kernels)
        return found, together, [jnp.stack([slope[i, i] for i in range(2)]) for slope in slopes]

    return jax.jit(both, compiler_options=CHEAP)


@pytest.mark.parametrize("segments", [MIXED, PERSONALIZED, ANONYMOUS])
def test_all_providers_gradients_at_once_are_those_of_each(segments):
    generator = np.random.default_rng(8)
    for seed, name in enumerate(("keen", "skewed", "integers", "all_zero", "observed")):
        market = make(name, seed)
        policies = oracle.random_policies(generator, TALK, SHAPE, len(set(segments)))
        heat = generator.uniform(0.05, 0.5, size=3)
        with jax.enable_x64(True):
            given = tuple(jnp.asarray(kernel) for kernel in policies), jnp.asarray(heat)
            found, together, apart = jax.tree.map(np.asarray, gradients(segments)(market, *given))
        size = max(np.abs(leaf).max() for leaf in apart)
        for ours, theirs in zip(together, apart, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12 * size)
        assert (size == 0) == (name == "all_zero")
        for field in FIELDS:
            wanted = getattr(payoffs(market, policies, heat, segments), field)
            np.testing.assert_allclose(getattr(found, field), wanted, rtol=1e-12, atol=1e-12)
