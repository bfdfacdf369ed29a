"""What takes long is said in one plain line, by whoever knows best, and only where somebody waits for it."""

import threading
import time

import pytest

from pluraljax import _activity
from pluraljax._activity import hushed, told_as_part, told_if_long


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.delenv("PLURALJAX_QUIET")
    monkeypatch.setattr(_activity, "SECONDS", 0.05)
    monkeypatch.setattr(_activity, "_LONGER", 1.0)
    monkeypatch.setattr(_activity, "_library", [])


def waited(error):
    time.sleep(0.3)
    return error.readouterr().err


def test_it_is_said_once_and_only_if_it_takes_long(capsys):
    with told_if_long("working", 0.05):
        assert waited(capsys) == "pluraljax: working\n"
        assert waited(capsys) == ""
    with told_if_long("working", 60.0):
        pass
    assert waited(capsys) == ""


def test_the_innermost_part_is_named_and_a_count_is_said_again(capsys):
    done = [0]
    with told_if_long("working", 0.05), told_as_part(lambda: f"searching, {done[0]} of 9 parts"):
        done[0] = 3
        assert waited(capsys) == "pluraljax: searching, 3 of 9 parts\n"
        done[0] = 7
        assert waited(capsys) == "pluraljax: searching, 7 of 9 parts\n"


def test_steps_of_a_library_call_are_one_wait(capsys):
    for _ in range(4):
        with told_as_part("compiling"):
            time.sleep(0.03)
    assert capsys.readouterr().err == "pluraljax: compiling\n"


def test_nothing_is_said_in_threads_where_nobody_waits_or_wants_it(capsys, monkeypatch):
    def work():
        with told_as_part("compiling"):
            time.sleep(0.3)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    with hushed():
        work()
    with hushed(), told_if_long("working", 0.05):
        work()
    monkeypatch.setenv("PLURALJAX_QUIET", "1")
    work()
    assert capsys.readouterr().err == ""
