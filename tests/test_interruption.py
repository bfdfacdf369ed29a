"""Signals stop work between two steps and no later, whatever runs, and what they did before is restored."""

import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from pluraljax._cli import main
from pluraljax._interruption import Flag, check, interruptible, listening, result
from pluraljax._tuning._tune import _how_to_go_on

# A command that no signal gets through to: a thread of a compiler at work is no different.
STUCK = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
import pluraljax._cli as cli
from pluraljax._cli import _{command} as module, _supervision
_supervision._GRACE = {grace}
def run(args):
    print("working", flush=True)
    {work}
module.run = run
sys.argv = ["pluraljax", "{command}", {arguments}]
sys.exit(cli.main())
"""
ARGUMENTS = {
    "scan": "",
    "resume": "'folder'",
    "status": "'folder'",
    "report": "'folder'",
    "export": "'folder', 'file.csv'",
    "merge": "'folder', '--out', 'other'",
    "tune": "'study.toml'",
    "certify": "'market.npz'",
}


def start(command, work="time.sleep(60)", grace=0.2, source=STUCK):
    code = source.format(command=command, arguments=ARGUMENTS[command], work=work, grace=grace)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", code], **pipes)
    assert process.stdout.readline() == "working\n", process.stderr.read()
    return process


def end(process, *signals):
    """Sends signals; returns exit code, seconds, and what was said."""
    began = time.monotonic()
    for each in signals:
        process.send_signal(each)
        time.sleep(0.1)
    _, errors = process.communicate(timeout=30)
    return process.returncode, time.monotonic() - began, errors


@pytest.fixture(autouse=True)
def as_python_starts():
    """Whoever starts the tests, in the background say, may have Ctrl-C ignored, and then so do they."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def raised_in_a_callback():
    """Sends this process a signal while Python is in a callback that discards what is raised in it."""

    class Going:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)

    return lambda: Going() and None


def test_a_signal_sets_a_flag_that_is_asked_for_between_steps(raised_in_a_callback):
    before = signal.getsignal(signal.SIGINT)
    steps = []

    @listening()
    def work():
        for step in range(5):
            check()
            steps.append(step)
            if step == 2:
                raised_in_a_callback()

    with pytest.raises(KeyboardInterrupt):
        work()
    assert steps == [0, 1, 2]
    assert signal.getsignal(signal.SIGINT) is before
    check()


def test_a_signal_that_nobody_asked_for_is_not_lost(raised_in_a_callback):
    with pytest.raises(KeyboardInterrupt), listening():
        raised_in_a_callback()
    check()


def test_a_second_signal_raises_at_once():
    steps = []

    @listening()
    def work():
        for step in range(5):
            signal.raise_signal(signal.SIGINT)
            steps.append(step)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert steps == [0]


def test_who_waits_for_a_thread_is_told_too():
    release = threading.Event()

    @listening()
    def wait(pool):
        waiting = pool.submit(release.wait)
        signal.raise_signal(signal.SIGINT)
        result(waiting)

    with ThreadPoolExecutor() as pool:
        assert result(pool.submit(lambda: 3)) == 3
        with pytest.raises(TimeoutError):
            result(pool.submit(lambda: (_ for _ in ()).throw(TimeoutError())))
        try:
            with pytest.raises(KeyboardInterrupt):
                wait(pool)
        finally:
            release.set()


def test_handlers_of_others_stay_and_only_the_outermost_context_counts():
    seen = []
    for handler in (signal.SIG_IGN, lambda *_: seen.append("mine")):
        before = signal.signal(signal.SIGINT, handler)
        try:
            with listening() as flag:
                signal.raise_signal(signal.SIGINT)
                assert flag == Flag()
                assert signal.getsignal(signal.SIGINT) is handler
        finally:
            signal.signal(signal.SIGINT, before)
    assert seen == ["mine"]
    with listening() as outer, listening() as inner:
        assert outer is inner


def test_in_another_thread_no_handler_is_touched():
    before = signal.getsignal(signal.SIGINT)

    def work():
        with listening():
            check()
            return signal.getsignal(signal.SIGINT)

    with ThreadPoolExecutor() as pool:
        assert pool.submit(work).result() is before


@pytest.mark.parametrize("command", ARGUMENTS)
def test_every_command_ends_whatever_it_is_doing(command):
    for each in (signal.SIGINT, signal.SIGTERM):
        code, seconds, errors = end(start(command), each)
        assert code == 128 + each
        assert seconds < 5
        assert errors.startswith(f"pluraljax {command}: interrupted. ")
        assert errors.count("\n") == 1
    if command in ("scan", "resume"):
        folder = "scan-results/default" if command == "scan" else "folder"
        assert f"`pluraljax resume {folder}`" in errors


def test_a_second_signal_ends_it_at_once():
    code, seconds, errors = end(start("report", grace=20), signal.SIGINT, signal.SIGTERM)
    assert (code, errors) == (143, "")
    assert seconds < 5


def test_a_pipe_that_nobody_reads_holds_nothing_up():
    process = start("report", "sys.stdout.write('x' * 2**22)")
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) == 143
    process.communicate()


def test_the_workers_of_a_local_cluster_end_too():
    """They hold this process's standard error, and one still starting would print a traceback there."""
    begun = "import multiprocessing as m; child = m.get_context('spawn').Process(target=time.sleep, "
    begun += "args=(60,)); child.start(); print(child.pid, flush=True); time.sleep(60)"
    process = start("scan", work=begun)
    assert int(process.stdout.readline()) > 0
    # Who holds the other end of a pipe keeps it open: this waits for the worker, too.
    code, took, errors = end(process, signal.SIGTERM)
    assert code == 143
    assert took < 5
    assert "Traceback" not in errors


def test_what_a_command_returns_and_raises_comes_through():
    process = start("status", "return 7")
    assert end(process)[0] == 7
    process = start("status", "raise RuntimeError('a bug')")
    code, _, errors = end(process)
    assert code == 1
    assert "RuntimeError: a bug" in errors
    process = start("status", "sys.exit(3)")
    assert end(process)[0] == 3


def test_an_ignored_signal_stays_ignored():
    """As `nohup` and a shell's background jobs have it."""
    ignoring = STUCK.replace("signal.default_int_handler", "signal.SIG_IGN")
    assert end(start("status", "time.sleep(0.5); return 0", source=ignoring), signal.SIGINT)[0] == 0


def test_as_a_function_it_returns_and_restores(monkeypatch, capsys, tmp_path, raised_in_a_callback):
    from pluraljax._cli import _status

    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]

    def interrupted(args):
        raised_in_a_callback()
        check()
        pytest.fail("it went on")

    monkeypatch.setattr(_status, "run", interrupted)
    assert main(["status", str(tmp_path)]) == 130
    assert capsys.readouterr().err == "pluraljax status: interrupted. Run the same command again.\n"
    monkeypatch.setattr(_status, "run", lambda args: signal.raise_signal(signal.SIGTERM) or check())
    assert main(["status", str(tmp_path)]) == 143
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


def test_what_can_be_interrupted_says_how_to_go_on_and_no_more(raised_in_a_callback):
    @interruptible(lambda given: f"{given['name']} goes on at {given['place']}")
    def work(name, *, place=3):
        raised_in_a_callback()
        check()

    for call in (lambda: work("this"), lambda: work(name="this", place=3)):
        with pytest.raises(KeyboardInterrupt, match=r"^this goes on at 3$") as caught:
            call()
        assert len(caught.traceback) == 3
        assert caught.value.__cause__ is None
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'name'"):
        work()


def test_tuning_says_from_where_it_goes_on(tmp_path):
    (tmp_path / "there.npz").touch()
    for file, wanted in (
        (None, "nothing of it is kept"),
        ("not.npz", "before its first"),
        ("there.npz", "goes on from"),
    ):
        assert wanted in _how_to_go_on({"checkpoint": file and tmp_path / file})
