"""Notebooks run from top to bottom, and show what is stored with them, which is what the site shows."""

import importlib.util
import json

import pytest
from quickly import FASTER_COMPILATION
from shown import ROOT

pytest.importorskip("nbclient", reason="notebooks are run with the extra docs, which is not installed")

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


def module(name):
    spec = importlib.util.spec_from_file_location(f"site_{name}", ROOT / "docs" / "site" / f"{name}.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture(scope="module")
def runner():
    return module("run_notebooks")


def test_there_are_five():
    names = ["first_market", "million_markets", "own_family", "personalization", "tuning"]
    assert [path.stem for path in NOTEBOOKS] == names


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_is_stored_is_small(path, runner):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert path.stat().st_size < 100_000
    assert notebook["cells"][0]["cell_type"] == "markdown"
    assert "".join(notebook["cells"][0]["source"]).startswith("# ")
    assert runner.shown(notebook), "run docs/site/run_notebooks.py"
    kept = {kind for cell in notebook["cells"] for each in cell.get("outputs", []) for kind in each.get("data", {})}
    assert kept <= {"text/plain", "image/png"}
    assert not [cell for cell in notebook["cells"] if cell.get("execution_count")]


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_show_what_is_stored(path, runner, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", FASTER_COMPILATION)
    stored = json.loads(path.read_text(encoding="utf-8"))
    assert runner.shown(runner.executed(path)) == runner.shown(stored)


def test_a_page_shows_code_outputs_and_pictures():
    outputs = [
        {"output_type": "stream", "name": "stdout", "text": ["one\n", "two\n"]},
        {"output_type": "display_data", "data": {"image/png": "aGVsbG8=", "text/plain": "<Figure size 5x3>"}},
    ]
    cells = [
        {"cell_type": "markdown", "source": ["# Title"]},
        {"cell_type": "code", "source": "print()", "outputs": outputs},
    ]
    pictures = {}
    page = module("notebooks").as_page({"cells": cells}, "name", pictures)
    assert page == "# Title\n\n```python\nprint()\n```\n\n```text\none\ntwo\n```\n\n![Figure](name-0.png)\n"
    assert pictures == {"name-0.png": b"hello"}
    failed = {
        "cell_type": "code",
        "source": "",
        "outputs": [{"output_type": "error", "ename": "KeyError", "evalue": "1"}],
    }
    with pytest.raises(ValueError, match="name: a cell ended with KeyError: 1"):
        module("notebooks").as_page({"cells": [failed]}, "name", {})
