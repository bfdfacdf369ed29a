"""Derivatives of worst values against central differences, and one-sided ones at kinks."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import pluraljax as plx

CHEAP = {"xla_backend_optimization_level": 0}
FAMILY = plx.families.gaussian(providers=2, users=2, actions=3, states=3)
FIELDS = ("user_value", "provider_value", "mass", "prior")
pytestmark = pytest.mark.usefixtures("x64")


def markets(count):
    return jax.jit(jax.vmap(FAMILY))(jr.split(jr.key(0), count))


def direction(batch, field):
    """A random direction in one array; priors go on summing to 1."""
    rng = np.random.default_rng(FIELDS.index(field))
    step = rng.normal(size=getattr(batch, field).shape)
    if field == "prior":
        prior = np.asarray(batch.prior)
        step = step * prior - prior * (step * prior).sum(axis=(2, 3, 4), keepdims=True)
    blank = jax.tree.map(jnp.zeros_like, batch)
    return eqx.tree_at(lambda m: getattr(m, field), blank, jnp.asarray(step))


def moved(batch, step, length):
    return jax.tree.map(lambda leaf, by: leaf + length * by, batch, step)


@functools.cache
def worst_slopes():
    def ask(market, step):
        value = lambda m: (lambda found: (found.value.upper, found.kink))(plx.tuning.worst_value(m, 0.02))
        (worst, kink), (slope, _) = jax.jvp(value, (market,), (step,))
        return worst, slope, kink

    return jax.jit(jax.vmap(ask), compiler_options=CHEAP)


@pytest.mark.slow
@pytest.mark.parametrize("field", FIELDS)
def test_worst_values_have_the_derivatives_of_their_optimum(field):
    batch, length = markets(60), 1e-4
    step = direction(batch, field)
    _, slope, kink = map(np.asarray, worst_slopes()(batch, step))
    sides = [worst_slopes()(moved(batch, step, h), step) for h in (length, -length)]
    (ahead, rising, _), (behind, falling, _) = (tuple(map(np.asarray, side)) for side in sides)
    secant = (ahead - behind) / (2 * length)
    # A kink within a step of a market spoils its secant, not its derivative.
    smooth = ~kink & (np.abs(rising - falling) <= 1e-2 * (np.abs(slope) + 1e-3))
    size = np.maximum(np.abs(secant), 1e-3 * np.abs(secant).mean())
    assert smooth.mean() >= 0.95
    assert (np.abs(slope - secant) / size)[smooth].max() < 1e-4
    assert np.abs(secant).max() > 0.1


def test_kinks_have_two_derivatives():
    # Her alignment error is |t|, where t is how far the only provider's preference is off hers in an unmatched row.
    user = np.array([[[1.0, 0.0], [0.0, 1.0]]])
    market = plx.observed_market(user, user[None].copy())
    blank = jax.tree.map(jnp.zeros_like, market)
    step = eqx.tree_at(lambda m: m.provider_value, blank, blank.provider_value.at[0, 0, 0, 0].set(1.0))
    question = lambda m: plx.weak_alignment(m).value.upper
    kinked = plx.tuning.one_sided_slopes(question, market, step)
    assert bool(kinked.kink[0])
    assert float(kinked.ahead[0]) > 0 > float(kinked.behind[0])
    smooth = plx.tuning.one_sided_slopes(question, moved(market, step, 0.2), step)
    assert not bool(smooth.kink[0])
    with pytest.raises(ValueError, match="step must be > 0"):
        plx.tuning.one_sided_slopes(question, market, step, step=0.0)
