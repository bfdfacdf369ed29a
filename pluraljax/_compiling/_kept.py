"""What is kept between processes: files in a folder, each sealed together with the name and the key it is kept under.

A file whose seal does not agree, because it is damaged, or was written for another key, or somebody exchanged two, is
dropped with a warning, and what was in it is made again. The seal is a checksum and no signature: what is kept is code,
and whoever may write to the folder may have this user run anything. So the folder is the user's alone.
"""

import functools
import hashlib
import logging
import os
import platform
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

from .._atomic import is_temporary, replacing

# Not `warnings`: its filters belong to the whole process, and programmes are compiled in threads.
_LOG = logging.getLogger(__name__)

_HEAD = b"pluraljax keeps 1\n"
_SHA256 = 32


def user_folder(name: str) -> Path | None:
    """A folder of this name where compiled programmes are kept; None where nothing is to be kept.

    That is in JAX's own folder for them, where it has a local one, and in the user's cache otherwise.
    """
    import jax

    if os.environ.get("PLURALJAX_NO_CACHE"):
        return None
    config: Any = jax.config
    chosen = config.jax_compilation_cache_dir
    if chosen and "://" not in chosen:
        return Path(chosen) / name
    return cache_folder(jax.__version__) / name


def cache_folder(jax_version: str) -> Path:
    """A folder per JAX version and kind of processor: compiled programmes use all that a processor can do."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "pluraljax" / f"jax-{jax_version}-{processor()}"


@functools.cache
def processor() -> str:
    """A name for the kind of processor that this process runs on."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        found = "\n".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))
    except OSError:
        found = f"{platform.machine()} {platform.processor()}"
    return hashlib.sha256(found.encode()).hexdigest()[:12]


class Kept:
    """A folder in which contents are kept, each under a name that is a plain file's, and for a key."""

    def __init__(self, folder: Path):
        self._folder = folder

    def read(self, name: str, key: str = "") -> bytes | None:
        """What is kept under a name for a key; None where that is nothing, or not what was put there."""
        file = self._folder / name
        if not self._is_private():
            return None
        try:
            sealed = file.read_bytes()
        except OSError:
            return None
        content = sealed[len(_HEAD) + _SHA256 :]
        if sealed[: len(_HEAD) + _SHA256] == _HEAD + _seal(name, key, content):
            with suppress(OSError):
                os.utime(file)
            return content
        self.drop(name, "it is not what was kept under this name")
        return None

    def write(self, name: str, key: str, content: bytes) -> None:
        """Keeps a content, if there is a place for it: nothing depends on that."""
        with suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._is_private():
                with replacing(self._folder / name) as sink:
                    sink.write(_HEAD + _seal(name, key, content) + content)

    def drop(self, name: str, reason: str) -> None:
        """Removes what is kept under a name, with a warning that says why."""
        file = self._folder / name
        with suppress(OSError):
            file.unlink()
        _LOG.warning("pluraljax: %s is dropped, and made again: %s", file, reason)

    def trim(self, most: int) -> None:
        """Removes what was not used for longest, until half of so many bytes is left, if there are more."""
        files = self._files()
        left = sum(found.st_size for found, _ in files)
        if left <= most:
            return
        for found, path in sorted(files, key=lambda each: each[0].st_mtime):
            if left <= most // 2:
                return
            if not is_temporary(os.path.basename(path)):
                with suppress(OSError):
                    os.unlink(path)
                left -= found.st_size

    def _files(self) -> list[tuple[os.stat_result, str]]:
        """All files, and what is known of each; another process may remove them meanwhile."""
        files = []
        with suppress(OSError), os.scandir(self._folder) as entries:
            for entry in entries:
                with suppress(OSError):
                    if entry.is_file():
                        files.append((entry.stat(), entry.path))
        return files

    def _is_private(self) -> bool:
        """Whether nobody else can write here; takes the right to from others where the folder is ours."""
        try:
            found = self._folder.stat()
        except OSError:
            return False
        if not stat.S_ISDIR(found.st_mode):
            return False
        if not hasattr(os, "geteuid"):  # Windows, where a user's folders are the user's
            return True
        if found.st_uid != os.geteuid():
            _LOG.warning("pluraljax: %s belongs to somebody else, so nothing is kept there", self._folder)
            return False
        if stat.S_IMODE(found.st_mode) & 0o077:
            try:
                self._folder.chmod(0o700)
            except OSError:
                return False
        return True


def _seal(name: str, key: str, content: bytes) -> bytes:
    seal = hashlib.sha256()
    for part in (name.encode(), key.encode(), content):
        seal.update(len(part).to_bytes(8, "big") + part)
    return seal.digest()
