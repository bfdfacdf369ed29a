"""What the command line says of itself and of what it was given; who stops listening is not told of it."""

import os
import subprocess
import sys

import numpy as np
import pytest
from tiny import tiny

from pluraljax._cli import main
from pluraljax._cli._status import _amount
from pluraljax._cli._words import sentence_of
from pluraljax._scan.config._plan import missing_blocks
from pluraljax._scan.measure._columns import COLUMNS
from pluraljax._scan.store._store import Store


def measured(rows):
    """Rows of which nothing is known but that all is well."""
    shapes = {"user": (rows, 2), "market": (rows,)}
    return {c.name: np.zeros(shapes[c.axis], np.float64 if c.kind == "value" else np.int8) for c in COLUMNS}


@pytest.fixture
def folder(tmp_path):
    config = tiny(markets=60)
    with Store(tmp_path / "scan", config) as store:
        for block in list(missing_blocks(config, store.chunk, {}))[:2]:
            store.write(block, measured(len(block)))
    return tmp_path / "scan"


def run(*words, **options):
    command = [sys.executable, "-m", "pluraljax", *map(str, words)]
    return subprocess.run(command, stderr=subprocess.PIPE, text=True, **options)


@pytest.mark.parametrize("words", [["status", "DIR"], ["scan", "--help"]])
def test_whoever_stops_reading_ends_a_command_quietly(words, folder):
    reading, writing = os.pipe()
    os.close(reading)
    done = run(*(folder if word == "DIR" else word for word in words), stdout=writing)
    os.close(writing)
    assert done.stderr == ""
    assert done.returncode in (0, 141)


def test_names_in_another_encoding_are_shown(folder, tmp_path):
    (odd := tmp_path / os.fsdecode(b"\xff\xc3\xbc\x1b[1m")).symlink_to(folder)
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = run("status", odd, stdout=subprocess.PIPE, env=environment)
    assert (done.returncode, done.stderr) == (1, "")
    assert r"\udcff\xfc\x1b[1m: " in done.stdout


REFUSED = {
    "half an option": (["scan", "--market", "5"], ["usage: pluraljax scan", "'--market'. Did you mean --markets?"]),
    "command": (["scann"], ["usage: pluraljax [-h]", "there is no command 'scann'. Did you mean 'scan'?"]),
    "no command": (["xyzzy"], ["there is no command 'xyzzy'. Choose from scan, resume, status"]),
    "option": (["scan", "--markts", "5"], ["usage: pluraljax scan", "no option '--markts'. Did you mean --markets?"]),
    "option=": (["status", "x", "--jsn=1"], ["usage: pluraljax status", "no option '--jsn'. Did you mean --json?"]),
    "argument": (["status", "x", "y\x1b[1m"], ["usage: pluraljax status", r"nothing to do with 'y\x1b[1m'"]),
    "number": (["scan", "--markets", "many"], ["usage: pluraljax scan", "such as 20000 or 1e6, got 'many'"]),
    "half": (["scan", "--markets", "1e-1"], ["got '1e-1'"]),
    "endless": (["scan", "--markets", "1e999999999"], ["got '1e999999999'"]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_arguments_are_explained_by_their_command(name, capsys):
    words, wanted = REFUSED[name]
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert all(each in said for each in wanted), said


def test_numbers_are_read_as_people_write_them(capsys):
    for text, shown in (("1e6", "1,000,000"), ("20_000", "20,000"), ("1.5e3", "1,500")):
        assert main(["scan", "--markets", text, "--power"]) == 0
        assert f"This scan: {shown} markets" in capsys.readouterr().out
    assert main(["scan", "--markets", "1e20", "--power"]) == 2
    assert "markets must be a whole number from 1 to 4294967296" in capsys.readouterr().err


def test_commands_call_themselves_by_their_names(tmp_path, capsys):
    for words in (["resume", "DIR"], ["status", "DIR"], ["merge", "DIR", "--out", "OUT"], ["export", "DIR", "a.csv"]):
        assert main([str(tmp_path / word) if word.isupper() else word for word in words]) == 2
        assert capsys.readouterr().err.startswith(f"pluraljax {words[0]}: ")
    assert main(["scan", str(tmp_path / "a\x1b[1m.toml")]) == 2
    assert "\x1b" not in capsys.readouterr().err


def test_counts_are_whole_and_sentences_end_once(folder, tmp_path, capsys):
    assert [_amount(n) for n in (48_240, 0.123456, 1234.5, 98765.4)] == ["48,240", "0.1235", "1234", "98,765"]
    assert main(["status", str(folder)]) == 1
    assert "e+" not in capsys.readouterr().out
    (config := tmp_path / "study.toml").write_text('marklets = 3\n[[grid]]\nfamily = "gaussian"\n')
    assert main(["scan", str(config), "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.endswith("study.toml: unknown key 'marklets'. Did you mean 'markets'?\n")


def test_errors_of_the_system_are_sentences():
    missing = FileNotFoundError(2, "No such file or directory", "market.npz")
    assert sentence_of(missing) == "market.npz: there is no such file."
    assert sentence_of(PermissionError(13, "Permission denied", "market.npz")) == "market.npz: Permission denied."
    assert sentence_of(ValueError("as it is")) == "as it is"
