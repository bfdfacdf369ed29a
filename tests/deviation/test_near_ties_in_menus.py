"""Silence towards users of two types where much nearly ties: no bracket excludes what a menu gains exactly."""

import itertools

import asked
import exact_oracle
import jax
import jax.numpy as jnp
import near_ties
import numpy as np
import pytest
import rational_oracle

import pluraljax as plx

QUICK, DRAWN = 32, 256
ALONE = np.zeros(1, np.int32)


def draw(rng):
    """A market of one user of two types, two evidences; the state says both."""
    shape = (3, 1, 2, 4)
    rows = rng.choice(near_ties.VALUES, size=shape) + rng.choice(near_ties.GAPS) * rng.integers(-2, 3, size=shape)
    if rng.random() < 0.3:
        # Nothing that she could hear moves one of the types.
        states = 2 * rng.integers(2) + np.arange(2)
        rows[0, 0, 1:, states] = np.minimum(rows[0, 0, 1:, states], rows[0, 0, :1, states])
    rows = (rows + rng.choice(near_ties.CONSTANTS)) * rng.choice([1.0, 1e-6, 1e6], size=3)[:, None, None, None]
    prior = np.zeros((1, 2, 2, 4))
    weights = rng.choice([0.25, 0.5, 0.125, 0.3], size=4)
    for place, (t, x) in enumerate(np.ndindex(2, 2)):
        prior[0, t, x, place] = weights[place] / weights.sum()
    prior[0, 1, 1, 3] += 1.0 - prior.sum()
    return prior, rows[0], rows[1:], np.ones(1)


def batch_of(seed):
    rng = np.random.default_rng([5, seed])
    primitives = [draw(rng) for _ in range(QUICK)]
    with jax.enable_x64(True):
        leaves = (jnp.asarray(np.stack(leaves)) for leaves in zip(*primitives, strict=True))
        return primitives, jax.vmap(plx.Market)(*leaves)


def exact_gain(primitives, provider):
    """By a linear programme in rational numbers: a menu is one outcome per type, and lies come with any rewriting."""
    prior, user, values, _ = (exact_oracle.rational(leaf) for leaf in primitives)
    types, evidences, states = prior[0].shape
    actions = user.shape[1]
    weigh = lambda own: [
        [[sum(prior[0, t, x, y] * own[a, y] for y in range(states)) for a in range(actions)] for x in range(evidences)]
        for t in range(types)
    ]
    hers, theirs = weigh(user[0]), weigh(values[provider, 0])
    places = list(itertools.product(range(types), range(evidences), range(actions)))
    zero, one = rational_oracle.ZERO, rational_oracle.ONE
    rows, limits = [], []
    for t, x in itertools.product(range(types), range(evidences)):
        own = [one if place[:2] == (t, x) else zero for place in places]
        rows, limits = [*rows, own, [-value for value in own]], [*limits, one, -one]
    for t, s in itertools.product(range(types), repeat=2):
        for rewritten in itertools.product(range(actions), repeat=actions):
            row = [
                (hers[t][x][rewritten[a]] if r == s else zero) - (hers[t][x][a] if r == t else zero)
                for r, x, a in places
            ]
            rows, limits = [*rows, row], [*limits, zero]
    sums = [[sum(hers[t][x][a] for x in range(evidences)) for a in range(actions)] for t in range(types)]
    silent = sum(max(row) for row in sums)
    aligned = sum(max(hers[t][x]) for t in range(types) for x in range(evidences))
    if silent == aligned:
        return zero
    rows.append([-hers[t][x][a] for t, x, a in places])
    best = rational_oracle.largest([theirs[t][x][a] for t, x, a in places], rows, [*limits, -silent])
    usual = [row.index(max(row)) for row in sums]
    return max(best - sum(theirs[t][x][usual[t]] for t in range(types) for x in range(evidences)), zero)


@pytest.fixture(scope="module")
def ask():
    question = jax.jit(jax.vmap(lambda market: plx.silence(market, ALONE)))
    return question.lower(batch_of(0)[1]).compile(asked.CHEAP)


@pytest.mark.parametrize("seeds", [[0], pytest.param(range(1, DRAWN // QUICK), marks=pytest.mark.slow)], ids=len)
def test_no_bracket_excludes_the_exact_gain_of_a_menu(ask, seeds):
    closed = looked = positive = 0
    for seed in seeds:
        primitives, batch = batch_of(seed)
        found = jax.tree.map(np.asarray, ask(batch))
        for n, market in enumerate(primitives):
            for i in range(2):
                gain, values = exact_gain(market, i), market[2][i]
                lower, upper = found.value.lower[n, i], found.value.upper[n, i]
                assert near_ties.contains(lower, upper, gain, values), (seed, n, i)
                looked, closed = looked + 1, closed + int(found.status[n, i] != plx.Status.OPEN)
                positive += gain > 1e-3 * np.ptp(values)
    # Not by giving up, nor because there is nothing to gain.
    assert closed > 0.6 * looked
    assert positive > 0.1 * looked
