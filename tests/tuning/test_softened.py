"""The logit equilibrium: its equations, and its implicit derivatives against solving again."""

import functools

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import pluraljax as plx

CHEAP = {"xla_backend_optimization_level": 0}
FAMILY = plx.families.gaussian(providers=2, users=2, actions=3, states=2)
TALK = plx.Conversation(signals=2)
pytestmark = pytest.mark.usefixtures("x64")


def solve(market, people, temperature):
    return plx.tuning.soft_equilibrium(market, plx.personalized(2), TALK, plx.Logit(people), temperature, steps=200)


def markets(count):
    return jax.jit(jax.vmap(FAMILY))(jr.split(jr.key(0), count))


def directions(batch):
    """A random direction in all arrays at once; priors go on summing to 1."""
    rng = np.random.default_rng(0)
    step = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), batch)
    prior = np.asarray(batch.prior)
    step.prior[:] = step.prior * prior - prior * (step.prior * prior).sum(axis=(2, 3, 4), keepdims=True)
    return jax.tree.map(jnp.asarray, step)


@functools.cache
def programs():
    def along(market, step, at):
        moved = jax.tree.map(lambda leaf, by: leaf + at * by, market, step)
        # Temperatures move, too.
        found = solve(moved, 0.3 + 0.1 * at, 0.2 + 0.1 * at)
        return jnp.concatenate([found.user_value, found.provider_value]), found

    def both(market, step):
        """Derivatives along the direction, forward of each number and backward of their sum."""
        start, one = jnp.zeros(()), jnp.ones(())
        forward = jax.jvp(lambda at: along(market, step, at)[0], (start,), (one,))[1]
        return forward, jax.grad(lambda at: along(market, step, at)[0].sum())(start)

    each = jax.jit(jax.vmap(along, in_axes=(0, 0, None)), compiler_options=CHEAP)
    return each, jax.jit(jax.vmap(both), compiler_options=CHEAP)


@pytest.mark.slow
def test_derivatives_are_those_of_solving_again():
    each, both = programs()
    batch = markets(16)
    step = directions(batch)
    here, up, down = (each(batch, step, jnp.asarray(at)) for at in (0.0, 1e-4, -1e-4))
    assert np.asarray(here[1].solved).all()
    assert np.abs(np.asarray(here[1].gain)).max() < 1e-9
    secant = np.asarray(up[0] - down[0]) / 2e-4
    forward, backward = map(np.asarray, both(batch, step))
    error = np.linalg.norm(forward - secant, axis=-1) / np.linalg.norm(secant, axis=-1)
    assert error.max() < 1e-4
    np.testing.assert_allclose(backward, forward.sum(axis=-1), rtol=1e-9, atol=1e-12)


@pytest.mark.slow
def test_it_is_an_equilibrium_of_payoffs():
    batch = markets(16)
    found = programs()[0](batch, directions(batch), jnp.asarray(0.0))[1]
    market, logits = (jax.tree.map(lambda leaf: leaf[0], tree) for tree in (batch, found.logits))
    (kernel,) = (np.asarray(jax.nn.softmax(each, axis=-1))[:, :, :, 0] for each in logits)

    def worth(policies):
        told = plx.payoffs(market, plx.personalized(2), TALK, plx.Profile((jnp.asarray(policies),)), plx.Logit(0.3))
        return np.asarray(told.user_value), np.asarray(told.provider_value)

    users, providers = worth(kernel)
    np.testing.assert_allclose(users, np.asarray(found.user_value)[0], atol=1e-12)
    entropy = lambda policies: -(policies * np.log(policies)).sum(axis=(1, 2, 3, 4))
    objective = lambda policies: worth(policies)[1] + 0.2 * entropy(policies)
    best = objective(kernel)
    rng = np.random.default_rng(1)
    for provider in (0, 1):
        for _ in range(5):
            # A step of size h away from a stationary point costs or gains of the order of h squared.
            other = kernel[provider] * (1 + 1e-3 * rng.normal(size=kernel[provider].shape))
            tried = kernel.copy()
            tried[provider] = other / other.sum(axis=-1, keepdims=True)
            assert abs(objective(tried)[provider] - best[provider]) < 2e-5
    assert providers.shape == (2,)


@pytest.mark.slow
def test_a_profile_that_is_no_equilibrium_is_not_solved():
    one = jax.tree.map(lambda leaf: leaf[0], markets(16))
    cold = jax.jit(
        lambda m: plx.tuning.soft_equilibrium(m, (0, 1), TALK, plx.Logit(0.3), 1e-4, steps=1), compiler_options=CHEAP
    )
    found = cold(one)
    assert not bool(found.solved)
    broken = plx.Market(one.prior, one.user_value.at[0, 0, 0].set(jnp.nan), one.provider_value, one.mass)
    nothing = cold(broken)
    assert not bool(nothing.solved)
    assert np.isnan(np.asarray(nothing.user_value)).all()


def test_settings_out_of_range_are_refused():
    market = FAMILY(jr.key(0))
    with pytest.raises(ValueError, match="steps must be at least 1"):
        plx.tuning.soft_equilibrium(market, (0, 1), TALK, plx.Logit(0.3), 0.1, steps=0)
    with pytest.raises(ValueError, match="temperature must be > 0"):
        plx.tuning.soft_equilibrium(market, (0, 1), TALK, plx.Logit(0.3), 0.0)
