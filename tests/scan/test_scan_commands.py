"""The commands around a scan: shards and merge, status, resume, export, rehearsal."""

import csv
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import stand_in
from tiny import SIZES, tiny

import pluraljax as plx
from pluraljax._cli import main
from pluraljax._scan import read_table
from pluraljax._scan.engine._rehearse import rehearse
from pluraljax._scan.store._store import Store


@pytest.fixture(autouse=True)
def stand_in_measure(monkeypatch):
    for module, name, function in stand_in.functions():
        monkeypatch.setattr(module, name, function)
    monkeypatch.setenv("PLURALJAX_NO_CACHE", "1")
    # Figures take longer than all else here, and have tests of their own.
    monkeypatch.setattr("pluraljax._cli._scan._report", lambda out: 0)


@pytest.fixture
def study(tmp_path):
    (tmp_path / "study.toml").write_text(tiny().to_toml())
    return tmp_path / "study.toml"


@pytest.fixture
def whole(tmp_path):
    plx.scan(tiny(), tmp_path / "whole", progress=False)
    return tmp_path / "whole"


def chunks(out):
    return {file.name: file.read_bytes() for file in (out / "rows").glob("*.parquet")}


def command(*arguments):
    return main([str(argument) for argument in arguments])


def scan(study, out, *arguments):
    return command("scan", study, "--quiet", "--out", out, *arguments)


def test_shards_are_disjoint_and_merge_to_the_whole(study, whole, tmp_path, capsys):
    parts = [tmp_path / f"part{number}" for number in (1, 2)]
    for number, part in enumerate(parts, start=1):
        assert scan(study, part, "--shard", f"{number}/2") == 0
    assert not chunks(parts[0]).keys() & chunks(parts[1]).keys()
    assert command("merge", *parts, "--out", tmp_path / "merged") == 0
    assert chunks(tmp_path / "merged") == chunks(whole)
    assert len((tmp_path / "merged" / "journal.jsonl").read_text().splitlines()) == len(chunks(whole))
    capsys.readouterr()
    assert command("merge", *parts, "--out", tmp_path / "merged") == 0
    assert f"copied 0 chunks, {len(chunks(whole))} were there already" in capsys.readouterr().out


@pytest.mark.parametrize("shard", ["0/2", "3/2", "2", "a/b", "1/0"])
def test_shards_that_are_none(study, tmp_path, capsys, shard):
    assert scan(study, tmp_path / "out", "--shard", shard) == 2
    assert "shard" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_another_scan_is_not_merged(whole, tmp_path, capsys):
    with Store(tmp_path / "other", tiny(seed=3)):
        pass
    assert command("merge", whole, tmp_path / "other", "--out", tmp_path / "merged") == 2
    assert "another seed (0 there, 3 here)" in capsys.readouterr().err
    assert not (tmp_path / "merged").exists()
    assert command("merge", whole, tmp_path, "--out", tmp_path / "merged") == 2
    assert not (tmp_path / "merged").exists()


def test_damaged_chunks_are_not_merged_and_resume_measures_them(whole, tmp_path, capsys):
    before, victim = chunks(whole), min((whole / "rows").iterdir())
    victim.write_bytes(victim.read_bytes()[:-9])
    assert command("merge", whole, "--out", tmp_path / "merged") == 1
    assert victim.name in capsys.readouterr().err
    assert chunks(tmp_path / "merged").keys() == before.keys() - {victim.name}
    assert command("resume", tmp_path / "merged", "--quiet") == 0
    assert chunks(tmp_path / "merged") == before


def status(out, capsys):
    capsys.readouterr()
    code = command("status", out, "--json")
    return code, json.loads(capsys.readouterr().out)


def test_status_tells_what_is_missing_and_who_writes(study, whole, tmp_path, capsys):
    code, found = status(whole, capsys)
    assert (code, found["done"], found["stored"], found["wanted"]) == (0, True, 400, 400)
    assert found["rate"] > 0
    assert found["writer"] is None
    table = read_table(whole)
    counts = np.bincount(table.column("cell").to_numpy())
    assert [cell["stored"] for cell in found["cells"]] == counts.tolist()
    opened = sum(value == plx.Status.OPEN for value in table.column("status").to_pylist())
    assert sum(cell["open"] for cell in found["cells"]) == opened
    assert scan(study, tmp_path / "half", "--shard", "1/2") == 0
    code, found = status(tmp_path / "half", capsys)
    assert (code, found["done"]) == (1, False)
    assert found["stored"] == sum(cell["stored"] for cell in found["cells"]) < 400
    assert found["seconds_left"] > 0
    assert command("status", tmp_path / "half") == 1
    shown = capsys.readouterr().out
    assert "most markets missing" in shown
    assert f"pluraljax resume {tmp_path / 'half'}" in shown
    with Store(tmp_path / "half", tiny()):
        assert status(tmp_path / "half", capsys)[1]["writer"]
    assert command("status", tmp_path) == 2


def test_resume_needs_no_config(study, whole, tmp_path, capsys):
    assert scan(study, tmp_path / "half", "--shard", "2/2") == 0
    assert command("resume", tmp_path / "half", "--quiet") == 0
    assert chunks(tmp_path / "half") == chunks(whole)
    assert command("resume", tmp_path / "nothing", "--quiet") == 2
    assert not (tmp_path / "nothing").exists()


def test_export_writes_every_row_once_and_overwrites_nothing(whole, tmp_path, capsys):
    # What a killed export left goes, and nothing that a link leads to is written.
    (tmp_path / ".pluraljax-0123456789abcdef.tmp").write_text("half")
    (tmp_path / "link.csv").symlink_to(tmp_path / "victim")
    assert command("export", whole, tmp_path / "link.csv") == 2
    assert command("export", whole, tmp_path / "all.parquet") == 0
    assert command("export", whole, tmp_path / "all.csv") == 0
    assert {path.name for path in tmp_path.iterdir()} - {whole.name} == {"all.csv", "all.parquet", "link.csv"}
    table = pq.read_table(tmp_path / "all.parquet").sort_by("market")
    # As text, in which NaN equals NaN.
    assert str(table.to_pylist()) == str(read_table(whole).to_pylist())
    assert table.schema.equals(read_table(whole).schema)
    with open(tmp_path / "all.csv", newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: int(row["market"]))
    assert [int(row["market"]) for row in rows] == list(range(400))
    for row, aligned in zip(rows, table.column("aligned").to_pylist(), strict=True):
        assert [float(row["aligned_1"]), float(row["aligned_2"])] == aligned
    before = (tmp_path / "all.csv").read_bytes()
    capsys.readouterr()
    assert command("export", whole, tmp_path / "all.csv") == 2
    assert "nothing is overwritten" in capsys.readouterr().err
    assert (tmp_path / "all.csv").read_bytes() == before
    assert command("export", whole, tmp_path / "all.xlsx") == 2


@pytest.mark.parametrize("option", ["--dry-run", "--rehearse"])
def test_a_rehearsal_says_what_is_left_and_stores_nothing(study, tmp_path, capsys, option):
    assert scan(study, tmp_path / "out", option) == 0
    shown = capsys.readouterr().out
    assert "400 markets in 3 cells, 0 of them stored" in shown
    assert "in 9 chunks of at most 48" in shown
    assert "markets a second" in shown
    assert "GiB" in shown
    assert not (tmp_path / "out").exists()
    assert scan(study, tmp_path / "out", "--shard", "1/3") == 0
    before = chunks(tmp_path / "out")
    capsys.readouterr()
    assert scan(study, tmp_path / "out", option, "--markets", "500") == 0
    assert "500 markets in 3 cells, " in capsys.readouterr().out
    assert chunks(tmp_path / "out") == before


@pytest.mark.parametrize("chunk", [1, 16])
def test_a_rehearsal_measures_no_more_at_once_than_a_chunk_holds(chunk, tmp_path):
    found = rehearse(tiny(chunk=chunk), tmp_path / "out")
    assert (found.plan.markets, found.plan.chunk, found.tried) == (400, chunk, 3)
    assert found.seconds_measuring > 0


def test_export_of_cells_with_different_users_pads(tmp_path):
    grid = tuple(plx.scans.FamilyGrid("gaussian", SIZES | {"users": users}) for users in (1, 2))
    plx.scan(tiny(grid=grid, markets=6), tmp_path / "scan", progress=False)
    assert command("export", tmp_path / "scan", tmp_path / "all.csv") == 0
    with open(tmp_path / "all.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["silent_2"] == "" for row in rows] == [True] * 3 + [False] * 3
