"""A path that is not right: what is there, what is wanted, and what would do instead."""

import re

import pytest

import pluraljax as plx
from pluraljax._audit._table import open_table
from pluraljax._cli import main
from pluraljax._scan.store._manifest import read_manifest
from pluraljax._scan.store._store import Store

CONFIG = plx.scans.ScanConfig(grid=(plx.scans.FamilyGrid("gaussian"),), markets=4)


@pytest.fixture
def scans(tmp_path):
    """A folder of scans, as `scan-results` is."""
    folder = tmp_path / "scan-results"
    for name in ("first", "second"):
        Store(folder / name, CONFIG).close()
    (folder / "notes").mkdir()
    return folder


def refused(wanted, call, *arguments, **options):
    with pytest.raises(ValueError, match=re.escape(wanted)):
        call(*arguments, **options)


@pytest.mark.parametrize(
    ("call", "wanted", "names"),
    [
        (plx.load_market, "a market's file (.npz, .csv or .toml) is wanted", ("a.csv", "b.npz")),
        (plx.files.load_profile, "an .npz archive of a profile is wanted", ("a.npz", "b.NPZ")),
        (open_table, "a table of scores (.csv, .parquet or .npz) is wanted", ("a.csv", "b.parquet")),
        (plx.scans.ScanConfig.from_toml, "a TOML file is wanted", ("a.toml", "b.toml")),
        (
            lambda path: plx.families.table(path=str(path), users=2, actions=2, providers=1),
            "a table of ratings (.csv, .parquet or .npz) is wanted",
            ("a.csv", "b.csv"),
        ),
    ],
)
def test_a_folder_in_place_of_a_file_is_called_one(tmp_path, call, wanted, names):
    folder = tmp_path / "mine.csv"
    folder.mkdir()
    refused(f"{folder} is a folder, and {wanted}.", call, folder)
    (folder / "notes.txt").touch()
    (folder / names[0]).touch()
    refused(f"{wanted}. In it there is {names[0]!r}.", call, folder)
    (folder / names[1]).touch()
    refused(f"{wanted}. In it there are {names[0]!r}, {names[1]!r}.", call, folder)


def test_a_folder_in_place_of_a_family_s_file(tmp_path):
    (tmp_path / "own.py").mkdir()
    wanted = f"{tmp_path / 'own.py'} is a folder, and a Python file with a family is wanted."
    refused(wanted, plx.scans.FamilyGrid, f"{tmp_path}/own.py:Mine")


def test_where_there_is_no_scan_the_nearest_one_is_named(scans):
    refused(
        f"{scans} holds no scan: it has no manifest.json. In {scans} there are scans in 'first', 'second'.",
        plx.open_scan,
        scans,
    )
    (scans / "second" / "manifest.json").unlink()
    refused(f"it has no manifest.json. Did you mean {scans / 'first'}?", plx.open_scan, scans)
    gone = scans / "thrid"
    refused(f"{gone} holds no scan: there is no such folder. Did you mean {scans / 'first'}?", plx.open_scan, gone)
    for part in ("rows", "journal.jsonl"):
        (scans / "first" / "journal.jsonl").touch()
        refused(f"It is in the folder of one, {scans / 'first'}.", read_manifest, scans / "first" / part)
    (scans / "notes" / "a.txt").touch()
    refused("it is a file, and the folder of a scan is wanted.", read_manifest, scans / "notes" / "a.txt")
    with pytest.raises(ValueError, match=r"it has no manifest\.json\.$"):
        read_manifest(scans / "notes")


@pytest.mark.parametrize("command", ["report", "status", "resume"])
def test_commands_say_so(scans, capsys, command):
    assert main([command, str(scans)]) == 2
    assert f"pluraljax {command}: {scans} holds no scan: it has no manifest.json. In" in capsys.readouterr().err


def test_the_folder_of_a_scan_in_place_of_a_config(scans, capsys):
    assert main(["scan", str(scans / "first")]) == 2
    assert f"`pluraljax resume {scans / 'first'}` goes on with it" in capsys.readouterr().err
    assert main(["scan", str(scans)]) == 2
    assert f"{scans} is a folder, and a TOML file is wanted." in capsys.readouterr().err


@pytest.mark.parametrize("command", [["study"], ["certify"]])
def test_commands_that_read_a_market_say_so(scans, capsys, command):
    assert main([*command, str(scans)]) == 2
    assert f"{scans} is a folder, and a market's file (.npz, .csv or .toml) is wanted." in capsys.readouterr().err
