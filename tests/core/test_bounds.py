"""Attacks the bounds: whatever a solver proposes, no bracket may exclude the optimum."""

import functools

import cases
import compiled
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import oracles
import pytest

import pluraljax as plx
from pluraljax import Status
from pluraljax._bounds import fit_error, fit_lower, guarantee_lower, lay_out
from pluraljax._candidates import Solution, pose_fit, read_fit, simplex
from pluraljax._guarantee import _lay_out

SHAPE = cases.Shape()
MARKETS = cases.many(tuple(cases.CASES), compiled.ROWS, SHAPE)
LABELS = np.random.default_rng(3).integers(0, 3, size=(len(MARKETS), SHAPE.users)).astype(np.int32)
DELTA = np.resize([0.0, 0.3], len(MARKETS))
SIZES = np.array([max(1.0, np.abs(market.user_value).max()) for market in MARKETS])[:, None]

# What a broken solver might return, as a function of the truth, noise and the size of the programme's entries.
GARBAGE = {
    "zeros": lambda truth, noise: 0 * noise,
    "noise": lambda truth, noise: noise,
    "negative": lambda truth, noise: -jnp.abs(noise),
    "large": lambda truth, noise: 1e3 * noise,
    "huge": lambda truth, noise: 1e300 * noise,
    "small": lambda truth, noise: 1e-30 * noise,
    "nearly": lambda truth, noise: truth * (1 + 1e-4 * noise),
    "shuffled": lambda truth, noise: truth[::-1],
    "half": lambda truth, noise: 0.5 * truth,
    "nan": lambda truth, noise: jnp.full_like(noise, jnp.nan),
    "infinite": lambda truth, noise: jnp.full_like(noise, jnp.inf),
}


def garbage(kind, key):
    """A solver that spoils the true solution; `kind` counts into `GARBAGE` and may be traced."""

    def spoil(truth, key):
        noise = jr.normal(key, truth.shape, jnp.float32).astype(jnp.float64)
        return jnp.select([kind == i for i in range(len(GARBAGE))], [f(truth, noise) for f in GARBAGE.values()])

    def solver(programs):
        truth = simplex(programs)
        primal_key, dual_key = jr.split(key)
        return Solution(spoil(truth.primal, primal_key), spoil(truth.dual, dual_key), truth.status, truth.pivots)

    return solver


@functools.cache
def attacked(question):
    """A question's answers for all markets when its solver returns each kind of garbage: `[kind, market, ...]`."""

    def ask(market, labels, delta, kind, key):
        solver = garbage(kind, key)
        if question == "guarantee":
            return plx.guarantee(market, labels, delta, solver=solver)
        return plx.segment_alignment(market, labels, question, solver=solver)

    compiled_ask = jax.jit(jax.vmap(ask, in_axes=(0, 0, 0, None, 0)), compiler_options=compiled.CHEAP)
    batch, labels, delta = cases.stack(MARKETS), jnp.asarray(LABELS), compiled.float64(DELTA)
    answers = {}
    for i, name in enumerate(GARBAGE):
        keys = jr.split(jr.key(i), len(MARKETS))
        with jax.enable_x64(True):  # what is made up here needs it, not the package
            found = jax.tree.map(np.asarray, compiled_ask(batch, labels, delta, jnp.int32(i), keys))
        bracket = found if question == "guarantee" else found.value
        answers[name] = bracket.lower, bracket.upper, found.status
    return answers


@functools.cache
def truth(question):
    if question == "guarantee":
        found = [oracles.guarantees(*rows) for rows in zip(MARKETS, LABELS, DELTA, strict=True)]
    else:
        found = [oracles.alignment_errors(*rows, question) for rows in zip(MARKETS, LABELS, strict=True)]
    return np.array(found)


@pytest.mark.parametrize("name", GARBAGE)
@pytest.mark.parametrize("question", ["cone", "hull", "guarantee"])
def test_garbage_never_excludes_the_optimum(question, name):
    lower, upper, status = attacked(question)[name]
    exact = truth(question)
    assert (lower <= exact + 1e-8 * SIZES).all()
    assert (upper >= exact - 1e-8 * SIZES).all()
    if name in ("zeros", "noise", "shuffled"):
        assert (status == Status.OPEN).any()


@pytest.mark.parametrize("name", ["noise", "nearly", "large"])
def test_garbage_and_free_scales(name):
    """Another solver's search runs step by step, for one market at a time."""
    for market in (MARKETS[0], MARKETS[9]):
        solver = garbage(list(GARBAGE).index(name), jr.key(1))
        found = plx.strong_alignment(cases.as_market(market), "free", solver=solver)
        lower, upper = np.full(3, found.value.lower), np.full(3, found.value.upper)
        assert (lower <= upper).all()
        assert oracles.alignment_contained(market, [0, 0, 0], lower, upper, 1e-8, scale="free").all()


@pytest.mark.parametrize("hull", [False, True], ids=["cone", "hull"])
def test_random_candidates_bound_the_fit_from_both_sides(hull):
    """The formulas themselves, 500 candidates at a time: one side meets the other only at the optimum."""
    rng = np.random.default_rng(5)
    count = 500
    with jax.enable_x64(True):
        either = jax.jit(
            jax.vmap(
                lambda fit, weights, scale, direction: (
                    fit_error(fit, weights, jnp.ones_like(scale)).max(),
                    fit_lower(fit, direction, hull, False),
                    (fit_error(fit, weights, scale) / scale).max(),
                    fit_lower(fit, direction, hull, True),
                ),
                in_axes=(None, 0, 0, 0),
            ),
            compiler_options=compiled.CHEAP,
        )
        for market in MARKETS[::4]:
            fit = lay_out(jnp.asarray(market.user_value), jnp.asarray(market.provider_value), "constant")
            weights = rng.exponential(size=(count, SHAPE.providers)) * rng.choice([1e-3, 1, 1e3], size=(count, 1))
            weights = weights / weights.sum(axis=1, keepdims=True) if hull else weights
            scale = 1 + rng.exponential(size=(count, SHAPE.users)) * rng.choice([0, 1, 1e3], size=(count, 1))
            direction = rng.normal(size=(count, *fit.user.shape)) * (rng.random((count, *fit.user.shape)) < 0.5)
            # Directions that win something: towards the user's payoffs, away from the providers'.
            direction[::2] += 3 * np.sign(np.asarray(fit.user) - np.asarray(fit.user).mean())
            upper, lower, free_upper, free_lower = (
                np.asarray(leaf) for leaf in either(fit, *map(jnp.asarray, (weights, scale, direction)))
            )
            exact = oracles.alignment_errors(market, [0, 0, 0], "hull" if hull else "cone")[0]
            size = max(1.0, np.abs(np.asarray(fit.user)).max())
            assert upper.min() >= exact - 1e-8 * size
            assert lower.max() <= exact + 1e-8 * size
            # Scales only help, and every lower end is below every upper one.
            assert free_lower.max() <= exact + 1e-8 * size
            assert free_lower.max() <= free_upper.min() + 1e-12 * size
            assert (free_lower <= lower + 1e-12 * size).all()


@pytest.mark.parametrize("size", [1.0, 1e6, 1e9, 1e12])
def test_large_multipliers_bound_the_guarantee_up_to_rounding(size):
    """An indifferent provider, and one that another opposes, cancel in the sum whatever their multipliers."""
    rng = np.random.default_rng(5)
    for market in MARKETS[:40]:
        copies = np.stack([market.provider_value[0], -market.provider_value[0], 0 * market.provider_value[0] + 0.1])
        first = _lay_out(cases.as_market(market._replace(provider_value=copies)), tuple(range(SHAPE.users)))[0]
        with jax.enable_x64(True):
            segment = jax.tree.map(lambda leaf: leaf[0], first)
            multipliers = jnp.asarray(size * np.array([1.0, 1.0, rng.random()]))
            lower = guarantee_lower(segment, jnp.zeros(3), jnp.ones(1), multipliers)
            # Aligned play meets every floor, so nothing above it can be proved.
            assert lower <= segment.user.max(axis=-1).sum()


def test_a_direction_for_scales_of_one_proves_nothing_about_free_ones():
    """Free scales reach error 0 here, so a lower end above 0 would be wrong, whatever it is evaluated at."""
    market = cases.build("common_conic", 1, SHAPE)
    with jax.enable_x64(True):
        fit = lay_out(jnp.asarray(market.user_value), jnp.asarray(market.provider_value), "constant")
        found = read_fit(
            fit.user,
            fit.provider,
            False,
            jax.jit(simplex, compiler_options=compiled.CHEAP)(pose_fit(fit.user, fit.provider, False)),
        )
        unit, free = (float(fit_lower(fit, found.direction, False, free)) for free in (False, True))
    exact = oracles.alignment_errors(market, [0, 0, 0])[0]
    assert exact > 0.1
    assert unit == pytest.approx(exact, abs=1e-8)
    assert free <= 1e-8
