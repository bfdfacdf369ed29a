"""What a store says of itself: whoever reads it needs no family, no column and no version but those it names."""

import json
import shutil

import duckdb
import numpy as np
import pandas
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from filled import FORMAT_1, FORMAT_2, contents, fill, invented
from tiny import SIZES, tiny

import pluraljax as plx
from pluraljax._cli import main
from pluraljax._report import _page_data, _summary, _summary_rows, _write
from pluraljax._report._summary import merge_summaries, summarize
from pluraljax._scan import FamilyGrid, open_scan, read_manifest, read_table
from pluraljax._scan.config import _config
from pluraljax._scan.config._plan import missing_blocks
from pluraljax._scan.measure._columns import COLUMNS, EVENTS, ROBUST, SEARCHED, Column
from pluraljax._scan.store._read import chunk_format, read_parts
from pluraljax._scan.store._store import Store


@pytest.fixture(autouse=True)
def without_figures(monkeypatch):
    monkeypatch.setattr(_write, "planned_figures", lambda *_: [])


@pytest.fixture
def old(tmp_path):
    shutil.copytree(FORMAT_1, tmp_path / "old")
    (tmp_path / "old" / "summary.json").unlink()
    return tmp_path / "old"


def command(*arguments):
    return main([str(argument) for argument in arguments])


# What was not measured yet when the fixture was made.
LATER = {column.name for column in ROBUST + SEARCHED} | {"served"}


def told(summary):
    """What the fixture keeps of a summary."""
    assert all(summary.events[name].yes + summary.events[name].no == 0 for name in LATER & summary.events.keys())
    return {
        "cell": summary.cell,
        "family": summary.family,
        "statuses": {str(code): count for code, count in summary.statuses.items()},
        "events": {n: [p.yes, p.no, p.open, p.invalid] for n, p in summary.events.items() if n not in LATER},
        "values": {n: [m.count, m.mean if m.count else None] for n, m in summary.values.items() if n not in LATER},
        "paired": {n: [list(line) for line in p.counts] for n, p in summary.paired.items() if n not in LATER},
        "gains": [summary.gains.yes, summary.gains.no, summary.gains.open],
        "open_markets": summary.open_markets,
    }


def test_a_scan_in_the_first_format_says_what_it_said(old):
    manifest = read_manifest(old)
    summaries = merge_summaries(*(summarize(part, True, manifest.columns) for part in read_parts(old)))
    assert [told(summary) for summary in summaries] == json.loads((FORMAT_1 / "summary.json").read_text())
    table = read_table(old)
    assert table.schema.field("weakly_aligned").type == pa.bool_()
    assert table.column("anonymous_worst_aligned").null_count == 18 + 29
    stored = pq.read_table(old / "rows", columns=["market", "anonymous_worst_aligned"]).sort_by("market")
    codes = stored.column(1).to_pylist()
    assert table.column("anonymous_worst_aligned").to_pylist() == [{1: True, 0: False, -1: None}[c] for c in codes]


def test_a_scan_in_the_first_format_is_reported_looked_at_and_exported(old, tmp_path, capsys):
    before = contents(old)
    assert command("status", old) == 0
    assert command("status", old) == 0
    assert command("report", old, "--format", "", "--out", tmp_path / "report") == 0
    assert "cells 2 narrow enough" in " ".join(capsys.readouterr().out.split())
    assert command("export", old, tmp_path / "rows.csv") == 0
    dataset = open_scan(old)
    assert dataset.sizes["market"] == 64
    assert dataset.family.values.tolist() == ["gaussian", "table"] * 32
    assert contents(old) == before


def test_a_scan_in_the_first_format_does_not_go_on(old, tmp_path, capsys):
    before = contents(old)
    for arguments in (("resume", old, "--quiet"), ("merge", old, "--out", tmp_path / "merged")):
        assert command(*arguments) == 2
        assert f"{old} holds a scan in format 1 (pluraljax 0.1.0, jax 0.9.2" in capsys.readouterr().err
    assert contents(old) == before
    assert not (tmp_path / "merged").exists()


def test_a_scan_from_before_measurements_is_read_and_goes_on(tmp_path):
    """Its columns, and all that it says of itself, are those of this version, to the byte."""
    shutil.copytree(FORMAT_2, tmp_path / "scan")
    before = contents(tmp_path / "scan")
    table = read_table(tmp_path / "scan")
    assert table.num_rows == 12
    assert table.column("silent").to_pylist()[7] == [7 + 0.02, 7 + 0.02 + 0.1]
    assert table.column("anonymous_searched_upper").to_pylist()[3] == [3 + 0.52, 3 + 0.52 + 0.1]
    assert command("report", tmp_path / "scan", "--format", "") == 0
    shutil.rmtree(tmp_path / "scan" / "report")
    asked = {
        "equilibria": plx.scans.Search(starts=3),
        "robust": plx.scans.Exits((0, 1)),
        "search": plx.scans.WorstSearch(2, 3),
    }
    config, there = tiny(markets=12, chunk=8, **asked), read_manifest(FORMAT_2).definition
    # A version of the package that draws or measures otherwise has another number, and goes on with none of these.
    assert {**config.definition(), "pluraljax": there["pluraljax"]} == there
    assert contents(tmp_path / "scan") == before


def test_a_scan_is_read_where_its_table_has_moved_and_its_family_is_unknown(tmp_path, monkeypatch, capsys):
    ratings = tmp_path / "ratings.csv"
    ratings.write_text("user,item,rating\n" + "".join(f"{u},{i},{u + i}\n" for u in range(6) for i in range(10)))
    until = plx.scans.Until("weakly_aligned", 0.3, 0.9, 64)
    config = tiny(grid=(FamilyGrid("table", {**SIZES, "path": str(ratings)}),), until=until, markets=64, chunk=32)
    for name in ("one", "other"):
        with Store(tmp_path / name, config) as store:
            for block in list(missing_blocks(config, store.chunk, {}))[: 2 if name == "one" else 1]:
                store.write(block, invented(block, 1))
    ratings.rename(tmp_path / "elsewhere.csv")
    monkeypatch.delitem(plx._families._registry.FAMILIES, "table")
    assert command("status", tmp_path / "one") == 0
    assert command("report", tmp_path / "one", "--format", "") == 0
    assert command("merge", tmp_path / "other", tmp_path / "one", "--out", tmp_path / "merged") == 0
    assert command("export", tmp_path / "merged", tmp_path / "rows.parquet") == 0
    assert read_table(tmp_path / "merged").equals(read_table(tmp_path / "one"))
    assert "family = &quot;table&quot;" in (tmp_path / "one" / "report" / "report.html").read_text()


def test_a_scan_without_a_column_that_this_version_has_is_read(tmp_path, monkeypatch, capsys):
    fill(tmp_path / "scan", tiny())
    later = (*COLUMNS, Column("regret", "user", "value", "utility", "?"), Column("fair", "market", "event", "", "?"))
    for module in (_config, _summary, _summary_rows):
        monkeypatch.setattr(module, "COLUMNS", later)
    monkeypatch.setattr(_summary, "EVENTS", (*EVENTS, "fair"))
    monkeypatch.setattr(_page_data, "COLUMNS", later)
    assert open_scan(tmp_path / "scan").sizes["market"] == 400
    assert command("status", tmp_path / "scan") == 0
    assert command("export", tmp_path / "scan", tmp_path / "rows.csv") == 0
    assert command("report", tmp_path / "scan", "--format", "") == 0
    [summary, *_] = summarize(read_table(tmp_path / "scan"), columns=COLUMNS)
    assert summary.events["fair"].trials == summary.values["regret"].count == 0
    assert command("resume", tmp_path / "scan", "--quiet") == 2
    assert "another columns" in capsys.readouterr().err


def test_a_scan_with_a_column_that_this_version_does_not_know_is_read(tmp_path, capsys):
    config, left_out = tiny(markets=60), ("strongly_aligned", "hull_error_lower", "anonymous_silence")
    columns = [column for column in COLUMNS if column.name not in left_out]
    columns += [Column("fair", "market", "event", "", "?"), Column("regret", "user", "value", "", "?")]
    with Store(tmp_path / "this", config) as store:
        manifest = read_manifest(store.path)
    data = {**manifest.definition, "columns": plx._scan.config._definition.columns_version(columns)}
    config_data = manifest.config | {"until": {"event": "fair", "half_width": 0.4}}
    other = plx._scan.store._manifest.Manifest.new(data, config_data, columns, manifest.versions[0])
    with Store(tmp_path / "that", other) as store:
        for block in missing_blocks(config, 20, {}):
            rows = {n: v for n, v in invented(block, 3).items() if n not in left_out}
            extra = {"fair": np.zeros(len(block), np.int8), "regret": np.ones((len(block), 2))}
            store.write(block, rows | extra)
    dataset = open_scan(tmp_path / "that")
    assert float(dataset.regret.mean()) == 1.0
    assert float(dataset.fair.mean()) == 0.0
    assert "strongly_aligned" not in dataset
    assert command("status", tmp_path / "that") == 0
    assert command("report", tmp_path / "that", "--format", "") == 0
    text = capsys.readouterr().out
    assert "also measured\n" in text
    _, upper = plx.statistics.confidence_sequence(0, 20)
    assert f" 0.0 [0,{np.ceil(100 * upper):.0f}]" in text
    assert "1.0000 ± 0.0000" in text
    assert command("export", tmp_path / "that", tmp_path / "rows.csv") == 0


def with_events(config, folder):
    """Stores rows whose event is open in a third of the markets, and holds in half of the others."""
    codes = np.array([1, 0, -1], np.int8)
    with Store(folder, config) as store:
        for block in missing_blocks(config, store.chunk, {}):
            rows = invented(block, len(config.cells))
            store.write(block, rows | {"weakly_aligned": codes[block.markets(len(config.cells)) // 3 % 3]})


def test_open_events_enter_no_average(tmp_path):
    folder = tmp_path / "scan"
    with_events(tiny(markets=396), folder)
    query = f"select avg(weakly_aligned::int), count(*), count(weakly_aligned) from '{folder}/rows/*.parquet'"
    assert duckdb.sql(query).fetchall() == [(0.5, 396, 264)]
    query = query.replace("avg(weakly_aligned::int)", "avg(coalesce(weakly_aligned, true)::int)")
    assert duckdb.sql(query).fetchall() == [(pytest.approx(2 / 3), 396, 264)]
    events = polars.scan_parquet(f"{folder}/rows/*.parquet").collect()["weakly_aligned"]
    assert (events.dtype, events.mean(), events.null_count()) == (polars.Boolean, 0.5, 132)
    events = pandas.read_parquet(folder / "rows")["weakly_aligned"]
    assert (events.mean(), events.isna().sum()) == (0.5, 132)
    events = open_scan(folder).weakly_aligned
    assert (float(events.mean()), int(np.isnan(events).sum())) == (0.5, 132)
    for summary in summarize(read_table(folder)):
        share = summary.events["weakly_aligned"]
        assert (share.yes, share.no, share.open) == (44, 44, 44)
        assert summary.paired["guaranteed"].counts[0][0] == 132


def test_the_digest_is_of_the_rows_and_of_what_is_said_of_them(tmp_path):
    fill(tmp_path / "scan", tiny())
    chunks = chunk_format(tmp_path / "scan", read_manifest(tmp_path / "scan"))
    path = min((tmp_path / "scan" / "rows").iterdir())
    table = chunks.read(path).table
    note = {"cell": 0}
    digest = plx._scan.store._digest.digest_of(table, note)
    assert digest == plx._scan.store._digest.digest_of(pa.concat_tables([table.slice(0, 7), table.slice(7)]), note)
    assert digest != plx._scan.store._digest.digest_of(table, {"cell": 1})
    for place, field in enumerate(table.schema):
        values = table.column(place).to_pylist()
        odd = {pa.bool_(): not values[3], pa.string(): "x"}.get(field.type, values[3])
        values[3] = values[3][:1] if isinstance(odd, list) else odd + 1 if odd == values[3] and odd is not None else odd
        if field.nullable:
            values[3] = None if values[3] is not None else 7
        changed = table.set_column(place, field, pa.array(values, field.type))
        if not changed.equals(table):
            assert digest != plx._scan.store._digest.digest_of(changed, note), field.name
