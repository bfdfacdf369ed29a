"""What `.ci/run`, the one script that checks the project, exits with: run on commands that do nothing."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# Makes an environment of commands that do what `command` does: the one named by FAILS fails, all others succeed.
PYTHON = """#!/usr/bin/env bash
case "$1" in
  --version) echo Python 3.11 ;;
  -c) echo 3 11 ;;
  -m) mkdir -p .venv/bin
    for name in python pip ruff pyright mkdocs pluraljax pytest; do cp command ".venv/bin/$name"; done ;;
esac
"""
COMMAND = """#!/usr/bin/env bash
if [[ $(basename "$0") == "$LASTS" ]]; then
  sleep 60 &
  trap 'kill $!; touch "$HOME/ended"' TERM
  touch "$HOME/began"
  wait
elif [[ "$(basename "$0") $*" == *"$FAILS"* ]]; then
  while [[ $LASTS != nothing && ! -e "$HOME/began" ]]; do sleep 0.05; done
  exit 3
fi
"""


def run(folder, fails="nothing", lasts="nothing"):
    (folder / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/run", folder / ".ci/run")
    (folder / "README.md").write_text("python3 -m venv .venv && .venv/bin/pytest\n")
    for name, text in {"python": PYTHON, "command": COMMAND}.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    scratch = folder / "scratch"
    scratch.mkdir()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "TMPDIR": str(scratch),
        "PLURALJAX_CHROMIUM": "none",
    }
    environment |= {"PYTHON": str(folder / "python"), "FAILS": fails, "LASTS": lasts}
    done = subprocess.run([folder / ".ci/run"], env=environment, capture_output=True, text=True, timeout=60)
    assert list(scratch.iterdir()) == []
    return done


def test_all_well_exits_with_zero(tmp_path):
    done = run(tmp_path)
    assert (done.returncode, "== green" in done.stdout) == (0, True), done.stdout + done.stderr


@pytest.mark.parametrize(
    "fails", ["pip", "ruff check", "ruff format", "pyright", "mkdocs", "pluraljax scan", "pytest", "-m slow"]
)
def test_what_fails_is_not_green(tmp_path, fails):
    done = run(tmp_path, fails)
    assert done.returncode != 0
    assert "== green" not in done.stdout


def test_types_that_are_still_checked_end_with_the_script(tmp_path):
    assert run(tmp_path, fails="mkdocs", lasts="pyright").returncode != 0
    until = time.monotonic() + 20
    while not (tmp_path / "ended").exists():
        assert time.monotonic() < until
        time.sleep(0.05)
