"""What a scan loses to a full disk, damaged files, dying workers and second writers: nothing."""

import json
import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import CancelledError
from pathlib import Path
from types import SimpleNamespace

import distributed
import pytest
import stand_in
from tiny import tiny

import pluraljax as plx
from pluraljax._cli import main
from pluraljax._progress import Silent
from pluraljax._scan.config._plan import Block
from pluraljax._scan.engine import _cluster
from pluraljax._scan.store._journal import Journal, read_journal
from pluraljax._scan.store._store import Memory, Store

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def clean(tmp_path_factory, cache):
    """The chunk files of a run that nothing happened to."""
    out = tmp_path_factory.mktemp("clean") / "scan"
    assert drive(out, "run", cache)[0] == 0
    return chunks(out)


@pytest.fixture
def stand_in_measure(monkeypatch):
    for module, name, function in stand_in.functions():
        monkeypatch.setattr(module, name, function)
    monkeypatch.setenv("PLURALJAX_NO_CACHE", "1")


def drive(out, mode, cache):
    path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path, "JAX_COMPILATION_CACHE_DIR": str(cache)}
    environment |= {"JAX_NUM_CPU_DEVICES": "2", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    command = [sys.executable, str(HERE / "drive.py"), str(out), mode]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout, done.stderr


def chunks(out):
    return {file.name: file.read_bytes() for file in sorted((out / "rows").glob("*.parquet"))}


@pytest.mark.slow
def test_a_full_disk_stops_the_scan_and_a_rerun_completes_it(tmp_path, cache, clean):
    out = tmp_path / "scan"
    Path(f"{out}.toml").write_text(tiny().to_toml())
    code, _, errors = drive(out, "full", cache)
    assert code == 2, errors
    assert "What is stored is whole: make room" in errors
    assert "Traceback" not in errors
    assert len(chunks(out)) == 3
    assert list((out / "rows").glob(".*")) == []
    code, _, errors = drive(out, "run", cache)
    assert code == 0, errors
    assert chunks(out) == clean


@pytest.mark.slow
def test_killed_truncated_and_flipped_at_once_it_ends_with_the_same_bytes(tmp_path, cache, clean):
    out = tmp_path / "scan"
    code, _, errors = drive(out, "die", cache)
    assert code == -signal.SIGKILL, errors
    torn, flipped, whole = sorted((out / "rows").glob("*.parquet"))
    torn.write_bytes(torn.read_bytes()[:-7])
    data = bytearray(flipped.read_bytes())
    data[len(data) // 2] ^= 16
    flipped.write_bytes(data)
    with open(out / "journal.jsonl", "ab") as journal:
        journal.write(b'{"chunk": "cell-0')
    code, _, errors = drive(out, "run", cache)
    assert code == 0, errors
    assert f"{torn.name} was set aside and is redone" in errors
    assert f"{flipped.name} was set aside and is redone" in errors
    assert whole.name not in errors
    assert chunks(out) == clean
    assert {entry["chunk"] for entry in read_journal(out)} == {*clean}


@pytest.mark.slow
@pytest.mark.parametrize(("folder", "least"), [("programmes", 3), ("traced", 3), ("compiled", 2)])
def test_exchanged_files_of_a_cache_change_no_row(tmp_path, cache, clean, folder, least):
    """A scan's programmes, what is traced, and what JAX keeps: each file gets the contents of the next one."""
    if folder == "traced":
        # The text is looked for where its programme is not kept.
        shutil.rmtree(cache / "pluraljax-programmes")
    files = sorted((cache / f"pluraljax-{folder}").iterdir())
    assert len(files) >= least
    contents = [file.read_bytes() for file in files]
    for file, content in zip(files, contents[1:] + contents[:1], strict=True):
        file.write_bytes(content)
    code, _, errors = drive(tmp_path / "scan", "run", cache)
    assert code == 0, errors
    assert errors.count("is dropped, and made again") >= least
    assert chunks(tmp_path / "scan") == clean


@pytest.mark.slow
def test_a_killed_worker_of_three_loses_nothing(tmp_path, cache, clean):
    code, output, errors = drive(tmp_path / "scan", "cluster", cache)
    assert code == 0, errors
    assert output.split() == ["3", "400"]
    assert chunks(tmp_path / "scan") == clean
    makers = {entry["process"] for entry in read_journal(tmp_path / "scan")}
    assert len(makers) >= 2


def test_a_second_scheduler_is_refused_and_changes_nothing(stand_in_measure, tmp_path, capsys):
    study = tmp_path / "study.toml"
    study.write_text(tiny().to_toml())
    with Store(tmp_path / "scan", tiny()):
        before = sorted(file.name for file in (tmp_path / "scan").rglob("*"))
        arguments = ["scan", str(study), "--quiet", "--out", str(tmp_path / "scan"), "--cluster", "local:2"]
        assert main(arguments) == 2
        assert "being written to by another scan" in capsys.readouterr().err
        assert sorted(file.name for file in (tmp_path / "scan").rglob("*")) == before


@pytest.mark.parametrize(
    ("where", "wanted"),
    [("local:0", "local:N with N >= 1"), ("local:two", "local:N with N >= 1"), ("nonsense", "'nonsense'")],
)
def test_clusters_that_are_none(stand_in_measure, where, wanted, tmp_path, capsys):
    (tmp_path / "study.toml").write_text(tiny(markets=3).to_toml())
    arguments = ["scan", str(tmp_path / "study.toml"), "--quiet", "--out", str(tmp_path / "scan"), "--cluster", where]
    assert main(arguments) == 2
    errors = capsys.readouterr().err
    assert wanted in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("error", "wanted"),
    [(distributed.KilledWorker, "every worker that had it died"), (CancelledError, "the scheduler is gone")],
)
def test_a_cluster_that_gives_up_says_so(monkeypatch, error, wanted):
    class Lost:
        key = "cell-00000-rows-0000000000-0000000048.parquet-1234"

        def result(self):
            raise (
                error(self.key, SimpleNamespace(address="tcp://one"), 3) if error is distributed.KilledWorker else error
            )

    class Completed(list):
        def __init__(self, with_results):
            super().__init__()

        add = list.append

    class Client:
        nthreads = staticmethod(lambda: {"one": 1})
        submit = staticmethod(lambda *arguments, **options: Lost())

    monkeypatch.setattr(distributed, "as_completed", Completed)
    memory = Memory(tiny())
    with pytest.raises(ValueError, match=f"cell-00000-rows-0000000000-0000000048 was not measured: {wanted}"):
        _cluster._measure(Client(), tiny(), memory, Silent(), [Block(0, 0, 48)])


def test_without_dask_a_cluster_says_what_to_install(stand_in_measure, monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "distributed", None)
    (tmp_path / "study.toml").write_text(tiny(markets=3).to_toml())
    arguments = [
        "scan",
        str(tmp_path / "study.toml"),
        "--quiet",
        "--out",
        str(tmp_path / "scan"),
        "--cluster",
        "local:2",
    ]
    assert main(arguments) == 2
    assert "pluraljax[cluster]" in capsys.readouterr().err


def test_the_journal_says_who_measured_each_chunk_and_no_chunk_depends_on_it(stand_in_measure, tmp_path):
    plx.scan(tiny(), tmp_path / "one", progress=False)
    plx.scan(tiny(), tmp_path / "two", progress=False)
    assert chunks(tmp_path / "one") == chunks(tmp_path / "two")
    entries = read_journal(tmp_path / "one")
    assert {entry["chunk"] for entry in entries} == {*chunks(tmp_path / "one")}
    assert sum(entry["markets"] for entry in entries) == 400
    assert all(entry["seconds"] >= 0 and entry["device"].startswith("2 x cpu") for entry in entries)
    assert {entry["process"] for entry in entries} == {os.getpid()}


def test_torn_lines_of_a_journal_are_left_out_and_take_no_other_with_them(tmp_path):
    Journal(tmp_path).record("a", 3, 0.5, {"host": "x"})
    with open(tmp_path / "journal.jsonl", "ab") as file:
        file.write(b'{"chunk": "b", "mark')
    Journal(tmp_path).record("c", 3, 0.5, {"host": "x"})
    assert [entry["chunk"] for entry in read_journal(tmp_path)] == ["a", "c"]
    assert json.loads((tmp_path / "journal.jsonl").read_text().splitlines()[0])["host"] == "x"
