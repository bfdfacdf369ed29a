"""Intervals of a probability, against closed forms, SciPy, exact coverage, and what peeking does to a fixed one."""

import itertools
import math

import numpy as np
import pytest
from scipy import integrate, stats

from pluraljax._statistics._intervals import _log_ratio, clopper_pearson, confidence_sequence, rule_of_three, wilson


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.999])
def test_wilson_agrees_with_scipy(confidence):
    for trials in (1, 7, 50, 1000):
        successes = np.unique(np.linspace(0, trials, 8).astype(int))
        lower, upper = wilson(successes, trials, confidence)
        for s, low, high in zip(successes, lower, upper, strict=True):
            wanted = stats.binomtest(int(s), trials).proportion_ci(confidence, method="wilson")
            assert (low, high) == pytest.approx((wanted.low, wanted.high), abs=1e-12)


def test_the_rule_of_three_is_exact_and_near_three():
    bound = rule_of_three(np.array([1, 10, 300, 10**6]))
    np.testing.assert_allclose((1 - bound) ** [1, 10, 300, 10**6], 0.05, rtol=1e-9)
    assert bound[2] == pytest.approx(3 / 300, rel=0.01)
    assert bound[2] < 3 / 300
    # Trials that differ: none seen is no likelier than with their average probability.
    each = np.array([0.001, 0.02, 0.1])
    assert np.prod(1 - each) <= (1 - each.mean()) ** 3


@pytest.mark.parametrize("interval", [clopper_pearson, wilson, confidence_sequence])
def test_no_trials_say_nothing_and_nonsense_is_refused(interval):
    assert [float(end) for end in interval(0, 0)] == [0.0, 1.0]
    for successes, trials, confidence in ((3, 2, 0.95), (-1, 2, 0.95), (1, 2, 0.0), (1, 2, 1.0), (1, 2, math.nan)):
        with pytest.raises(ValueError, match=r"needs 0 <= successes|strictly between"):
            interval(successes, trials, confidence)
    with pytest.raises(ValueError, match="at least 0"):
        rule_of_three(-1)


def likelihood_ratio(p, successes, trials):
    """The mixture over q, by numerical integration over each prior, against p."""
    priors = [stats.beta(c * p, c * (1 - p)) for c in (2.0, 32.0, 512.0, 8192.0, 131072.0)]
    total = 0.0
    for prior in [stats.beta(0.5, 0.5), *priors]:
        # Over quantiles: densities that grow without bound at 0 or 1 do no harm there.
        ratio = lambda u, prior=prior: _ratio(prior.ppf(u), p, successes, trials)
        total += sum(integrate.quad(ratio, a, b, limit=100)[0] for a, b in itertools.pairwise(np.linspace(0, 1, 9)))
    return total / 6


def _ratio(q, p, successes, trials):
    return (q / p) ** successes * ((1 - q) / (1 - p)) ** (trials - successes)


@pytest.mark.parametrize(("successes", "trials"), [(150, 200), (1, 40)])
def test_its_ends_are_where_the_mixture_refuses(successes, trials):
    lower, upper = (float(end) for end in confidence_sequence(successes, trials, 0.9))
    for end in (lower, upper):
        assert likelihood_ratio(end, successes, trials) == pytest.approx(10.0, rel=1e-4)


def test_the_mixture_is_a_martingale_so_all_paths_add_up():
    # Under p the ratio of a path has mean 1 after any number of trials, and after any stopping rule.
    p, trials = 0.3, 4
    mean = sum(stats.binom.pmf(s, trials, p) * likelihood_ratio(p, s, trials) for s in range(trials + 1))
    assert mean == pytest.approx(1.0, rel=1e-6)


@pytest.mark.parametrize(("successes", "trials"), [(1, 5), (40, 90), (4999, 5000)])
def test_the_mixture_is_convex_in_p_and_in_its_logarithm(successes, trials):
    p = np.linspace(0.001, 0.999, 999)
    numbers = np.full(999, float(successes)), np.full(999, float(trials))
    assert (np.diff(_log_ratio(np.log(p), *numbers), 2) > -1e-9).all()
    assert (np.diff(_log_ratio(np.linspace(-9, -1e-4, 999), *numbers), 2) > -1e-9).all()


def test_it_mirrors_and_narrows_and_holds_the_share():
    successes, trials = np.array([0, 1, 7, 250, 999]), 1000
    lower, upper = confidence_sequence(successes, trials)
    mirrored = confidence_sequence(trials - successes, trials)
    np.testing.assert_allclose(lower, 1 - mirrored[1], atol=1e-12)
    np.testing.assert_allclose(upper, 1 - mirrored[0], atol=1e-12)
    assert lower[0] == 0.0
    assert (lower <= successes / trials).all()
    assert (successes / trials <= upper).all()
    wider = confidence_sequence(successes, trials, 0.99)
    assert (wider[0][1:] < lower[1:]).all()
    assert (wider[1] > upper).all()
    narrower = confidence_sequence(4 * successes, 4 * trials)
    assert (narrower[1] - narrower[0] < upper - lower).all()
    # Looking at any time costs: it is wider than the interval for a fixed number of trials.
    fixed = clopper_pearson(successes, trials)
    assert (lower[1:] < fixed[0][1:]).all()
    assert (upper > fixed[1]).all()


def chance_of_missing(interval, truths, looks, stops):
    """Exact probabilities that the interval misses the truth when one stops: sums over all counts at all looks."""
    alive, before, missed = {truth: np.ones(1) for truth in truths}, 0, dict.fromkeys(truths, 0.0)
    for look in looks:
        step = look - before
        lower, upper = interval(np.arange(look + 1), look)
        stop = stops(lower, upper) | (look == looks[-1])
        for truth in truths:
            now = np.convolve(alive[truth], stats.binom.pmf(np.arange(step + 1), step, truth))
            missed[truth] += now[stop & ((lower > truth) | (truth > upper))].sum()
            alive[truth] = np.where(stop, 0.0, now)
        before = look
    return missed


NARROW = lambda lower, upper: upper - lower <= 0.1
DECIDED = lambda lower, upper: (lower > 0.5) | (upper < 0.5)


def test_stopping_when_narrow_keeps_the_coverage_of_the_sequence():
    missed = chance_of_missing(confidence_sequence, (0.5, 0.75, 0.875, 0.9375, 0.99), range(40, 1600, 40), NARROW)
    assert max(missed.values()) <= 0.05
    assert min(missed.values()) > 0.0


def test_stopping_when_narrow_takes_coverage_from_a_peeked_clopper_pearson():
    # Planted wrong: the interval for a fixed number of trials, looked at again and again.
    assert chance_of_missing(clopper_pearson, (0.8746,), range(8, 801, 8), NARROW)[0.8746] > 0.055


def test_stopping_once_it_decides_ruins_a_peeked_clopper_pearson_and_not_the_sequence():
    looks = range(10, 601, 10)
    assert chance_of_missing(clopper_pearson, (0.5,), looks, DECIDED)[0.5] > 0.2
    assert 0.0 < chance_of_missing(confidence_sequence, (0.5,), looks, DECIDED)[0.5] <= 0.05
