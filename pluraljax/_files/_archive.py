"""Named arrays in `.npz` files: written once, never overwritten, and read without trusting them.

An archive may come from anybody. What it says of itself (names, sizes, encryption, types, shapes) is checked before any
memory is taken for its arrays, and no more is decompressed than the shapes that were checked have room for.
"""

import io
import math
import stat
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np

from .._atomic import creating, replacing
from .._printable import listed, quoted
from ._place import refuse_folder

# Bytes that the arrays of an archive may take together.
MOST_BYTES = 2**31
# Bytes that an archive's directory, and the header of an array, may take: with few and short names both are far below.
_MOST_DIRECTORY, _MOST_HEADER = 2**20, 10_000
# DEFLATE packs no more into a byte than this.
_MOST_PACKED = 1032
_PART = 2**20

# Shapes of an archive's arrays; raises `ValueError` where they make no sense together.
Check = Callable[[Mapping[str, tuple[int, ...]]], None]


def write_archive(path: Path, arrays: Mapping[str, np.ndarray], *, replace: bool = False) -> None:
    """Writes arrays to a file, whole or not at all; unless `replace`, raises `FileExistsError` when there is one."""
    with (replacing if replace else creating)(path) as file:
        np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]


def read_archive(
    path: Path,
    names: Iterable[str],
    what: str,
    *,
    values: Literal["finite", "nan", "any"] = "finite",
    texts: Iterable[str] = (),
    check: Check = lambda shapes: None,
) -> dict[str, np.ndarray]:
    """Reads arrays, all of whose names are known, in the byte order of this machine.

    **Arguments:**

    - `path`: the file.
    - `names`: of the arrays of real numbers that it may hold.
    - `what`: it should be an archive of, for errors.
    - `values`: which numbers are taken: finite ones, NaN as well, or any.
    - `texts`: names of arrays of text that it may hold.
    - `check`: is asked about the shapes before any array is read.

    **Returns:** the arrays that are there. Raises `FileNotFoundError` where there is no file, and `ValueError`, with
    the path, for everything that is wrong with it, before memory is taken unless it shows in the data only.
    """
    known, texts = {*names, *texts}, {*texts}
    refuse_folder(path, f"an .npz archive of a {what}", (".npz",))
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ValueError(f"{path} is not an .npz archive of a {what}: it is no file.")
        file = path.open("rb")
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: there is no such file.") from None
    with file:
        with _refusing(path, what):
            archive = zipfile.ZipFile(_Bounded(file))  # pyright: ignore[reportArgumentType]
            listing = _directory(archive, known, what, path.stat().st_size)
            members = {name: _Member.of(archive, info) for name, info in listing.items()}
        for name, member in members.items():
            if member.dtype.kind not in ("U" if name in texts else "biuf"):
                wanted = "text" if name in texts else "real numbers"
                raise ValueError(f"{path}: {name!r} holds {quoted(member.dtype)} instead of {wanted}.")
        try:
            check({name: member.shape for name, member in members.items()})
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        with _refusing(path, what):
            arrays = {name: member.read(archive) for name, member in members.items()}
    for name in arrays.keys() - texts:
        wrong = {"finite": lambda a: ~np.isfinite(a), "nan": np.isinf, "any": lambda a: np.False_}[values](arrays[name])
        if wrong.any():
            raise ValueError(f"{path}: {name!r} holds {'NaN or ' if values == 'finite' else ''}infinity.")
    return arrays


@contextmanager
def _refusing(path: Path, what: str) -> Iterator[None]:
    """Turns whatever goes wrong with an archive into one error that names it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror or error}).") from None
    except MemoryError:
        raise ValueError(f"{path} needs more memory than there is.") from None
    # `zipfile`, `zlib` and NumPy raise errors of a dozen kinds on bytes that make no sense to them.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path} is not an .npz archive of a {what}: {reason[:300].rstrip('.')}.") from None


class _Bounded:
    """A file of which no more is read at once than any honest archive needs."""

    def __init__(self, file: BinaryIO):
        self._file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        if size > _MOST_DIRECTORY:
            raise ValueError(f"its directory takes {size:,} bytes")
        content = self._file.read(_MOST_DIRECTORY + 1 if size < 0 else size)
        if len(content) > _MOST_DIRECTORY:
            raise ValueError(f"its directory takes more than {_MOST_DIRECTORY:,} bytes")
        return content


def _directory(archive: zipfile.ZipFile, known: set[str], what: str, size: int) -> dict[str, zipfile.ZipInfo]:
    """The members of an archive by the names of their arrays, as its directory lists them; checks all that it says."""
    members: dict[str, zipfile.ZipInfo] = {}
    entries = archive.infolist()
    unknown = sorted({info.filename for info in entries} - {f"{name}.npy" for name in known})
    if unknown:
        shown = listed(name.removesuffix(".npy") for name in unknown)
        if all(name.removesuffix(".npy") in known for name in unknown):
            raise ValueError(f"its members {shown} lack the ending .npy")
        raise ValueError(f"it holds {shown}, which a {what} does not have: {listed(sorted(known))}")
    for info in entries:
        name = info.filename.removesuffix(".npy")
        if name in members:
            raise ValueError(f"it holds {name!r} twice")
        if info.flag_bits & 1:
            raise ValueError(f"its array {name!r} is encrypted")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"its array {name!r} is compressed by method {info.compress_type}; 0 and 8 are read")
        most = info.compress_size * (1 if info.compress_type == zipfile.ZIP_STORED else _MOST_PACKED)
        if info.header_offset + info.compress_size > size:
            raise ValueError(f"its array {name!r} reaches past the end of the file")
        if info.file_size > most:
            raise ValueError(f"its array {name!r} cannot unpack to {info.file_size:,} bytes")
        members[name] = info
    if (total := sum(info.file_size for info in entries)) > MOST_BYTES:
        raise ValueError(f"its arrays take {total:,} bytes, more than {MOST_BYTES:,}")
    return members


@dataclass(frozen=True)
class _Member:
    """One array of an archive: what its header says."""

    info: zipfile.ZipInfo
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    is_fortran: bool
    start: int

    @classmethod
    def of(cls, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> "_Member":
        """Reads a header, and checks that the directory says the same of the array's size."""
        name = info.filename.removesuffix(".npy")
        with archive.open(info) as stream:
            version = np.lib.format.read_magic(io.BytesIO(_exactly(stream, np.lib.format.MAGIC_LEN, name)))
            if version not in ((1, 0), (2, 0)):
                raise ValueError(f"its array {name!r} has format {version}, which is not for numbers")
            prefix = _exactly(stream, 2 if version == (1, 0) else 4, name)
            length = int.from_bytes(prefix, "little")
            if length > _MOST_HEADER:
                raise ValueError(f"the header of its array {name!r} takes {length:,} bytes")
            text = io.BytesIO(prefix + _exactly(stream, length, name))
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, is_fortran, dtype = read(text)
        if dtype.hasobject:
            raise ValueError(f"its array {name!r} holds objects of Python, which are not read")
        start = np.lib.format.MAGIC_LEN + len(prefix) + length
        size = math.prod(shape) * dtype.itemsize
        if any(extent < 0 for extent in shape) or start + size != info.file_size:
            raise ValueError(
                f"its array {name!r} has shape {quoted(shape)} of {quoted(dtype)}, which does not fit the "
                f"{info.file_size:,} bytes that it has"
            )
        return cls(info, dtype, shape, is_fortran, start)

    def read(self, archive: zipfile.ZipFile) -> np.ndarray:
        """Reads the array, part by part, into the memory that it is going to take."""
        name = self.info.filename.removesuffix(".npy")
        flat = np.empty(math.prod(self.shape), self.dtype)
        content = flat.view(np.uint8) if flat.nbytes else np.empty(0, np.uint8)
        with archive.open(self.info) as stream:
            _exactly(stream, self.start, name)
            for place in range(0, content.size, _PART):
                part = content[place : place + _PART]
                part[:] = np.frombuffer(_exactly(stream, part.size, name), np.uint8)
        if self.dtype.kind == "b":
            flat = content != 0
        if self.dtype.kind == "U":
            flat.tolist()  # raises where it holds what is no character
        array = flat.reshape(self.shape, order="F" if self.is_fortran else "C")
        return array.astype(self.dtype.newbyteorder("="), copy=False)


def _exactly(stream: Any, size: int, name: str) -> bytes:
    """So many bytes; reading the last one of a member checks its sum."""
    content = b""
    while len(content) < size:
        part = stream.read(size - len(content))
        if not part:
            raise ValueError(f"its array {name!r} ends early")
        content = content + part if content else part
    return content
