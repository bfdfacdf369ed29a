"""The one writer of files: what it writes is there whole or not at all, and nothing else is overwritten.

A file is written under a hidden name that cannot be guessed, brought to the disk, and renamed. A process that is killed
leaves its temporary behind; `sweep` removes those that nobody writes to any more.
"""

import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows has no such lock; there `sweep` goes by a temporary's age.
    fcntl = None

_START, _END = ".pluraljax-", ".tmp"
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_LOOK = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
# Where files cannot be locked, a temporary that has not changed for so many seconds was left behind.
_OLD = 86_400.0


@contextmanager
def replacing(target: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of `target` when the block ends, and goes if the block fails.

    Once the block has ended, the file survives a crash. A link at `target` is replaced itself, never followed.
    """
    with _temporary(target.parent) as (hidden, file):
        yield file
        _to_disk(file)
        os.replace(hidden, target)
        _folder_to_disk(target.parent)


@contextmanager
def creating(target: Path) -> Iterator[BinaryIO]:
    """A new file that appears as `target` when the block ends; it goes if the block fails.

    Raises `FileExistsError`, before the block or after it, when there is something at `target`, even a link to nothing.
    """
    taken = FileExistsError(f"{target} exists already, and nothing is overwritten. Choose another name.")
    if os.path.lexists(target):
        raise taken
    with _temporary(target.parent) as (hidden, file):
        yield file
        _to_disk(file)
        try:
            os.link(hidden, target)
        except FileExistsError:
            raise taken from None
        except OSError:  # a file system without links
            if os.path.lexists(target):
                raise taken from None
            os.rename(hidden, target)
        _folder_to_disk(target.parent)


def write_text(target: Path, text: str) -> None:
    """Puts a text in place of whatever is at `target`, in UTF-8, with lines as they are."""
    with replacing(target) as file:
        file.write(text.encode())


def is_temporary(name: str) -> bool:
    """Whether a file of this name is a temporary of this module."""
    return name.startswith(_START) and name.endswith(_END)


def sweep(folder: Path) -> None:
    """Removes the temporaries that killed processes left in a folder; those that are being written to stay."""
    for path in folder.glob(f"{_START}*{_END}"):
        with suppress(OSError):
            handle = os.open(path, _LOOK)
            try:
                if _is_abandoned(handle):
                    path.unlink()
            finally:
                os.close(handle)


def not_through_links(path: str | os.PathLike[str], flags: int) -> int:
    """Opens a file as `open` does, and raises `OSError` where it is a link: an `opener`, for files that grow."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


@contextmanager
def _temporary(folder: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """A locked new file under a hidden name, which is gone at the end."""
    while True:
        hidden = folder / f"{_START}{secrets.token_hex(8)}{_END}"
        file = os.fdopen(os.open(hidden, _NEW, 0o666), "wb")
        _lock(file)
        # `sweep` may have taken it for a leftover before it was locked.
        if os.fstat(file.fileno()).st_nlink:
            break
        file.close()
    try:
        with file:
            yield hidden, file
    finally:
        with suppress(OSError):
            hidden.unlink()


def _lock(file: BinaryIO) -> None:
    if fcntl is not None:
        with suppress(OSError):  # some network file systems have no locks
            fcntl.flock(file, fcntl.LOCK_EX)


def _is_abandoned(handle: int) -> bool:
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode):
        return False
    if fcntl is not None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            return False
        except OSError:
            pass
    return time.time() - found.st_mtime > _OLD


def _to_disk(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
    if fcntl is None:  # Windows renames no file that is open.
        file.close()


def _folder_to_disk(folder: Path) -> None:
    # The rename itself must reach the disk too; systems that cannot open a folder do that by themselves.
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
