"""A measurement of a user's own, in one file outside the package: measured, stored, resumed, reported, exported."""

import json
import re
import sys
from pathlib import Path

import duckdb
import jax
import numpy as np
import pyarrow.parquet as pq
import pytest
import stand_in
from filled import contents
from tiny import SIZES, tiny

import pluraljax as plx
from pluraljax._cli import main
from pluraljax._scan import read_manifest
from pluraljax._scan.store._store import Store

# All that adding one takes, with a column of each axis, an event, a pair, a table and a figure: the page's first block.
PAGE = (Path(__file__).parents[2] / "docs" / "own_measurement.md").read_text()
FILE = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)[1]


@pytest.fixture(autouse=True)
def stand_in_measure(monkeypatch):
    for kind, name, function in stand_in.functions():
        monkeypatch.setattr(kind, name, function)
    monkeypatch.setenv("PLURALJAX_NO_CACHE", "1")
    monkeypatch.setattr("pluraljax._cli._scan._report", lambda out: 0)


@pytest.fixture
def file(tmp_path, monkeypatch):
    name = f"spread_{tmp_path.name}".replace("-", "_")
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / f"{name}.py").write_text(FILE)
    yield tmp_path / f"{name}.py"
    sys.modules.pop(name, None)


def asking(file, **changes):
    return tiny(**{"markets": 60, "chunk": 12, "equilibria": False, "measurements": [f"{file}:Spread"]} | changes)


def spread_of(cell, market):
    """The spread of a market that is drawn again, in NumPy."""
    grid = [{"shared": 0.0}, {"shared": 1.0}]
    family = plx.families.opposed(**SIZES) if cell == 2 else plx.families.gaussian(**SIZES, **grid[cell])
    key = jax.random.fold_in(jax.random.key(0, impl="threefry2x32"), market)
    value = np.asarray(family(key).provider_value)
    return np.ptp(value, axis=0).mean(axis=(-2, -1))


def test_its_numbers_are_stored_beside_the_others(file, x64):
    found = plx.scan(asking(file), progress=False)
    without = plx.scan(asking(file, measurements=()), progress=False)
    assert set(found.data_vars) - set(without.data_vars) == {"spread", "noise", "twice_bound", "is_wide", "is_narrow"}
    for name in without.data_vars:
        np.testing.assert_array_equal(found[name], without[name])
    for market in (0, 7, 31, 59):
        spread = spread_of(market % 3, market)
        np.testing.assert_allclose(found.spread.sel(market=market), spread, rtol=1e-12)
        assert float(found.is_wide.sel(market=market)) == (spread > 1).any()
        assert float(found.is_narrow.sel(market=market)) == (spread <= 0.5).all()
    np.testing.assert_array_equal(found.twice_bound, 2 * found.personalized_bound)
    assert len(np.unique(found.noise)) == 60
    assert 0.3 < float(found.noise.mean()) < 0.7
    assert found.spread.attrs["description"] == "largest less least payoff of any provider, on average"
    np.testing.assert_array_equal(plx.scan(asking(file, chunk=7), progress=False).noise, found.noise)


def test_it_is_resumed_and_read_without_its_file(file, tmp_path, monkeypatch, capsys):
    plx.scan(asking(file), tmp_path / "whole", progress=False)
    write, written = Store.write, []

    def killed(*arguments):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(arguments)
        write(*arguments)

    monkeypatch.setattr(Store, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        plx.scan(asking(file), tmp_path / "scan", progress=False)
    monkeypatch.setattr(Store, "write", write)
    assert main(["resume", str(tmp_path / "scan"), "--quiet"]) == 0
    assert contents(tmp_path / "scan" / "rows") == contents(tmp_path / "whole" / "rows")
    # Whoever reads it has no such file, and no such class.
    file.unlink()
    sys.modules.pop(file.stem)
    assert main(["status", str(tmp_path / "scan")]) == 0
    assert main(["export", str(tmp_path / "scan"), str(tmp_path / "all.parquet")]) == 0
    assert len(pq.read_table(tmp_path / "all.parquet").column("spread")) == 60
    assert main(["merge", str(tmp_path / "whole"), str(tmp_path / "scan"), "--out", str(tmp_path / "merged")]) == 0
    assert plx.open_scan(tmp_path / "merged").identical(plx.open_scan(tmp_path / "whole"))
    assert main(["report", str(tmp_path / "scan"), "--format", "svg"]) == 0
    capsys.readouterr()
    assert main(["resume", str(tmp_path / "scan")]) == 2
    assert "holds no measurement: there is no such file" in capsys.readouterr().err


def test_a_report_shows_what_it_declares(file, tmp_path):
    plx.scan(asking(file), tmp_path / "scan", progress=False)
    assert main(["report", str(tmp_path / "scan"), "--format", "svg"]) == 0
    report = tmp_path / "scan" / "report"
    lines = (report / "report.txt").read_text().splitlines()
    place = lines.index("How far providers lie apart: utility, mean ± standard error")
    assert lines[place + 1].startswith("Wide: percent of markets in which some user's spread exceeds")
    head = next(at for at in range(place, len(lines)) if lines[at].split() == ["shared", "apart", "wide"])
    query = f"select avg(list_avg(spread)), avg(is_wide::int) from '{tmp_path}/scan/rows/*.parquet' where cell = 0"
    [(mean, wide)] = duckdb.sql(query).fetchall()
    assert lines[head + 1].split()[1] == f"{mean:.4f}"
    assert f"{100 * wide:.1f} [" in lines[head + 1]
    assert "In the same markets: is wide - is narrow." in lines
    assert any(line.endswith("wide - narrow") for line in lines)
    # Figures of its events and of its values, a summary in the CSV file, and measures on the page.
    assert {"own-spread.svg", "own-spread-mean.svg"} <= {each.name for each in report.iterdir()}
    assert "share of" in (report / "own-spread.svg").read_text()
    named = (report / "summary.csv").read_text().splitlines()[0].split(",")
    assert {"is_wide_yes", "spread_mean", "noise_standard_error", "paired_width_only_first"} <= {*named}
    page = (report / "report.html").read_text()
    assert "some user&#x27;s spread exceeds the level" in page or "some user's spread exceeds the level" in page


def test_settings_are_part_of_a_scan_and_of_its_config(file, tmp_path, capsys):
    table = {"measurement": f"{file}:Spread", "level": 2.0}
    config = asking(file, measurements=[table])
    assert config.asked[-1].level == 2.0
    (tmp_path / "scan.toml").write_text(config.to_toml())
    assert plx.scans.ScanConfig.from_toml(tmp_path / "scan.toml").identity == config.identity
    assert asking(file).identity != config.identity
    assert asking(file, measurements=[type(config.asked[-1])(2.0)]).identity == config.identity
    plx.scan(config, tmp_path / "scan", progress=False, markets=3)
    definition = json.loads((tmp_path / "scan" / "manifest.json").read_text())["definition"]
    [(name, said)] = definition["measurements"].items()
    assert (name, said["values"], list(said["source"])) == (f"{file.stem}:Spread", {"level": 2.0}, [file.name])
    with pytest.raises(ValueError, match=r"another measurement .*'level': 2.0.* there, .*'level': 1.0.* here"):
        plx.scan(asking(file), tmp_path / "scan", progress=False)


def test_it_does_not_go_on_where_the_source_has_changed(file, tmp_path):
    plx.scan(asking(file), tmp_path / "scan", progress=False, markets=3)
    sys.modules.pop(file.stem)
    file.write_text(FILE.replace("self.level / 2", "self.level / 3"))
    with pytest.raises(ValueError, match=f"another source of measurement {file.stem}:Spread"):
        plx.scan(asking(file), tmp_path / "scan", progress=False)


def test_a_scan_waits_for_its_event(file):
    until = plx.scans.Until("is_wide", 0.3, 0.9, 64)
    assert asking(file, until=until, markets=192).until == until
    with pytest.raises(ValueError, match="Unknown event 'is_wide'"):
        tiny(until=until, markets=192)


def own(**attributes):
    """A measurement with some attributes changed, made anew; it can be scanned in memory only."""
    from dataclasses import dataclass

    column = plx.scans.Column("fair", "market", "value", "1", "one")
    made = {"columns": (column,), "measure": lambda self, market, given: {"fair": 1.0}} | attributes
    return dataclass(frozen=True)(type("Fair", (plx.scans.Measurement,), made))


@pytest.mark.parametrize(
    ("measurement", "wanted"),
    [
        (lambda: 3, "a measurement must be a scans.Measurement, its class"),
        (lambda: "nowhere_at_all:Fair", "there is no module 'nowhere_at_all'"),
        (lambda: plx.scans.Measurement, "a measurement must be"),
        (lambda: own(columns=()), "Fair.columns must hold a plx.scans.Column"),
        (lambda: own(columns=(plx.scans.Column("aligned", "user", "value", "1", "?"),)), "there is a column 'aligned'"),
        (
            lambda: own(columns=(plx.scans.Column("shared", "user", "value", "1", "?"),)),
            "name of a parameter of a family",
        ),
        (lambda: own(columns=(plx.scans.Column("fair", "user", "event", "1", "?"),)), "events are of markets"),
        (lambda: own(columns=(plx.scans.Column("fair", "market", "status", "1", "?"),)), 'of a "market" or a "user"'),
        (lambda: own(needs=("silence",)), "Unknown column 'silence' in Fair.needs"),
        (lambda: own(needs=("personalized_worst_lower",)), "needs personalized_worst_lower, which this scan does not"),
        (lambda: own(figure=("fare",)), "Unknown column 'fare' in Fair.figure. Did you mean 'fair'"),
        (lambda: type("Fair", (plx.scans.Measurement,), {}), "must be a frozen dataclass"),
    ],
)
def test_what_makes_no_sense_is_refused(measurement, wanted):
    with pytest.raises(ValueError, match=wanted):
        tiny(equilibria=False, measurements=[measurement()])


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        ({}, "Fair.measure must return an array for each of fair; see fair"),
        ({"fair": 1.0, "fare": 1.0}, "see fare"),
        ({"fair": np.ones(2)}, r"Fair.measure must return fair of shape \(\), got \(2,\)"),
    ],
)
def test_what_it_returns_is_held_against_its_columns(rows, wanted):
    made = own(measure=lambda self, market, given: rows)
    with pytest.raises(ValueError, match=wanted):
        plx.scan(tiny(equilibria=False, markets=3, measurements=[made]), progress=False)


def test_what_nobody_could_find_again_is_not_stored(tmp_path):
    config = tiny(equilibria=False, markets=6, measurements=[own()])
    assert (plx.scan(config, progress=False).fair == 1).all()
    with pytest.raises(ValueError, match="cannot be stored, as nobody could go on with it: only a function or a"):
        plx.scan(config, tmp_path / "scan", progress=False)
    assert not (tmp_path / "scan").exists()


def test_rows_of_invalid_markets_hold_nothing_of_it(monkeypatch):
    """The measurement gives a number whatever the market is; that of a bad one is dropped."""
    from pluraljax._scan.measure._conditions import Conditions

    def odd(self, market, given):
        bad = market.user_value[0, 0, 0] > 0
        status = jax.numpy.where(bad, plx.Status.NOT_FINITE, plx.Status.OK).astype(jax.numpy.int8)
        return stand_in.measure(market, given.delta) | {"status": status}

    monkeypatch.setattr(Conditions, "measure", odd)
    with pytest.warns(UserWarning, match="of 60 markets are invalid: their rows hold no numbers. NOT_FINITE"):
        found = plx.scan(tiny(equilibria=False, markets=60, measurements=[own()]), progress=False)
    bad = found.status.values == plx.Status.NOT_FINITE
    assert 0 < bad.sum() < 60
    np.testing.assert_array_equal(np.isnan(found.fair), bad)


def test_open_rows_go_through_its_second_pass():
    measure = lambda self, market, given: {"fair": 1.0, "status": jax.numpy.int8(plx.Status.OPEN)}
    again = lambda self, market, given: {"fair": float(market.num_providers), "status": plx.Status.RESCUED}
    found = plx.scan(
        tiny(equilibria=False, markets=6, measurements=[own(measure=measure, measure_again=again)]), progress=False
    )
    assert (found.fair == SIZES["providers"]).all()
    assert (found.status == plx.Status.RESCUED).all()


def test_on_the_host_it_takes_the_first_markets_of_each_cell():
    def measure(self, markets, given):
        return {"fair": np.asarray(markets.provider_value).max(axis=(1, 2, 3, 4))}

    made = own(on_host=True, measure=measure, first=lambda self, start, stop: max(0, min(5, stop) - start))
    found = plx.scan(tiny(equilibria=False, markets=60, chunk=4, measurements=[made]), progress=False)
    assert (np.isfinite(found.fair) == (found.market // 3 < 5)).all()


def test_a_manifest_that_says_nonsense_of_measurements_is_refused(file, tmp_path):
    plx.scan(asking(file), tmp_path / "scan", progress=False, markets=3)
    manifest = read_manifest(tmp_path / "scan")
    odd = [{**manifest.measurements[0], "tables": [{"heading": "?"}]}]
    manifest.changed(measurements=tuple(odd)).write(tmp_path / "scan")
    with pytest.raises(ValueError, match="measurements must be a list of measurements, each with name"):
        read_manifest(tmp_path / "scan")
