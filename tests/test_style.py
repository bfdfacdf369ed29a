"""House rules that no linter knows: documented public names, small modules with telling names, one version number."""

import ast
import inspect
import re
import tomllib
from pathlib import Path

import pytest
from public import public_names

import pluraljax as plx

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "pluraljax").rglob("*.py"))
SOURCES = MODULES + sorted(file for folder in ("experiments", "benchmarks") for file in (ROOT / folder).rglob("*.py"))
PUBLIC = public_names()
MAX_LINES = 450


def label(file: Path) -> str:
    return str(file.relative_to(ROOT))


def documented_arguments(docstring: str) -> set[str]:
    """The names that the bullets under `**Arguments:**` explain."""
    section = re.search(r"\*\*Arguments:\*\*\n\n(.*?)(?=\n\n(?!-)|\Z)", inspect.cleandoc(docstring), re.DOTALL)
    bullets = re.findall(r"^- (.*?):", section[1], re.MULTILINE) if section else []
    return {name for bullet in bullets for name in re.findall(r"`(\w+)`", bullet)}


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_are_documented(name):
    item = PUBLIC[name]
    docstring = item.__doc__ or ""
    # Dataclasses without a docstring show their signature instead.
    assert docstring, f"plx.{name} has no docstring"
    assert not docstring.startswith(f"{name.rpartition('.')[2]}("), f"plx.{name} has no docstring of its own"
    first = docstring.split("\n\n")[0]
    assert first.rstrip().endswith((".", ":")), f"the docstring of plx.{name} starts with a sentence, got {first!r}"


@pytest.mark.parametrize("name", PUBLIC)
def test_documented_arguments_exist(name):
    item = PUBLIC[name]
    # Exceptions and warnings have no signature of their own.
    makes = callable(item) and not (isinstance(item, type) and issubclass(item, BaseException))
    arguments = set(inspect.signature(item).parameters) if makes else set()
    unknown = documented_arguments(item.__doc__ or "") - arguments
    assert not unknown, f"plx.{name} documents arguments that it does not take: {unknown}"


@pytest.mark.parametrize("name", ["spatial", "gaussian", "opposed", "conic"])
def test_families_document_every_parameter(name):
    family = getattr(plx.families, name)
    missing = set(inspect.signature(family).parameters) - documented_arguments(family.__doc__ or "") - {"key"}
    assert not missing, f"plx.families.{name} does not explain {missing}"


def test_documented_arguments_are_found():
    docstring = """Does it.

    **Arguments:**

    - `one`, `two`: both,
      `not_this`: really.
    - `three`: `[nor this]`.

    **Returns:**

    - `four`: no argument.
    """
    assert documented_arguments(docstring) == {"one", "two", "three"}


@pytest.mark.parametrize("file", SOURCES, ids=label)
def test_modules_are_small_and_documented(file):
    source = file.read_text()
    tree = ast.parse(source)
    assert ast.get_docstring(tree) or not tree.body, f"{label(file)} does not say what it is for"
    assert source.count("\n") <= MAX_LINES, f"{label(file)} is longer than {MAX_LINES} lines: split it by question"
    assert not re.search(r"\b(TODO|FIXME|XXX)\b", source), f"{label(file)} holds a note to self"


@pytest.mark.parametrize("file", MODULES, ids=label)
def test_package_modules_keep_the_house_rules(file):
    assert file.stem.strip("_") not in ("utils", "util", "common", "helpers", "helper", "misc", "tools")
    if file.parent == ROOT / "pluraljax" and file.stem in plx._NAMESPACES:
        body = ast.parse(file.read_text()).body
        assert all(isinstance(line, ast.Expr | ast.ImportFrom | ast.Assign) for line in body), (
            f"{label(file)}: only names"
        )
    else:
        assert file.stem.startswith("_"), f"{label(file)}: only pluraljax/__init__.py and namespaces are public"
    tree = ast.parse(file.read_text())
    asserts = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert)]
    assert not asserts, f"{label(file)} validates with `assert` in lines {asserts}: raise a ValueError"
    # Scopes are `jax.enable_x64(True)`; the global switch is the user's.
    strings = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    assert "jax_enable_x64" not in strings, f"{label(file)} touches the global float64 switch"


def test_there_is_one_version_number():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    version = project["version"]
    assert plx.__version__ == version, "the installed package is older than pyproject.toml: install it again"
    assert re.search(rf"^version: {re.escape(version)}$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text()


def test_constraints_hold_versions_and_nothing_else():
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        where = r"[a-z_]+ [<>=!]+ '[\w.]+'"
        assert re.fullmatch(rf"[a-z0-9-]+==[0-9][0-9a-z.]*( ; {where}( and {where})*)?", line), line
