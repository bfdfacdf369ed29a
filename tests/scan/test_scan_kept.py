"""What is kept between processes: sealed, the user's alone, and never the reason for another number."""

import os
import select
import stat
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

from pluraljax._compiling._cache import FOLDER, seal_compilation_cache
from pluraljax._compiling._kept import Kept


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_what_is_kept_is_found_under_its_name_and_key_only(tmp_path, caplog):
    kept = Kept(tmp_path / "kept")
    assert kept.read("name", "key") is None
    kept.write("name", "key", b"content")
    assert kept.read("name", "key") == b"content"
    assert kept.read("name", "another key") is None
    assert "name is dropped, and made again" in caplog.text
    assert kept.read("name", "key") is None


@pytest.mark.parametrize("cut", [0, 5, 40, -1])
def test_a_torn_file_is_dropped(tmp_path, cut, caplog):
    kept = Kept(tmp_path)
    kept.write("name", "key", b"content" * 9)
    (tmp_path / "name").write_bytes((tmp_path / "name").read_bytes()[:cut])
    assert kept.read("name", "key") is None
    assert "is dropped" in caplog.text
    assert not (tmp_path / "name").exists()


def test_every_flipped_bit_is_seen(tmp_path, caplog):
    kept = Kept(tmp_path)
    kept.write("name", "key", b"content")
    whole = (tmp_path / "name").read_bytes()
    for place in range(len(whole)):
        (tmp_path / "name").write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        caplog.clear()
        assert kept.read("name", "key") is None
        assert "is dropped" in caplog.text


def test_its_folder_is_the_user_s_alone(tmp_path):
    folder = tmp_path / "a" / "b"
    Kept(folder).write("name", "key", b"content")
    assert mode(folder) == 0o700
    folder.chmod(0o777)
    assert Kept(folder).read("name", "key") == b"content"
    assert mode(folder) == 0o700


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give a folder away")
def test_nothing_is_taken_from_a_folder_of_somebody_else(tmp_path, caplog):
    Kept(tmp_path).write("name", "key", b"content")
    os.chown(tmp_path, 12345, 12345)
    assert Kept(tmp_path).read("name", "key") is None
    assert "belongs to somebody else" in caplog.text


def test_where_it_cannot_be_kept_it_is_not(tmp_path):
    (tmp_path / "file").write_text("in the way")
    kept = Kept(tmp_path / "file")
    kept.write("name", "key", b"content")
    assert kept.read("name", "key") is None
    assert (tmp_path / "file").read_text() == "in the way"


@pytest.fixture
def sealed_cache(tmp_path, monkeypatch):
    """JAX's compilation cache, sealed, in a folder of its own; afterwards everything is as it was."""
    from jax._src import compilation_cache

    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = {name: jax.config.values[name] for name in names}
    monkeypatch.setattr(compilation_cache, "get_file_cache", compilation_cache.get_file_cache)
    jax.config.update(names[0], str(tmp_path))
    jax.config.update(names[1], 0.0)
    seal_compilation_cache()
    yield tmp_path / FOLDER
    for name, value in before.items():
        jax.config.update(name, value)
    monkeypatch.undo()
    compilation_cache.reset_cache()


def test_jax_takes_no_exchanged_programme(sealed_cache, caplog):
    """Two programmes of one shape, whose files are exchanged, gave each other's numbers without a word."""

    def numbers(factor):
        jax.clear_caches()
        return float(jax.jit(lambda value: jnp.sin(value) * factor)(jnp.float32(1.0)))

    wanted = [numbers(2.0), numbers(3.0)]
    files = [file for file in sealed_cache.iterdir() if "lambda" in file.name]
    assert len(files) == 2
    assert list(sealed_cache.parent.glob("*-cache")) == []
    assert mode(sealed_cache) == 0o700
    contents = [file.read_bytes() for file in files]
    for file, content in zip(files, contents[::-1], strict=True):
        file.write_bytes(content)
    assert [numbers(2.0), numbers(3.0)] == wanted
    assert "is dropped" in caplog.text
    caplog.clear()
    assert [numbers(2.0), numbers(3.0)] == wanted
    assert caplog.text == ""
    assert sorted(file.name for file in files) == sorted(f.name for f in sealed_cache.iterdir() if "lambda" in f.name)


def test_the_same_programme_is_compiled_by_one_process_after_another(tmp_path):
    """A second one waits for the first, a third with another programme does not, and nobody waits for ever."""
    code = """
import sys, time
import jax
from pluraljax._compiling import _traced

jax.config.update("jax_compilation_cache_dir", sys.argv[1])
_traced._PATIENCE = float(sys.argv[3])
lock = lambda name: _traced.lock_of(_traced.text_of((name,), ()))
# Programmes may share a lock: of others, one that has another lock.
names = {"draw": "draw", "another": next(name for name in map(str, range(99)) if lock(name) != lock("draw"))}
with _traced.one_after_another((), names[sys.argv[2]]):
    print("in", flush=True)
    sys.stdin.readline()
"""

    def start(programme, patience=60.0):
        command = [sys.executable, "-c", code, str(tmp_path), programme, str(patience)]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    first = start("draw")
    assert first.stdout.readline() == "in\n"
    second, third, impatient = start("draw"), start("another"), start("draw", patience=0.5)
    try:
        assert third.stdout.readline() == "in\n"
        assert impatient.stdout.readline() == "in\n"
        assert select.select([second.stdout], [], [], 1.0)[0] == []
        first.stdin.write("\n")
        first.stdin.flush()
        assert second.stdout.readline() == "in\n"
    finally:
        for each in (first, second, third, impatient):
            each.kill()
            each.communicate()
