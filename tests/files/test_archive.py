"""Archives are not trusted: whatever is wrong with one is one `ValueError` that names it, before memory is taken."""

import io
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from forged import archive, directory_of, header, npy

import pluraljax as plx
from pluraljax._families._table_file import RATINGS, read_grid

GIVEN = {"user_value": np.eye(3)[None], "provider_value": np.eye(3)[None, None]}
LARGE = np.zeros((1, 1000, 4000))


def given(**changes: bytes) -> list[tuple[str, bytes]]:
    return [(f"{name}.npy", content) for name, content in ({n: npy(a) for n, a in GIVEN.items()} | changes).items()]


def flipped(path: Path) -> Path:
    """An archive with one bit of its compressed data turned over."""
    data = bytearray(
        archive(path, given(user_value=npy(np.random.default_rng(0).normal(size=(1, 30, 3))))).read_bytes()
    )
    data[400] ^= 4
    path.write_bytes(bytes(data))
    return path


def garbled(path: Path) -> Path:
    """An archive whose compressed data are no such thing."""
    data = bytearray(archive(path, given()).read_bytes())
    start = 30 + len("user_value.npy")
    data[start : start + 20] = b"\xff" * 20
    path.write_bytes(bytes(data))
    return path


def torn(path: Path) -> Path:
    data = archive(path, given()).read_bytes()
    path.write_bytes(data[: len(data) // 2])
    return path


ATTACKS = {
    "bit": (flipped, ""),
    "garbled": (garbled, "Error -3 while decompressing"),
    "torn": (torn, "not a zip file"),
    "one array": (lambda path: path.write_bytes(npy(np.eye(2))), "not a zip file"),
    "encrypted": (lambda path: directory_of(archive(path, given()), flags=1), "encrypted"),
    "odd compression": (lambda path: directory_of(archive(path, given()), method=97), "method 97"),
    "bzip2": (lambda path: archive(path, given(), zipfile.ZIP_BZIP2), "method 12"),
    "no ending": (lambda path: archive(path, [(name[:-4], data) for name, data in given()]), "lack the ending .npy"),
    "twice": (lambda path: archive(path, [*given(), *given()[:1]]), "'user_value' twice"),
    "enormous": (lambda path: archive(path, given(user_value=header((10**12,)) + bytes(80))), "does not fit"),
    "negative": (lambda path: archive(path, given(user_value=header((-1, -1, 10)) + bytes(80))), "does not fit"),
    "overflow": (lambda path: archive(path, given(user_value=header((0, 2**64, 2**64)))), ""),
    "no size": (lambda path: archive(path, given(user_value=header((True, 1, 1)) + bytes(8))), ""),
    "long header": (lambda path: archive(path, given(user_value=b"\x93NUMPY\x02\0\xff\xff\xff\x7f")), "header"),
    "deep header": (lambda path: archive(path, given(user_value=header("(" * 5000))), "EOF"),
    "pickle": (
        lambda path: archive(path, given(user_value=header((1,), "|O") + b"cos\nsystem\n")),
        "objects of Python",
    ),
    "text": (lambda path: archive(path, given(user_value=npy("text"))), "instead of real numbers"),
    "records": (lambda path: archive(path, given(user_value=npy(np.zeros(3, "i4,f8")))), "instead of real numbers"),
    # It says that it unpacks three times 3 GB out of 3 MB, as zip bombs do.
    "too large": (
        lambda path: directory_of(
            archive(path, given(mass=bytes(4_000_000)), zipfile.ZIP_STORED), method=8, size=3 * 10**9, packed=3 * 10**6
        ),
        "take 9,000,000,000 bytes",
    ),
    "packed too well": (lambda path: directory_of(archive(path, given()), size=2**31 - 1), "cannot unpack"),
    "past the end": (lambda path: directory_of(archive(path, given()), packed=2**31 - 1), "past the end"),
    "many members": (lambda path: archive(path, [(f"a{n}.npy", b"") for n in range(30_000)]), "directory takes"),
    "long name": (lambda path: archive(path, [("a" * 60_000, b"")]), "aaa…aaa"),
    "unlike shapes": (lambda path: archive(path, given(user_value=npy(LARGE))), "Market axes disagree"),
    # Half a megabyte of payoffs, and a prior of states times states.
    "squared": (
        lambda path: np.savez(path, user_value=np.zeros((1, 1, 30_000)), provider_value=np.zeros((1, 1, 1, 30_000))),
        "would take 7,200,",
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_an_archive_that_makes_no_sense_is_one_error(name, tmp_path):
    make, message = ATTACKS[name]
    path = tmp_path / "market.npz"
    make(path)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"market\.npz") as caught:
            plx.load_market(path)
        taken = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert type(caught.value) is ValueError
    assert message in str(caught.value)
    assert len(str(caught.value)) < 1000
    # The largest of them has 32 MB of honest zeros.
    assert taken < 8e6


@pytest.mark.parametrize("name", ["torn", "bit", "encrypted", "twice"])
def test_tables_and_profiles_are_read_the_same_way(name, tmp_path):
    path = tmp_path / "mine.npz"
    ATTACKS[name][0](path)
    with pytest.raises(ValueError, match=r"mine\.npz"):
        read_grid(str(path), RATINGS)
    with pytest.raises(ValueError, match=r"mine\.npz"):
        plx.files.load_profile(path)
    with pytest.raises(ValueError, match=r"mine\.npz: .* non-empty axes"):
        plx.files.load_profile(archive(path, [("policy.npy", npy(LARGE))]))
    with pytest.raises(ValueError, match=r"mine\.npz: 'ratings' must be \[user item\]"):
        read_grid(str(archive(path, [("ratings.npy", npy(LARGE[None]))])), RATINGS)


def test_what_is_no_file_is_refused_at_once(tmp_path):
    import os

    os.mkfifo(tmp_path / "pipe.npz")
    with pytest.raises(ValueError, match="it is no file"):
        plx.load_market(tmp_path / "pipe.npz")


@pytest.mark.parametrize("kind", ["?", "<i1", ">i4", "<i8", ">u2", "<f2", ">f4", "<f8", ">f8", "g"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_come_back_as_they_were(kind, order, tmp_path):
    values = np.asarray(np.arange(24).reshape(1, 2, 3, 4) % 5, kind, order=order)
    from pluraljax._files._archive import read_archive

    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "a.npz", values=values, one=values[0, 0, 0, 1], none=values[:, :0])
        read = read_archive(tmp_path / "a.npz", ("values", "one", "none"), "test")
        assert read["values"].dtype == values.dtype.newbyteorder("=")
        np.testing.assert_array_equal(read["values"], values)
        assert read["one"].shape == ()
        assert read["none"].shape == (1, 0, 3, 4)


def test_a_large_array_is_read_in_parts(tmp_path):
    from pluraljax._files._archive import read_archive

    values = np.random.default_rng(0).normal(size=(3, 100_003))
    np.savez_compressed(tmp_path / "a.npz", values=values)
    np.testing.assert_array_equal(read_archive(tmp_path / "a.npz", ("values",), "test")["values"], values)


def test_the_command_line_says_so_and_exits_2(tmp_path):
    path = directory_of(archive(tmp_path / "market.npz", given()), method=97)
    done = subprocess.run([sys.executable, "-m", "pluraljax", "certify", str(path)], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith(f"pluraljax certify: {path} is not an .npz archive of a market: ")
    assert "Traceback" not in done.stderr


def test_nothing_is_left_where_saving_fails(tmp_path, monkeypatch):
    def full(file: io.BytesIO, **arrays: np.ndarray) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space left"):
        plx.save_market(tmp_path / "market.npz", plx.observed_market(**GIVEN))
    assert list(tmp_path.iterdir()) == []
