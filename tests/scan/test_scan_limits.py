"""Every number in a config and on a command line has a limit: beyond it one sentence, before anything is made."""

import resource
import subprocess
import sys
import time

import numpy as np
import pytest
from tiny import SIZES, tiny

import pluraljax as plx
from pluraljax._cli import main
from pluraljax._families import make_family
from pluraljax._files._toml import MOST_BYTES, check_nesting, read_toml
from pluraljax._scan import FamilyGrid, ScanConfig, Search
from pluraljax._scan.config._grid import MAX_CELLS
from pluraljax._scan.config._plan import Shard, missing_blocks
from pluraljax._scan.engine import _batch, _rehearse
from pluraljax._scan.store._store import Store

HUGE = 10**18
LONG = 10**400  # no float holds it
ENDLESS = 10**5000  # Python does not spell it


def refused(wanted, make):
    """Checks that a call is refused with a sentence, at once and with next to no memory."""
    began, held = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=wanted) as caught:
        make()
    assert time.process_time() - began < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held < 500_000
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("family", "parameters", "wanted"),
    [
        ("spatial", {"dimension": 4294967296}, "dimension must be a whole number of at least 1 and at most 16"),
        ("spatial", {"dimension": 16}, "a market would have .* payoffs"),
        ("spatial", {"actions_per_side": HUGE}, "actions_per_side must be .* at most 1,048,576"),
        ("gaussian", {"providers": HUGE}, "providers must be .* at most 1,048,576"),
        ("gaussian", {"users": 2**20, "actions": 2**20}, "a market would have .* payoffs"),
        ("gaussian", {"states": ENDLESS}, "states must be .* got a int too large"),
        ("gaussian", {"alignment": LONG}, "alignment must be a finite number"),
        ("opposed", {"scales": ((LONG, 1.0), (1.0, 1.0))}, "scales must be"),
        ("conic", {"actions": HUGE}, "actions must be .* at most 1,048,576"),
    ],
)
def test_sizes_of_markets(family, parameters, wanted):
    refused(wanted, lambda: make_family(family, parameters))


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"markets": 2**32 + 1}, "markets must be a whole number from 1 to 4294967296"),
        ({"markets": 2**32, "chunk": 1}, "makes 4,294,967,296 files; at most 4,194,304"),
        ({"chunk": HUGE}, "chunk must be a whole number"),
        ({"memory": ENDLESS}, "memory must be a whole number"),
        ({"delta": LONG}, "delta must be finite"),
        ({"seed": HUGE}, "seed must be a whole number"),
        ({"equilibria": {"starts": HUGE}}, "starts must be a whole number of at least 1 and at most 4,096"),
        ({"equilibria": {"steps": HUGE}}, "steps must be a whole number"),
        ({"equilibria": {"rounds": HUGE}}, "rounds must be a whole number"),
        ({"until": {"event": "weakly_aligned", "most": HUGE}}, "until.most must be a whole number"),
    ],
)
def test_numbers_of_a_scan(changes, wanted):
    mapping = tiny().to_mapping() | changes
    refused(wanted, lambda: ScanConfig.from_mapping(mapping))


def test_searches_and_shards():
    refused("starts must be", lambda: Search(starts=HUGE))
    refused("rate must be finite", lambda: plx.tuning.Schedule(rate=float("inf")))
    refused("a shard is written like", lambda: Shard.parse("1/" + "9" * 5000))


@pytest.mark.parametrize("cells", [10**6, 10**9])
def test_cells_are_counted_before_they_are_made(cells):
    axis = [index / 1000 for index in range(1000)]
    axes = {"shared": axis, "alignment": axis} | ({"idiosyncratic": axis} if cells > 10**6 else {})
    refused(f"at most {MAX_CELLS:,} are allowed", lambda: FamilyGrid("gaussian", SIZES | axes))
    refused("cells; at most", lambda: ScanConfig(grid=(FamilyGrid("gaussian", SIZES | {"shared": axis}),) * 1000))


TOML = 'markets = 9\n[[grid]]\nfamily = "gaussian"\n'


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (TOML + "shared = " + "[" * 5000 + "]" * 5000, "nested too deeply"),
        (TOML + "shared = " + "[" * 40 + "]" * 40, "32 deep at most"),
        (TOML + "shared" + ".a" * 5000 + " = 1", "nested too deeply"),
        (TOML + "shared" + ".a" * 900 + " = 1", "32 deep at most"),
        (TOML + "until = " + "{a = " * 5000 + "1" + "}" * 5000, "nested too deeply"),
        (TOML + "providers = " + "9" * 5000, "is not valid TOML"),
        (TOML + "providers = 0x" + "f" * 5000, "providers must be"),
        (TOML + "#" * MOST_BYTES, "is larger than 4 MiB"),
        (TOML + "a" * 1000 + " = 1", "Unknown parameter"),
        ("\x00\xff", "is not valid TOML"),
    ],
)
@pytest.mark.parametrize("command", ["scan", "tune"])
def test_files_that_are_too_deep_or_too_large(tmp_path, capsys, command, text, wanted):
    path = tmp_path / "study.toml"
    path.write_text(
        text if command == "scan" else text.replace("[[grid]]", "[instrument]\nname = 'subsidy'\n[markets]")
    )
    began = time.process_time()
    assert main([command, str(path), "--out", str(tmp_path / "out")]) == 2
    assert time.process_time() - began < 10
    errors = capsys.readouterr().err
    assert wanted in errors or command == "tune"
    assert str(path) in errors
    assert len(errors) < 1000
    assert "Traceback" not in errors


def test_lists_that_hold_themselves_are_refused():
    endless = []
    endless.append(endless)
    refused("32 deep at most", lambda: check_nesting(endless))
    wide = [0.0] * 1000
    for _ in range(3):
        wide = [wide] * 1000
    refused("values at most", lambda: FamilyGrid("gaussian", {"shared": wide}))
    refused("32 deep at most", lambda: FamilyGrid("gaussian", {"shared": endless}))


def test_a_file_that_can_be_read_is(tmp_path):
    (tmp_path / "a.toml").write_text("a = [[1.5, 2.5]]\nb.c = 'x.y.z'\n")
    assert read_toml(tmp_path / "a.toml") == {"a": [[1.5, 2.5]], "b": {"c": "x.y.z"}}


TUNE = """
{top}
[instrument]
name = "subsidy"
[markets]
family = "gaussian"
{markets}
[schedule]
{schedule}
"""


@pytest.mark.parametrize(
    ("place", "line", "wanted"),
    [
        ("top", f"seed = {HUGE}", "seed must be a whole number"),
        ("top", "seed = 'a'", "seed must be a whole number"),
        ("top", "delta = inf", "delta must be a finite number"),
        ("top", "segments = ['a', 'b']", "segments must be"),
        ("markets", f"count = {HUGE}", "markets.count must be a whole number"),
        ("markets", f"providers = {HUGE}", "providers must be"),
        ("schedule", f"steps = {HUGE}", "steps must be a whole number of at least 1 and at most"),
        ("schedule", "steps = 1_000_000\nbatch = 10_000", "beyond which held-out markets come"),
        ("schedule", f"held_out = {HUGE}", "held_out must be"),
        ("schedule", "rate = inf", "rate must be like"),
        ("schedule", "price = nan", "price must be like"),
    ],
)
def test_numbers_of_tuning(tmp_path, capsys, monkeypatch, place, line, wanted):
    monkeypatch.setenv("PLURALJAX_NO_CACHE", "1")
    path = tmp_path / "tune.toml"
    path.write_text(TUNE.format(**{"top": "", "markets": "", "schedule": ""} | {place: line}))
    assert main(["tune", str(path), "--out", str(tmp_path / "out"), "--quiet"]) == 2
    assert wanted in capsys.readouterr().err


def test_the_most_markets_are_planned_without_being_listed():
    config = tiny(markets=2**32, chunk=2048)
    began = time.process_time()
    plan = missing_blocks(config, config.rows_per_chunk, {0: [(0, 4096)]})
    assert plan.markets == 2**32 - 4096
    assert len(plan) == sum(-(-number // 2048) for number in missing_blocks(config, 2048, {}).markets_of.values()) - 2
    first = [block for block, _ in zip(plan, range(4), strict=False)]
    assert [(block.cell, block.start) for block in first] == [(1, 0), (2, 0), (1, 2048), (2, 2048)]
    assert time.process_time() - began < 2
    shards = [missing_blocks(tiny(), 48, {}, Shard(number, 2)) for number in (1, 2)]
    assert sum(shard.markets for shard in shards) == 400
    assert [len(list(shard)) for shard in shards] == [len(shard) for shard in shards]


def many_cells(number):
    """A config of as many cells, all of one shape."""
    return tiny(
        grid=(FamilyGrid("gaussian", SIZES | {"shared": [n / number for n in range(number)]}),), markets=2 * number
    )


@pytest.mark.parametrize("cells", [2000, pytest.param(20_000, marks=pytest.mark.slow)])
def test_many_cells_are_planned_stored_and_surveyed(tmp_path, monkeypatch, capsys, cells):
    """`--rehearse` tries some of them; everything else takes the same for each, 2 ms with the types checked as here."""
    began = time.process_time()
    config = many_cells(cells)
    with Store(tmp_path / "scan", config):
        pass
    assert main(["status", str(tmp_path / "scan")]) == 1
    assert f"of {2 * cells:,} markets stored" in capsys.readouterr().out
    tried = []
    monkeypatch.setattr(
        _rehearse, "_try", lambda config, cells: tried.extend(cells) or (1.0, dict.fromkeys(cells, 0.5))
    )
    told = str(_rehearse.rehearse(config, tmp_path / "scan"))
    assert len(tried) <= 48
    assert max(tried) > 0.9 * cells
    assert f"to compile for the {len(tried):,} cells that were tried" in told
    assert time.process_time() - began < 10 + 4e-3 * cells


def test_shapes_are_traced_once_per_shape(monkeypatch):
    """And no more draws are kept compiled than there is room for, whichever cells come next."""
    calls = []
    monkeypatch.setattr(
        _batch, "_shape_of", lambda family, _: calls.append(family) or (((1, 3), "f"),) * 2 + (((2, 1), "f"),) * 2
    )
    monkeypatch.setattr(_batch, "MOST_DRAWS", 8)
    for name in ("_compile_draw", "_compile_measurement"):
        monkeypatch.setattr(_batch, name, lambda *_: None)
    config = many_cells(30)
    programs = _batch.Programs(config, 32, _batch.jax.local_devices())
    try:
        assert len(calls) == 1
        for start in range(0, 60, 4):
            cells = [(start + n) % 30 for n in range(4)]
            programs.prepare(cells)
            assert set(cells) <= set(programs._draw)
            assert len(programs._draw) <= 8
    finally:
        programs.close()


def test_a_scan_of_more_cells_than_draws_are_kept(monkeypatch, tmp_path):
    """The kind of a bug: a cell's draw is dropped, or is about to be, when its next block comes."""
    import stand_in

    for kind, name, function in stand_in.functions():
        monkeypatch.setattr(kind, name, function)
    config = tiny(
        grid=(FamilyGrid("gaussian", SIZES | {"shared": [0.0, 0.25, 0.5, 0.75, 1.0]}),), markets=320, chunk=32
    )
    wanted = plx.scan(config, progress=False)
    for module in (_batch, sys.modules["pluraljax._scan.engine._run"]):
        monkeypatch.setattr(module, "MOST_DRAWS", 2)
    assert plx.scan(config, progress=False).equals(wanted)


def csv(path, rows):
    path.write_text("\n".join(",".join(map(str, row)) for row in rows) + "\n")
    return str(path)


def test_tables_of_very_many_columns(tmp_path):
    many = [f"i{n}" for n in range(100_000)]
    path = csv(tmp_path / "wide.csv", [["user", *many], *([f"u{n}", *["1"] * 100_000] for n in range(3))])
    began = time.process_time()
    assert plx.families.table(path, providers=1, users=2, actions=2, states=2).counts.items == 100_000
    assert time.process_time() - began < 10
    twice = csv(tmp_path / "twice.csv", [["user", *many, "i7"], ["u", *["1"] * 100_001]])
    refused("appear twice", lambda: plx.families.table(twice))


def test_tables_of_very_many_entries(tmp_path):
    """60,000 raters, each of an item of her own: 29 GB if it were filled."""
    rows = [("user", "item", "rating"), *((f"u{n}", f"i{n}", n % 5) for n in range(60_000))]
    path = csv(tmp_path / "long.csv", rows)
    refused("a table of 60,000 x 60,000", lambda: plx.families.table(path))
    wide = csv(
        tmp_path / "wide.csv", [["user", *(f"i{n}" for n in range(9000))], *([n, *[1] * 9000] for n in range(4))]
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pluraljax._families._table_file.MOST_ENTRIES", 20_000)
        refused("a table of 3 x 9,000", lambda: plx.families.table(wide))
        np.savez(tmp_path / "a.npz", ratings=np.ones((200, 200)))
        refused("a table of 200 x 200", lambda: plx.families.table(str(tmp_path / "a.npz")))
        patch.setattr("pluraljax._families._table_file.MOST_ROWS", 1000)
        refused("more than 1,000 rows", lambda: plx.families.table(path))
        patch.setattr("pluraljax._families._table_file.MOST_BYTES", 1000)
        refused("MiB; at most", lambda: plx.families.table(path))


def test_clusters_of_very_many_workers(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PLURALJAX_NO_CACHE", "1")
    for count in ("100000000", "9" * 5000):
        assert main(["scan", "--quiet", "--out", str(tmp_path / "out"), "--cluster", f"local:{count}"]) == 2
        assert "1024 at most" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["scan", "resume folder", "certify market.npz", "tune study.toml"])
def test_too_little_address_space_is_said_and_no_crash(tmp_path, command):
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (10**9, 10**9))\n"
        f"from pluraljax._cli import main; sys.argv[1:] = {command.split()!r}; sys.exit(main())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith(f"pluraljax {command.split()[0]}: the limit on address space (ulimit -v) is")
    assert done.stderr.count("\n") == 1


def test_memory_that_runs_out_is_said(monkeypatch, tmp_path, capsys):
    from pluraljax._cli import _status

    for error in (MemoryError(), RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.\nmore")):

        def run(args, error=error):
            raise error

        monkeypatch.setattr(_status, "run", run)
        assert main(["status", str(tmp_path)]) == 2
        errors = capsys.readouterr().err
        assert "there is not enough memory" in errors
        assert errors.count("\n") == 1
