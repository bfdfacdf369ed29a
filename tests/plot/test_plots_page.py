"""The page docs/plots.md, block after block, on a scan that has the default one's parameters."""

import contextlib
import io
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tests" / "site"))

from shown import blocks  # noqa: E402

BLOCKS = [block.text for block in blocks("docs/plots.md", "python")]


@pytest.fixture
def folder(store, tmp_path, monkeypatch):
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    (tmp_path / "scan-results").mkdir()
    (tmp_path / "scan-results" / "default").symlink_to(store)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _run(chosen):
    names, out = {}, io.StringIO()
    with contextlib.redirect_stdout(out):
        for text in chosen:
            exec(compile(text, "docs/plots.md", "exec"), names)
    return out.getvalue()


def test_blocks_on_scans_draw_what_they_say(folder):
    shown = _run(text for text in BLOCKS if "shop.csv" not in text)
    assert "{'family': 'gaussian', 'shared': 1.0}" in shown
    assert {path.name for path in folder.iterdir()} >= {"served.pdf", "alignment.svg", "own.png"}


@pytest.mark.slow
def test_blocks_on_a_market_draw_what_they_say(folder):
    _run(BLOCKS[:2] + [text for text in BLOCKS if "shop.csv" in text])
    assert (folder / "dev.png").exists()
