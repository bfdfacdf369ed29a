"""A scan on disk, written: a folder with a manifest and one Parquet file per finished chunk.

DIR/manifest.json        config, identity, versions, columns; written before the first chunk
DIR/rows/*.parquet       the chunks; a file's existence is the record that its rows are done
DIR/journal.jsonl        who measured which chunk, when, on what and how fast; no row depends on it
DIR/set-aside/           files found damaged or foreign among the chunks, kept for inspection
"""

import importlib.metadata
import itertools
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from .._files._atomic import is_temporary, not_through_links, replacing, sweep
from .._printable import listed
from ._chunk import ChunkFormat, DamagedChunk, chunk_name
from ._config import ScanConfig, column_table
from ._definition import differences
from ._journal import Journal
from ._plan import Block, Interval
from ._read import FORMAT, FORMAT_VERSION, MANIFEST, ROWS, open_scan, read_manifest

if TYPE_CHECKING:
    import xarray as xr

try:
    import fcntl
except ImportError:  # Windows has no such lock; there atomic renames alone protect a scan.
    fcntl = None

_ASIDE, _LOCK = "set-aside", ".lock"


def versions() -> dict[str, str]:
    """The versions that rows can depend on in their last digits."""
    return {name: importlib.metadata.version(name) for name in ("pluraljax", "jax", "jaxlib", "numpy")}


@dataclass(frozen=True)
class SetAside:
    """A file that was moved out of the way because it is no whole chunk of the scan."""

    name: str
    reason: str


class Store:
    """The folder of one scan, opened for writing; `close` it, or use it as a context.

    Creates the folder, or opens one that holds the same scan. Raises `ValueError`, before it touches anything, for a
    folder that holds something else or a scan with another definition, that cannot be written, or that another process
    is writing to.

    **Arguments:**

    - `path`: the folder.
    - `config`: the scan. `config.markets` may exceed what the folder was made for: the scan is then extended.
    """

    def __init__(self, path: str | Path, config: ScanConfig):
        self.path = Path(path)
        self.format = _format_of(config)
        check_folder(self.path, config)
        self._lock = None
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = _Lock(self.path / _LOCK)
            # Somebody else may have started a scan here before the lock was ours.
            manifest = check_folder(self.path, config)
            self._write_manifest(manifest, config)
            self._rows.mkdir(exist_ok=True)
        except OSError as error:
            self.close()
            raise ValueError(f"{self.path} cannot be written to ({error.strerror or error}).") from None
        except ValueError:
            self.close()
            raise
        self.chunk: int = read_manifest(self.path)["config"]["chunk"]
        self._versions = versions()
        self._journal = Journal(self.path)

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets others write to the folder."""
        if self._lock is not None:
            self._lock.release()

    @property
    def _rows(self) -> Path:
        return self.path / ROWS

    def _write_manifest(self, manifest: dict[str, Any] | None, config: ScanConfig) -> None:
        if manifest is None:
            manifest = _new_manifest(config)
        else:
            known, wanted = manifest["config"], config.to_mapping()
            changed = {"markets": max(known["markets"], config.markets)}
            if "until" in wanted:
                changed = {"markets": config.markets, "until": wanted["until"]}
            elif "until" in known:
                # Numbers of markets that were decided while they were measured stay so, whatever is asked for later.
                changed["until"] = {name: value for name, value in known["until"].items() if name != "most"}
            if known | changed == known:
                return
            known |= changed
        with replacing(self.path / MANIFEST) as sink:
            sink.write((json.dumps(manifest, indent=2) + "\n").encode())

    def covered(self) -> tuple[dict[int, list[Interval]], list[SetAside]]:
        """Checks every chunk; returns the replicates that are stored, per cell, and moves whatever is damaged aside."""
        covered: dict[int, list[Interval]] = {}
        aside = []
        for folder in (self.path, self._rows):
            sweep(folder)
        for path in sorted(self._rows.glob("*.parquet")):
            try:
                block, _ = self.format.read(path)
                covered.setdefault(block.cell, []).append((block.start, block.stop))
            except DamagedChunk as damage:
                self._set_aside(path)
                aside.append(SetAside(path.name, str(damage)))
        return covered, aside

    def _set_aside(self, path: Path) -> None:
        folder = self.path / _ASIDE
        folder.mkdir(exist_ok=True)
        names = (folder / f"{path.name}.{number}" for number in itertools.count(1))
        os.replace(path, next(name for name in names if not name.exists()))

    def write(self, block: Block, rows: Mapping[str, np.ndarray]) -> None:
        """Stores the rows of a block; once this returns they survive a crash."""
        self.format.write(self._rows, block, self.format.table(block, rows), self._versions)

    def record(self, block: Block, seconds: float, maker: Mapping[str, Any]) -> None:
        """Notes in the journal who made a chunk (`_journal.this_process`, say), and how long it took."""
        self._journal.record(chunk_name(block), len(block), seconds, maker)

    def adopt(self, file: Path) -> bool:
        """Copies a chunk of the same scan from elsewhere; tells whether it was new here.

        Raises `DamagedChunk` where it is not whole.
        """
        self.format.read(file)
        target = self._rows / file.name
        if target.exists():
            return False
        with replacing(target) as sink, open(file, "rb") as source:
            shutil.copyfileobj(source, sink)
        return True

    def adopt_journal(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Takes over what another journal says of chunks that were adopted."""
        if entries:
            self._journal.append(entries)

    def read(self, block: Block) -> pa.Table:
        """The rows of a block that was written; raises `DamagedChunk` where they are not whole."""
        return self.format.read(self._rows / chunk_name(block))[1]

    def dataset(self) -> "xr.Dataset":
        """All rows stored so far, with their labels."""
        return open_scan(self.path)


class Memory:
    """Stands in for a `Store` where a scan is not to leave files."""

    def __init__(self, config: ScanConfig):
        self.chunk = config.rows_per_chunk
        self.format = _format_of(config)
        self._config = config
        self._tables: dict[Block, pa.Table] = {}

    def covered(self) -> tuple[dict[int, list[Interval]], list[SetAside]]:
        return {}, []

    def write(self, block: Block, rows: Mapping[str, np.ndarray]) -> None:
        self._tables[block] = self.format.table(block, rows)

    def record(self, block: Block, seconds: float, maker: Mapping[str, Any]) -> None:
        pass

    def read(self, block: Block) -> pa.Table:
        return self._tables[block]

    def dataset(self) -> "xr.Dataset":
        from ._dataset import to_dataset

        table = pa.concat_tables([self.format.schema.empty_table(), *self._tables.values()])
        return to_dataset(table.sort_by("market"), _new_manifest(self._config))


class _Lock:
    """An advisory lock that the system drops when its process dies, however it dies."""

    def __init__(self, path: Path):
        # Not through a link: what it leads to would be emptied.
        self._file = open(path, "a+", opener=not_through_links)  # noqa: SIM115
        self.is_held = False
        if fcntl is None:
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.seek(0)
            owner = self._file.read().strip()
            self._file.close()
            raise ValueError(
                f"{path.parent} is being written to by another scan{f' (process {owner})' if owner else ''}. "
                "Wait for it, stop it, or choose another folder."
            ) from None
        except OSError:  # Some network file systems have no locks; atomic renames still protect the chunks there.
            return
        self.is_held = True
        self._file.truncate(0)
        self._file.write(f"{os.getpid()}\n")
        self._file.flush()

    def release(self) -> None:
        if not self._file.closed:
            with suppress(OSError):
                self._file.truncate(0)
            self._file.close()


def writer(path: str | Path) -> str | None:
    """The process that writes to the folder of a scan, "" where it does not say which; None where nobody does."""
    if fcntl is None:
        return None
    try:
        with open(Path(path) / _LOCK) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return file.read().strip()
    except OSError:
        return None
    return None


def _new_manifest(config: ScanConfig) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "identity": config.identity,
        "definition": config.definition(),
        # The chunk size is decided once, so that a scan that is extended keeps it.
        "config": config.replace(chunk=config.rows_per_chunk).to_mapping(),
        "versions": versions(),
        "columns": column_table(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _format_of(config: ScanConfig) -> ChunkFormat:
    return ChunkFormat(config.identity, config.seed, config.cells)


def check_folder(path: Path, config: ScanConfig) -> dict[str, Any] | None:
    """Returns the manifest of the same scan, or None where a new one may start; raises `ValueError` otherwise."""
    if path.exists() and not path.is_dir():
        raise ValueError(f"{path} is a file; a scan needs a folder.")
    if not path.exists():
        return None
    try:
        names = {entry.name for entry in path.iterdir()}
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}).") from None
    if MANIFEST not in names:
        foreign = sorted(name for name in names if name != _LOCK and not is_temporary(name))
        if foreign:
            raise ValueError(
                f"{path} holds other files ({listed(foreign)}) and no scan. Choose an empty or a new folder."
            )
        return None
    manifest = read_manifest(path)
    if manifest["identity"] != config.identity:
        phrases = differences(manifest["definition"], json.loads(json.dumps(config.definition())))
        raise ValueError(
            f"{path} holds a scan with another {'; another '.join(phrases) or 'definition'}. "
            "Nothing there was changed: choose another folder, or scan with the config in its manifest.json."
        )
    return manifest
