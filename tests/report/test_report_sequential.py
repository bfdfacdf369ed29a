"""The report of a scan that decided on its numbers of markets on the way: its intervals, and none that fails then."""

import itertools

import pytest
from synthetic_scan import realistic

from pluraljax._report._csv import summary_csv
from pluraljax._report._figures import alignment_figure, personalization_figure
from pluraljax._report._layout import group_cells
from pluraljax._report._summary import merge_summaries, summarize
from pluraljax._report._table import PLAIN_WIDTH, plain_report
from pluraljax._scan.config._stopping import Stopping
from pluraljax.scans import Until

ROWS = realistic(markets=12, providers=(4,))


def texts(figure):
    return " ".join(text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")))


def test_figures_name_the_interval_that_they_show():
    fixed, sequential = summarize(ROWS), summarize(ROWS, sequential=True)
    assert "95 % Clopper-Pearson intervals" in texts(alignment_figure(group_cells(fixed)))
    assert "95 % anytime-valid intervals" in texts(alignment_figure(group_cells(sequential)))
    assert "Interval: 95 % Clopper-Pearson" in texts(personalization_figure(fixed))
    pooled = texts(personalization_figure(sequential))
    assert "above the diagonal" in pooled
    assert "[" not in pooled
    assert "Clopper" not in pooled


def test_the_table_tells_the_states_apart():
    summaries = summarize(ROWS, sequential=True)
    most = [10**6] * len(summaries)
    most[1] = 12
    stopping = Stopping(Until("weakly_aligned", 0.3), tuple(most))
    text = plain_report(summaries, stopping=stopping)
    assert max(map(len, text.splitlines())) <= PLAIN_WIDTH
    states = [stopping.state(cell.cell, cell.events["weakly_aligned"]).value for cell in summaries]
    assert states[1] == "at the cap"
    assert "unfinished" in states
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    assert f"until weakly_aligned is known to ±30 % at 95 %: cells {counts}" in " ".join(text.split())
    assert all(text.count(f"  {state}\n") == states.count(state) for state in set(states))
    assert "until_state" in summary_csv(summaries, stopping=stopping).splitlines()[0]
    assert "until_state" not in summary_csv(summaries).splitlines()[0]


@pytest.mark.parametrize("sequential", [False, True])
def test_parts_of_a_scan_add_up_in_any_order(sequential):
    size = ROWS.num_rows
    cuts = [0, 5, size // 3, size - 40, size]
    parts = [summarize(ROWS.slice(low, high - low), sequential) for low, high in itertools.pairwise(cuts)]
    for order in ([0, 1, 2, 3], [3, 1, 0, 2]):
        merged, whole = merge_summaries(*(parts[each] for each in order)), summarize(ROWS, sequential)
        for one, other in zip(merged, whole, strict=True):
            assert (one.events, one.paired, one.quantiles) == (other.events, other.paired, other.quantiles)
            assert one.difference.lower.mean == pytest.approx(other.difference.lower.mean, rel=1e-12)
            assert one.difference.lower.variance == pytest.approx(other.difference.lower.variance, rel=1e-9)
