"""Intervals, mergeable sums and the summary of a cell, against hand values and exact probabilities."""

import math

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats
from synthetic_scan import realistic, row, table

from pluraljax import Status
from pluraljax._report._summary import Moments, Proportion, clopper_pearson, merge_summaries, normal_quantile, summarize


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.999])
def test_clopper_pearson_agrees_with_scipy(confidence):
    for trials in (1, 2, 7, 50, 1000):
        successes = np.unique(np.linspace(0, trials, 8).astype(int))
        lower, upper = clopper_pearson(successes, trials, confidence)
        for s, low, high in zip(successes, lower, upper, strict=True):
            wanted = stats.binomtest(int(s), trials).proportion_ci(confidence, method="exact")
            assert (low, high) == pytest.approx((wanted.low, wanted.high), abs=1e-12)


def test_clopper_pearson_at_the_ends_in_closed_form():
    lower, upper = clopper_pearson([0, 10], 10)
    bound = 1 - 0.025 ** (1 / 10)
    assert lower[0] == 0.0
    assert upper[0] == pytest.approx(bound, rel=1e-12)
    assert lower[1] == pytest.approx(1 - bound, rel=1e-12)
    assert upper[1] == 1.0
    assert clopper_pearson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("successes", "trials", "confidence"), [(3, 2, 0.95), (-1, 2, 0.95), (1, 2, 0.0), (1, 2, 1.0), (1, 2, math.nan)]
)
def test_clopper_pearson_refuses_nonsense(successes, trials, confidence):
    with pytest.raises(ValueError, match=r"needs 0 <= successes|strictly between"):
        clopper_pearson(successes, trials, confidence)


def _wald(successes, trials, confidence):
    share = successes / trials
    half = normal_quantile(confidence) * np.sqrt(share * (1 - share) / trials)
    return share - half, share + half


def _coverage(interval, truth, trials, confidence):
    """Probability, summed over all outcomes, that the interval holds the truth."""
    outcomes = np.arange(trials + 1)
    lower, upper = interval(outcomes, trials, confidence)
    return stats.binom.pmf(outcomes, trials, truth)[(lower <= truth) & (truth <= upper)].sum()


@pytest.mark.parametrize("confidence", [0.95, 0.999])
@pytest.mark.parametrize("trials", [5, 40, 300])
def test_intervals_cover_at_least_as_often_as_they_say(trials, confidence):
    truths = np.linspace(0.001, 0.999, 61)
    assert min(_coverage(clopper_pearson, truth, trials, confidence) for truth in truths) >= confidence
    # The textbook interval fails the same test, so the test can fail.
    assert min(_coverage(_wald, truth, trials, confidence) for truth in truths) < confidence


@pytest.mark.parametrize("truth", [0.02, 0.3, 0.97])
def test_intervals_cover_in_simulated_scans_with_open_rows(truth):
    rng = np.random.default_rng(7)
    covered = 0
    for _ in range(400):
        codes = (rng.random(120) < truth).astype(np.int8)
        # Which rows stay open depends on the outcome, as it does where only the hard ones do.
        codes[(codes == 1) & (rng.random(120) < 0.2)] = -1
        lower, upper = Proportion.from_codes(codes).interval(0.95)
        covered += lower <= truth <= upper
    assert covered >= 0.95 * 400 - 2 * math.sqrt(400 * 0.95 * 0.05)


def test_open_rows_widen_the_interval_to_every_resolution():
    share = Proportion.from_codes(np.array([1] * 3 + [0] * 5 + [-1] * 2), invalid=4)
    assert (share.yes, share.no, share.open, share.invalid, share.trials) == (3, 5, 2, 4, 10)
    assert share.estimate == (0.3, 0.5)
    lower, upper = share.interval()
    resolved = [Proportion(3 + more, 7 - more).interval() for more in range(3)]
    assert lower == min(low for low, _ in resolved)
    assert upper == max(high for _, high in resolved)
    assert lower < resolved[2][0]
    assert upper > resolved[0][1]


def test_invalid_rows_are_counted_but_are_no_trials():
    assert Proportion(1, 1, 0, invalid=98).interval() == Proportion(1, 1).interval()
    total = Proportion(1, 2, 3, 4) + Proportion(10, 20, 30, 40)
    assert (total.yes, total.no, total.open, total.invalid) == (11, 22, 33, 44)


def test_no_trials_say_nothing():
    share = Proportion(invalid=5)
    assert share.interval() == (0.0, 1.0)
    assert all(math.isnan(end) for end in share.estimate)


@pytest.mark.parametrize("offset", [0.0, 1e9])
def test_merged_moments_are_those_of_the_whole(offset):
    values = np.random.default_rng(0).normal(size=1000) + offset
    merged = Moments()
    for part in np.split(values, [1, 10, 10, 700]):
        merged = merged + Moments.from_values(part)
    assert merged.count == 1000
    assert merged.mean == pytest.approx(values.mean(), rel=1e-14)
    assert merged.variance == pytest.approx(values.var(ddof=1), rel=1e-6)
    assert merged.standard_error == pytest.approx(values.std(ddof=1) / math.sqrt(1000), rel=1e-6)


def test_numbers_that_are_not_finite_are_counted_as_missing():
    moments = Moments.from_values(np.array([1.0, np.nan, 3.0, np.inf])) + Moments.from_values(np.array([np.nan]))
    assert (moments.count, moments.missing, moments.mean, moments.variance) == (2, 3, 2.0, 2.0)
    assert math.isnan(Moments.from_values(np.array([])).mean)
    assert math.isnan(Moments.from_values(np.array([1.0])).standard_error)


def _hand_made():
    """Three valid markets, two of them with an oddity, and one that is no market; a second cell with one market."""
    nan = [math.nan, math.nan]
    nothing = {name: nan for name in ("personalized_guarantee", "anonymous_guarantee", "weak_error_lower")}
    return table(
        [
            # Shares: personalized (0.5, 1), anonymous (0.25, 0): below silent, so floored.
            row(0, 0, "spatial", {"providers": 2, "bias": "absolute"}, 2, aligned=[2.0, 4.0], silent=[0.0, 2.0],
                personalized_guarantee=[1.0, 4.0], anonymous_guarantee=[0.5, 1.0], strongly_aligned=0,
                weak_error_upper=[0.5, 1.5]),
            # The second user has no scale; the anonymous bracket of the first is open, [0.2, 0.6].
            row(2, 0, "spatial", {"providers": 2, "bias": "absolute"}, 2, status=Status.OPEN, aligned=[1.0, 3.0],
                silent=[0.0, 3.0], personalized_guarantee=[1.0, 3.0], anonymous_guarantee_lower=[0.2, 3.0],
                anonymous_guarantee_upper=[0.6, 3.0], strongly_aligned=-1, personalized_theorem=0),
            row(4, 0, "spatial", {"providers": 2, "bias": "absolute"}, 2, status=Status.RESCUED,
                personalized_guarantee=[0.0, 0.0], anonymous_guarantee=[0.0, 0.0], weakly_aligned=0),
            row(6, 0, "spatial", {"providers": 2, "bias": "absolute"}, 2, status=Status.NOT_FINITE, aligned=nan,
                silent=nan, weakly_aligned=-1, strongly_aligned=-1, personalized_theorem=-1, **nothing),
            row(1, 1, "gaussian", {"providers": 3, "shared": 0.5}, 1),
        ]
    )  # fmt: skip


def test_summary_of_a_cell_worked_by_hand():
    cell, other = summarize(_hand_made())
    assert (cell.cell, cell.family, cell.parameters) == (0, "spatial", {"providers": 2, "bias": "absolute"})
    assert (other.cell, other.family, other.parameters) == (1, "gaussian", {"providers": 3, "shared": 0.5})
    assert (cell.markets, cell.invalid, cell.violations, cell.undefined_users) == (4, 1, 1, 1)
    assert cell.statuses == {Status.OK: 1, Status.RESCUED: 1, Status.OPEN: 1, Status.NOT_FINITE: 1}
    assert cell.events["weakly_aligned"] == Proportion(yes=2, no=1, open=0, invalid=1)
    assert cell.events["strongly_aligned"] == Proportion(yes=1, no=1, open=1, invalid=1)
    assert cell.events["personalized_theorem"] == Proportion(yes=2, no=1, open=0, invalid=1)

    # Means per market first: 0.75, 1 and 0 personalized; 0.125, [0.2, 0.6] and 0 anonymous.
    own, everyone = cell.shares["personalized"], cell.shares["anonymous"]
    assert own.lower == own.upper
    assert own.lower.mean == pytest.approx(1.75 / 3)
    assert own.lower.standard_error == pytest.approx(np.std([0.75, 1.0, 0.0], ddof=1) / math.sqrt(3))
    assert everyone.lower.mean == pytest.approx(0.325 / 3)
    assert everyone.upper.mean == pytest.approx(0.725 / 3)
    assert cell.worst_shares["personalized"].lower.mean == pytest.approx(1.5 / 3)
    assert cell.worst_shares["anonymous"].lower.mean == pytest.approx(0.2 / 3)

    differences = np.array([[0.625, 0.4, 0.0], [0.625, 0.8, 0.0]])
    for end, wanted in zip((cell.difference.lower, cell.difference.upper), differences, strict=True):
        assert end.mean == pytest.approx(wanted.mean())
        assert end.standard_error == pytest.approx(wanted.std(ddof=1) / math.sqrt(3))
    assert cell.gains == Proportion(yes=2, no=1, open=0, invalid=1)

    # The weak error of the first market is open for one of its users at least: one market, not two.
    assert {name: count for name, count in cell.open_brackets.items() if count} == {
        "weak_error": 1,
        "anonymous_guarantee": 1,
    }
    assert cell.open_markets == 2
    assert cell.values["weak_error_upper"].mean == pytest.approx(1.0 / 3)
    assert cell.values["aligned"].mean == pytest.approx((3.0 + 2.0 + 1.0) / 3)
    assert cell.pairs.sum() == 3
    assert cell.pairs[0, 0] == 1
    assert cell.pairs[3, 18] == cell.pairs[5, 24] == 1


def test_a_difference_that_may_be_none_is_open():
    rows = [row(0, 0, "conic", {}, personalized_guarantee=[0.5], anonymous_guarantee_lower=[0.2],
                anonymous_guarantee_upper=[0.5])]  # fmt: skip
    assert summarize(table(rows))[0].gains == Proportion(open=1)


def test_a_market_whose_users_have_no_scale_is_missing_and_gains_nothing():
    rows = [row(0, 0, "conic", {}, 2, silent=[1.0, 1.0]), row(1, 0, "conic", {}, 2)]
    cell = summarize(table(rows))[0]
    for ends in (*cell.shares.values(), *cell.worst_shares.values()):
        assert (ends.lower.mean, ends.lower.count, ends.lower.missing) == (1.0, 1, 1)
    assert cell.undefined_users == 2
    assert cell.gains == Proportion(no=2)
    assert cell.pairs.sum() == 1


def test_users_with_huge_offsets_have_no_scale():
    rows = [row(0, 0, "conic", {}, 2, aligned=[1e9 + 1e-7, 1e9 + 1000], silent=[1e9, 1e9],
                personalized_guarantee=[1e9, 1e9 + 500], anonymous_guarantee=[1e9, 1e9])]  # fmt: skip
    cell = summarize(table(rows))[0]
    assert cell.undefined_users == 1
    assert cell.shares["personalized"].lower.mean == pytest.approx(0.5)


def test_summaries_of_parts_add_up_to_the_summary_of_the_whole():
    rows = realistic(markets=20, providers=range(1, 4))
    whole = summarize(rows)
    order = np.random.default_rng(3).permutation(rows.num_rows)
    parts = [summarize(rows.take(pa.array(part))) for part in np.array_split(order, 5)]
    merged = merge_summaries(*parts)
    assert [cell.cell for cell in merged] == [cell.cell for cell in whole]
    for a, b in zip(merged, whole, strict=True):
        assert a.statuses == b.statuses
        assert a.events == b.events
        assert a.gains == b.gains
        assert a.open_brackets == b.open_brackets
        assert (a.pairs == b.pairs).all()
        moments = [(a.difference.lower, b.difference.lower), (a.shares["anonymous"].upper, b.shares["anonymous"].upper)]
        for left, right in [*moments, *((a.values[name], b.values[name]) for name in a.values)]:
            assert left.count == right.count
            assert left.mean == pytest.approx(right.mean, rel=1e-12, abs=1e-14, nan_ok=True)
            assert left.squares == pytest.approx(right.squares, rel=1e-9, abs=1e-14)


def test_different_cells_do_not_add_up():
    first, second = summarize(_hand_made())
    with pytest.raises(ValueError, match="same cell"):
        first + second


def test_a_table_that_is_no_scan_is_refused():
    rows = _hand_made()
    with pytest.raises(ValueError, match="lacks the columns silent"):
        summarize(rows.drop_columns(["silent"]))
    ragged = rows.set_column(
        rows.column_names.index("silent"), "silent", pa.array([[0.0]] * rows.num_rows, pa.list_(pa.float64()))
    )
    with pytest.raises(ValueError, match="silent do not hold one entry per user"):
        summarize(ragged)


def test_a_scan_without_rows_has_no_cells():
    assert summarize(table([])) == []
