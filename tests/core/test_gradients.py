"""Derivatives of bracket ends against central differences (envelope theorem)."""

import functools

import cases
import compiled
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiled import ROWS, float64

import pluraljax as plx

SHAPE = cases.Shape()
STEP = 1e-5
# Generic markets: optima without ties have derivatives.
MARKETS = cases.many(("gaussian", "observed"), ROWS, SHAPE)
FIELDS = ("user_value", "provider_value", "prior", "mass")
LABELS = jnp.asarray(np.resize([0, 0, 1], (ROWS, SHAPE.users)), jnp.int32)
DELTA = float64(np.full(ROWS, 0.05))

QUESTIONS = {
    "cone": jax.vmap(lambda market, labels, _: plx.segment_alignment(market, labels)),
    "free": jax.vmap(lambda market, labels, _: plx.segment_alignment(market, labels, scale="free")),
    "guarantee": jax.vmap(lambda market, labels, delta: plx.guarantee(market, labels, delta)),
}


def ends(answer):
    """Both ends of the bracket, `[2 market user]`."""
    bracket = getattr(answer, "error", answer)
    return jnp.stack([bracket.lower, bracket.upper])


def directions(field):
    """A random direction per market, in one of the arrays; priors go on summing to 1."""
    rng, steps = np.random.default_rng(FIELDS.index(field)), []
    for market in MARKETS:
        step = {name: np.zeros_like(leaf) for name, leaf in market._asdict().items()}
        step[field] = rng.normal(size=step[field].shape)
        if field == "prior":
            step[field] *= market.prior
            step[field] -= market.prior * step[field].sum(axis=(1, 2, 3), keepdims=True)
        steps.append(cases.Primitives(**step))
    return steps


def moved(steps, length):
    return cases.stack(
        cases.Primitives(*(leaf + length * by for leaf, by in zip(market, step, strict=True)))
        for market, step in zip(MARKETS, steps, strict=True)
    )


@functools.cache
def slopes(question):
    """Values, and forward-mode derivatives along given directions."""
    ask = lambda market: ends(QUESTIONS[question](market, LABELS, DELTA))
    return jax.jit(lambda batch, step: jax.jvp(ask, (batch,), (step,)), compiler_options=compiled.CHEAP)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("question", [pytest.param("cone", marks=pytest.mark.slow), "free", "guarantee"])
def test_derivatives_are_those_of_the_optimum(question, field):
    steps = directions(field)
    at = lambda length: map(np.asarray, slopes(question)(moved(steps, length), cases.stack(steps)))
    (_, slope), (ahead, _), (behind, _) = at(0.0), at(STEP), at(-STEP)
    secant = (ahead - behind) / (2 * STEP)
    if question == "free":
        secant[0] = secant[1]  # the search stops before the lower end is smooth to a share of 1e-8
    assert np.isfinite(slope).all()
    close = np.abs(slope - secant) <= 2e-3 * (1 + np.abs(secant))
    # A kink within a step of a market spoils its secant, not its derivative.
    assert close.mean() >= 0.98, (slope[~close], secant[~close])
    np.testing.assert_array_equal(slope[0], slope[1])
    moves = question == "guarantee" or field in ("user_value", "provider_value")
    assert (np.abs(slope).max() > 0.1) == moves


@pytest.mark.usefixtures("x64")
def test_reverse_mode_agrees_with_forward_mode():
    batch, steps = cases.stack(MARKETS), cases.stack(directions("user_value"))
    total = lambda market: ends(QUESTIONS["guarantee"](market, LABELS, DELTA))[0].sum()
    gradient = jax.jit(jax.grad(total), compiler_options=compiled.CHEAP)(batch)
    _, forward = slopes("guarantee")(batch, steps)
    along = np.einsum("mjay,mjay->m", gradient.user_value, steps.user_value)
    np.testing.assert_allclose(along, np.asarray(forward[0]).sum(axis=-1), rtol=1e-9, atol=1e-12)
    assert (np.abs(np.asarray(gradient.provider_value)).max(axis=(1, 2, 3, 4)) > 0).mean() > 0.9
