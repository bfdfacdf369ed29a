"""Sums of a sample: merged in any order and any parts they are those of all rows at once."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pluraljax._statistics._quantiles import BracketQuantiles, Quantiles
from pluraljax._statistics._sums import Moments, PairedProportions, Proportion


def merged(parts, kind, rng):
    """Adds summaries of the parts in a random order and a random bracketing."""
    parts = [*parts]
    while len(parts) > 1:
        first, second = sorted(rng.choice(len(parts), 2, replace=False), reverse=True)
        joint = parts.pop(first) + parts.pop(second)
        parts.append(joint)
    return parts[0] if parts else kind()


@pytest.mark.parametrize("offset", [0.0, 1e9])
def test_any_order_and_bracketing_gives_the_summary_of_all_rows(offset):
    rng = np.random.default_rng(1)
    values = offset + np.where(rng.random(2000) < 0.02, np.nan, rng.gamma(2.0, size=2000))
    first, second = rng.integers(-1, 2, (2, 2000))
    finite = values[np.isfinite(values)]
    for pieces in (2, 7, 40):
        cuts = np.sort(rng.integers(0, 2001, pieces))
        split = lambda array, cuts=cuts: np.split(array, cuts)
        moments = merged([Moments.from_values(part) for part in split(values)], Moments, rng)
        assert (moments.count, moments.missing) == (len(finite), 2000 - len(finite))
        assert moments.mean == pytest.approx(finite.mean(), rel=1e-12)
        assert moments.variance == pytest.approx(finite.var(ddof=1), rel=1e-6)
        assert moments.standard_error == pytest.approx(stats.sem(finite), rel=1e-6)
        # Counts are exact.
        assert merged(map(Quantiles.from_values, split(values)), Quantiles, rng) == Quantiles.from_values(values)
        assert merged(map(Proportion.from_codes, split(first)), Proportion, rng) == Proportion.from_codes(first)
        pairs = [PairedProportions.from_codes(*both) for both in zip(split(first), split(second), strict=True)]
        assert merged(pairs, PairedProportions, rng) == PairedProportions.from_codes(first, second)


def test_once_sequential_always_sequential():
    share, fixed = Proportion(3, 7, sequential=True), Proportion(3, 7)
    assert (share + fixed).sequential
    assert share.interval()[1] - share.interval()[0] > fixed.interval()[1] - fixed.interval()[0]
    pair = PairedProportions(((1, 2, 0), (3, 4, 0), (0, 0, 0)), sequential=True)
    assert (PairedProportions() + pair).sequential
    assert math.isnan(pair.mcnemar())


def test_what_was_never_seen_is_bounded_on_one_side():
    assert Proportion(0, 300).unseen() == pytest.approx(1 - 0.05 ** (1 / 300), rel=1e-12)
    assert Proportion(300, 0).unseen() == Proportion(0, 300).unseen()
    assert [share.unseen() for share in (Proportion(1, 9), Proportion(0, 9, open=1), Proportion())] == [None] * 3
    assert Proportion(0, 300, sequential=True).unseen() > Proportion(0, 300).unseen()
    assert Proportion(2, 5, open=1).wilson()[1] == pytest.approx(
        stats.binomtest(3, 8).proportion_ci(method="wilson").high
    )


def test_pairs_count_what_tells_the_two_apart():
    first = np.array([1, 1, 1, 0, 0, 1, -1, -1])
    second = np.array([1, 0, 0, 1, 0, -1, 0, -1])
    pair = PairedProportions.from_codes(first, second)
    assert pair.trials == 8
    assert pair.only_first == (2, 5)
    assert pair.only_second == (1, 2)
    assert pair.estimate == (0.0, 0.5)
    swapped = PairedProportions.from_codes(second, first)
    assert swapped.only_first == pair.only_second
    assert swapped.interval() == pytest.approx([-end for end in reversed(pair.interval())])
    assert swapped.leaning() == pytest.approx([1 - end for end in reversed(pair.leaning())])
    assert math.isnan(PairedProportions().estimate[0])
    assert PairedProportions().interval() == (-1.0, 1.0)


@pytest.mark.parametrize(("only_first", "only_second"), [(9, 2), (2, 9), (5, 5), (6, 5), (0, 0), (12, 0)])
def test_mcnemar_is_the_binomial_test_on_discordant_markets(only_first, only_second):
    pair = PairedProportions(((40, only_first, 0), (only_second, 40, 0), (0, 0, 0)))
    discordant = only_first + only_second
    wanted = stats.binomtest(only_first, discordant).pvalue if discordant else 1.0
    assert pair.mcnemar() == pytest.approx(wanted, rel=1e-9)
    if discordant:
        interval = stats.binomtest(only_first, discordant).proportion_ci(method="exact")
        assert pair.leaning() == pytest.approx((interval.low, interval.high), abs=1e-12)


def test_open_markets_count_against_a_difference():
    pair = PairedProportions(((0, 15, 4), (0, 80, 0), (0, 1, 0)))
    resolved = [
        PairedProportions(((4 - a, 15 + a + b, 0), (0, 80 + 1 - b, 0), (0, 0, 0))) for a in range(5) for b in range(2)
    ]
    assert pair.mcnemar() >= max(each.mcnemar() for each in resolved)
    assert pair.interval()[0] <= min(each.interval()[0] for each in resolved)
    assert pair.interval()[1] >= max(each.interval()[1] for each in resolved)


def test_paired_intervals_cover_and_ignoring_the_pairs_is_wider():
    rng = np.random.default_rng(5)
    covered, narrower = 0, 0
    for _ in range(300):
        # Both properties depend on the same market: P(first) = 0.7, P(second) = 0.6, and the second needs the first.
        market = rng.random(150)
        first, second = (market < 0.7).astype(int), (market < 0.6).astype(int)
        low, high = PairedProportions.from_codes(first, second).interval()
        covered += low <= 0.1 <= high
        apart = [Proportion.from_codes(codes).interval() for codes in (first, second)]
        narrower += high - low < (apart[0][1] - apart[1][0]) - (apart[0][0] - apart[1][1])
    assert covered >= 0.95 * 300
    assert narrower == 300


@given(st.lists(st.floats(allow_nan=False, width=64), min_size=1, max_size=60), st.floats(0.0, 1.0))
def test_a_quantile_lies_in_its_range(values, share):
    values = np.array(values)
    low, high = Quantiles.from_values(values).quantile(share)
    exact = np.sort(values)[max(math.ceil(share * len(values) - 1e-9), 1) - 1]
    assert low <= exact <= high
    if 2.0**-40 <= abs(exact) < 2.0**40:
        assert high - low <= abs(exact) / 128 * (1 + 1e-12)


def test_ranges_of_many_numbers_hold_those_of_numpy():
    rng = np.random.default_rng(0)
    for values in (rng.normal(size=20_001), rng.lognormal(0, 9, 20_001), rng.random(20_001) ** 40, np.zeros(20_001)):
        sketch = Quantiles.from_values(np.append(values, np.nan))
        assert (sketch.count, sketch.missing) == (20_001, 1)
        assert len(sketch.bins) <= 20_483
        for share in (0.0, 0.05, 0.5, 0.95, 1.0):
            low, high = sketch.quantile(share)
            assert low <= np.quantile(values, share, method="inverted_cdf") <= high
    assert all(math.isnan(end) for end in Quantiles().quantile(0.5))
    with pytest.raises(ValueError, match="from 0 to 1"):
        Quantiles().quantile(1.5)


def test_the_range_of_a_bracket_holds_the_quantile_wherever_the_numbers_lie():
    rng = np.random.default_rng(2)
    lower = rng.random(500)
    upper = lower + rng.random(500)
    sketch = BracketQuantiles(Quantiles.from_values(lower), Quantiles.from_values(upper))
    for mix in rng.random((20, 500)):
        middle = lower + mix * (upper - lower)
        for share in (0.1, 0.5, 0.9):
            low, high = sketch.quantile(share)
            assert low <= np.quantile(middle, share, method="inverted_cdf") <= high


@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_quantile_intervals_cover_the_law_they_were_drawn_from(share):
    rng = np.random.default_rng(8)
    covered = 0
    for _ in range(400):
        low, high = Quantiles.from_values(rng.exponential(size=120)).interval(share, 0.9)
        covered += low <= -math.log(1 - share) <= high
    assert covered >= 0.9 * 400 - 2 * math.sqrt(400 * 0.09)
    few = Quantiles.from_values(np.arange(3.0))
    assert few.interval(0.5) == (-math.inf, math.inf)


@pytest.mark.parametrize(("trials", "share"), [(50, 0.5), (120, 0.05), (1000, 0.95)])
def test_ranks_of_quantile_intervals_are_binomial_quantiles(trials, share):
    values = np.arange(1.0, trials + 1.0)
    low, high = Quantiles.from_values(values).interval(share, 0.95)
    ranks = stats.binom.ppf(0.025, trials, share), stats.binom.isf(0.025, trials, share) + 1
    for end, rank in zip((low, high), ranks, strict=True):
        assert end == pytest.approx(rank, rel=1 / 128) if 1 <= rank <= trials else math.isinf(end)
