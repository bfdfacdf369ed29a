"""Every public function shows how it is called, and what it shows runs."""

import inspect
import re
import textwrap
from pathlib import Path

import jax
import matplotlib
import numpy as np
import pytest
from public import public_names

import pluraljax as plx

FUNCTIONS = {name: item for name, item in public_names().items() if inspect.isfunction(item)}
ROOT = Path(__file__).parent.parent


def example(item):
    """The code below `Example::` in a docstring; empty where there is none."""
    found = re.search(r"Example::\n\n((?:    .*\n|\n)+)", inspect.cleandoc(item.__doc__ or "") + "\n")
    return textwrap.dedent(found.group(1)) if found else ""


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_function_has_one(name):
    assert example(FUNCTIONS[name]), f"plx.{name} shows no example"


def cases():
    for name, item in sorted(public_names().items()):
        if callable(item) and example(item):
            yield name


# Most of it is compiling.
@pytest.mark.slow
@pytest.mark.parametrize("name", list(cases()))
def test_it_runs(name, tmp_path, monkeypatch, x64):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    scores = np.random.default_rng(0).normal(size=(12, 6)).round(2)
    rows = [f"{row // 3},{int(row % 3 == 0)}," + ",".join(map(str, each)) for row, each in enumerate(scores)]
    (tmp_path / "scores.csv").write_text("\n".join(["prompt,correct,a,b,c,d,e,f", *rows]) + "\n")
    matplotlib.use("Agg")
    exec(compile(example(public_names()[name]), f"example of {name}", "exec"), {"plx": plx, "jax": jax})
