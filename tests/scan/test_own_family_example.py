"""The example of docs/own_family.md: its files, its Python, and the number that it says is known."""

import re
import sys
from pathlib import Path

import pytest
import stand_in

import pluraljax as plx
from pluraljax._cli import main
from pluraljax._statistics._intervals import clopper_pearson

PAGE = (Path(__file__).parents[2] / "docs" / "own_family.md").read_text()
FAMILY, TOML, PYTHON = re.findall(r"```(?:python|toml)\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def beside(tmp_path, monkeypatch):
    """The two files of the page in a folder, which is the current one."""
    (tmp_path / "recommend.py").write_text(FAMILY)
    (tmp_path / "recommend.toml").write_text(TOML)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("PLURALJAX_NO_CACHE", "1")
    monkeypatch.setattr("pluraljax._cli._scan._report", lambda out: 0)
    yield tmp_path
    sys.modules.pop("recommend", None)


def test_it_runs_from_toml_and_from_python(beside, monkeypatch):
    for kind, name, function in stand_in.functions():
        monkeypatch.setattr(kind, name, function)
    assert main(["scan", "recommend.toml", "--out", "results", "--quiet", "--markets", "16"]) == 0
    code = PYTHON.replace("1600", "24").replace("1000", "4")
    monkeypatch.syspath_prepend(str(beside))
    names = {}
    exec(code, names)
    # The second one went on with the first.
    assert names["dataset"].sizes["market"] == 24
    assert set(names["dataset"].family.values) == {"recommend:Recommend"}
    assert len(list((beside / "results" / "rows").glob("*.parquet"))) == 16


@pytest.mark.slow
def test_its_first_column_is_what_is_known(beside):
    config = plx.scans.ScanConfig.from_toml("recommend.toml").replace(equilibria=False, search=None)
    dataset = plx.scan(config, progress=False)
    dataset = dataset.where(dataset.spread == 0, drop=True)
    for providers, known in {2: 0.0, 3: 1 / 4, 4: 1 / 2, 6: 13 / 16}.items():
        cell = dataset.where(dataset.providers == providers, drop=True)
        for event in (cell.weakly_aligned, cell.strongly_aligned):
            lower, upper = clopper_pearson(float(event.sum()), 200, 0.999)
            assert lower <= known <= upper, (providers, float(event.mean()))
        # The page shows these very markets.
        shown = re.search(rf"^ +{providers} +([0-9.]+) \[", PAGE, re.MULTILINE)
        assert shown.group(1) == f"{100 * float(cell.weakly_aligned.mean()):.1f}"
