"""Every experiment runs in a small version, and says what is true."""

import json
import subprocess
import sys
from math import comb
from pathlib import Path

EXPERIMENTS = Path(__file__).parents[1] / "experiments"


def test_wendel_covers_the_formula(tmp_path):
    arguments = ["--markets", "256", "--providers", "3", "5", "--dimensions", "2", "--out", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, str(EXPERIMENTS / "wendel.py"), *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "2 of 2 intervals cover the formula" in done.stdout
    results = json.loads((tmp_path / "manifest.json").read_text())["results"]
    for point in results:
        exact = 1 - 2.0 ** -(point["providers"] - 1) * sum(comb(point["providers"] - 1, i) for i in range(2))
        assert point["lower"] <= exact <= point["upper"]
        # 256 markets at 99.9 %: an interval so wide that it must cover would prove nothing.
        assert point["upper"] - point["lower"] < 0.25
    assert (tmp_path / "wendel.png").stat().st_size > 10_000
    assert (tmp_path / "wendel.svg").exists()


def test_best_ai_selection_reports_every_scheme(tmp_path):
    arguments = ["--markets", "8", "--rounds", "2", "--biases", "0.5", "--out", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, str(EXPERIMENTS / "best_ai_selection.py"), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "manifest.json").read_text())["results"]
    assert [row["scheme"] for row in results] == ["anonymous", "two segments", "personalized"]
    for row in results:
        assert len(row["path"]) == 3
        # Play starts from silence; what users have is between that and aligned.
        assert abs(row["path"][0]) < 1e-9
        assert max(row["path"]) <= 1 + 1e-9
        assert row["path"][1] > 0
        assert row["converged_low"] <= row["converged"] <= row["converged_high"]
    assert (tmp_path / "best_ai_selection.png").stat().st_size > 10_000
