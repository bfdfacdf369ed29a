"""Pictures show the numbers of a scan, a market and a policy, say what they show, and leave Matplotlib as it was."""

import itertools
import subprocess
import sys

import jax.numpy as jnp
import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.collections import FillBetweenPolyCollection
from matplotlib.figure import Figure
from scipy.stats import beta

import pluraljax as plx
from pluraljax._report._read import summaries_of
from pluraljax._scan import open_scan

WHERE = {"family": "gaussian", "shared": 1.0}


@pytest.fixture
def ax():
    return Figure(layout="constrained").subplots()


@pytest.fixture(autouse=True)
def untouched():
    before = dict(mpl.rcParams)
    yield
    assert dict(mpl.rcParams) == before


def _heights(ax):
    """The pieces of each stacked bar from below, by what the legend calls them."""
    return {bars.get_label(): [bar.get_height() for bar in bars] for bars in ax.containers}


def test_bars_are_shares_of_those_who_are_served(store, ax):
    assert plx.plot.shares_served(ax, store, **WHERE) is ax
    wanted = {
        "either way": 2 / 8,
        "only if personalized": 1 / 8,
        "only if anonymous": 1 / 8,
        "undecided": 2 / 8,
        "neither way": 2 / 8,
    }
    heights = _heights(ax)
    assert list(heights) == list(wanted)
    for label, share in wanted.items():
        np.testing.assert_allclose(heights[label], [share] * 3, err_msg=label)
    assert [bar.get_x() + bar.get_width() / 2 for bar in ax.containers[0]] == pytest.approx([1, 2, 3])
    assert ax.get_title().split("\n") == [
        "Whom competition serves",
        "gaussian markets, providers share a bias: 1",
        "n = 16 markets per bar",
    ]
    assert ax.get_xlabel() == "number of providers"
    assert "share of markets" in ax.get_ylabel()
    explained = [text.get_text() for text in ax.get_legend().get_texts()]
    assert [text.partition(":")[0] for text in explained] == list(wanted)[::-1]
    assert explained[1] == "undecided: may be any"


def test_shares_are_in_percent_and_the_title_is_the_one_that_users_set(store, ax):
    other = Figure().subplots()
    plx.plot.shares_served(ax, store, **WHERE)
    plx.plot.alignment(other, store, **WHERE)
    for each in (ax, other):
        assert [label.get_text() for label in each.get_yticklabels()] == ["0 %", "25 %", "50 %", "75 %", "100 %"]
        each.set_title("Mine")
        assert [each.get_title(loc=loc) for loc in ("left", "center", "right")] == ["", "Mine", ""]
    scale = Figure().subplots()
    plx.plot.guarantees(scale, store, **WHERE)
    assert [label.get_text() for label in scale.get_yticklabels()] == ["0", "", "0.5", "", "1"]


@pytest.mark.parametrize(("legend", "columns"), [(True, 1), ("below", 1), ("upper left", 1)])
def test_titles_and_legends_keep_to_their_panel(store, legend, columns):
    figure = Figure(figsize=(7, 3.4), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for ax in axes:
        plx.plot.shares_served(ax, store, legend=legend if ax is axes[-1] else False, **WHERE)
    figure.draw_without_rendering()
    title = axes[0].get_title()
    assert title.replace("\n", " ").startswith(
        "Whom competition serves gaussian markets, providers share a bias: 1 n ="
    )
    assert axes[0].title.get_window_extent().x1 < axes[1].title.get_window_extent().x0
    shown = axes[1].get_legend()
    assert shown._ncols == columns
    if legend == "below":
        assert shown.get_window_extent().y1 < axes[1].xaxis.label.get_window_extent().y0
        assert axes[0].get_window_extent().width == pytest.approx(axes[1].get_window_extent().width, rel=0.05)


def test_legends_below_three_panels_do_not_reach_under_each_other(store):
    figure = Figure(figsize=(10, 3), layout="constrained")
    axes = figure.subplots(1, 3)
    for ax in axes:
        plx.plot.shares_served(ax, store, legend="below", **WHERE)
    figure.draw_without_rendering()
    boxes = [ax.get_legend().get_window_extent() for ax in axes]
    assert all(one.x1 < other.x0 for one, other in itertools.pairwise(boxes))


def test_lines_are_frequencies_with_clopper_pearson_bands(store, ax):
    assert plx.plot.alignment(ax, store, confidence=0.9, **WHERE) is ax
    weak, strong = (line for line in ax.get_lines() if not line.get_label().startswith("_"))
    np.testing.assert_allclose(weak.get_ydata(), [12 / 16] * 3)
    # One in eight holds for sure, and two are open.
    np.testing.assert_allclose(strong.get_ydata(), [2 / 16] * 3)
    bands = [each for each in ax.collections if isinstance(each, FillBetweenPolyCollection)]
    for band, least, most in ((bands[0], 12, 12), (bands[1], 2, 6)):
        ends = beta.ppf(0.05, least, 17 - least), beta.ppf(0.95, most + 1, 16 - most)
        height = band.get_paths()[0].vertices[:, 1]
        np.testing.assert_allclose([height.min(), height.max()], ends, rtol=1e-9)


def test_worst_equilibria_are_on_the_scale_and_bands_where_they_are_open(store, ax):
    assert plx.plot.equilibria(ax, store, **WHERE) is ax
    lines = {line.get_label(): line.get_ydata() for line in ax.get_lines()}
    # From 1 to 3: a worst equilibrium that gives 2 is half way, and one of 1.5 to 2 is open.
    np.testing.assert_allclose(lines["personalized"], [0.5] * 3)
    assert np.isnan(lines["anonymous"]).all()
    edges = [line.get_ydata() for line in ax.get_lines() if line.get_linestyle() == ":"]
    np.testing.assert_allclose(edges, [[0.25] * 3, [0.5] * 3])
    other = Figure().subplots()
    plx.plot.guarantees(other, store, legend=False, **WHERE)
    assert other.get_legend() is None
    np.testing.assert_allclose(other.get_lines()[0].get_ydata(), [0.5] * 3)


def test_a_dataset_is_as_good_as_its_folder(store):
    """Also once it was in memory only: what identifies cells comes back with its types."""
    folder, data = summaries_of(store), summaries_of(open_scan(store))
    assert [(cell.family, dict(cell.parameters)) for cell in data] == [
        (cell.family, dict(cell.parameters)) for cell in folder
    ]
    assert data == folder
    axes = [Figure().subplots() for _ in range(2)]
    for ax, scan in zip(axes, (store, open_scan(store)), strict=True):
        plx.plot.shares_served(ax, scan, **WHERE)
    assert _heights(axes[0]) == _heights(axes[1])


def test_a_scan_says_what_it_shows_in_a_sentence(store):
    said = plx.scans.conclusion(store)
    assert said.startswith("Of 96 markets, competition serves every user either way in 25 to 38 %, ")
    assert "25 % are undecided. Served: every equilibrium" in said
    assert plx.scans.conclusion(open_scan(store)) == said
    assert "plx.scans.conclusion" in repr(open_scan(store))


def test_every_panel_can_be_drawn_and_a_wrong_one_is_told(store, ax):
    assert plx.plot.panels(store) == [{"family": "gaussian", "shared": 0.0}, {"family": "gaussian", "shared": 1.0}]
    with pytest.raises(ValueError, match=r"2 panels fit without a family: choose one of .*shared=0\.0.*shared=1\.0"):
        plx.plot.alignment(ax, store)
    with pytest.raises(ValueError, match=r"no panel fits .*shared=2\.0"):
        plx.plot.alignment(ax, store, shared=2.0)
    with pytest.raises(ValueError, match="the folder of a scan, or what scan and open_scan return, got 3"):
        plx.plot.panels(3)
    with pytest.raises(ValueError, match="confidence"):
        plx.plot.alignment(ax, store, confidence=1.0, **WHERE)
    assert not ax.lines


def test_curves_are_the_brackets_of_the_market(ax):
    """By hand: two states, two actions. The provider likes the second action, the user what fits the state.

    Told nothing she gets 1/2 and does what the provider likes; each point of probability that she is told the truth
    costs the provider as much: phi falls from 1 to 1/2 along a line.
    """
    market = plx.observed_market([[[1.0, 0.0], [0.0, 1.0]]], [[[[0.0, 0.0], [1.0, 1.0]]]] * 2)
    assert plx.plot.frontier_curve(ax, market, names={"users": ["Ann"], "providers": ["Zoe", "Max"]}) is ax
    zoe, other = (line for line in ax.get_lines() if line.get_label() in ("Zoe", "Max"))
    np.testing.assert_allclose(zoe.get_xdata(), np.linspace(0.5, 1.0, 41), atol=1e-12)
    np.testing.assert_allclose(zoe.get_ydata(), 1.5 - np.linspace(0.5, 1.0, 41), atol=1e-6)
    np.testing.assert_allclose(other.get_ydata(), zoe.get_ydata(), atol=1e-6)
    assert "Ann" in ax.get_title()
    assert "expected payoff" in ax.get_xlabel()
    assert {text.get_text() for text in ax.texts} == {"silent", "aligned"}
    with pytest.raises(ValueError, match="user must be a number from 0 to 0, got 1"):
        plx.plot.frontier_curve(ax, market, user=1)


def test_a_policy_is_what_its_signals_have_a_user_do(ax):
    """A provider that says "buy" in the good state and in half of the bad ones; two words for it mean the same."""
    user = [[[3.0, -2.0], [0.0, 0.0]]]
    market = plx.observed_market(user, np.ones((1, 1, 2, 2)), prior=[0.5, 0.5])
    kernel = jnp.array([[0.6, 0.4, 0.0], [0.3, 0.2, 0.5]])
    profile = plx.Profile(kernel[None, None, :, None, :])
    called = {"users": ["Ann"], "providers": ["Zoe"], "actions": ["buy", "wait"], "states": ["good", "bad"]}
    assert plx.plot.policy(ax, profile, market, names=called) is ax
    assert _heights(ax) == {"buy": pytest.approx([1.0, 0.5]), "wait": pytest.approx([0.0, 0.5])}
    assert [text.get_text() for text in ax.get_xticklabels()] == ["good", "bad"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("state", "probability of each action")
    assert ax.get_title().startswith("What Ann does on the advice of Zoe")


def test_users_at_a_tie_do_what_is_recommended(ax):
    market = plx.observed_market(np.zeros((1, 2, 2)), [[[[1.0, 1.0], [0.0, 0.0]]]])
    for told, wanted in ((None, "action 0"), (np.full((1, 1, 1, 1, 1), 1), "action 1")):
        panel = Figure().subplots()
        plx.plot.policy(panel, plx.Profile(np.ones((1, 1, 2, 1, 1)), told), market)
        assert _heights(panel) == {wanted: [1.0, 1.0]}
    with pytest.raises(ValueError, match="one round with one query"):
        plx.plot.policy(ax, plx.Profile(np.ones((1, 1, 2, 2, 1))), market)


def test_asking_for_pictures_loads_no_matplotlib_and_drawing_no_pyplot_and_no_jax(store):
    code = f"""
import sys
import pluraljax as plx
plx.plot.policy
print("matplotlib" in sys.modules)
from matplotlib.figure import Figure
plx.plot.shares_served(Figure().subplots(), {str(store)!r}, shared=1.0)
print("matplotlib.pyplot" in sys.modules, "jax" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False", "False"]
