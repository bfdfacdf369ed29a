"""Every public function shows how it is called, and what it shows runs."""

import inspect
import re
import textwrap

import jax
import matplotlib
import numpy as np
import pytest
from public import public_names

import pluraljax as plx

FUNCTIONS = {name: item for name, item in public_names().items() if inspect.isfunction(item)}
# What compiles loops of its own.
DEAR = frozenset(())


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
            yield pytest.param(name, marks=[pytest.mark.slow] if name in DEAR else [])


@pytest.mark.parametrize("name", list(cases()))
def test_it_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PLURALJAX_NO_CACHE", "1")
    scores = np.random.default_rng(0).integers(1, 6, (30, 8))
    rows = [f"{user},{item},{score}" for user, row in enumerate(scores) for item, score in enumerate(row)]
    (tmp_path / "scores.csv").write_text("\n".join(["user,item,rating", *rows]) + "\n")
    matplotlib.use("Agg")
    exec(compile(example(public_names()[name]), f"example of {name}", "exec"), {"plx": plx, "jax": jax})
