"""`pluraljax study` as a process: the page's shop, JSON, exit codes, and what is wrong with arguments and files."""

import json
import os
import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import pluraljax as plx
from pluraljax._market_form import MarketNames

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "study.md").read_text()
SHOP = ROOT / "docs" / "examples" / "shop.csv"
# What other processes of these tests compiled is there for this one.
PROGRAMMES = str(ROOT / ".pytest_cache" / "processes")
ENVIRONMENT = os.environ | {"JAX_COMPILATION_CACHE_DIR": PROGRAMMES, "JAX_PLATFORMS": "cpu"}

# Several commands in one process, which compiles once: prints the exit code and the output of each as JSON.
SEVERAL = """
import contextlib, io, json, sys
from pluraljax._cli import main

def run(*arguments):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = main(["study", *arguments])
    return code, out.getvalue()

shop, page = sys.argv[1:]
results = [run(shop), run(shop, "--json"), run(shop, "--budget", "0", "--json")]
exec(page)
print(json.dumps([*results, answer.sentence]))
"""


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def process(*command):
    command = [sys.executable, *map(str, command)]
    return subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, cwd=ROOT)


@pytest.fixture(scope="module")
def results():
    done = process("-c", SEVERAL, SHOP, blocks("python")[0])
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_an_answer_fits_a_terminal(results):
    """What it says is what the page shows: tests/site/test_outputs.py."""
    code, text = results[0]
    assert code == 0
    assert max(map(len, text.splitlines()[:-1])) <= 80
    assert text.splitlines()[-1] == f"  pluraljax certify {shlex.quote(str(SHOP))}"


def test_the_first_table_of_the_page_is_a_market(tmp_path):
    """It is indented there, as part of a list."""
    (tmp_path / "market.csv").write_text(textwrap.dedent(f"   {blocks('text')[0].lstrip()}"))
    market, names = plx.files.load_named_market(tmp_path / "market.csv")
    assert names == MarketNames(("Ann", "Ben"), ("Shop", "Guide"), ("buy", "wait"), ("worth it", "overpriced"))
    np.testing.assert_array_equal(market.user_value[0], [[5, -3], [0, 0]])
    np.testing.assert_array_equal(market.provider_value[1], [[[5, -3], [0, 0]], np.zeros((2, 2))])


def test_json_says_the_same(results):
    code, text = results[1]
    data = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert code == 0
    assert data["sentence"] == (
        "Ann, Ben, Cleo and Eva are served either way; Dev is served only if policies are anonymous."
    )
    # What the page does in Python.
    assert results[3] == data["sentence"]
    assert data["names"]["providers"] == ["House", "Brand", "Guide"]
    dev = data["users"][3]
    assert (dev["name"], dev["personalized_served"], dev["anonymous_served"]) == ("Dev", False, True)
    # Worked out by hand: uninformed he buys the basic model; told everything the deluxe, the basic one, or he waits.
    assert dev["silent"] == pytest.approx(0.4 * 2 + 0.35 * 3 + 0.25 * 1)
    assert dev["aligned"] == pytest.approx(0.4 * 4 + 0.35 * 3 + 0.25 * 4)
    assert dev["personalized_worst"] == pytest.approx([dev["silent"]] * 2, abs=1e-5)
    assert [exit["provider"] for exit in data["interventions"]["exits"]] == ["House", "Brand", "Guide"]
    assert [exit["personalized_served"][1] for exit in data["interventions"]["exits"]] == [False, False, True]


def test_something_undecided_is_an_exit_code(results):
    code, text = results[2]
    data = json.loads(text)
    assert code == 1
    assert data["users"][3]["anonymous_served"] is None
    assert data["sentence"] == (
        "Personalized: Ann, Ben, Cleo and Eva are served; Dev is not. "
        "Anonymous: Ann, Cleo and Eva are served; not known for Ben and Dev."
    )


def test_the_page_s_toml_is_a_market(tmp_path):
    (tmp_path / "shop.toml").write_text(blocks("toml")[0])
    market, names = plx.files.load_named_market(tmp_path / "shop.toml")
    assert names.users == ("Ann", "Ben")
    np.testing.assert_array_equal(market.user_value[0], [[2, 2], [4, 1], [0, 5]])
    np.testing.assert_array_equal(market.provider_value[0, 1], [[0, 0], [3, 3], [0, 0]])
    np.testing.assert_array_equal(market.mass, [2, 1])


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["no.csv"], "pluraljax study: no.csv: there is no such file."),
        ([str(SHOP), "--delta", "-1"], "--delta must be >= 0, got -1"),
        ([str(SHOP), "--budget", "-1"], "--budget must be >= 0, got -1"),
        ([str(SHOP), "--seconds", "-1"], "--seconds must be >= 0, got -1"),
    ],
)
def test_wrong_arguments_are_one_sentence(arguments, wanted):
    done = process("-m", "pluraljax", "study", *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("pluraljax study: ")
    assert wanted in done.stderr
    assert done.stderr.count("\n") == 1


def test_certify_reads_the_forms_too(tmp_path):
    path = tmp_path / "bad.csv"
    path.write_text("who,action,payoff\nuser,tea,1\n")
    done = process("-m", "pluraljax", "certify", path)
    assert done.returncode == 2
    assert "has no row of a provider" in done.stderr
