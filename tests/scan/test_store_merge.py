"""Parts of a scan that were cut or measured differently: every market comes into one file, and nothing mixes unsaid."""

import json
from types import SimpleNamespace

import distributed
import duckdb
import pandas
import polars
import pyarrow.parquet as pq
import pytest
import stand_in
from filled import contents, fill, invented
from tiny import tiny

import pluraljax as plx
from pluraljax._cli import main
from pluraljax._progress import Silent
from pluraljax._report import _write
from pluraljax._scan import read_manifest, read_table
from pluraljax._scan.config._plan import Block, Shard, missing_blocks
from pluraljax._scan.engine import _cluster, _run
from pluraljax._scan.store import _journal, _store
from pluraljax._scan.store._journal import read_journal
from pluraljax._scan.store._store import Store
from pluraljax._scan.store._versions import versions

LATER = versions() | {"jax": "9.9.0", "jaxlib": "9.9.1"}


@pytest.fixture(autouse=True)
def without_figures(monkeypatch):
    monkeypatch.setattr(_write, "planned_figures", lambda *_: [])
    monkeypatch.setattr("pluraljax._cli._scan._report", lambda out: 0)
    monkeypatch.setenv("PLURALJAX_NO_CACHE", "1")
    for kind, name, function in stand_in.functions():
        monkeypatch.setattr(kind, name, function)


@pytest.fixture
def later(monkeypatch):
    """Makes this process one of later versions."""

    def pretend(made=LATER):
        for module in (_store, _run, _journal):
            monkeypatch.setattr(module, "versions", lambda: made)

    return pretend


def command(*arguments):
    return main([str(argument) for argument in arguments])


def small(**changes):
    return tiny(**{"markets": 90, "chunk": 12} | changes)


def part(folder, number, count, **changes):
    """Stores a part of the small scan, cut as `changes` say, with a line per chunk in the journal."""
    config = small(**changes)
    with Store(folder, config) as store:
        for block in missing_blocks(config, store.chunk, {}, Shard(number, count)):
            store.write(block, invented(block, len(config.cells)))
            store.record(block, len(block) / 10, {"host": f"host-{number}"})
    return folder


def seen_by_others(folder):
    """How many rows and markets other tools find in a folder."""
    files = f"{folder}/rows/*.parquet"
    counts = duckdb.sql(f"select count(*), count(distinct market) from '{files}'").fetchall()[0]
    table = polars.read_parquet(files)
    assert counts == (table.height, table["market"].n_unique())
    frame = pandas.read_parquet(folder / "rows")
    assert counts == (len(frame), frame["market"].nunique())
    return counts


@pytest.mark.parametrize("chunks", [(12, 15), (15, 12), (30, 12, 7)])
def test_shards_of_any_chunk_size_merge_to_each_market_once(tmp_path, chunks, capsys):
    shards = [part(tmp_path / f"{n}", n, len(chunks), chunk=chunk) for n, chunk in enumerate(chunks, start=1)]
    wanted = set().union(*(read_table(shard)["market"].to_pylist() for shard in shards))
    assert command("merge", *shards, "--out", tmp_path / "whole") == 0
    rows, markets = seen_by_others(tmp_path / "whole")
    assert rows == markets == len(wanted)
    assert command("status", tmp_path / "whole") == (0 if len(wanted) == 90 else 1)
    # The journal says who measured each file, and no more than the shards did.
    entries = read_journal(tmp_path / "whole")
    assert sum(entry["markets"] for entry in entries) == rows
    assert {entry["chunk"] for entry in entries} == {file.name for file in (tmp_path / "whole" / "rows").iterdir()}
    # What a second merge finds is there; what is missing still is measured, and all is as if it never was apart.
    before = contents(tmp_path / "whole")
    capsys.readouterr()
    assert command("merge", *shards, "--out", tmp_path / "whole") == 0
    assert "copied 0 chunks, " in capsys.readouterr().out
    assert contents(tmp_path / "whole") == before
    fill(tmp_path / "whole", small())
    fill(tmp_path / "never-apart", small())
    assert read_table(tmp_path / "whole").equals(read_table(tmp_path / "never-apart"))
    assert seen_by_others(tmp_path / "whole") == (90, 90)


def test_a_damaged_chunk_of_the_whole_does_not_keep_a_good_one_out(tmp_path, capsys):
    shard = part(tmp_path / "shard", 1, 1)
    assert command("merge", shard, "--out", tmp_path / "whole") == 0
    before = contents(tmp_path / "whole")
    victim = min((tmp_path / "whole" / "rows").iterdir())
    victim.write_bytes(victim.read_bytes()[:-9])
    assert command("merge", shard, "--out", tmp_path / "whole") == 1
    assert victim.name in capsys.readouterr().err
    assert {n: b for n, b in contents(tmp_path / "whole").items() if "aside" not in n} == before


@pytest.mark.parametrize("moment", range(0, 19, 4))
def test_a_merge_that_is_killed_loses_no_row_and_no_line(tmp_path, monkeypatch, moment):
    shards = [part(tmp_path / "1", 1, 2), part(tmp_path / "2", 2, 2, chunk=15)]
    assert command("merge", *shards, "--out", tmp_path / "calm") == 0
    left = [None] * moment

    class Killed(BaseException):
        pass

    def dying(call):
        def perhaps(*arguments):
            if not left:
                raise Killed
            left.pop()
            return call(*arguments)

        return perhaps

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", dying(_store.os.replace))
        patch.setattr("os.write", dying(_journal.os.write))
        with pytest.raises(Killed):
            command("merge", *shards, "--out", tmp_path / "whole")
    assert command("merge", *shards, "--out", tmp_path / "whole") == 0
    assert read_table(tmp_path / "whole").equals(read_table(tmp_path / "calm"))
    lines = lambda folder: sorted((entry["chunk"], entry["markets"]) for entry in read_journal(folder))
    assert lines(tmp_path / "whole") == lines(tmp_path / "calm")


def test_a_scan_of_other_versions_of_jax_goes_on_only_where_that_is_asked_for(tmp_path, later, capsys):
    fill(tmp_path / "scan", tiny(), limit=4)
    before = contents(tmp_path / "scan")
    later()
    assert command("resume", tmp_path / "scan", "--quiet") == 2
    errors = capsys.readouterr().err
    assert f"jax {versions()['jax']} there, 9.9.0 here; jaxlib" in errors
    assert "--mix-versions" in errors
    assert errors.count("\n") == 1
    with pytest.raises(ValueError, match="measured by other versions"):
        plx.scan(tiny(), tmp_path / "scan", progress=False)
    assert contents(tmp_path / "scan") == before
    assert command("resume", tmp_path / "scan", "--quiet", "--mix-versions") == 0
    assert read_manifest(tmp_path / "scan").versions == (versions(), LATER)
    made = [entry["versions"]["jax"] for entry in read_journal(tmp_path / "scan")]
    assert set(made) == {"9.9.0"}
    notes = [json.loads(pq.read_schema(file).metadata[b"pluraljax"]) for file in (tmp_path / "scan" / "rows").iterdir()]
    assert sorted(note["versions"]["jax"] for note in notes) == [versions()["jax"]] * 4 + ["9.9.0"] * 5
    capsys.readouterr()
    both = f"jax {versions()['jax']} and 9.9.0"
    assert command("status", tmp_path / "scan") == 0
    assert both in capsys.readouterr().out
    assert command("report", tmp_path / "scan", "--format", "") == 0
    assert both in " ".join(capsys.readouterr().out.split())
    page = (tmp_path / "scan" / "report" / "report.html").read_text()
    assert "jax 9.9.0" in page
    assert both in page


def test_a_finished_scan_and_one_without_rows_ask_for_no_version(tmp_path, later):
    fill(tmp_path / "done", tiny())
    fill(tmp_path / "begun", tiny(), limit=0)
    before = contents(tmp_path / "done")
    later()
    assert command("resume", tmp_path / "done", "--quiet") == 0
    assert contents(tmp_path / "done") == before
    assert command("resume", tmp_path / "begun", "--quiet") == 0
    assert read_manifest(tmp_path / "begun").versions == (LATER,)


def test_another_numpy_is_recorded_and_refused_by_nobody(tmp_path, later):
    fill(tmp_path / "scan", tiny(), limit=4)
    other = versions() | {"numpy": "99.0"}
    later(other)
    assert command("resume", tmp_path / "scan", "--quiet") == 0
    assert read_manifest(tmp_path / "scan").versions == (versions(), other)


def test_shards_of_other_versions_merge_only_where_that_is_asked_for(tmp_path, later, capsys):
    first = part(tmp_path / "1", 1, 2)
    later()
    second = part(tmp_path / "2", 2, 2)
    assert command("merge", first, second, "--out", tmp_path / "whole") == 2
    assert f"{first} and {second} were measured by different versions (jax" in capsys.readouterr().err
    assert not (tmp_path / "whole").exists()
    assert command("merge", first, second, "--out", tmp_path / "whole", "--mix-versions") == 0
    assert read_manifest(tmp_path / "whole").versions == (versions(), LATER)
    assert command("merge", second, "--out", tmp_path / "one") == 0
    assert read_manifest(tmp_path / "one").versions == (LATER,)
    assert command("merge", first, "--out", tmp_path / "one") == 2
    assert "--mix-versions" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("made", "wanted"),
    [(LATER, "measured by other versions"), (versions() | {"pluraljax": "7"}, "rows of 7 are none of it")],
)
def test_workers_of_other_versions_are_refused(tmp_path, monkeypatch, made, wanted):
    block = Block(0, 0, 48)

    class Done(list):
        def __init__(self, with_results):
            super().__init__()

        add = list.append

    result = block, invented(block, 3), 0, (1.0, 0.5), {"versions": made}
    future = SimpleNamespace(result=lambda: result, release=lambda: None)
    client = SimpleNamespace(nthreads=lambda: {"one": 1}, submit=lambda *arguments, **options: future)
    monkeypatch.setattr(distributed, "as_completed", Done)
    fill(tmp_path / "scan", tiny(), limit=2)
    with Store(tmp_path / "scan", tiny()) as store, pytest.raises(ValueError, match=wanted):
        _cluster._measure(client, tiny(), store, Silent(), [block])
    if made is LATER:
        with Store(tmp_path / "scan", tiny(), mix_versions=True) as store:
            store.write(block, invented(block, 3), made)
        assert read_manifest(tmp_path / "scan").versions == (versions(), LATER)
