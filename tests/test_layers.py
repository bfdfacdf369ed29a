"""Imports point downwards only: the source is read with `ast`, and each planted violation has to be found."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = "pluraljax"

# Modules that only say where names are.
NAMESPACES = ("answers", "files", "play", "plot", "robust", "scans", "solvers", "statistics", "tuning")

# Lowest first. Modules that share a line do not import each other.
LAYERS = (
    ("_activity", "_calls", "_loops", "_printable", "_status", "_truth", "_warnings"),
    ("_arguments", "_float64_call"),
    ("_atomic",),
    ("_compiling",),
    ("_precision",),
    ("_interruption",),
    ("_ties",),
    ("_float_bits",),
    ("_served",),
    ("_shown",),
    ("_bracket",),
    ("_answer",),
    ("_market",),
    ("_on_scale",),
    ("_counted",),
    ("_progress", "_statistics"),
    ("_files",),
    ("_market_form",),
    ("_market_file",),
    ("_segments",),
    ("_families",),
    ("_conversation",),
    ("_profile_file",),
    ("_payoff",),
    ("_signals",),
    ("_stakes",),
    ("_bounds", "_candidates"),
    ("_alignment",),
    ("_guarantee",),
    ("_coverage",),
    ("_frontier",),
    ("_robust",),
    ("_deviation",),
    ("_worst_shared",),
    ("_equilibrium",),
    ("_tuning",),
    ("_inner",),
    ("_proposals",),
    ("_certify",),
    ("_scan.measure",),
    ("_scan.config",),
    ("_scan.store",),
    ("_scan.engine",),
    ("_scan",),
    ("_report",),
    ("_audit",),
    ("_study",),
    ("_plot",),
    ("_cli",),
    ("__main__",),
    NAMESPACES,
    ("__init__",),
)
RANK = {layer: rank for rank, layers in enumerate(LAYERS) for layer in layers}
# A package of several rooms is a layer for each of them, and one for what it shows of them.
HOUSES = frozenset(layer.partition(".")[0] for layer in RANK if "." in layer)

SOLVERS = frozenset(layer for layer, rank in RANK.items() if RANK["_families"] <= rank <= RANK["_tuning"])
HEAVY = frozenset(
    ("jax", "jaxlib", "equinox", "optax", "jaxtyping", "numpy", "scipy", "matplotlib", "pyarrow", "pandas", "xarray")
)
# Numbers in, numbers out; and what describes and reads scans. None of them imports JAX, at import or later.
WITHOUT_JAX = frozenset(("_statistics", "_scan.config", "_scan.store", "_report"))
JAX = frozenset(("jax", "jaxlib", "equinox", "optax"))
# What the exact checker does without: solvers, and the arithmetic whose results it checks.
NOT_FOR_CHECKER = frozenset(("jax", "jaxlib", "equinox", "optax", "jaxtyping", "scipy", "highspy"))


def imports(nodes: Iterable[ast.AST], package: str) -> Iterator[tuple[int, str]]:
    """Yields the imports among some nodes as (line, absolute dotted name); `package` is the one of their file."""

    def absolute(name: str, level: int) -> str:
        parents = package.split(".")
        return ".".join([*parents[: len(parents) - level + 1], *filter(None, [name])]) if level else name

    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = absolute(node.module or "", node.level)
            yield from ((node.lineno, f"{origin}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            name = str(getattr(node.args[0], "value", ""))
            yield node.lineno, absolute(name.lstrip("."), len(name) - len(name.lstrip(".")))


def run_at_import(tree: ast.Module) -> Iterator[ast.AST]:
    """Yields the nodes that run when a module is imported: no bodies of functions, nothing for type checkers only."""
    stack: list[ast.AST] = [tree]
    while stack:
        node = stack.pop()
        yield node
        for child in ast.iter_child_nodes(node):
            later = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            never = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
            if not later and not never:
                stack.append(child)


def layer_of(name: str) -> str | None:
    """The layer that a dotted name belongs to; None for other distributions."""
    head, *rest = name.split(".")
    if head != PACKAGE:
        return None
    is_module = rest and (rest[0] in RANK or rest[0].startswith("_"))
    if not is_module:
        return "__init__"
    room = ".".join(rest[:2])
    return room if rest[0] in HOUSES and room in RANK else rest[0]


def home_of(parts: tuple[str, ...]) -> str:
    """The layer of a file of the package, by its path without the ending."""
    return ".".join(parts[:2]) if parts[0] in HOUSES and parts[1] != "__init__" else parts[0]


def package_violations(package: Path) -> list[str]:
    """Lists what the package's modules import against the order of the layers."""
    found = []
    for file in sorted(package.rglob("*.py")):
        parts = file.relative_to(package).with_suffix("").parts
        own = home_of(parts)
        where = f"{package.name}/{file.relative_to(package)}"
        if own not in RANK:
            found.append(f"{where}:1: {own} has no layer; give it one in LAYERS")
            continue
        tree = ast.parse(file.read_text(), str(file))
        home = ".".join([PACKAGE, *parts[:-1]])
        for line, name in imports(ast.walk(tree), home):
            problem = violation(own, name)
            if problem:
                found.append(f"{where}:{line}: {problem}")
        if own == "_cli":
            found += [
                f"{where}:{line}: _cli imports {name} at module level; do it where it is used"
                for line, name in imports(run_at_import(tree), home)
                if name.split(".")[0] in HEAVY
            ]
    return found


def violation(own: str, name: str) -> str | None:
    """Says what is wrong with layer `own` importing `name`, if anything is."""
    other = layer_of(name)
    if own == "_bounds" and name.split(".")[0] in ("scipy", "highspy", "optax"):
        return f"_bounds imports {name}: what certifies must not solve"
    apart = (None, "_arguments", "_calls", "_certify", "_printable", "_proposals")
    if own == "_certify" and (name.split(".")[0] in NOT_FOR_CHECKER or other not in apart):
        return f"_certify imports {name}: what checks shares nothing with what it checks"
    if own in WITHOUT_JAX and name.split(".")[0] in JAX:
        return f"{own} imports {name}: it does without JAX"
    if other is None or other == own:
        return None
    if other not in RANK:
        return f"{own} imports {other}, which has no layer; give it one in LAYERS"
    if RANK[other] == RANK[own]:
        return f"{own} imports {other}, and neither may import the other"
    if RANK[other] > RANK[own]:
        return f"{own} imports {other}, which lies above it"
    if own in WITHOUT_JAX and name.endswith("_rows") and other == "_scan.measure":
        return f"{own} imports {name}, which measures: it describes and reads"
    if own == "_report" and other in SOLVERS:
        return f"_report imports {other}: it reads stores, never solvers"
    return None


def circles(package: Path) -> list[str]:
    """Names the modules of a package that import each other in a circle, or lead into one and out of another.

    All imports count, also those within functions and for type checkers: a circle is one idea in several files.
    """
    files = {}
    for file in sorted(package.rglob("*.py")):
        parts = file.relative_to(package.parent).with_suffix("").parts
        files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    left = {}
    for name, file in files.items():
        home = name if file.name == "__init__.py" else name.rpartition(".")[0]
        tree = ast.parse(file.read_text(), str(file))
        # Of `from .a import b`, the module b of the package a, or else a itself.
        named = (each if each in files else each.rpartition(".")[0] for _, each in imports(ast.walk(tree), home))
        left[name] = {each for each in named if each in files and each != name}
    while free := [name for name, needed in left.items() if not needed & left.keys()]:
        for name in free:
            del left[name]
    # What is left and imported by nobody that is left only leads into a circle.
    while idle := left.keys() - {each for needed in left.values() for each in needed}:
        for name in idle:
            del left[name]
    return sorted(left)


def private_uses(folder: Path) -> list[str]:
    """Lists where the scripts of a folder reach past the public names."""
    found = []
    for file in sorted(folder.rglob("*.py")):
        tree = ast.parse(file.read_text(), str(file))
        where = f"{folder.name}/{file.relative_to(folder)}"
        aliases = {
            alias.asname or alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.Import)
            for alias in node.names
            if alias.name == PACKAGE
        }
        found += [
            f"{where}:{line}: imports {name}, which is private"
            for line, name in imports(ast.walk(tree), folder.name)
            if layer_of(name) not in (None, "__init__", *NAMESPACES)
        ]
        found += [
            f"{where}:{node.lineno}: uses {ast.unparse(node)}, which is private"
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) in aliases
            if node.attr.startswith("_") and node.attr != "__version__"
        ]
    return found


def test_imports_point_downwards():
    violations = package_violations(ROOT / PACKAGE)
    assert not violations, "\n".join(violations)


def test_the_map_names_every_room_from_top_to_bottom():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    rows = [
        line.split("|")[1] for line in text.partition("## A map")[2].partition("## ")[0].splitlines() if "|" in line
    ]
    named = [name.replace("/", ".") for row in rows[2:] for name in re.findall(r"`(\w[\w/]*)`", row)]
    assert set(named) == RANK.keys() - {*NAMESPACES, "__init__", "__main__", "_scan"}
    ranks = [RANK[name] for name in named]
    assert ranks == sorted(ranks, reverse=True), named


def test_no_modules_import_each_other():
    found = circles(ROOT / PACKAGE)
    assert not found, f"in a circle of imports: {', '.join(found)}"


CIRCLES = {
    "two": {"_a.py": "from ._b import x", "_b.py": "import pluraljax._a"},
    "in a function": {"_a.py": "from ._b import x", "_b.py": "def f():\n    from ._a import y"},
    "for type checkers": {
        "_a.py": "from ._b import x",
        "_b.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from . import _a",
    },
    "three in a room": {
        "_r/_a.py": "from ._b import x",
        "_r/_b.py": "from ._c import x",
        "_r/_c.py": "from .._r._a import x",
        "_r/_d.py": "from ._a import x",
        "_e.py": "from ._r._d import x",
    },
    "with a package": {"_r/__init__.py": "from ._a import x as x", "_r/_a.py": "from .._r import y"},
}


@pytest.mark.parametrize("name", CIRCLES)
def test_a_planted_circle_is_found(name, tmp_path):
    for file, source in CIRCLES[name].items():
        path = tmp_path / PACKAGE / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source + "\n")
    members = {"_a", "_b", "_c"} if name == "three in a room" else {"_a", "_b"}
    wanted = {"pluraljax._r", "pluraljax._r._a"}
    if name != "with a package":
        home = "pluraljax._r" if name == "three in a room" else "pluraljax"
        wanted = {f"{home}.{each}" for each in members}
    assert set(circles(tmp_path / PACKAGE)) == wanted


@pytest.mark.parametrize("folder", ["experiments", "benchmarks"])
def test_scripts_use_public_names_only(folder):
    violations = private_uses(ROOT / folder)
    assert not violations, "\n".join(violations)


PLANTS = {
    "relative back-import": ("_market.py", "from ._alignment import fit", "_market.py:1: _market imports _alignment"),
    "absolute back-import": (
        "_status.py",
        "import pluraljax._scan.engine._run",
        "_status.py:1: _status imports _scan.engine",
    ),
    "from the package": ("_market.py", "from . import _guarantee", "_market imports _guarantee"),
    "inside a function": (
        "_families/_spatial.py",
        "def sample():\n    from .._payoff import value\n    return value",
        "_spatial.py:2: _families imports _payoff",
    ),
    "inside a string": (
        "_payoff.py",
        "import importlib\nimportlib.import_module('pluraljax._tuning')",
        "_payoff.py:2: _payoff imports _tuning",
    ),
    "from a sub-package": ("_scan/engine/_deep.py", "from ..._report import table", "_scan.engine imports _report"),
    "in no room": ("_scan/_run.py", "import math", "_scan/_run.py:1: _scan._run has no layer"),
    "in a new room": ("_scan/attic/_run.py", "import math", "_scan/attic/_run.py:1: _scan.attic has no layer"),
    "measure from the config": (
        "_scan/measure/_columns.py",
        "from ..config._config import ScanConfig",
        "_scan.measure imports _scan.config, which lies above it",
    ),
    "config from the store": (
        "_scan/config/_plan.py",
        "def plan():\n    from ..store._read import walk\n    return walk",
        "_plan.py:2: _scan.config imports _scan.store, which lies above it",
    ),
    "store from the engine": (
        "_scan/store/_survey.py",
        "from ..engine._adaptive import State",
        "_scan.store imports _scan.engine, which lies above it",
    ),
    "room from its house": ("_scan/engine/_run.py", "from .. import read_table", "_scan.engine imports _scan, which"),
    "store with what measures": (
        "_scan/store/_store.py",
        "from ..measure import _found_rows",
        "it describes and reads",
    ),
    "store with JAX": (
        "_scan/store/_read.py",
        "def read():\n    import jax",
        "_scan.store imports jax: it does without",
    ),
    "statistics with JAX": ("_statistics/_sums.py", "from jax import numpy", "_statistics imports jax.numpy"),
    "statistics with a scan": (
        "_statistics/_power.py",
        "from .._scan.config._config import ScanConfig",
        "_statistics imports _scan.config, which lies above it",
    ),
    "from a sub-package's own file": ("_scan/__init__.py", "from .._cli import main", "_scan imports _cli"),
    "bounds from candidates": ("_bounds/_fit.py", "from .._candidates import simplex", "neither may import the other"),
    "candidates from bounds": ("_candidates/_fit.py", "from .._bounds import fit", "neither may import the other"),
    "stakes with bounds": (
        "_stakes/_view.py",
        "from .._bounds import Fit",
        "_stakes imports _bounds, which lies",
    ),
    "bounds with a solver": ("_bounds/_fit.py", "from scipy.optimize import linprog", "must not solve"),
    "checker with candidates": ("_certify/_run.py", "from .._candidates import simplex", "shares nothing with what it"),
    "checker with bounds": ("_certify/_outcomes.py", "from .._bounds import Fit", "shares nothing with what it"),
    "checker with JAX": ("_certify/_rational.py", "import jax.numpy as jnp", "shares nothing with what it checks"),
    "public names from below": ("_scan/store/_run.py", "import pluraljax as plx", "_scan.store imports __init__"),
    "report with a solver": ("_report/_table.py", "from .._families import spatial", "never solvers"),
    "new module": ("_novel.py", "import math", "_novel.py:1: _novel has no layer"),
    "import of a new module": ("_cli/_run.py", "from .._novel import x", "_novel, which has no layer"),
    "heavy command line": ("_cli/_scan.py", "import numpy as np", "_cli imports numpy at module level"),
    "heavy command line, nested": (
        "_cli/_scan.py",
        "try:\n    from jax import numpy\nexcept ImportError:\n    pass",
        "_cli imports jax.numpy at module level",
    ),
}


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_violation_is_found(name, tmp_path):
    file, source, wanted = PLANTS[name]
    path = tmp_path / PACKAGE / file
    path.parent.mkdir(parents=True)
    path.write_text(source + "\n")
    assert any(wanted in violation for violation in package_violations(tmp_path / PACKAGE))


def test_downward_imports_pass(tmp_path):
    sources = {
        "_report/_table.py": "import numpy as np\nfrom .._scan import open_scan\nfrom .._status import Status",
        "_report/__init__.py": "from ._table import table",
        "_cli/__init__.py": "import argparse\ndef main():\n    import jax\n    from .._scan import scan",
        "_scan/__init__.py": "from .store._read import open_scan\nfrom .config._config import ScanConfig",
        "_scan/engine/_run.py": "import jax\nfrom ..store._store import Store\nfrom ..measure import _found_rows",
        "_scan/store/_store.py": "from ..config._config import ScanConfig",
        "_guarantee.py": "from . import _bounds, _candidates\nfrom ._market import Market",
        "__init__.py": "from ._market import Market",
    }
    for file, source in sources.items():
        path = tmp_path / PACKAGE / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source + "\n")
    assert package_violations(tmp_path / PACKAGE) == []


@pytest.mark.parametrize(
    "source",
    [
        "from pluraljax._market import Market",
        "import pluraljax._market",
        "from pluraljax import _market",
        "import pluraljax as plx\nplx._market",
        "import pluraljax\npluraljax._scan.run()",
    ],
)
def test_a_private_use_is_found(source, tmp_path):
    (tmp_path / "study.py").write_text(source + "\n")
    assert private_uses(tmp_path)


def test_public_uses_pass(tmp_path):
    (tmp_path / "study.py").write_text(
        "import pluraljax as plx\nfrom pluraljax import Market\nplx.families.spatial\nplx.__version__\n"
    )
    assert private_uses(tmp_path) == []


def loaded_by(code: str) -> set[str]:
    """Names the modules that a fresh interpreter holds after running a line of code."""
    command = [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "code",
    [
        "import pluraljax",
        "import pluraljax._cli; pluraljax.__version__",
        "import pluraljax; pluraljax.Status.OK.sentence",
    ],
)
def test_light_modules_load_nothing_heavy(code):
    assert loaded_by(code) & HEAVY == set()


@pytest.mark.parametrize(
    "code",
    [
        "import pluraljax._scan.measure._columns, pluraljax._scan.config._config",
        "import pluraljax as p; p.scans.ScanConfig, p.scans.default_config(), p.open_scan, p.families, p.statistics",
        "from pluraljax._report import *",
    ],
)
def test_describing_and_reading_scans_loads_no_solver(code):
    loaded = loaded_by(code)
    # A configuration checks the parameters of families, which draw nothing until they are called.
    assert {layer_of(name) for name in loaded} & SOLVERS <= {"_families"}
    assert "jax" not in loaded


def test_the_exact_checker_loads_nothing_that_it_checks():
    loaded = loaded_by("import pluraljax._certify")
    assert {layer_of(name) for name in loaded} - {None, "__init__"} == {
        "_arguments",
        "_calls",
        "_certify",
        "_printable",
    }
    assert loaded & NOT_FOR_CHECKER == set()


def test_a_public_name_loads_only_what_it_needs():
    loaded = {layer_of(name) for name in loaded_by("import pluraljax; pluraljax.Market")} - {None, "__init__"}
    beneath = {
        "_activity",
        "_arguments",
        "_float64_call",
        "_float_bits",
        "_precision",
        "_printable",
        "_status",
        "_warnings",
    }
    assert loaded == {
        "_market",
        "_answer",
        "_atomic",
        "_bracket",
        "_compiling",
        "_served",
        "_shown",
        "_truth",
        *beneath,
    }
