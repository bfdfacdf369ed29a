"""The headline: whom competition serves, in a sentence, tables, bars and the page, where a scan searched."""

import csv
import io

import numpy as np
import pytest
import synthetic_scan
from matplotlib.patches import Rectangle

from pluraljax._report import _served
from pluraljax._report._csv import summary_csv
from pluraljax._report._figures import figure_style, planned_figures, served_figure
from pluraljax._report._layout import group_cells
from pluraljax._report._page import page
from pluraljax._report._summary import clopper_pearson, merge_summaries, summarize
from pluraljax._report._table import check_lines, plain_report
from pluraljax._scan.measure._columns import COLUMNS, SEARCHED

MANIFEST = {
    "identity": "0" * 64,
    "created": "2026-11-30",
    "definition": {"pluraljax": "0.1.0"},
    "versions": [{"pluraljax": "0.1.0", "jax": "1", "jaxlib": "1"}],
    "config": {"markets": 60, "seed": 0, "grid": [{"family": "gaussian"}]},
}
CODES = (1, 0, -1)
SEARCHED_ROW = {f"anonymous_searched_{end}": [0.5, 0.5] for end in ("lower", "upper")} | {
    "personalized_served": 1,
    "anonymous_served": 0,
}


def row(market, cell, codes, *, searched=True, **numbers):
    personalized, anonymous = codes
    found = {f"anonymous_searched_{end}": [0.5, 0.5] for end in ("lower", "upper")} if searched else {}
    events = {"personalized_served": personalized, "anonymous_served": anonymous} | found | numbers
    return synthetic_scan.row(market, cell, "gaussian", {"providers": cell + 1}, users=2, **events)


def drawn(seed=0, markets=60):
    """Two cells, in which every second market was searched and one holds none; and the codes of the searched ones."""
    rng, rows, codes = np.random.default_rng(seed), [], {0: [], 1: []}
    for market in range(markets):
        cell, searched = market % 2, market % 4 < 2
        pair = tuple(int(code) for code in rng.choice(CODES, 2, p=(0.5, 0.3, 0.2))) if searched else (-1, -1)
        status = {"status": 11} if market == 4 else {}
        rows.append(row(market, cell, pair, searched=searched, **status))
        if searched and not status:
            codes[cell].append(pair)
    return synthetic_scan.table(rows), {cell: np.array(pairs) for cell, pairs in codes.items()}


def hand_made():
    """Ten searched markets: three either way, two and one one way only, one neither, three undecided."""
    pairs = [(1, 1)] * 3 + [(1, 0)] * 2 + [(0, 1), (0, 0), (1, -1), (0, -1), (-1, 1)]
    rows = [row(market, 0, pair) for market, pair in enumerate(pairs)]
    return summarize(synthetic_scan.table([*rows, row(10, 0, (-1, -1), searched=False)]))


def test_counts_are_those_of_the_rows():
    table, codes = drawn()
    summaries = summarize(table)
    for summary in summaries:
        first, second = codes[summary.cell].T
        pair = summary.paired["served"]
        assert pair.trials == len(first)
        decided = 0
        for outcome, (own, other) in zip(_served.OUTCOMES, [(1, 1), (1, 0), (0, 1), (0, 0)], strict=True):
            surely = int(((first == own) & (second == other)).sum())
            most = int((np.isin(first, (own, -1)) & np.isin(second, (other, -1))).sum())
            share = _served.share_of(pair, outcome)
            assert (_served.surely(pair, outcome), share.yes, share.yes + share.open) == (surely, surely, most)
            low, high = clopper_pearson([surely, most], len(first), 0.9)
            assert share.interval(0.9) == pytest.approx((low[0], high[1]))
            decided += surely
        assert _served.undecided(pair) == len(first) - decided
        # Nobody asked about the others, which are not undecided.
        assert summary.events["anonymous_served"].trials == len(first)
        assert summary.events["anonymous_served"].open == (second == -1).sum()
    halves = merge_summaries(summarize(table.slice(0, 31)), summarize(table.slice(31)))
    assert [each.paired for each in halves] == [each.paired for each in summaries]
    assert _served.pooled(summaries).trials == sum(map(len, codes.values()))


def test_the_report_starts_with_the_answer():
    text = plain_report(hand_made())
    assert " ".join(text.split()).startswith(
        "Of 10 markets, competition serves every user either way in 30 to 50 %, only if policies are personalized in "
        "20 to 30 %, only if they are anonymous in 10 to 30 %, and neither way in 10 to 20 %; 30 % are undecided. "
        "Served: every equilibrium "
    )
    flowing = " ".join(text.split())
    assert "Of the 3 undecided, personalized policies serve every user in 1 and do not in 1; in 1 the" in flowing
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert any(line.startswith("either way 3 ≥30.0 [") for line in lines)
    assert any(line.startswith("1 10 ≥30 [7,") for line in lines)
    assert "event anonymous_served: undecided in 2 markets" in text


@pytest.mark.parametrize(
    ("count", "total", "text"),
    [
        (0, 9, "none"),
        (9, 9, "all"),
        (1, 3, "33 %"),
        (1, 5000, "less than 0.1 %"),
        (4, 1000, "0.4 %"),
        (996, 1000, "99.6 %"),
        (4999, 5000, "more than 99.9 %"),
    ],
)
def test_what_is_seldom_is_not_rounded_to_never(count, total, text):
    assert _served._percent(count, total) == text


@pytest.mark.parametrize(
    ("yes", "may", "total", "text"),
    [
        (9, 570, 3072, "0.3 to 18.8 %"),
        (0, 5, 100, "0 to 5 %"),
        (1, 99, 5000, "less than 0.1 to 2.0 %"),
        (50, 50, 100, "50 to 100 %"),
        (3, 0, 10, "30 %"),
    ],
)
def test_what_undecided_markets_could_add_is_in_the_sentence(yes, may, total, text):
    share = _served.Proportion(yes, total - yes - may, may)
    assert _served._percent_range(share) == text


def test_a_decided_scan_says_nothing_of_undecided_markets():
    summaries = summarize(synthetic_scan.table([row(0, 0, (1, 1)), row(1, 0, (0, 0))]))
    assert _served.headline(summaries).endswith("only if they are anonymous in none, and neither way in 50 %.")
    assert _served.known_of_undecided(summaries) == ""


def test_files_for_other_programmes_hold_the_counts():
    (record,) = csv.DictReader(io.StringIO(summary_csv(hand_made())))
    assert [record[f"served_{name}"] for name in ("searched", "either_way", "only_personalized")] == ["10", "3", "2"]
    assert [record[f"served_{name}"] for name in ("only_anonymous", "neither_way", "undecided")] == ["1", "1", "3"]
    assert float(record["served_either_way_interval_high"]) > 0.6


def test_bars_are_the_shares():
    summaries = hand_made()
    assert planned_figures(summaries)[0].name == "served"
    with figure_style():
        figure = served_figure(group_cells(summaries))
    bars = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    assert [bar.get_height() for bar in bars] == pytest.approx([0.3, 0.2, 0.1, 0.3, 0.1])
    assert [bar.get_y() for bar in bars] == pytest.approx([0.0, 0.3, 0.5, 0.6, 0.9])
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    explained = "undecided: may be any"
    assert labels == ["either way", "only if personalized", "only if anonymous", explained, "neither way"]


@pytest.mark.parametrize("panels", [1, 2, 3, 4, 6])
def test_nothing_is_beside_the_canvas(panels):
    """Each family has a panel; titles, legends and axes of all figures are inside, however many there are."""
    rows = [
        synthetic_scan.row(market, cell, f"gaussian {cell}", {"providers": 2}, users=2, **SEARCHED_ROW)
        for cell in range(panels)
        for market in range(4)
    ]
    with figure_style():
        for planned in planned_figures(summarize(synthetic_scan.table(rows))):
            figure = planned.draw()
            figure.draw_without_rendering()
            inside = figure.get_tightbbox()
            width, height = figure.get_size_inches()
            found = (inside.x0, inside.y0, width - inside.x1, height - inside.y1)
            assert min(found) >= -1e-6, (planned.name, found)


def test_the_page_shows_the_answer_first():
    text = page(hand_made(), MANIFEST)
    assert text.index('id="served"') < text.index('id="summary"')
    assert "competition serves every user either way in 30 to 50 %" in text
    assert "<title>providers 1: only if anonymous in 1 of 10</title>" in text
    assert text.count("<rect ") >= 5


def test_without_a_search_there_is_no_headline():
    table = synthetic_scan.table([row(number, 0, (-1, -1), searched=False) for number in range(4)])
    names = {column.name for column in SEARCHED}
    # A store of an earlier version does not have the columns at all.
    old = table.select([name for name in table.column_names if name not in names])
    columns = [column for column in COLUMNS if column not in SEARCHED]
    for summaries in (summarize(table), summarize(old, columns=columns)):
        text = plain_report(summaries)
        # What is proved comes first, and says that it is less than an answer.
        assert text.startswith(
            "Of 4 markets, every equilibrium is proved to give every user all that an aligned\nmodel"
        )
        assert "would: in all if policies are personalized, and in all if they are anonymous." in " ".join(text.split())
        assert "a search would tell more" in " ".join(text.split())
        assert "competition serves" not in text
        assert "served" not in {each.name for each in planned_figures(summaries)}
        assert 'id="served"' not in page(summaries, MANIFEST)
        assert "served_searched" not in summary_csv(summaries)
        assert not any("served" in line for line in check_lines(summaries))


def test_brackets_that_a_search_closed_are_not_open():
    ends = {"anonymous_searched_lower": [0.5, 0.5], "anonymous_searched_upper": [0.5009, 0.5]}
    wide = {"anonymous_searched_lower": [0.5, 0.5], "anonymous_searched_upper": [0.502, 0.5]}
    rows = [row(0, 0, (1, 1), searched=False, **ends), row(1, 0, (1, -1), searched=False, **wide)]
    (summary,) = summarize(synthetic_scan.table(rows))
    assert summary.open_brackets["anonymous_searched"] == 1
    assert summary.open_markets == 0
