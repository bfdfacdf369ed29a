"""Files are there whole or not at all, leftovers go, and nothing that a link leads to is overwritten."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pluraljax._atomic import creating, not_through_links, replacing, sweep, write_text


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def planted(tmp_path: Path) -> tuple[Path, Path]:
    """A link under the name that is going to be written, and the file that it leads to."""
    (victim := tmp_path / "victim").write_text("precious")
    (target := tmp_path / "target").symlink_to(victim)
    return target, victim


def test_a_link_is_replaced_and_not_followed(planted):
    target, victim = planted
    write_text(target, "new\n")
    assert (target.read_bytes(), target.is_symlink()) == (b"new\n", False)
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("to", ["victim", "nowhere"])
def test_nothing_is_created_through_a_link(planted, to, tmp_path):
    target, victim = planted
    target.unlink()
    target.symlink_to(tmp_path / to)
    with pytest.raises(FileExistsError, match="target exists already"), creating(target):
        pytest.fail("there is nothing to write")
    assert names(tmp_path) == ["target", "victim"]
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("links", [True, False])
def test_what_appears_meanwhile_stays(links, tmp_path, monkeypatch):
    if not links:

        def refuse(*paths: Path) -> None:
            raise PermissionError

        monkeypatch.setattr(os, "link", refuse)
    target = tmp_path / "target"

    def write(early: bool) -> None:
        with creating(target) as file:
            file.write(b"late")
            if early:
                target.write_text("early")

    with pytest.raises(FileExistsError):
        write(early=True)
    assert (target.read_text(), names(tmp_path)) == ("early", ["target"])
    target.unlink()
    write(early=False)
    assert (target.read_text(), names(tmp_path)) == ("late", ["target"])


@pytest.mark.parametrize("write", [replacing, creating])
def test_a_block_that_fails_leaves_nothing(write, tmp_path):
    def fail(target: Path) -> None:
        with write(target) as file:
            file.write(b"half")
            raise KeyError

    with pytest.raises(KeyError):
        fail(tmp_path / "target")
    assert names(tmp_path) == []


def test_temporaries_cannot_be_guessed_and_open_no_link(tmp_path, monkeypatch):
    seen = set()
    for _ in range(20):
        with replacing(tmp_path / "target"):
            seen |= set(names(tmp_path))
    assert len(seen - {"target"}) == 20
    assert not any(str(os.getpid()) == part for name in seen for part in name.split("."))
    # Even one that is guessed is not written through.
    (tmp_path / "victim").write_text("precious")
    (tmp_path / ".pluraljax-0.tmp").symlink_to(tmp_path / "victim")
    monkeypatch.setattr("secrets.token_hex", lambda size: "0")
    with pytest.raises(FileExistsError), replacing(tmp_path / "target"):
        pytest.fail("there is nothing to write")
    assert (tmp_path / "victim").read_text() == "precious"


def test_a_file_and_its_folder_reach_the_disk(tmp_path, monkeypatch):
    synced = []
    whole = os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (synced.append(os.fstat(handle).st_ino), whole(handle))[1])
    write_text(tmp_path / "target", "new")
    assert synced == [(tmp_path / "target").stat().st_ino, tmp_path.stat().st_ino]


def test_leftovers_of_the_dead_go_and_those_of_the_living_stay(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from pluraljax._atomic import replacing\n"
        "with replacing(Path(sys.argv[1])) as file:\n    print('open', flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "target")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        [temporary] = names(tmp_path)
        sweep(tmp_path)
        assert names(tmp_path) == [temporary]
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert names(tmp_path) == [temporary]
    sweep(tmp_path)
    assert names(tmp_path) == []


def test_only_leftovers_are_swept_up(tmp_path):
    (tmp_path / ".thesis.tmp").write_text("precious")
    (tmp_path / "victim").write_text("precious")
    (tmp_path / ".pluraljax-1.tmp").symlink_to(tmp_path / "victim")
    os.mkfifo(tmp_path / ".pluraljax-2.tmp")
    (tmp_path / ".pluraljax-3.tmp").mkdir()
    before = names(tmp_path)
    sweep(tmp_path)
    sweep(tmp_path / "nowhere")
    assert names(tmp_path) == before
    assert (tmp_path / "victim").read_text() == "precious"


def test_where_files_cannot_be_locked_age_decides(tmp_path, monkeypatch):
    import fcntl

    def refuse(*arguments: object) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with replacing(tmp_path / "target"):
        sweep(tmp_path)
        [temporary] = names(tmp_path)
        os.utime(tmp_path / temporary, (0, 0))
    (tmp_path / ".pluraljax-1.tmp").write_text("half")
    os.utime(tmp_path / ".pluraljax-1.tmp", (0, 0))
    sweep(tmp_path)
    assert names(tmp_path) == ["target"]


def test_a_file_that_grows_is_not_opened_through_a_link(planted):
    target, victim = planted
    with pytest.raises(OSError, match="symbolic links"), open(target, "a+", opener=not_through_links):
        pytest.fail("there is nothing to open")
    assert victim.read_text() == "precious"
