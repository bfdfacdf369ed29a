"""Every block of code in the README and in docs/ runs, or is read by whatever it is written for.

The blocks of a page are run one after the other, as somebody would who follows it, in an empty folder with docs/ in it.
What a page says that a block prints (a block of text after the word "prints") is what it prints.
"""

import contextlib
import io
import re
import shlex
import subprocess
import sys

import numpy as np
import pandas
import pytest
import stand_in
import yaml
from shown import PAGES, ROOT, Block, blocks, text_of

import pluraljax as plx
from pluraljax._cli._parser import build_parser
from pluraljax._cli._tune_settings import read_settings

# Blocks that other tests run, with what they need.
ELSEWHERE = {
    "docs/study.md": "tests/study/test_study_command.py",
    "docs/own_family.md": "tests/scan/test_own_family_example.py",
    "docs/own_measurement.md": "tests/scan/test_own_measurement.py",
    "docs/plots.md": "tests/plot/test_plots_page.py",
}
# Pages whose questions take long to compile.
SLOW = {
    "README.md",
    "docs/README.md",
    "docs/tutorial.md",
    "docs/certify.md",
    "docs/equilibrium.md",
    "docs/questions.md",
}
SLOW |= {"docs/tuning.md"}
# What is made smaller here.
SMALLER = {
    "docs/scan.md": {
        "plx.scans.default_config()": '"study.toml"',
        "markets=1000": "markets=8",
        "market=1234": "market=3",
    },
    "docs/tuning.md": {"steps=200, held_out=200": "steps=2, held_out=4"},
}
# Blocks that need something that is not here: they are compiled and not run.
NEEDS = {"dask_jobqueue": "a cluster with SLURM", "jax_num_cpu_devices": "a process of its own"}
BEFORE = {
    "docs/estimation.md": "import pluraljax as plx",
    "docs/scan.md": "import duckdb, pandas, polars",
}

PYTHON = {page: found for page in PAGES if (found := blocks(page, "python"))}


def output(block: Block) -> str | None:
    """What a page says that a block prints, if it does."""
    following = [each for each in blocks(block.page) if each.line > block.line][:1]
    return following[0].text if following and following[0].is_output else None


def run_page(page: str) -> list[str]:
    """Runs the blocks of a page and lists where one prints something else than the page says."""
    text = {block: block.text for block in PYTHON[page]}
    for before, after in SMALLER.get(page, {}).items():
        assert before in text_of(page), f"{page} no longer says {before!r}"
        text = {block: code.replace(before, after) for block, code in text.items()}
    names: dict = {}
    exec(BEFORE.get(page, ""), names)
    wrong = []
    for block, code in text.items():
        compiled = compile(code, f"{page}, line {block.line}", "exec")
        if any(word in code for word in NEEDS):
            continue
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compiled, names)
        wanted = output(block)
        if wanted is not None and out.getvalue().split() != wanted.split():
            wrong.append(f"{page}, line {block.line}: wanted {wanted!r}, got {out.getvalue()!r}")
    return wrong


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder: the documentation, and files that pages speak of."""
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    rng = np.random.default_rng(0)
    scores = rng.integers(1, 6, (40, 16))
    rows = [f"{user},{item},{score}" for user, row in enumerate(scores) for item, score in enumerate(row)]
    (tmp_path / "ratings.csv").write_text("\n".join(["user,item,rating", *rows]) + "\n")
    pandas.read_csv(tmp_path / "ratings.csv").to_parquet(tmp_path / "ratings.parquet")
    (tmp_path / "study.toml").write_text('markets = 8\n[[grid]]\nfamily = "gaussian"\nproviders = 2\nusers = 2\n')
    (tmp_path / "DIR").symlink_to(tmp_path / "scan-results" / "default")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PLURALJAX_NO_CACHE", "1")
    return tmp_path


def cases():
    for page in PYTHON:
        yield pytest.param(page, id=page, marks=[pytest.mark.slow] if page in SLOW else [])


@pytest.mark.parametrize("page", list(cases()))
def test_python_runs(page, folder, monkeypatch, x64_of_the_page):
    if page in ELSEWHERE:
        assert page.rpartition("/")[2] in (ROOT / ELSEWHERE[page]).read_text()
        return
    if page == "docs/scan.md":
        for module, name, function in stand_in.functions():
            monkeypatch.setattr(module, name, function)
    assert run_page(page) == []


@pytest.fixture
def x64_of_the_page():
    """Pages take for granted that float64 is on, as docs/README.md says; it is turned off again."""
    import jax

    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)


def test_what_needs_a_process_of_its_own_runs_in_one():
    (block,) = (block for block in PYTHON["docs/scan.md"] if "jax_num_cpu_devices" in block.text)
    done = subprocess.run(
        [sys.executable, "-c", block.text + "\nprint(len(jax.devices()))"], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout.strip()) == (0, "2"), done.stderr


def test_a_block_that_prints_something_else_is_found(monkeypatch):
    planted = Block("docs/tutorial.md", 1, "python", "print(1)", "")
    monkeypatch.setitem(PYTHON, "docs/tutorial.md", [planted])
    monkeypatch.setattr(sys.modules[__name__], "output", lambda block: "2")
    assert run_page("docs/tutorial.md") == ["docs/tutorial.md, line 1: wanted '2', got '1\\n'"]


def toml_reader(block: Block, folder) -> None:
    """Reads a block as what it is: the config of a scan or of a tuning run, or a market."""
    path = folder / "block.toml"
    grid = '[[grid]]\nfamily = "gaussian"\n' if re.match(r"\w+ = \{.*\}\s*$", block.text) else ""
    path.write_text(block.text + grid)
    if "objective" in block.text:
        read_settings(path)
    elif "[users" in block.text:
        plx.files.load_named_market(path)
    else:
        plx.scans.ScanConfig.from_toml(str(path))


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(block, id=f"{page}:{block.line}")
        for page in PAGES
        if page not in ELSEWHERE
        for block in blocks(page, "toml")
    ],
)
def test_toml_is_read(block, folder):
    toml_reader(block, folder)


def commands():
    """The lines that call pluraljax, in blocks of a shell."""
    for page in PAGES:
        for block in blocks(page, "console", "sh"):
            for line in block.text.splitlines():
                for part in re.split(r"&&|\|\||;", line):
                    if found := re.search(r"(?:^|/|\s)pluraljax (.*)", part.partition("#")[0]):
                        yield pytest.param(found[1].rstrip("& "), id=f"{page}:{block.line}:{found[1][:30]}")


@pytest.mark.parametrize("line", list(commands()))
def test_commands_have_the_options_that_pages_give_them(line):
    subparsers = build_parser()._subparsers._group_actions[0].choices
    command, *rest = shlex.split(re.sub(r"[\[\]]", " ", line.replace("$(", "")))
    if command == "--version":
        return
    assert command in subparsers, f"there is no pluraljax {command}"
    known = {option for action in subparsers[command]._actions for option in action.option_strings}
    assert {word.partition("=")[0] for word in rest if word.startswith("-")} - known == set()


def test_every_block_is_looked_at():
    """A language that no test here knows would be run by nobody."""
    languages = {block.language for page in PAGES for block in blocks(page)}
    assert languages <= {"python", "toml", "console", "sh", "text", "math", "yaml", ""}
    for page in PAGES:
        for block in blocks(page, "yaml"):
            assert yaml.safe_load(block.text)
