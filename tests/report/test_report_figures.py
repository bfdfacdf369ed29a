"""The figures show the numbers of the scan, with their intervals, and come out the same every time."""

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.collections import FillBetweenPolyCollection, QuadMesh
from synthetic_scan import realistic, row, table

from pluraljax._report._exact import exact_weak_alignment, wendel
from pluraljax._report._figures import (
    EXACT,
    PANELS_A_PAGE,
    alignment_figure,
    equilibria_figure,
    guarantee_figure,
    personalization_figure,
    planned_figures,
    save_figure,
)
from pluraljax._report._layout import group_cells
from pluraljax._report._summary import normal_quantile, summarize


@pytest.fixture(scope="module")
def summaries():
    return summarize(realistic(markets=30, providers=range(1, 6)))


def _line(ax, label):
    return next(line for line in ax.get_lines() if line.get_label() == label)


def _texts(figure):
    legend = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    return legend, [text.get_text() for text in figure.texts]


def _band(ax, index):
    """Lower and upper end of a band, by the place on the axis."""
    bands = [each for each in ax.collections if isinstance(each, FillBetweenPolyCollection)]
    x, y = bands[index].get_paths()[0].vertices.T
    return {place: (y[x == place].min(), y[x == place].max()) for place in np.unique(x)}


def test_alignment_figure_shows_proportions_and_intervals(summaries):
    groups = group_cells(summaries)
    figure = alignment_figure(groups, 0.99)
    assert [ax.get_title(loc="left") for ax in figure.axes] == [group.family for group in groups]
    assert "providers' bias: relative" in [text.get_text() for text in figure.axes[1].texts]
    for ax, group in zip(figure.axes, groups, strict=True):
        for index, event in enumerate(("weakly_aligned", "strongly_aligned")):
            line, band = _line(ax, event.replace("_", " ")), _band(ax, index)
            assert list(line.get_xdata()) == [1, 2, 3, 4, 5]
            for cell, value in zip(group.cells, line.get_ydata(), strict=True):
                assert value == cell.events[event].estimate[0]
                assert band[cell.parameters["providers"]] == pytest.approx(cell.events[event].interval(0.99))
    legend, texts = _texts(figure)
    assert legend == ["weakly aligned", "strongly aligned", EXACT]
    assert any("n = 30 markets per point" in text and "99 %" in text for text in texts)
    assert figure.get_supxlabel().strip() == "number of providers"
    assert "probability" in figure.get_supylabel()


def test_series_differ_without_colour(summaries):
    for draw in (alignment_figure, guarantee_figure):
        first, second = draw(group_cells(summaries)).axes[0].get_lines()[:2]
        assert first.get_linestyle() != second.get_linestyle()
        assert first.get_marker() != second.get_marker()


def test_worst_equilibria_are_points_where_known_and_bands_elsewhere():
    markets = [row(i, i, "conic", {"providers": i + 1}, personalized_worst=[0.6], anonymous_worst_lower=[0.2],
                   anonymous_worst_upper=[0.2 + 0.7 * (i > 0)]) for i in range(3)]  # fmt: skip
    ax = equilibria_figure(group_cells(summarize(table(markets)))).axes[0]
    lines = {line.get_label(): line.get_ydata() for line in ax.get_lines()}
    np.testing.assert_allclose(lines["personalized"], [0.6] * 3)
    np.testing.assert_allclose(lines["anonymous"], [0.2, np.nan, np.nan])
    low, high = (line.get_ydata() for line in ax.get_lines() if line.get_linestyle() == ":")
    np.testing.assert_allclose([low, high], [[np.nan, 0.2, 0.2], [np.nan, 0.9, 0.9]])


def test_guarantee_figure_shows_means_and_standard_errors(summaries):
    groups = group_cells(summaries)
    figure = guarantee_figure(groups, 0.95)
    ax, group = figure.axes[2], groups[2]
    for index, scheme in enumerate(("personalized", "anonymous")):
        values, band = _line(ax, scheme).get_ydata(), _band(ax, index)
        for cell, value in zip(group.cells, values, strict=True):
            moments = cell.shares[scheme].lower
            assert value == moments.mean
            half = normal_quantile(0.95) * moments.standard_error
            wanted = max(value - half, 0), min(value + half, 1)
            assert band[cell.parameters["providers"]] == pytest.approx(wanted)
    assert _texts(figure)[0] == ["personalized", "anonymous"]
    assert "silent = 0, aligned = 1" in figure.get_supylabel()


def test_open_brackets_widen_the_band():
    markets = [row(i, 0, "conic", {"providers": 2}, anonymous_guarantee_lower=[0.2], anonymous_guarantee_upper=[0.7])
               for i in range(3)]  # fmt: skip
    markets += [row(i, 1, "conic", {"providers": 3}) for i in range(3)]
    ax = guarantee_figure(group_cells(summarize(table(markets)))).axes[0]
    assert _band(ax, 1)[2] == pytest.approx((0.2, 0.7))


@pytest.mark.parametrize("code", [1, -1])
def test_no_text_runs_over_the_edge_or_into_the_small_print(code):
    markets = [row(k, k, "conic", {"providers": k}, weakly_aligned=code) for k in (1, 2)]
    for each in planned_figures(summarize(table(markets))):
        figure = each.draw()
        figure.draw_without_rendering()
        page = figure.bbox
        for text in figure.texts:
            box = text.get_window_extent()
            inside = page.x0 <= box.x0 <= box.x1 <= page.x1, page.y0 <= box.y0 <= box.y1 <= page.y1
            assert inside == (True, True), text
        *_, small = figure.texts
        lowest = min(axis.get_tightbbox().y0 for axis in figure.axes)
        assert small.get_window_extent().y1 < lowest
        assert ("Undecided" in small.get_text()) == (each.name == "alignment" and code == -1)


def test_personalization_figure_counts_every_market(summaries):
    figure = personalization_figure(summaries)
    meshes = [each for ax in figure.axes for each in ax.collections if isinstance(each, QuadMesh)][:4]
    wanted = [
        sum(c.pairs.sum() for c in summaries if c.family == f) for f in ("spatial", "gaussian", "opposed", "conic")
    ]
    assert [int(mesh.get_array().sum()) for mesh in meshes] == wanted
    assert sum(wanted) == 30 * len(summaries)
    # Personalized guarantees are up: all mass lies on or above the diagonal, none below.
    counts = np.ma.filled(meshes[0].get_array(), 0)
    assert np.tril(counts, -1).sum() > 0
    assert np.triu(counts, 1).sum() == 0


def test_theory_is_drawn_only_where_it_holds(summaries):
    axes = alignment_figure(group_cells(summaries)).axes
    drawn = [any(line.get_label() == EXACT for line in ax.get_lines()) for ax in axes]
    #       spatial absolute, relative, gaussian, gaussian, opposed, conic
    assert drawn == [False, True, False, False, True, False]
    assert list(_line(axes[1], EXACT).get_ydata()) == [wendel(k, 2) for k in range(1, 6)]


def test_wendel_in_cases_known_by_hand():
    # On a line: not all points on one side. In the plane: three points hold the centre one time in four.
    assert [wendel(k, 1) for k in (1, 2, 3)] == [0.0, 0.5, 0.75]
    assert [wendel(k, 2) for k in (2, 3, 4)] == [0.0, 0.25, 0.5]
    assert wendel(4, 3) == 0.125


@pytest.mark.parametrize(
    ("family", "parameters", "wanted"),
    [
        ("spatial", {"providers": 3, "dimension": 2, "bias": "absolute", "user_spread": 0.0}, 0.25),
        ("spatial", {"providers": 3, "dimension": 2, "bias": "absolute", "user_spread": 1.0}, None),
        ("spatial", {"providers": 3, "dimension": 2, "bias": "relative", "user_spread": 1.0}, 0.25),
        ("opposed", {"providers": 2, "users": 2, "positive": 0.5}, 0.75**2),
        ("gaussian", {"providers": 2, "users": 2}, None),
    ],
)
def test_exact_probabilities(family, parameters, wanted):
    (cell,) = summarize(table([row(0, 0, family, parameters)]))
    assert exact_weak_alignment(cell) == wanted


def test_files_are_byte_identical_and_leave_no_setting_behind(summaries, tmp_path):
    summaries = [cell for cell in summaries if cell.family == "opposed"]
    before = dict(mpl.rcParams)
    written = []
    for run in ("first", "second"):
        (tmp_path / run).mkdir()
        for each in planned_figures(summaries):
            for ending in ("png", "svg", "pdf"):
                save_figure(each.draw(), tmp_path / run / f"{each.name}.{ending}")
        written.append({path.name: path.read_bytes() for path in (tmp_path / run).iterdir()})
    names = {
        f"{name}.{end}"
        for name in ("alignment", "guarantee", "equilibria", "personalization")
        for end in ("png", "svg", "pdf")
    }
    assert set(written[0]) == names
    assert written[0] == written[1]
    assert dict(mpl.rcParams) == before
    assert written[0]["alignment.png"].startswith(b"\x89PNG")
    assert b"<dc:date>" not in written[0]["alignment.svg"]
    other = planned_figures(summaries, 0.5)[0]
    save_figure(other.draw(), tmp_path / "other.svg")
    assert (tmp_path / "other.svg").read_bytes() != written[0]["alignment.svg"]


def test_many_groups_go_on_further_pages():
    markets, cell = [], 0
    for shared in range(PANELS_A_PAGE + 1):
        for k in (1, 2):
            markets.append(row(cell, cell, "gaussian", {"providers": k, "shared": float(shared)}))
            cell += 1
    figures = {each.name: each.draw() for each in planned_figures(summarize(table(markets)))}
    assert list(figures) == [
        "alignment",
        "alignment-2",
        "guarantee",
        "guarantee-2",
        "equilibria",
        "equilibria-2",
        "personalization",
    ]
    assert (len(figures["alignment"].axes), len(figures["alignment-2"].axes)) == (PANELS_A_PAGE, 1)


@pytest.mark.parametrize("market", [{}, {"status": 10, "weakly_aligned": -1}, {"aligned": [0.0]}])
def test_tiny_scans_are_drawn_too(market, tmp_path):
    for each in planned_figures(summarize(table([row(0, 0, "conic", {"providers": 1}, **market)]))):
        save_figure(each.draw(), tmp_path / f"{each.name}.png")
    drawn = {path.stem for path in tmp_path.iterdir()}
    assert drawn | {"equilibria"} == {"alignment", "guarantee", "equilibria", "personalization"}
