"""The benchmarks: their page shows what was measured, their fits are right, and a small run of all of them ends."""

import copy
import importlib
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from quickly import FASTER_COMPILATION

ROOT = Path(__file__).parents[1]
PAGE, MEASURED = ROOT / "docs/performance.md", ROOT / "benchmarks/measured.json"


@pytest.fixture
def module(monkeypatch):
    """Imports a module of the benchmarks, as `python -m benchmarks` does in the repository."""
    monkeypatch.syspath_prepend(str(ROOT))
    return lambda name: importlib.import_module(f"benchmarks.{name}")


@pytest.fixture(scope="module")
def measured():
    return json.loads(MEASURED.read_text())


def numbers(section):
    return [entry for row in section["rows"] for entry in row if isinstance(entry, int | float)]


def test_the_page_shows_what_was_measured(module, measured):
    tables, page = module("tables"), PAGE.read_text()
    assert set(measured["sections"]) == set(module("__main__").SECTIONS)
    assert tables.fill_page(page, measured) == page
    for name in measured["sections"]:
        planted = copy.deepcopy(measured)
        planted["sections"][name]["rows"][-1][-1] = 123.0
        assert tables.fill_page(page, planted) != page, f"{name} could say anything"
    assert (ROOT / "docs/figures/performance.png").stat().st_size > 10_000


def test_a_page_without_a_place_for_a_section_is_an_error(module, measured):
    with pytest.raises(ValueError, match=r"needs <!-- floor -->"):
        module("tables").fill_page(PAGE.read_text().replace("<!-- floor -->", ""), measured)


def test_the_figure_is_drawn_from_what_was_measured(module, measured, tmp_path):
    module("figure").draw(measured, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("number", "word"),
    [
        (None, "-"),
        (0.0, "0"),
        (0.012345, "0.0123"),
        (1.2345, "1.23"),
        (1234.5, "1,234"),
        (12, "12"),
        (3.21e-9, "3.2e-09"),
    ],
)
def test_numbers_have_three_digits(module, number, word):
    assert module("tables").as_word(number) == word


def test_tables_fit_a_terminal(module, measured):
    for name, section in measured["sections"].items():
        assert max(map(len, module("tables").as_text(section).splitlines())) <= 80, name


def test_exponents_and_crossings_are_those_of_power_laws(module):
    growth, sizes = module("growth"), [8, 12, 16, 24, 32]
    own, exact = [0.02 * size**3.5 for size in sizes], [5.0 * size**1.5 for size in sizes]
    assert growth.exponent(sizes, own) == pytest.approx(3.5)
    assert growth.crossing(sizes, [b / a for a, b in zip(own, exact, strict=True)]) == pytest.approx(250**0.5)
    assert growth.crossing(sizes, [2.0] * 5) is None


def test_why_a_solver_failed_is_told(module):
    solvers, foreign = module("solvers"), module("foreign")

    def fails(batch):
        raise RuntimeError("a matrix\nis singular")

    broken = solvers.attempt(foreign.Peer("peer", "math", fails), solvers.matrix_games(3, 2))
    assert broken == {"why": "failed: a matrix is singular"}


@pytest.mark.parametrize("name", ["HiGHS, one model reused", "SciPy linprog", "pygambit lp_solve"])
def test_solvers_of_others_solve_the_programmes_that_they_are_given(module, name):
    solvers = module("solvers")
    peer = next(each for each in solvers.SOLVERS if each.name == name)
    pytest.importorskip(peer.module)
    posed = solvers.matrix_games(3, 4)
    width, closed = posed.evaluate(*peer.prepare(posed.batch)())
    assert closed.all()
    assert (width > -1e-12).all()
    # Odds that are nobody's best leave the brackets open.
    assert not posed.evaluate(*(0 * leaf + 1 for leaf in (posed.batch[2], posed.batch[1])))[1].any()


@pytest.mark.slow
def test_all_sections_run_and_are_finite(tmp_path):
    out = tmp_path / "measured.json"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", "--json", str(out)],
        cwd=ROOT,
        env=os.environ | {"XLA_FLAGS": FASTER_COMPILATION, "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    measured = json.loads(out.read_text())
    assert list(measured["sections"]) == ["questions", "solvers", "floor", "growth", "first-calls", "stages"]
    for name, section in measured["sections"].items():
        assert numbers(section), name
        assert all(math.isfinite(number) for number in numbers(section)), name
        assert {len(row) for row in section["rows"]} == {len(section["columns"])}, name
        assert f"\n{name}: " in done.stdout
    own = [row for row in measured["sections"]["solvers"]["rows"] if row[1] == "pluraljax"]
    assert [row[4] for row in own] == [100.0] * 3
