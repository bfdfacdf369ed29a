"""Scans that stop by themselves: what the config says, the same rows however they ran, and what the report says."""

import csv
import io
import re
from pathlib import Path

import numpy as np
import pytest
import stand_in
from tiny import SIZES, tiny

import pluraljax as plx
from pluraljax._cli import main
from pluraljax._report import _write
from pluraljax._scan import FamilyGrid, ScanConfig, read_manifest
from pluraljax._scan.config._power import power_report
from pluraljax._scan.config._stopping import State, Stopping, replay
from pluraljax._scan.engine._run import run
from pluraljax._scan.store._store import Store
from pluraljax._statistics._intervals import clopper_pearson, confidence_sequence

UNTIL = plx.scans.Until("weakly_aligned", half_width=0.1, most=1000)


# Two cells that share all programmes but their draws.
GRID = (FamilyGrid("gaussian", SIZES | {"shared": [0.0, 1.0]}),)


def config(**changes):
    return tiny(**{"grid": GRID, "markets": 2000, "equilibria": False, "until": UNTIL} | changes)


@pytest.fixture
def stand_in_measure(monkeypatch):
    for module, name, function in stand_in.functions():
        monkeypatch.setattr(module, name, function)


def sampled(dataset):
    """The event in the markets of each cell, in order."""
    return [dataset.weakly_aligned.values[dataset.cell.values == cell] for cell in range(2)]


def assert_same_rows(one, other):
    assert one.market.values.tolist() == other.market.values.tolist()
    for name in one.data_vars:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def test_the_config_reads_and_writes_it(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(
        'until = {event = "weakly_aligned", half_width = 0.02, confidence = 0.99, most = 5000}\n'
        '[[grid]]\nfamily = "gaussian"\nproviders = [1, 2]\n'
    )
    read = ScanConfig.from_toml(path)
    assert read.until == plx.scans.Until("weakly_aligned", 0.02, 0.99, 5000)
    assert read.markets == 10_000
    again = tmp_path / "again.toml"
    again.write_text(read.to_toml())
    assert ScanConfig.from_toml(again) == read
    assert "until" not in tiny().to_mapping()
    # Which rows there are depends on it, and what they hold does not.
    assert read.identity == read.replace(until=None).identity
    with pytest.raises(ValueError, match=r"makes 10000 markets at most, got markets = 500"):
        read.replace(markets=500)
    free = read.replace(until=plx.scans.Until("weakly_aligned"), markets=500)
    assert Stopping.of(free).most == (250, 250)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"event": "weakly_alined"}, "Did you mean 'weakly_aligned'"),
        ({"event": "weakly_aligned", "halfwidth": 0.1}, "Did you mean 'half_width'"),
        ({"half_width": 0.1}, "table with an event"),
        ("weakly_aligned", "table with an event"),
        ({"event": "weakly_aligned", "half_width": 0.5}, "strictly between 0 and 0.5"),
        ({"event": "weakly_aligned", "half_width": 0}, "strictly between 0 and 0.5"),
        ({"event": "weakly_aligned", "confidence": 1}, "strictly between 0 and 1"),
        ({"event": "weakly_aligned", "most": 0}, "whole number of at least 1"),
        ({"event": "weakly_aligned", "most": 2**32}, "whole number from 1"),
        ({"event": "personalized_found_aligned"}, "needs equilibria"),
        ({"event": "anonymous_silence"}, "which needs equilibria = true"),
    ],
)
def test_nonsense_is_refused(entry, message):
    grid = [{"family": "gaussian", "providers": [1, 2]}]
    with pytest.raises(ValueError, match=message):
        ScanConfig.from_mapping({"grid": grid, "until": entry, "equilibria": entry != {"event": "anonymous_silence"}})


def test_rows_and_stops_do_not_depend_on_chunks(stand_in_measure):
    wanted = plx.scan(config(), progress=False)
    for codes in sampled(wanted):
        # Each cell stopped where its own rows say, and not before.
        verdict = replay(UNTIL, codes, 1000)
        assert (verdict.state, verdict.sampled) == (State.NARROW, len(codes))
        assert replay(UNTIL, codes[:-1], 1000).state is State.UNFINISHED
        assert len(codes) % 48
        lower, upper = confidence_sequence(codes.sum(), len(codes))
        assert upper - lower <= 0.2
    # Other chunks of as many tiles, so that nothing is compiled again.
    assert_same_rows(plx.scan(config(chunk=61), progress=False), wanted)
    # A cell's rows are those of a scan of a given number of markets.
    whole = plx.scan(config(until=None, markets=int(wanted.market.max()) + 1), progress=False)
    assert_same_rows(whole.sel(market=wanted.market.values), wanted)


def test_progress_foresees_the_end(stand_in_measure, capsys):
    dataset = plx.scan(config(), progress=True)
    lines = capsys.readouterr().err.splitlines()
    foreseen = int(re.search(r"scan: ([\d,]+) markets to measure", lines[0])[1].replace(",", ""))
    # Nothing is known yet, so that it takes as many as for a probability of 1/2 in both cells.
    assert foreseen == 2 * plx.statistics.markets_needed(0.5, 0.1, anytime=True)
    markets = dataset.sizes["market"]
    assert lines[-1] == f"scan: {markets:,} markets for weakly_aligned to 0.1; cells: 2 narrow enough"
    assert 0.8 * foreseen < markets < 1.2 * foreseen


class Killed(Exception):
    pass


def test_killed_anywhere_and_resumed_it_stops_at_the_same_rows(stand_in_measure, tmp_path, monkeypatch):
    clean = plx.scan(config(), tmp_path / "clean", progress=False)
    files = sorted(file.name for file in (tmp_path / "clean" / "rows").iterdir())
    write, left = Store.write, []

    def dying(self, block, rows):
        if not left:
            raise Killed
        left.pop()
        write(self, block, rows)

    monkeypatch.setattr(Store, "write", dying)
    kills = 0
    for survives in (1, 2, 4, 3, len(files)):
        left[:] = range(survives)
        try:
            plx.scan(config(), tmp_path / "killed", progress=False)
        except Killed:
            kills += 1
    assert kills == 4
    assert_same_rows(plx.open_scan(tmp_path / "killed"), clean)
    assert sorted(file.name for file in (tmp_path / "killed" / "rows").iterdir()) == files
    # A chunk that is lost is measured again, and nothing else.
    monkeypatch.setattr(Store, "write", write)
    (tmp_path / "killed" / "rows" / files[4]).write_bytes(b"torn")
    with Store(tmp_path / "killed", config()) as store:
        assert run(config(), store).measured == int(files[4][-18:-8]) - int(files[4][-29:-19])
    assert_same_rows(plx.open_scan(tmp_path / "killed"), clean)


def test_a_narrower_interval_goes_on_and_the_cap_is_reported(stand_in_measure, tmp_path, capsys):
    first = plx.scan(config(), tmp_path, progress=False)
    capped = config(until=plx.scans.Until("weakly_aligned", half_width=0.06, most=600), markets=1200)
    second = plx.scan(capped, tmp_path, progress=False)
    assert set(first.market.values) < set(second.market.values)
    assert [len(codes) for codes in sampled(second)] == [600, 600]
    manifest = read_manifest(tmp_path).config
    assert manifest["until"] == {"event": "weakly_aligned", "half_width": 0.06, "confidence": 0.95, "most": 600}
    assert main(["report", str(tmp_path), "--format", ""]) == 0
    text = (tmp_path / "report" / "report.txt").read_text(encoding="utf-8")
    flowing = " ".join(text.split())
    assert "until weakly_aligned is known to ±6 % at 95 %: cells 2 at the cap" in flowing
    assert "95 % anytime-valid interval" in flowing
    assert "Clopper-Pearson" not in text
    rows = list(csv.DictReader(io.StringIO((tmp_path / "report" / "summary.csv").read_text(encoding="utf-8"))))
    for cell, codes in zip(rows, sampled(second), strict=True):
        lower, upper = confidence_sequence(codes.sum(), len(codes))
        assert (cell["until_state"], cell["until_most"], cell["markets"]) == ("at the cap", "600", "600")
        for name in ("until_interval", "weakly_aligned_interval"):
            assert float(cell[f"{name}_low"]) == lower
            assert float(cell[f"{name}_high"]) == upper
        assert cell["weakly_aligned_wilson_low"] == ""
        assert cell["paired_guaranteed_mcnemar_p"] == "nan"
    # Once decided on the way, always decided on the way.
    plx.scan(config(until=None, markets=1201), tmp_path, progress=False)
    stopping = Stopping.of(ScanConfig.from_mapping(read_manifest(tmp_path).config))
    assert (
        stopping
        == Stopping(plx.scans.Until("weakly_aligned", 0.06), (601, 600))
        == Stopping.of(read_manifest(tmp_path))
    )


def test_the_report_says_which_cells_are_unfinished(stand_in_measure, tmp_path, monkeypatch, capsys):
    write, left = Store.write, [0] * 3

    def dying(self, block, rows):
        if not left:
            raise Killed
        left.pop()
        write(self, block, rows)

    monkeypatch.setattr(Store, "write", dying)
    with pytest.raises(Killed):
        plx.scan(config(), tmp_path, progress=False)
    assert main(["report", str(tmp_path), "--format", ""]) == 0
    text = " ".join((tmp_path / "report" / "report.txt").read_text(encoding="utf-8").split())
    assert "cells 2 unfinished" in text
    # The command goes on where it stopped, and says how the cells ended.
    monkeypatch.setattr(Store, "write", write)
    monkeypatch.setattr(_write, "planned_figures", lambda *_: [])
    study = tmp_path.with_suffix(".toml")
    study.write_text(config().to_toml())
    assert main(["scan", str(study), "--out", str(tmp_path), "--quiet"]) == 0
    assert "cells 2 narrow enough" in " ".join(capsys.readouterr().out.split())
    assert_same_rows(plx.open_scan(tmp_path), plx.scan(config(), progress=False))


def test_power_says_what_a_width_costs(tmp_path, monkeypatch, capsys):
    assert plx.statistics.markets_needed(0.5, 0.01) == 9701
    for anytime, interval in ((False, clopper_pearson), (True, confidence_sequence)):
        for p in (0.5, 0.9, 1.0):
            n = plx.statistics.markets_needed(p, 0.04, 0.9, anytime=anytime)
            for markets, enough in ((n, True), (n - 1, False)):
                lower, upper = interval(p * markets, markets, 0.9)
                assert (upper - lower <= 0.08) == enough
            assert n == plx.statistics.markets_needed(1 - p, 0.04, 0.9, anytime=anytime)
    for arguments in ((1.5, 0.1), (0.5, 0.5), (0.5, 0.0), (0.5, 0.1, 1.0), (0.5, 1e-9)):
        with pytest.raises(ValueError, match=r"got|10\^12"):
            plx.statistics.markets_needed(*arguments)
    text = power_report(config(until=plx.scans.Until("weakly_aligned", 0.01, most=1000)))
    assert re.search(r"0\.01 +9,701 / \d\d,\d{3}", text)
    assert "If p were 0.5 in all of them: about 2,000 markets, stopped by the cap." in text
    monkeypatch.chdir(tmp_path)
    Path("study.toml").write_text(tiny(markets=402).to_toml())
    assert main(["scan", "study.toml", "--power"]) == 0
    assert capsys.readouterr().out == power_report(tiny(markets=402))
    assert [path.name for path in tmp_path.iterdir()] == ["study.toml"]
    lower, upper = clopper_pearson(67, 134)
    assert f"134 in each of 3 cells; half widths {float(upper - lower) / 2:.2g} at p = 0.5" in power_report(
        tiny(markets=402)
    )
