"""Families of a user's own in scans: functions, dataclasses, files; what a store says of them, and when it goes on."""

import importlib
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import stand_in
from tiny import SIZES, tiny

import pluraljax as plx
from pluraljax._cli import main
from pluraljax._families import FAMILIES
from pluraljax._progress import Lines
from pluraljax._scan import read_manifest
from pluraljax._scan.engine import _trial
from pluraljax._scan.engine._cluster import _programs
from pluraljax._scan.engine._remarks import Tally, said_of_invalid, said_of_wide
from pluraljax._scan.measure._conditions import Conditions
from pluraljax._scan.store._store import Store

HERE = Path(__file__).parent
GAUSSIAN = plx.families.gaussian(**SIZES, shared=1.0)

# The same markets as those of the built-in family, of a file that imports another one.
WRAPPED = """
from dataclasses import dataclass

import pluraljax as plx
from {helper} import drawn

@dataclass(frozen=True)
class Wrapped:
    providers: int = 2
    shared: float = 0.0
    words: tuple = ("a", "b")

    def __post_init__(self):
        if self.shared < 0:
            raise ValueError(f"shared must not be negative, got {{self.shared}}")

    def __call__(self, key):
        return drawn(self, key)

lambda_ = lambda key: Wrapped()(key)
small = Wrapped(shared=0.25)
"""
HELPER = """
import pluraljax as plx

def drawn(family, key):
    sizes = {"users": 2, "actions": 3, "states": 3}
    return plx.families.gaussian(providers=family.providers, shared=family.shared, **sizes)(key)
"""


@dataclass(frozen=True)
class Wrapped:
    """The built-in family in another dress."""

    shared: float = 1.0

    def __call__(self, key):
        return plx.families.gaussian(**SIZES, shared=self.shared)(key)


def a_function(key):
    return GAUSSIAN(key)


def broken(key):
    """Every second market or so has a payoff that is none."""
    market = GAUSSIAN(key)
    bad = jnp.where(jr.bernoulli(jr.fold_in(key, 1)), jnp.nan, 0.0)
    return plx.observed_market(market.user_value + bad, market.provider_value)


@pytest.fixture
def stand_in_measure(monkeypatch):
    for kind, name, function in stand_in.functions():
        monkeypatch.setattr(kind, name, function)
    monkeypatch.setenv("PLURALJAX_NO_CACHE", "1")
    monkeypatch.setattr("pluraljax._cli._scan._report", lambda out: 0)


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A family in a file with a name of its own, and the file beside it that it imports; Python forgets both after."""
    names = [f"{word}_{tmp_path.name}".replace("-", "_") for word in ("wrapped", "helper")]
    monkeypatch.setattr(sys, "path", [*sys.path])
    file, helper = (tmp_path / "own" / f"{name}.py" for name in names)
    file.parent.mkdir()
    file.write_text(WRAPPED.format(helper=names[1]))
    helper.write_text(HELPER)
    yield file, helper
    for name in names:
        sys.modules.pop(name, None)


def small(family, parameters=None, **changes):
    grid = (plx.scans.FamilyGrid(family, parameters or {}),)
    return tiny(**{"grid": grid, "markets": 120, "chunk": 24} | changes)


def same_numbers(one, other):
    for name in one.data_vars:
        np.testing.assert_allclose(one[name], other[name], rtol=1e-12, atol=1e-12, err_msg=name)


def chunks(out):
    return {file.name: file.read_bytes() for file in sorted((out / "rows").glob("*.parquet"))}


def refused(wanted, make):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        make()
    assert wanted in str(caught.value)
    assert "\n" not in str(caught.value)


def test_functions_objects_and_names_are_one_cell_each(stand_in_measure):
    wanted = plx.scan(small("gaussian", SIZES | {"shared": 1.0}), progress=False)
    for family in (a_function, Wrapped(), GAUSSIAN, lambda key: GAUSSIAN(key)):
        dataset = plx.scan(family, markets=120, progress=False)
        same_numbers(dataset, wanted)
        assert set(dataset.cell.values) == {0}
    assert float(plx.scan(Wrapped(0.5), markets=1, progress=False).shared[0]) == 0.5
    assert plx.scan(a_function, markets=1, progress=False).family.values.tolist() == [f"{__name__}:a_function"]
    assert plx.scan("gaussian", markets=1, progress=False).providers.values.tolist() == [3]


def test_a_class_makes_a_grid(stand_in_measure):
    config = small(Wrapped, {"shared": [0.0, 1.0]})
    assert [dict(cell.parameters) for cell in config.cells] == [{"shared": 0.0}, {"shared": 1.0}]
    same_numbers(
        plx.scan(config, progress=False),
        plx.scan(small("gaussian", SIZES | {"shared": [0.0, 1.0]}), progress=False),
    )
    assert pickle.loads(pickle.dumps(config)) == config
    assert plx.scans.ScanConfig.from_mapping(config.to_mapping()) == config
    refused("Did you mean 'shared'?", lambda: plx.scans.FamilyGrid(Wrapped, {"shard": 1.0}))
    refused("has no parameters, got 'shared'", lambda: plx.scans.FamilyGrid(a_function, {"shared": 1.0}))
    refused("a grid takes its class", lambda: plx.scans.FamilyGrid(Wrapped(), {"shared": 1.0}))
    refused("is an empty list", lambda: plx.scans.FamilyGrid(Wrapped, {"shared": []}))


def test_a_file_is_found_beside_the_toml_that_names_it(stand_in_measure, files, tmp_path):
    file, helper = files
    study = file.parent / "study.toml"
    text = 'markets = 120\nchunk = 24\n[[grid]]\nfamily = "{}:Wrapped"\nshared = [0.0, 1.0]\n'
    study.write_text(text.format(file.name))
    assert main(["scan", str(study), "--quiet", "--out", str(tmp_path / "by-file")]) == 0
    wanted = plx.scan(small("gaussian", SIZES | {"shared": [0.0, 1.0]}), progress=False)
    found = plx.open_scan(tmp_path / "by-file")
    same_numbers(found, wanted)
    assert set(found.family.values) == {f"{file.stem}:Wrapped"}
    definition = read_manifest(tmp_path / "by-file").definition
    assert list(definition["families"]) == [f"{file.stem}:Wrapped"]
    assert sorted(definition["families"][f"{file.stem}:Wrapped"]) == sorted([file.name, helper.name])
    # By module it is the same scan: paths are no part of what defines it.
    study.write_text(text.format(file.stem))
    before = chunks(tmp_path / "by-file")
    assert main(["scan", str(study), "--quiet", "--out", str(tmp_path / "by-file"), "--markets", "130"]) == 0
    assert chunks(tmp_path / "by-file").items() > before.items()
    by_name = [plx.scans.FamilyGrid(f"{file}:{name}") for name in ("small", "lambda_")]
    assert [part.origin.obstacle for part in by_name] == ["", ""]
    assert [dict(part.cells()[0]).get("shared") for part in by_name] == [0.25, None]


def test_what_goes_wrong_in_a_file_is_a_sentence(files, tmp_path):
    file, _ = files
    grid = lambda family, **parameters: lambda: plx.scans.FamilyGrid(family, parameters)
    refused("there is no such file", grid(f"{tmp_path}/none.py:Wrapped"))
    refused("Did you mean 'Wrapped'? Known: Wrapped", grid(f"{file}:Wraped"))
    refused("refuses shared = -1.0: shared must not be negative", grid(f"{file}:Wrapped", shared=-1.0))
    refused("there is no module 'no_such_thing'; it is looked for", grid("no_such_thing:Wrapped"))
    refused("must be named like", grid("module:not a name"))
    refused("is no family", grid("os:sep"))
    refused("must be a dataclass with a method __call__", grid("collections:Counter"))
    refused('is named "module:Name" or "file.py:Name"', grid("wrapped"))
    for number, (line, wanted) in enumerate(
        [
            ("1 / 0", "ZeroDivisionError: division by zero (bad0.py, line 1)"),
            ("import nothing_here", "nothing_here"),
            ("def", "SyntaxError"),
        ]
    ):
        (tmp_path / f"bad{number}.py").write_text(line)
        refused(wanted, grid(f"{tmp_path}/bad{number}.py:Wrapped"))


MARKET = plx.observed_market(np.zeros((2, 3, 3)), np.zeros((2, 2, 3, 3)))
STREAM = np.random.default_rng(0)


@dataclass(frozen=True)
class Misnamed:
    aligned: float = 1.0

    def __call__(self, key):
        return GAUSSIAN(key)


@dataclass
class Unhashable:
    shared: float = 1.0

    def __call__(self, key):
        return GAUSSIAN(key)


@dataclass(frozen=True)
class Boastful:
    providers: int = 5

    def __call__(self, key):
        return GAUSSIAN(key)


def no_market(key):
    return jr.normal(key)


def a_batch(key):
    return jax.vmap(GAUSSIAN)(jr.split(key, 4))


def random_elsewhere(key):
    return plx.observed_market(jr.normal(key, (2, 3, 3)) + STREAM.normal(), MARKET.provider_value)


def random_globally(key):
    return plx.observed_market(jr.normal(key, (2, 3, 3)) * 0 + np.random.rand(), MARKET.provider_value)  # noqa: NPY002


def shapes_that_vary(key):
    users = int(jr.randint(key, (), 1, 4))
    return plx.observed_market(jnp.zeros((users, 3, 3)), jnp.zeros((2, users, 3, 3)))


def a_mistake(key):
    return GAUSSIAN(key).no_such_thing


@pytest.mark.parametrize(
    ("family", "wanted"),
    [
        (no_market, "must return one Market for a key"),
        (lambda key: jr.normal(key, (5, 4, 3)), "(plx.observed_market), got an array of shape (5, 4, 3)."),
        (lambda key: (jr.normal(key), key), "(plx.observed_market), got a tuple."),
        (a_batch, "got a batch of them (user_value has 4 axes)"),
        (random_elsewhere, "draws something else when it is asked again with the same key"),
        (random_globally, "draws something else when it is asked again with the same key"),
        (shapes_that_vary, "depends on numbers that are drawn"),
        (
            a_mistake,
            "fails on a key: AttributeError: 'Market' object has no attribute 'no_such_thing' (test_own_family.py",
        ),
        (Boastful(), "has providers = 5, but draws markets with 2"),
        (Misnamed(), "aligned has the name of a column of every scan"),
        (Unhashable(), "must be hashable"),
    ],
)
def test_families_that_are_none_are_refused(family, wanted, tmp_path):
    refused(wanted, lambda: plx.scan(family, tmp_path / "out", markets=4, progress=False))
    assert not (tmp_path / "out").exists()


FAILING = """
from dataclasses import dataclass
import jax, jax.random as jr
import pluraljax as plx

@dataclass(frozen=True)
class Late:
    providers: int = 2
    users: int = 2
    actions: int = 3
    states: int = 3

    def __call__(self, key):
        raise ArithmeticError("not yet")
"""


@pytest.mark.parametrize("cluster", [[], ["--cluster", "local:2"]])
def test_a_family_that_fails_leaves_no_folder(tmp_path, capsys, cluster):
    """Its fields say the sizes, so that nobody has to trace it to plan the scan."""
    name = f"failing_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(FAILING)
    (tmp_path / "study.toml").write_text(f'markets = 4\n[[grid]]\nfamily = "{name}.py:Late"\n')
    out = tmp_path / "out"
    try:
        assert main(["scan", str(tmp_path / "study.toml"), "--quiet", "--out", str(out), *cluster]) == 2
        assert (
            "Late fails on a key with providers = 2, users = 2, actions = 3, states = 3: ArithmeticError: not yet"
            in capsys.readouterr().err
        )
        refused("ArithmeticError", lambda: plx.scan(tmp_path / "study.toml", out, progress=False))
        refused("ArithmeticError", lambda: plx.scan(f"{tmp_path}/{name}.py:Late", out, markets=4, progress=False))
        assert not out.exists()
    finally:
        sys.modules.pop(name, None)


def test_a_folder_in_which_nothing_was_measured_goes_to_the_mended_family(stand_in_measure, files, tmp_path):
    """What fails at its first chunk, or was killed before it, is not in the way; `resume` takes it over, too."""
    file, helper = files
    config = lambda: small(f"{file}:Wrapped", {"shared": [0.0, 1.0]})
    wanted = plx.scan(config(), progress=False)

    def leave_a_folder(name):
        helper.write_text(HELPER + "\n# Text that fails on a device.\n")
        importlib.reload(sys.modules[helper.stem])
        importlib.reload(sys.modules[file.stem])
        Store(tmp_path / name, config()).close()
        before = read_manifest(tmp_path / name).identity
        helper.write_text(HELPER)
        importlib.reload(sys.modules[helper.stem])
        importlib.reload(sys.modules[file.stem])
        assert before != config().identity
        return tmp_path / name

    out = leave_a_folder("python")
    same_numbers(plx.scan(config(), out, progress=False), wanted)
    assert read_manifest(out).identity == config().identity
    out = leave_a_folder("resumed")
    assert main(["resume", str(out), "--quiet"]) == 0
    same_numbers(plx.open_scan(out), wanted)
    out = leave_a_folder("toml")
    study = file.parent / "study.toml"
    study.write_text(config().to_toml())
    assert main(["scan", str(study), "--quiet", "--out", str(out)]) == 0
    same_numbers(plx.open_scan(out), wanted)


def test_a_family_without_a_key_is_warned_of():
    with pytest.warns(UserWarning, match="no use of its key, so that all of its markets are the same"):
        plx.scans.FamilyGrid(lambda key: MARKET).sizes  # noqa: B018


def test_bad_payoffs_are_rows_with_a_status(stand_in_measure, monkeypatch):

    honest = lambda self, market, given: (
        stand_in.measure(market, given.delta) | {"status": plx.market_status(market).astype(jnp.int8)}
    )
    monkeypatch.setattr(Conditions, "measure", honest)
    with pytest.warns(UserWarning, match=r"of 120 markets are invalid.* NOT_FINITE: An array holds NaN"):
        dataset = plx.scan(small(broken, equilibria=False), progress=False)
    bad = dataset.status.values == plx.Status.NOT_FINITE
    assert 0 < bad.sum() < 120
    assert np.isnan(dataset.aligned.values[bad]).all()
    assert not np.isnan(dataset.aligned.values[~bad]).any()


NAN = """
import jax.numpy as jnp, jax.random as jr
import pluraljax as plx
from dataclasses import dataclass

@dataclass(frozen=True)
class Bad:
    bad: float = 1.0

    def __call__(self, key):
        value = jr.normal(key, (2, 3, 3)) + jnp.where(self.bad > 0, jnp.nan, 0.0)
        return plx.observed_market(value, jr.normal(key, (2, 2, 3, 3)))
"""


@pytest.fixture
def bad(tmp_path):
    """A file with a family whose markets are valid where `bad` is 0."""
    name = f"bad_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(NAN)
    text = 'markets = 24\nequilibria = false\n[[grid]]\nfamily = "{}.py:Bad"\nbad = {}\n'

    def study(values):
        (tmp_path / "study.toml").write_text(text.format(name, values))
        return str(tmp_path / "study.toml")

    yield study
    sys.modules.pop(name, None)


def test_a_scan_without_a_valid_market_says_so_and_ends_with_1(stand_in_measure, bad, monkeypatch, tmp_path, capsys):
    honest = lambda self, market, given: (
        stand_in.measure(market, given.delta) | {"status": plx.market_status(market).astype(jnp.int8)}
    )
    monkeypatch.setattr(Conditions, "measure", honest)
    report = lambda out: main(["report", str(out), "--format", ""])
    monkeypatch.setattr("pluraljax._cli._scan._report", report)
    scan = lambda values, name: main(["scan", bad(values), "--quiet", "--out", str(tmp_path / name)])
    assert scan("[1.0, 2.0]", "none") == 1
    heard = capsys.readouterr()
    said = f"None of 24 rows holds a valid market, mostly because of NOT_FINITE: {plx.Status.NOT_FINITE.sentence}"
    assert f"pluraljax report: {said} The rows are stored" in heard.err
    assert plx.open_scan(tmp_path / "none").sizes["market"] == 24
    # Whoever asks again is told again.
    assert scan("[1.0, 2.0]", "none") == report(tmp_path / "none") == 1
    assert main(["resume", str(tmp_path / "none"), "--quiet"]) == 1
    assert scan("[0.0, 2.0]", "some") == 0


def test_a_dry_run_draws_the_first_market_of_each_cell(bad, tmp_path, capsys):
    dry = lambda values: main(["scan", bad(values), "--dry-run", "--out", str(tmp_path / "out")])
    assert dry("[0.0, 1.0, 2.0]") == 0
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "drawn: the first market of 3 cells of your own families; 2 invalid",
        f"  2 NOT_FINITE, as in cell 1: {plx.Status.NOT_FINITE.sentence}",
    ]
    assert dry("[1.0, 2.0]") == 1
    capsys.readouterr()
    assert dry("0.0") == 0
    assert capsys.readouterr().out.endswith("the first market of 1 cell of your own families; none invalid\n")
    assert not (tmp_path / "out").exists()


def test_a_dry_run_tries_some_of_many_cells_and_draws_what_the_scan_draws(monkeypatch):
    drawn = []
    first = lambda seed, market, family: drawn.append((seed, market, family.shared)) or plx.Status.OK
    monkeypatch.setattr(_trial, "_first_status", first)
    shared = [number / 8 for number in range(100)]
    grid = (plx.scans.FamilyGrid("opposed", SIZES), plx.scans.FamilyGrid(Wrapped, {"shared": shared}))
    _trial.try_families(tiny(grid=grid, seed=7, markets=50))
    assert drawn == [(7, cell, (cell - 1) / 8) for cell in range(1, 50, 2)]
    monkeypatch.undo()
    # A family that is broken in one market of all, the one that the scan draws.
    with jax.enable_x64(True):
        wanted = Wrapped(0.5)(jr.fold_in(jr.key(7, impl="threefry2x32"), 3)).user_value

    def sensitive(key):
        market = Wrapped(0.5)(key)
        is_it = jnp.abs(market.user_value - wanted).max() < 1e-9
        return plx.observed_market(market.user_value + jnp.where(is_it, jnp.nan, 0.0), market.provider_value)

    assert _trial._first_status(7, 3, sensitive) == plx.Status.NOT_FINITE
    assert _trial._first_status(7, 4, sensitive) == _trial._first_status(8, 3, sensitive) == plx.Status.OK


def test_a_first_chunk_without_a_market_is_told_at_once(capsys):
    tally = Tally(Lines())
    tally.add([plx.Status.NEGATIVE_PRIOR] * 7 + [plx.Status.NOT_FINITE])
    tally.add([plx.Status.OK, plx.Status.IN_DOUBT])
    assert capsys.readouterr().err == (
        "scan: the first chunk holds no valid market, and the rest may not: 8 of 8 markets are invalid: their rows "
        f"hold no numbers. Most often NEGATIVE_PRIOR: {plx.Status.NEGATIVE_PRIOR.sentence}\n"
    )
    assert said_of_invalid(tally.counts).startswith("8 of 10 markets are invalid")
    assert said_of_wide(tally.counts).startswith("1 of 10 markets is open or in doubt: ")
    assert said_of_invalid({0: 3}) == said_of_wide({0: 3}) == ""


def test_what_nobody_could_find_again_is_not_stored(stand_in_measure, tmp_path):
    shared = 1.0

    def inside(key):
        return plx.families.gaussian(**SIZES, shared=shared)(key)

    for family in (inside, lambda key: GAUSSIAN(key)):
        assert plx.scan(family, markets=4, progress=False).sizes["market"] == 4
        refused("cannot be stored", lambda family=family: plx.scan(family, tmp_path / "out", markets=4))
        assert not (tmp_path / "out").exists()


def test_a_killed_scan_goes_on_with_the_same_bytes(stand_in_measure, files, tmp_path):
    config = small(f"{files[0]}:Wrapped", {"shared": [0.0, 1.0]})
    clean = plx.scan(config, tmp_path / "clean", progress=False)
    plx.scan(config, tmp_path / "scan", progress=False)
    for victim in list(chunks(tmp_path / "scan"))[1::2]:
        (tmp_path / "scan" / "rows" / victim).unlink()
    assert main(["resume", str(tmp_path / "scan"), "--quiet"]) == 0
    assert chunks(tmp_path / "scan") == chunks(tmp_path / "clean")
    assert plx.open_scan(tmp_path / "scan").identical(clean)


def test_it_does_not_go_on_where_the_source_has_changed(stand_in_measure, files, tmp_path, capsys):
    file, helper = files
    config = lambda: small(f"{file}:Wrapped", {"shared": [0.0, 1.0]})
    plx.scan(config(), tmp_path / "scan", progress=False)
    before = chunks(tmp_path / "scan")
    helper.write_text(HELPER + "\n# A comment is a change, too.\n")
    # What runs here is still the old text, which the scan would not say.
    refused(f"{helper.name} has changed since it was loaded", config)
    importlib.reload(sys.modules[helper.stem])
    importlib.reload(sys.modules[file.stem])
    wanted = f"another source of family {file.stem}:Wrapped ({helper.name} has changed)"
    refused(wanted, lambda: plx.scan(config(), tmp_path / "scan", markets=200, progress=False))
    assert main(["resume", str(tmp_path / "scan"), "--quiet"]) == 2
    heard = capsys.readouterr().err
    assert wanted in heard
    assert "put the source back as it was and scan again to go on, or scan anew into another folder" in heard
    assert "or, if its rows are of no use, remove " in heard
    assert chunks(tmp_path / "scan") == before
    helper.write_text(HELPER)
    importlib.reload(sys.modules[helper.stem])
    importlib.reload(sys.modules[file.stem])
    assert plx.scan(config(), tmp_path / "scan", markets=130, progress=False).sizes["market"] == 130


def test_a_store_is_read_without_the_module(stand_in_measure, files, tmp_path, capsys):
    file, helper = files
    whole = plx.scan(small(f"{file}:Wrapped", {"shared": [0.0, 1.0]}), tmp_path / "scan", progress=False)
    file.unlink()
    helper.unlink()
    sys.modules.pop(file.stem)
    monkey = os.environ | {"PYTHONWARNINGS": "error"}
    code = (
        "import sys; from pluraljax._cli import main; out = sys.argv[1]\n"
        "assert main(['status', out]) == 0\n"
        "assert main(['report', out, '--format', '']) == 0\n"
        "assert main(['merge', out, '--out', out + '-merged']) == 0\n"
        "assert main(['export', out, out + '.csv']) == 0\n"
        "assert not {'jax', sys.argv[2], sys.argv[3]} & set(sys.modules)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "scan"), file.stem, helper.stem]
    done = subprocess.run(command, env=monkey, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"{file.stem}:Wrapped" in done.stdout
    assert plx.open_scan(tmp_path / "scan-merged").identical(whole)
    page = (tmp_path / "scan" / "report" / "report.html").read_text()
    assert f"{file.stem}:Wrapped" in page
    assert main(["resume", str(tmp_path / "scan"), "--quiet"]) == 2
    assert "there is no such file" in capsys.readouterr().err


def test_workers_hold_the_same_source(stand_in_measure, files, monkeypatch):
    monkeypatch.setattr("pluraljax._scan.engine._cluster._own_devices", jax.local_devices)
    config = small(f"{files[0]}:Wrapped")
    text = json.dumps([config.identity, config.to_mapping()])
    found, programs, _ = _programs(text, 24)
    programs.close()
    assert found == config
    refused(
        "another version of pluraljax, of a family's source",
        lambda: _programs(text.replace(config.identity, "0" * 64), 24),
    )


def test_shards_until_and_a_shared_name(stand_in_measure, files, tmp_path):
    config = small(f"{files[0]}:Wrapped", {"shared": [0.0, 1.0]})
    wanted = plx.scan(config, progress=False)
    (tmp_path / "study.toml").write_text(config.to_toml())
    for number in (1, 2):
        part = ["scan", str(tmp_path / "study.toml"), "--quiet", "--out", str(tmp_path / f"part{number}")]
        assert main([*part, "--shard", f"{number}/2"]) == 0
    assert main(["merge", str(tmp_path / "part1"), str(tmp_path / "part2"), "--out", str(tmp_path / "whole")]) == 0
    same_numbers(plx.open_scan(tmp_path / "whole"), wanted)
    until = plx.scans.Until("weakly_aligned", 0.2, 0.9)
    counted = plx.scan(small(Wrapped, until=until, chunk=32), progress=False)
    assert 0 < counted.sizes["market"] <= 120


def test_a_registered_name_is_found_by_grids(stand_in_measure):
    plx.families.register("wrapped")(Wrapped)
    try:
        assert plx.scans.FamilyGrid("wrapped", {"shared": [0.5]}) == plx.scans.FamilyGrid(Wrapped, {"shared": [0.5]})
        assert plx.families.register("wrapped")(Wrapped) is Wrapped
        refused("there is a family 'wrapped' already", lambda: plx.families.register("wrapped")(Misnamed))
        refused("there is a family 'gaussian' already", lambda: plx.families.register("gaussian")(Wrapped))
        refused("consists of letters", lambda: plx.families.register("a:b"))
        refused("decorates a class or a function", lambda: plx.families.register("three")(3))
        refused("Did you mean 'wrapped'?", lambda: plx.scans.FamilyGrid("wraped"))
    finally:
        FAMILIES.pop("wrapped", None)


NOTEBOOK = """
import sys, pluraljax as plx, pluraljax._scan.store._store as store
import linecache, jax.random as jr
from dataclasses import dataclass

def cell(text, number=[0]):
    # As a notebook keeps the text of what it runs.
    number[0] += 1
    linecache.cache[f"<cell {number}>"] = (len(text), None, text.splitlines(True), f"<cell {number}>")
    exec(compile(text, f"<cell {number}>", "exec"), globals())

cell('''
SIZE = 3
def values(key, scale):
    return scale * jr.normal(key, (2, SIZE, 3))
@dataclass(frozen=True)
class Mine:
    scale: float = 1.0
    def __call__(self, key):
        return plx.observed_market(values(key, self.scale), jr.normal(key, (2, 2, 3, 3)))
''')
first = plx.scans.ScanConfig(grid=(plx.scans.FamilyGrid(Mine),))
print(sorted(first.definition()["families"]["__main__:Mine"]))
cell("SIZE = 2")
other = plx.scans.ScanConfig(grid=(plx.scans.FamilyGrid(Mine),))
print(*store.differences(first.definition(), other.definition()))
cell("values = object()")
unknown = plx.scans.ScanConfig(grid=(plx.scans.FamilyGrid(Mine),))
print(unknown.definition()["families"])
store.Store(sys.argv[1], unknown).close()
from pathlib import Path
(Path(sys.argv[1]) / "rows" / "0").write_text("measured")
try:
    store.Store(sys.argv[1], unknown)
except ValueError as error:
    print(error)
try:
    plx.scans.ScanConfig.from_mapping(first.to_mapping())
except ValueError as error:
    print(error)
"""


def test_a_notebook_s_family_is_known_by_its_text_and_what_that_names(tmp_path):
    command = [sys.executable, "-c", NOTEBOOK, str(tmp_path / "scan")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "['Mine', 'SIZE', 'values']"
    assert lines[1] == "source of family __main__:Mine (SIZE has changed)"
    assert lines[2] == "{'__main__:Mine': None}"
    assert "whose text could not be read, so that nobody can tell whether it is the same" in lines[3]
    assert "was defined in a notebook or at the prompt" in lines[4]


@pytest.mark.slow
def test_a_process_that_was_killed_is_followed_by_one_that_ends_with_the_same_bytes(stand_in_measure, files, tmp_path):
    config = small(f"{files[0]}:Wrapped", {"shared": [0.0, 1.0]})
    out = tmp_path / "scan"
    Path(f"{out}.toml").write_text(config.to_toml())
    path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path, "JAX_NUM_CPU_DEVICES": "2", "PLURALJAX_NO_CACHE": "1"}
    command = [sys.executable, str(HERE / "drive.py"), str(out), "cli"]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while len(chunks(out)) < 2:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert 2 <= len(chunks(out)) < 6
    done = subprocess.run([*command[:-1], "cli"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    clean = subprocess.run([*command[:2], str(tmp_path / "clean"), "run"], env=environment, capture_output=True)
    assert clean.returncode == 0
    plx.scan(config, tmp_path / "whole", progress=False)
    assert chunks(out) == chunks(tmp_path / "whole")


@pytest.mark.slow
def test_the_real_measure_gives_the_rows_of_the_built_in_family():
    built_in = plx.scan(small("gaussian", SIZES | {"shared": [0.0, 1.0]}, markets=64), progress=False)
    same_numbers(plx.scan(small(Wrapped, {"shared": [0.0, 1.0]}, markets=64), progress=False), built_in)
