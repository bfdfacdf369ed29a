"""A scan on disk, written: a folder with a manifest and one Parquet file per finished chunk.

DIR/manifest.json        config, identity, versions, columns; written before the first chunk
DIR/rows/*.parquet       the chunks; a file's existence is the record that its rows are done
DIR/journal.jsonl        who measured which chunk, when, on what and how fast; no row depends on it
DIR/set-aside/           files found damaged or foreign among the chunks, kept for inspection
"""

import itertools
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence, Set
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ..._atomic import is_temporary, not_through_links, replacing, sweep
from ..._printable import listed
from ..config._config import ScanConfig
from ..config._definition import differences, unreadable_sources
from ..config._grid import check_storable
from ..config._plan import Block, Interval, uncovered
from ..measure._own import check_measurements_storable
from ._chunk import Chunk, chunk_name
from ._journal import JOURNAL, Journal, read_journal
from ._manifest import FORMAT_VERSION, MANIFEST, Manifest, read_manifest
from ._read import ROWS, FaultyFile, chunk_format, open_scan, walk
from ._versions import Versions, mixture, spelled, versions

if TYPE_CHECKING:
    import xarray as xr

try:
    import fcntl
except ImportError:  # Windows has no such lock; there atomic renames alone protect a scan.
    fcntl = None

_ASIDE, _LOCK = "set-aside", ".lock"


class Store:
    """The folder of one scan, opened for writing; `close` it, or use it as a context.

    Creates the folder, or opens one that holds the same scan. One with a scan that never measured anything is taken
    over. Raises `ValueError`, before it touches anything, for a folder that holds something else or a scan with another
    definition, that cannot be written, or that another process is writing to.

    **Arguments:**

    - `path`: the folder.
    - `scan`: the scan's config, or what another store says of it. Its number of markets may exceed what the folder was
      made for: the scan is then extended.
    - `mix_versions`: whether rows may be added that another version of JAX measures than those that are there.
    """

    def __init__(self, path: str | Path, scan: ScanConfig | Manifest, *, mix_versions: bool = False):
        self.path = Path(path)
        if isinstance(scan, ScanConfig):
            check_storable(scan.grid)
            check_measurements_storable(scan.measurements)
        wanted = manifest_of(scan)
        check_folder(self.path, wanted)
        self._lock = None
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = _Lock(self.path / _LOCK)
            # Somebody else may have started a scan here before the lock was ours.
            self._manifest = self._begin(check_folder(self.path, wanted, self._lock.is_held), wanted)
            self._rows.mkdir(exist_ok=True)
        except OSError as error:
            self.close()
            raise ValueError(f"{self.path} cannot be written to ({error.strerror or error}).") from None
        except BaseException:
            self.close()
            raise
        self.format = chunk_format(self.path, self._manifest)
        self.chunk: int = self._manifest.config["chunk"]
        self._mix_versions = mix_versions
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

    def _begin(self, there: Manifest | None, wanted: Manifest) -> Manifest:
        """Writes the manifest where there is none, or the scan is extended."""
        if there is None:
            wanted.write(self.path)
            return wanted
        known, asked = there.config, wanted.config
        changed = {"markets": max(known["markets"], asked["markets"])}
        if "until" in asked:
            changed = {"markets": asked["markets"], "until": asked["until"]}
        elif "until" in known:
            # Numbers of markets that were decided while they were measured stay so, whatever is asked for later.
            changed["until"] = {name: value for name, value in known["until"].items() if name != "most"}
        if {**known, **changed} != known:
            there = there.changed(config={**known, **changed})
            there.write(self.path)
        return there

    def admit(self, made: Versions) -> None:
        """Notes that rows of these versions are about to be stored.

        Raises `ValueError` where they may not go with those that are there: JAX's versions differ, and the store was
        not opened to mix them, or the package's do.
        """
        there = self._manifest.versions
        if made in there:
            return
        wanted, found = self._manifest.definition["pluraljax"], made.get("pluraljax")
        if found != wanted:
            raise ValueError(f"{self.path} holds a scan of pluraljax {wanted}; rows of {found} are none of it.")
        if not any(self._rows.glob("*.parquet")):
            there = ()  # Nobody has measured anything yet.
        if (phrase := mixture(there, made)) and not self._mix_versions:
            raise ValueError(
                f"{self.path} was measured by other versions ({phrase}), which may draw other markets and round "
                "otherwise: go on with those, choose another folder, or mix them with --mix-versions "
                "(mix_versions=True), which the manifest and every chunk record."
            )
        manifest = self._manifest.changed(versions=(*there, made))
        manifest.write(self.path)
        self._manifest = manifest

    def covered(self) -> tuple[dict[int, list[Interval]], list[FaultyFile]]:
        """Checks every chunk; returns the replicates that are stored, per cell, and moves whatever is faulty aside."""
        covered: dict[int, list[Interval]] = {}
        aside = []
        for folder in (self.path, self._rows):
            sweep(folder)
        for path, chunk, fault in walk(self.path, self.format.read):
            if fault is not None:
                self._set_aside(path)
                aside.append(fault)
            elif chunk is not None:
                covered.setdefault(chunk.block.cell, []).append((chunk.block.start, chunk.block.stop))
        return covered, aside

    def _set_aside(self, path: Path) -> None:
        folder = self.path / _ASIDE
        folder.mkdir(exist_ok=True)
        names = (folder / f"{path.name}.{number}" for number in itertools.count(1))
        os.replace(path, next(name for name in names if not name.exists()))

    def write(self, block: Block, rows: Mapping[str, np.ndarray], made: Versions | None = None) -> None:
        """Stores the rows of a block; once this returns they survive a crash. `made`: versions of what measured them.

        Raises `ValueError` as `admit` does.
        """
        made = self._versions if made is None else made
        self.admit(made)
        self.format.write(self._rows, block, self.format.table(block, rows), made)

    def record(self, block: Block, seconds: float, maker: Mapping[str, Any], compiling: float = 0.0) -> None:
        """Notes in the journal who made a chunk (`_journal.this_process`, say), and how long it took to do so."""
        self._journal.record(chunk_name(block), len(block), seconds, maker, compiling)

    def adopt(
        self, file: Path, covered: dict[int, list[Interval]], journal: Sequence[Mapping[str, Any]]
    ) -> list[Block]:
        """Takes over what a chunk of the same scan has of markets that are not here: the file, or a part of its rows.

        **Arguments:**

        - `file`: the chunk; raises `DamagedChunk` where it is not whole.
        - `covered`: what is here, as `covered` returns it; what is added is added there, too.
        - `journal`: the entries of the other folder's journal.

        **Returns:** the blocks that were added.
        """
        chunk = self.format.read(file)
        parts = uncovered(chunk.block, covered.get(chunk.block.cell, ()))
        if parts:
            self.admit(chunk.versions)
            # First who measured them: a kill between the two leaves a line too many, and none too few.
            self._adopt_journal(chunk.block, parts, journal)
        if parts == [chunk.block]:
            with replacing(self._rows / file.name) as sink, open(file, "rb") as source:
                shutil.copyfileobj(source, sink)
        else:
            self._put(chunk, parts)
        covered.setdefault(chunk.block.cell, []).extend((part.start, part.stop) for part in parts)
        return parts

    def _put(self, chunk: Chunk, parts: Iterable[Block]) -> None:
        """Stores parts of a chunk as chunks of their own."""
        for part in parts:
            rows = chunk.table.slice(part.start - chunk.block.start, len(part))
            self.format.write(self._rows, part, rows, chunk.versions)

    def _adopt_journal(self, block: Block, parts: Iterable[Block], journal: Sequence[Mapping[str, Any]]) -> None:
        """Takes over what another journal says of a chunk, shared out over the parts of it that are kept."""
        entries = []
        for entry in (entry for entry in journal if entry["chunk"] == chunk_name(block)):
            for part in parts:
                times = [name for name in ("seconds", "compiling") if name in entry]
                shared = {name: round(entry[name] * len(part) / len(block), 3) for name in times}
                entries.append({**entry, "chunk": chunk_name(part), "markets": len(part), **shared})
        if new := [entry for entry in entries if (entry["chunk"], entry["stored"]) not in self._journaled]:
            self._journal.append(new)

    @cached_property
    def _journaled(self) -> set[tuple[str, str]]:
        """Which chunks the journal knew of when it was first asked, and when they were stored."""
        return {(entry["chunk"], entry["stored"]) for entry in read_journal(self.path)}

    def read(self, block: Block) -> pa.Table:
        """The rows of a block that was written; raises `DamagedChunk` where they are not whole."""
        return self.format.read(self._rows / chunk_name(block)).table

    def dataset(self) -> "xr.Dataset":
        """All rows stored so far, with their labels."""
        return open_scan(self.path)


class Memory:
    """Stands in for a `Store` where a scan is not to leave files."""

    def __init__(self, config: ScanConfig):
        self.chunk = config.rows_per_chunk
        self._manifest = manifest_of(config)
        self.format = chunk_format("memory", self._manifest)
        self._tables: dict[Block, pa.Table] = {}

    def admit(self, made: Versions) -> None:
        pass

    def covered(self) -> tuple[dict[int, list[Interval]], list[FaultyFile]]:
        return {}, []

    def write(self, block: Block, rows: Mapping[str, np.ndarray], made: Versions | None = None) -> None:
        self._tables[block] = self.format.table(block, rows)

    def record(self, block: Block, seconds: float, maker: Mapping[str, Any], compiling: float = 0.0) -> None:
        pass

    def read(self, block: Block) -> pa.Table:
        return self._tables[block]

    def dataset(self) -> "xr.Dataset":
        from ._dataset import to_dataset

        table = pa.concat_tables([self.format.schema.empty_table(), *self._tables.values()])
        return to_dataset(table.sort_by("market"), self._manifest)


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


def manifest_of(scan: ScanConfig | Manifest) -> Manifest:
    """What a store of this scan says of itself, where it begins now."""
    if isinstance(scan, Manifest):
        return scan
    # The chunk size is decided once, so that a scan that is extended keeps it.
    config = scan.replace(chunk=scan.rows_per_chunk).to_mapping()
    return Manifest.new(scan.definition(), config, scan.columns, versions(), scan.shown())


def check_folder(path: Path, wanted: Manifest, may_take_over: bool = True) -> Manifest | None:
    """Returns the manifest of the same scan, or None where a new one may start; raises `ValueError` otherwise.

    A new one may start in the place of one that measured nothing, where nobody can be about to: `may_take_over`.
    """
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
    check_current(path, manifest)
    is_same, unknown = manifest.identity == wanted.identity, unreadable_sources(manifest.definition)
    if (unknown or not is_same) and may_take_over and _has_measured_nothing(path, names):
        return None
    if not is_same:
        phrases = differences(manifest.definition, wanted.definition)
        raise ValueError(
            f"{path} holds a scan with another {'; another '.join(phrases) or 'definition'}. "
            f"Nothing there was changed: {_way_out(path, phrases)}."
        )
    if unknown:
        raise ValueError(
            f"{path} holds a scan of {listed(unknown)}, whose text could not be read, so that nobody can tell whether "
            "it is the same. Nothing there was changed: open it with plx.open_scan, and put the family into a file "
            "before the next scan."
        )
    return manifest


def _has_measured_nothing(path: Path, names: Set[str]) -> bool:
    """Whether a scan left nothing but its manifest, as where it failed before its first chunk."""
    beside = {name for name in names if not is_temporary(name)} - {MANIFEST, _LOCK, ROWS, JOURNAL}
    if beside or any(not is_temporary(file.name) for file in (path / ROWS).glob("*")):
        return False
    return JOURNAL not in names or not (path / JOURNAL).lstat().st_size


def _way_out(path: Path, phrases: Sequence[str]) -> str:
    """What to do where a folder holds another scan than the one that is to go on."""
    if phrases and all(phrase.startswith("source of ") for phrase in phrases):
        return (
            "put the source back as it was and scan again to go on, or scan anew into another folder (`pluraljax scan "
            f"CONFIG --out DIR`, or `out` of plx.scan), or, if its rows are of no use, remove {path} first"
        )
    return f"choose another folder, or go on with the config in its manifest.json (`pluraljax resume {path}`)"


def check_current(path: str | Path, manifest: Manifest) -> None:
    """Raises `ValueError` for a store whose files no rows of this version can join."""
    if manifest.format_version != FORMAT_VERSION:
        raise ValueError(
            f"{path} holds a scan in format {manifest.format_version} ({spelled(manifest.versions[:1])}): it can be "
            "read, reported on and exported, but not continued or merged. Choose another folder."
        )
