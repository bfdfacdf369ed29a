"""What a scan would take, without measuring: from the journal, or from a model; numbers worked by hand."""

import subprocess
import sys
from datetime import UTC, datetime

import pytest
from filled import fill
from tiny import SIZES, tiny

import pluraljax as plx
from pluraljax._scan.config._plan import Shard
from pluraljax._scan.engine import _outlook
from pluraljax._scan.engine._outlook import foresee
from pluraljax._scan.store._journal import Journal
from pluraljax._scan.store._survey import _rate, seconds_per_market


@pytest.fixture(autouse=True)
def four_cores(monkeypatch):
    monkeypatch.setattr(_outlook, "num_cores", lambda: 4)


def test_it_grows_with_users_outcomes_and_questions(tmp_path):
    # 2 users, 9 outcomes: 2 * 6.3e-3 * 9^1.1 = 0.1413 ms for conditions, 2 * 2.54e-3 * 9^1.63 = 0.1825 ms on top.
    found = foresee(tiny(), tmp_path / "out")
    assert found.seconds == pytest.approx((0.06475 / 1.5, 0.06475 * 4), rel=1e-3)
    assert (found.plan.markets, found.plan.missing, found.by_journal) == (400, {0: 134, 1: 133, 2: 133}, False)
    assert foresee(tiny(equilibria=False), tmp_path).seconds[1] == pytest.approx(400 * 0.1413e-3 / 2 * 4, rel=1e-3)
    # One set of no provider, and two of one: each a third as much as the conditions.
    exits = foresee(tiny(equilibria=False, robust=plx.scans.Exits((0, 1))), tmp_path)
    assert exits.seconds[1] == pytest.approx(400 * 0.1413e-3 / 2 * 4 * 2, rel=1e-3)
    # 60 markets at 35 ms of the one thread that searches, which is longer than all else.
    searching = foresee(tiny(search=plx.scans.WorstSearch(markets=20, budget=8)), tmp_path)
    assert searching.plan.to_search == 60
    assert searching.seconds[1] == pytest.approx(60 * 35e-3 * 4)
    assert "to search: 60 markets" in str(searching)
    half = foresee(tiny(), tmp_path, Shard(1, 2))
    assert 0 < half.seconds[1] < found.seconds[1]


def test_shapes_and_play_are_told(tmp_path):
    grid = tuple(
        plx.scans.FamilyGrid("gaussian", SIZES | sizes) for sizes in ({"users": 1}, {"providers": 1}, {"states": 4})
    )
    found = foresee(tiny(grid=grid, equilibria=plx.scans.Search(starts=4)), tmp_path)
    assert found.shapes == 3
    assert "3 array shapes, which takes 3 min 0 s to 9 min 0 s the first time" in str(found)
    assert "play: takes longer than all else, and is not in that time" in str(found)


def _entry(cell, stored, seconds, process=1, **others):
    """What stands in a journal of a chunk of 48 markets that was stored so many seconds after the hour."""
    name = f"cell-{cell:05}-rows-0000000000-0000000048.parquet"
    when = datetime.fromtimestamp(stored, UTC).isoformat()
    maker = {"host": "here", "process": process}
    return {"chunk": name, "markets": 48, "stored": when, "seconds": seconds, **maker, **others}


def test_rates_leave_compiling_out():
    """The first chunk took 164 s, 160 of them for the compiler; the next ones 2 s, and 12 with another programme."""
    moments = ((164.0, 164.0, 160.0), (166.0, 2.0, 0.0), (178.0, 12.0, 10.0))
    noted = [_entry(cell, when, took, compiling=idle) for cell, (when, took, idle) in enumerate(moments)]
    assert _rate(noted) == pytest.approx(3 * 48 / (4 + 2 + 2))
    assert _rate(noted[:1]) == pytest.approx(48 / 4)
    assert seconds_per_market(noted) == pytest.approx({0: 4 / 48, 1: 2 / 48, 2: 2 / 48})
    # Journals of earlier versions do not say: what is known is of the chunks after the first one of each process.
    earlier = [{name: each for name, each in entry.items() if name != "compiling"} for entry in noted]
    assert _rate(earlier) == pytest.approx(2 * 48 / (2 + 12))
    assert _rate(earlier[:1]) is None
    assert seconds_per_market(earlier) == pytest.approx({1: 2 / 48, 2: 12 / 48})
    # Two workers compile side by side.
    both = [_entry(0, 70.0, 70.0, 1, compiling=60.0), _entry(1, 70.0, 70.0, 2, compiling=60.0)]
    assert _rate(both) == pytest.approx(2 * 48 / 10)


@pytest.mark.parametrize("noted", [True, False])
def test_a_journal_tells_more_than_a_model(tmp_path, noted):
    fill(tmp_path / "scan", tiny(markets=200))
    (tmp_path / "scan" / "journal.jsonl").unlink(missing_ok=True)
    journal = Journal(tmp_path / "scan")
    # The first chunk waited for the compiler; of cell 2 nothing is known but it.
    compiling = {"compiling": 492.8} if noted else {}
    journal.append([_entry(2, 500.0, 500.0, **compiling), _entry(0, 504.8, 4.8), _entry(1, 514.4, 9.6)])
    found = foresee(tiny(), tmp_path / "scan")
    assert found.by_journal
    assert found.plan.stored == 200
    assert found.plan.missing == {0: 67, 1: 66, 2: 67}
    expected = 67 * 0.1 + 66 * 0.2 + 67 * 0.15
    assert found.seconds == pytest.approx((expected / 1.5, expected * 1.5))
    assert "by the chunks that are stored" in str(found)


def test_it_compiles_nothing_and_loads_no_jax(tmp_path):
    code = (
        "import sys; from pluraljax._cli import main\n"
        f"assert main(['scan', '--dry-run', '--out', {str(tmp_path / 'out')!r}]) == 0\n"
        "assert 'jax' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "24,576 markets in 48 cells, 0 of them stored" in done.stdout
    assert "--rehearse does, and tells more precisely" in done.stdout
    assert not (tmp_path / "out").exists()
