"""The command line: light to start, clear when something is wrong, one command from nothing to a report."""

import json
import os
import subprocess
import sys
import time

import jax.random as jr
import numpy as np
import pytest
import stand_in
from tiny import SIZES, tiny

import pluraljax as plx
from pluraljax._cli import main

MIXED = (plx.scans.FamilyGrid("gaussian", SIZES | {"providers": [1, 2]}),)
HEAVY = {"jax", "numpy", "pyarrow", "xarray", "rich", "matplotlib", "scipy"}


@pytest.fixture
def stand_in_measure(monkeypatch):
    for module, name, function in stand_in.functions():
        monkeypatch.setattr(module, name, function)
    monkeypatch.setenv("PLURALJAX_NO_CACHE", "1")


def python(code, **environment):
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("arguments", [["--help"], ["scan", "--help"], ["--version"]])
def test_help_is_light(arguments):
    code = (
        f"import sys, pluraljax._cli as cli\ntry: cli.main({arguments})\nexcept SystemExit as e: assert e.code == 0\n"
    )
    output = python(code + "print('LOADED', *sys.modules)")
    text, loaded = output.split("LOADED")
    assert "pluraljax" in text
    assert HEAVY & set(loaded.split()) == set()


def test_help_is_quick():
    def seconds():
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "pluraljax", "--help"], check=True, capture_output=True)
        return time.perf_counter() - began

    assert min(seconds() for _ in range(3)) < 0.6


def test_help_documents_exit_codes(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    assert stopped.value.code == 0
    shown = capsys.readouterr().out
    for word in ("scan", "report", "exit codes: 0", "130"):
        assert word in shown


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [([], "required"), (["scam"], "no command 'scam'. Did you mean 'scan'?"), (["scan", "--market"], "--market")],
)
def test_wrong_arguments_exit_with_2(arguments, wanted, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert wanted in capsys.readouterr().err


def fails(arguments, wanted, capsys):
    assert main(["scan", *map(str, arguments)]) == 2
    out, errors = capsys.readouterr()
    assert out == ""
    assert errors.startswith("pluraljax scan: ")
    assert wanted in errors
    assert "Traceback" not in errors


def test_wrong_configs_and_folders_exit_with_2(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "study.toml"
    config.write_text(tiny().to_toml().replace("markets", "marklets"))
    fails([config], f"{config}: unknown key 'marklets'. Did you mean 'markets'?", capsys)
    config.write_text(tiny().to_toml())
    fails(["missing.toml"], "missing.toml: there is no such file", capsys)
    fails([config, "--markets", 0], "markets must be a whole number from 1", capsys)
    fails([config, "--out", config], "is a file; a scan needs a folder", capsys)
    fails([config, "--out", tmp_path], "holds other files ('study.toml')", capsys)
    assert list(tmp_path.iterdir()) == [config]


def test_a_wrong_folder_is_known_before_jax_is_loaded(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    code = f"import sys, pluraljax._cli as cli\nassert cli.main(['scan', '--out', {str(tmp_path)!r}]) == 2\n"
    loaded = python(code + "print(*sys.modules)")
    assert "jax" not in loaded.split()


def test_one_command_ends_in_rows_and_a_report(stand_in_measure, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.toml").write_text(tiny().to_toml())
    assert main(["scan", "study.toml", "--markets", "30", "--seed", "4"]) == 0
    out, errors = capsys.readouterr()
    assert "scan: 30 of 30 markets (100 %)" in errors
    assert "results are in scan-results/study" in errors
    assert "gaussian" in out
    folder = tmp_path / "scan-results" / "study"
    assert {file.suffix for file in (folder / "report").iterdir()} >= {".png", ".svg"}
    dataset = plx.open_scan(folder)
    assert (dataset.sizes["market"], dataset.attrs["seed"]) == (30, 4)
    # Again, and with another seed: the first has nothing to do, the second must not touch what is there.
    assert main(["scan", "study.toml", "--markets", "30", "--seed", "4", "--quiet"]) == 0
    assert "scan:" not in capsys.readouterr().err
    fails(["study.toml", "--seed", "5"], "another seed (4 there, 5 here)", capsys)
    assert plx.open_scan(folder).identical(dataset)


def test_a_full_disk_says_that_nothing_is_lost(stand_in_measure, tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pluraljax._scan.store._store.Store.write", full)
    (tmp_path / "study.toml").write_text(tiny().to_toml())
    fails([tmp_path / "study.toml", "--quiet", "--out", tmp_path / "scan"], "make room, and run the same", capsys)


@pytest.mark.slow
def test_one_device_and_two_measure_the_same(tmp_path):
    """The real measure, through the command, in processes with one and with two devices; and as the library measures.

    Half of the cells have one provider, and are measured with a twin of it; the library gets the market as it is.
    """
    (tmp_path / "study.toml").write_text(tiny(markets=12, grid=MIXED).to_toml())
    processes = []
    for devices in ("1", "2"):
        code = (
            f"import pluraljax._cli as cli\nassert cli.main(['scan', {str(tmp_path / 'study.toml')!r}, '--quiet', "
            f"'--out', {str(tmp_path / devices)!r}]) == 0\nimport jax\nassert len(jax.local_devices()) == {devices}"
        )
        environment = os.environ | {"JAX_NUM_CPU_DEVICES": devices, "XDG_CACHE_HOME": str(tmp_path / "cache")}
        command = [sys.executable, "-c", code]
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment))
    for process in processes:
        output = process.communicate()
        assert process.returncode == 0, output
    one, two = (plx.open_scan(tmp_path / devices) for devices in ("1", "2"))
    assert set(np.unique(one.status)) <= {plx.Status.OK, plx.Status.RESCUED, plx.Status.OPEN}
    for name in one.data_vars:
        np.testing.assert_allclose(one[name], two[name], rtol=1e-9, atol=1e-9, err_msg=name)
    assert one.aligned.equals(two.aligned)
    for number in (0, 2, 4):
        market = plx.families.gaussian(**SIZES | {"providers": 1})(jr.fold_in(jr.key(0, impl="threefry2x32"), number))
        row = one.sel(market=number)
        assert row.providers == 1
        weak, bound = plx.weak_alignment(market), plx.guarantee(market, plx.anonymous(2))
        np.testing.assert_allclose(row.weak_error_upper, weak.value.upper, atol=1e-9)
        np.testing.assert_allclose(row.weak_weight, np.asarray(weak.weights).sum(axis=-1), atol=1e-9)
        np.testing.assert_allclose(row.anonymous_guarantee_lower, bound.lower, atol=1e-9)
    [cache] = (tmp_path / "cache" / "pluraljax").iterdir()
    [versions] = json.loads(one.attrs["versions"])
    assert cache.name.startswith(f"jax-{versions['jax']}-")
    assert any(cache.iterdir())
