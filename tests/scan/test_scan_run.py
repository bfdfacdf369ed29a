"""Runs: the same rows whatever the chunks, the devices, and the moments at which a scan was killed."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import jax
import jax.random as jr
import numpy as np
import pytest
import stand_in
from tiny import SIZES, tiny

import pluraljax as plx
from pluraljax import _progress
from pluraljax._progress import Bar, Compiled, Lines, Silent, make_progress
from pluraljax._scan.engine import _batch, _finish, _run
from pluraljax._scan.engine._batch import Programs
from pluraljax._scan.engine._cluster import _Spent
from pluraljax._scan.measure._conditions import Conditions
from pluraljax._scan.store._store import Memory, Store

HERE = Path(__file__).parent


@pytest.fixture
def stand_in_measure(monkeypatch):
    for kind, name, function in stand_in.functions():
        monkeypatch.setattr(kind, name, function)


def start(out, mode, cache):
    path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path, "JAX_COMPILATION_CACHE_DIR": str(cache)}
    environment |= {"JAX_NUM_CPU_DEVICES": "2", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    command = [sys.executable, str(HERE / "drive.py"), str(out), mode]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def chunks(out):
    return {file.name: file.read_bytes() for file in sorted((out / "rows").glob("*.parquet"))}


def wait_for(condition, process):
    deadline = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.01)


@pytest.mark.slow
def test_killed_twice_and_resumed_ends_with_the_same_bytes(tmp_path):
    cache, out, clean = (tmp_path / name for name in ("cache", "scan", "clean"))
    process, untouched = start(out, "die", cache), start(clean, "run", cache)
    for each, code in ((process, -signal.SIGKILL), (untouched, 0)):
        output = each.communicate()
        assert each.returncode == code, output
    assert len(chunks(out)) == 3
    assert len(list((out / "rows").glob(".pluraljax-*.tmp"))) == 1
    process = start(out, "slow", cache)
    wait_for(lambda: len(chunks(out)) >= 5, process)
    process.kill()
    process.communicate()
    done = len(chunks(out))
    assert 5 <= done < 9
    assert plx.open_scan(out).sizes["market"] < 400
    process = start(out, "run", cache)
    output = process.communicate()
    assert process.returncode == 0, output
    assert chunks(out) == chunks(clean)
    assert len(chunks(out)) == 9
    assert list((out / "rows").glob(".*")) == []
    assert plx.open_scan(out).market.values.tolist() == list(range(400))


def test_interrupted_it_says_how_to_continue(tmp_path):
    out = tmp_path / "scan"
    # Long enough not to be through before the signal arrives.
    Path(f"{out}.toml").write_text(tiny(markets=4_000).to_toml())
    took = []
    # A busy machine may stall a process for seconds: one prompt end of three shows that it does not wait for work.
    while len(took) < 3 and min(took, default=5.0) >= 5:
        done = len(chunks(out))
        process = start(out, "cli", tmp_path / "cache")
        wait_for(lambda done=done: len(chunks(out)) > done, process)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
        took.append(time.monotonic() - began)
        assert process.returncode == 130
        assert "Run the same command to continue" in errors
        assert "Traceback" not in errors
    assert min(took) < 5


@pytest.mark.slow
def test_a_signal_in_a_callback_that_discards_what_is_raised_stops_the_scan(tmp_path):
    out = tmp_path / "scan"
    Path(f"{out}.toml").write_text(tiny().to_toml())
    process = start(out, "discarded", tmp_path / "cache")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 143, errors
    assert "Run the same command to continue" in errors
    assert len(chunks(out)) < 9


def test_so_it_does_in_the_library_and_what_signals_do_is_restored(stand_in_measure, monkeypatch, tmp_path, request):
    monkeypatch.setattr(Programs, "launch", Programs.launch)  # is restored afterwards
    before = signal.getsignal(signal.SIGINT)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    # What starts the tests in the background may have this signal ignored, which processes inherit.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    wanted = plx.scan(tiny(), progress=False)
    stand_in.signal_in_a_callback(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt) as caught:
        plx.scan(tiny(), tmp_path, progress=False)
    assert str(caught.value).startswith(
        f"the scan in {tmp_path} was interrupted. What is stored is whole: the same call"
    )
    assert f"`pluraljax resume {tmp_path}`" in str(caught.value)
    # This call and what says so; nothing of the engine.
    assert len(caught.traceback) == 2
    assert caught.value.__suppress_context__
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert len(chunks(tmp_path)) < 9
    assert plx.scan(tiny(), tmp_path, progress=False).equals(wanted)


def test_interrupted_without_a_folder_or_rows_it_says_so(stand_in_measure, monkeypatch, tmp_path):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(_run, "check_families", interrupted)
    with pytest.raises(KeyboardInterrupt, match="nothing of it is kept: with a folder"):
        plx.scan(tiny(), progress=False)
    with pytest.raises(KeyboardInterrupt, match="before anything was stored in"):
        plx.scan(tiny(), out=tmp_path / "out", progress=False)


@pytest.mark.slow
def test_told_to_stop_at_any_moment_it_ends_soon_and_goes_on_with_the_same_bytes(tmp_path):
    """A few moments, those of start-up and compilation included; `benchmarks/interruptions.py` takes many."""
    cache, clean = tmp_path / "cache", tmp_path / "clean"
    process = start(clean, "run", cache)
    began = time.monotonic()
    output = process.communicate()
    seconds = time.monotonic() - began
    assert process.returncode == 0, output
    for number, share in enumerate((0.1, 0.5)):
        out, each = tmp_path / f"scan-{number}", (signal.SIGINT, signal.SIGTERM)[number]
        Path(f"{out}.toml").write_text(tiny().to_toml())
        process = start(out, "cli", tmp_path / f"cache-{number}")
        time.sleep(share * seconds)
        process.send_signal(each)
        began = time.monotonic()
        _, errors = process.communicate(timeout=120)
        # It takes less than 5 s, but a busy machine may stall a process.
        assert time.monotonic() - began < 20
        # A signal that comes before any line of the package has run ends Python by itself.
        assert process.returncode in (128 + each, -each), errors
    processes = [start(tmp_path / f"scan-{number}", "run", cache) for number in range(2)]
    for number, process in enumerate(processes):
        output = process.communicate(timeout=300)
        assert process.returncode == 0, output
        assert chunks(tmp_path / f"scan-{number}") == chunks(clean)


def assert_same(one, other, exact):
    assert set(one.data_vars) == set(other.data_vars)
    for name in one.data_vars:
        np.testing.assert_allclose(one[name], other[name], rtol=0 if exact else 1e-9, atol=0, err_msg=name)


def test_rows_do_not_depend_on_chunks_devices_or_markets(stand_in_measure, monkeypatch):
    wanted = plx.scan(tiny(), progress=False)
    assert wanted.market.values.tolist() == list(range(400))
    assert_same(plx.scan(tiny(chunk=500), progress=False), wanted, exact=True)
    assert_same(plx.scan(tiny(markets=130, chunk=31), progress=False), wanted.isel(market=slice(130)), exact=True)
    assert len(jax.local_devices()) == 2
    monkeypatch.setattr(_run.jax, "local_devices", lambda: jax.devices()[:1])
    assert_same(plx.scan(tiny(), progress=False), wanted, exact=True)


def test_a_row_is_the_market_that_the_seed_and_its_number_give(stand_in_measure):
    dataset = plx.scan(tiny(markets=60), seed=7, progress=False)
    for number in (1, 31, 58):
        family = plx.families.gaussian(**SIZES, shared=1.0) if number % 3 == 1 else None
        family = family or (plx.families.opposed(**SIZES) if number % 3 == 2 else plx.families.gaussian(**SIZES))
        market = family(jr.fold_in(jr.key(7, impl="threefry2x32"), number))
        bench = plx.benchmarks(market)
        np.testing.assert_allclose(dataset.aligned.sel(market=number), bench.aligned, rtol=1e-12)
        np.testing.assert_allclose(dataset.silent.sel(market=number), bench.silent, rtol=1e-12)


def test_open_rows_get_a_second_pass(stand_in_measure, monkeypatch):
    seen = []

    def again(self, market, given):
        seen.append(market)
        return stand_in.measure_again(market, given.delta)

    first = plx.scan(tiny(), progress=False)
    assert {plx.Status.OK, plx.Status.RESCUED} == set(np.unique(first.status))
    monkeypatch.setattr(Conditions, "measure_again", again)
    memory = Memory(tiny())
    summary = _run.run(tiny(), memory)
    rescued = memory.dataset().status == plx.Status.RESCUED
    assert summary.second_pass == len(seen) == int(rescued.sum()) > 0
    assert {market.user_value.shape for market in seen} == {(2, 3, 3)}
    aligned = sorted(float(plx.benchmarks(market).aligned[0]) for market in seen)
    np.testing.assert_allclose(aligned, np.sort(memory.dataset().aligned[:, 0].values[rescued]), rtol=1e-12)


def test_a_second_pass_holds_no_other_chunk_up(stand_in_measure, monkeypatch):
    first_pass, write, order, others = _finish._first_pass, Memory.write, [], threading.Event()
    is_first = lambda block: (block.cell, block.start) == (0, 0)

    def only_the_first_is_hard(launched):
        rows, rest = first_pass(launched)
        assert rest.open_rows
        open_rows = rest.open_rows[:1] if is_first(launched.block) else []
        return rows, dataclasses.replace(rest, open_rows=open_rows)

    def wait_for_others(*_):
        assert others.wait(60), "no other chunk was stored meanwhile"

    def noted(memory, block, rows):
        write(memory, block, rows)
        order.append(block)
        if len(order) == 4:
            others.set()

    monkeypatch.setattr(_finish, "_first_pass", only_the_first_is_hard)
    monkeypatch.setattr(_finish, "_again", wait_for_others)
    monkeypatch.setattr(Memory, "write", noted)
    summary = _run.run(tiny(), Memory(tiny()))
    assert (summary.measured, summary.second_pass) == (400, 1)
    assert len(order) == len(set(order)) > 4
    assert not any(map(is_first, order[:4]))


@pytest.mark.parametrize("waiting", [0, 8])
def test_what_goes_wrong_in_a_second_pass_is_raised(stand_in_measure, monkeypatch, waiting):
    def broken(*_):
        raise ArithmeticError("a second pass went wrong")

    monkeypatch.setattr(_finish, "_MOST_AGAIN", waiting)
    monkeypatch.setattr(_finish, "_again", broken)
    with pytest.raises(ArithmeticError, match="a second pass went wrong"):
        _run.run(tiny(), Memory(tiny()))


def test_one_measuring_programme_per_array_shape(stand_in_measure):
    shapes = [{"providers": [1, 2]}, {"providers": 2, "shared": [0.5, 0.7]}, {"users": 1}]
    grid = tuple(plx.scans.FamilyGrid("gaussian", SIZES | shape) for shape in shapes)
    memory = Memory(tiny(grid=grid))
    summary = _run.run(tiny(grid=grid, markets=10), memory)
    # One for conditions and one for equilibria.
    assert (summary.measured, summary.stored_before, summary.programs) == (10, 0, 4)
    half = tiny(grid=grid, markets=10, equilibria=False)
    assert _run.run(half, Memory(half)).programs == 2
    assert memory.dataset().users.values.tolist() == [2, 2, 2, 2, 1] * 2


def test_a_stored_scan_is_not_measured_again(stand_in_measure, monkeypatch, tmp_path):
    first = plx.scan(tiny(), tmp_path, progress=False)
    monkeypatch.setattr(_run, "Programs", None)
    assert plx.scan(tiny(), tmp_path, progress=False).identical(first)
    with pytest.raises(ValueError, match="another seed"):
        plx.scan(tiny(), tmp_path, seed=5)


def test_configs_come_in_three_forms(stand_in_measure, tmp_path):
    (tmp_path / "study.toml").write_text(tiny(markets=6).to_toml())
    one = plx.scan(tmp_path / "study.toml", progress=False)
    assert plx.scan(tiny().to_mapping(), markets=6, progress=False).equals(one)
    with pytest.raises(ValueError, match="Did you mean 'markets'"):
        plx.scan({"market": 6})


def test_plain_progress_is_lines_without_control_characters(stand_in_measure, tmp_path, capsys):
    plx.scan(tiny(), tmp_path)
    victim = min((tmp_path / "rows").iterdir())
    victim.write_bytes(b"torn")
    plx.scan(tiny(), tmp_path)
    out, errors = capsys.readouterr()
    assert out == ""
    assert "\x1b" not in errors
    assert "\r" not in errors
    lines = errors.splitlines()
    assert lines[0] == "scan: 400 markets to measure"
    assert lines[1].startswith("scan: 400 of 400 markets (100 %), ")
    assert lines[2].startswith(f"scan: {victim.name} was set aside and is redone: it is torn")
    assert lines[3] == "scan: 352 of 400 markets are stored"
    plx.scan(tiny(), tmp_path, progress=False)
    assert capsys.readouterr() == ("", "")
    assert isinstance(make_progress(True), Lines)
    assert isinstance(make_progress(False), Silent)


def test_a_notebook_with_widgets_gets_a_bar(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name == "ipywidgets")
    assert isinstance(make_progress(True), Bar)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert isinstance(make_progress(True), Lines)


def test_the_bar_shows_rate_and_time_left(monkeypatch, capsys):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    bar = make_progress(True)
    bar.start(1000, 0)
    bar.advance(100)
    bar.advance(100)
    bar.note("a note")
    bar.close()
    shown = capsys.readouterr().err
    assert "200/1000" in shown
    assert "a second" in shown
    assert "left" in shown
    assert "a note" in shown


@pytest.mark.parametrize("make", [Lines, Bar])
def test_compiling_does_not_count_for_the_rate(monkeypatch, capsys, make):
    """100 markets a second once there is a programme; 60 s pass before the first chunk, 30 s for another programme.

    The two thousand that an earlier run stored are no work of this one.
    """
    clock = [1000.0]
    monkeypatch.setattr(_progress.time, "monotonic", lambda: clock[0])
    monkeypatch.setenv("COLUMNS", "120")
    told = make()
    told.start(10_000, 2000)
    for seconds, compiling in ((70.0, 60.0), (0.01, 0.0), (49.99, 30.0)):
        clock[0] += seconds
        told.idle(compiling)
        told.advance(1000)
    rate = told._rate.a_second
    told.close()
    assert rate == pytest.approx(3000 / 30)
    if make is Lines:
        lines = capsys.readouterr().err.splitlines()
        assert lines[1] == "scan: 3,000 of 10,000 markets (30 %), 100 a second, about 1 min 10 s left"
        assert lines[-1] == "scan: 5,000 of 10,000 markets (50 %), 100 a second, about 50 s left"


def test_the_time_left_is_said_once_a_tenth_is_done(monkeypatch, capsys):
    clock = [1000.0]
    monkeypatch.setattr(_progress.time, "monotonic", lambda: clock[0])
    told = Lines()
    told.start(1000, 0)
    for _ in range(3):
        clock[0] += 10.0
        told.advance(40)
    told.close()
    assert [" left" in line for line in capsys.readouterr().err.splitlines()[1:]] == [False, False, True]


def test_nobody_knows_the_rate_of_first_markets_that_waited_for_something_unknown(monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr(_progress.time, "monotonic", lambda: clock[0])
    told = Lines("audit", "prompts")
    told.start(0, 0)
    clock[0] += 60.0
    told.advance(100)
    assert told._rate.a_second is None
    clock[0] += 1.0
    told.advance(100)
    assert told._rate.a_second == pytest.approx(100.0)


def test_workers_that_compile_side_by_side_count_once(monkeypatch):
    told = Lines()
    spent = _Spent(told)
    for worker, seconds in ((1, 60.0), (2, 60.0), (1, 0.0), (2, 10.0)):
        spent.add(worker, seconds)
    assert told._idle == pytest.approx(65.0)


def test_lines_say_what_the_first_markets_wait_for(monkeypatch, capsys):
    monkeypatch.delenv("PLURALJAX_QUIET")
    monkeypatch.setattr(_progress, "SECONDS", 0.05)
    told = Lines()
    told.start(10, 0)
    time.sleep(0.4)
    told.advance(10)
    lines = capsys.readouterr().err.splitlines()
    assert lines[1].startswith("scan: compiling, which takes a minute or more the first time")


def test_what_is_going_on_is_told_by_whoever_does_it(stand_in_measure, monkeypatch):
    """Programmes while they are compiled; then the chunk, its second pass and its search."""
    said = []

    class Asking(Silent):
        def compiling(self, state):
            self.state = state
            said.append(state())

        def advance(self, markets):
            said.append(self.state())

    _run.run(tiny(markets=48), Memory(tiny(markets=48)), Asking())
    assert (said[0].wanted, said[0].is_done) == (0, False)
    assert said[-1].is_done
    assert said[-1].now.startswith("measuring the first markets")
    programs = Programs(tiny(), 48, jax.local_devices())
    going = threading.Event()

    def slowly(*arguments):
        going.wait(60)

    monkeypatch.setattr(_batch, "_compile_measurement", slowly)
    monkeypatch.setattr(_batch, "_compile_draw", slowly)
    programs.prepare([0, 1])
    while "Equilibria" not in programs.state.now:
        time.sleep(0.01)
    assert programs.state == Compiled(0, 4, "Conditions and Equilibria")
    going.set()
    programs.compiled(0)
    programs.close()


def test_lines_say_how_far_compiling_has_come_and_how_long_it_took(monkeypatch, capsys):
    clock = [1000.0]
    monkeypatch.setattr(_progress.time, "monotonic", lambda: clock[0])
    monkeypatch.delenv("PLURALJAX_NO_CACHE", raising=False)
    told = Lines()
    told.start(10, 0)
    state = [Compiled(0, 4, "Conditions and Equilibria")]
    told.compiling(lambda: state[0])
    assert told._what_compiles().startswith("compiling, which takes a minute or more")
    clock[0] += 39
    assert told._what_compiles() == "still compiling after 39 s: Conditions and Equilibria, the first of 4 programmes"
    state[0], clock[0] = Compiled(2, 4, "draws of cell 3"), clock[0] + 36
    assert told._what_compiles() == (
        "still compiling after 1 min 15 s: 2 of 4 programmes done, and kept if you stop it; now draws of cell 3"
    )
    state[0] = Compiled(4, 4, "measuring the first markets")
    assert told._what_compiles() == "after 1 min 15 s all programmes are there; now measuring the first markets"
    told.idle(75.0)
    clock[0] += 2
    told.advance(10)
    assert capsys.readouterr().err.splitlines()[-1] == (
        "scan: 10 of 10 markets (100 %), 5 a second, 1 min 17 s in all, 1 min 15 s of it compiling"
    )


def test_a_failing_store_stops_the_scan_and_frees_the_folder(stand_in_measure, monkeypatch, tmp_path):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Store, "write", full)
    with pytest.raises(OSError, match="No space"):
        plx.scan(tiny(), tmp_path, progress=False)
    monkeypatch.undo()
    Store(tmp_path, tiny()).close()
    assert json.loads((tmp_path / "manifest.json").read_text())["identity"] == tiny().identity
