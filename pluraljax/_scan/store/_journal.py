"""The journal of a scan: who measured which chunk, when, on what and how fast.

One JSON line per chunk in a file of its own, so that the chunk files are the same bytes whoever makes them. Lines are
appended in one system call each: a kill can tear the last one, which readers leave out.
"""

import functools
import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..._atomic import not_through_links
from ._plain_data import Wanted, check, is_number, is_object, is_text, parse, read_text, whole
from ._versions import versions

JOURNAL = "journal.jsonl"


class Journal:
    """Appends to the journal in a folder."""

    def __init__(self, folder: Path):
        self._path = folder / JOURNAL

    def record(
        self, chunk: str, markets: int, seconds: float, maker: Mapping[str, Any], compiling: float = 0.0
    ) -> None:
        """Adds a line on a chunk that is stored; `compiling` of the seconds went by until programmes were there."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        took = {"seconds": round(seconds, 3), "compiling": round(min(compiling, seconds), 3)}
        self.append([{"chunk": chunk, "markets": markets, "stored": now, **took, **maker}])

    def append(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Adds entries as they are."""
        text = "".join(json.dumps(entry) + "\n" for entry in entries).encode()
        handle = not_through_links(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        try:
            size = os.fstat(handle).st_size
            if size and os.pread(handle, 1, size - 1) != b"\n":
                # The end of a torn line, so that it does not take this one with it.
                text = b"\n" + text
            os.write(handle, text)
        finally:
            os.close(handle)


def read_journal(folder: str | Path) -> list[dict[str, Any]]:
    """The entries of a scan's journal in the order in which they were made; none where there is no journal.

    Lines that are no JSON are what kills tear; they are left out. Raises `ValueError`, naming file and line, for a line
    that is JSON and no entry, and where the file cannot be read.
    """
    file, entries = Path(folder) / JOURNAL, []
    try:
        text = read_text(file, errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return entries
    for number, line in enumerate(text.split("\n"), start=1):
        try:
            entry = parse(line)
        except ValueError:
            continue
        check(entry, _SCHEMA, f"{file}, line {number}")
        entries.append(entry)
    return entries


def seconds_measuring(journal: Sequence[Mapping[str, Any]]) -> list[float | None]:
    """What each entry's chunk took apart from compiling.

    None where nobody knows: earlier versions did not note what compiling took, for which the first chunk of each
    process waited.
    """
    seen, seconds = set(), []
    for entry in journal:
        maker = maker_of(entry)
        is_unknown = "compiling" not in entry and maker not in seen
        seconds.append(None if is_unknown else entry["seconds"] - entry.get("compiling", 0.0))
        seen.add(maker)
    return seconds


def maker_of(entry: Mapping[str, Any]) -> tuple[Any, Any]:
    """The process that measured an entry's chunk."""
    return entry.get("host"), entry.get("process")


def _is_moment(value: Any) -> bool:
    try:
        return is_text(value) and bool(datetime.fromisoformat(value).timestamp())
    except (ValueError, OverflowError, OSError):
        return False


_SCHEMA: dict[str, Wanted] = {
    "": (is_object, "an object"),
    "chunk": (is_text, "a text"),
    "markets": whole(1, 2**32),
    "stored": (_is_moment, "a date and time"),
    "seconds": (lambda value: is_number(value) and value >= 0, "a number that is not negative"),
    "compiling?": (lambda value: is_number(value) and value >= 0, "a number that is not negative"),
    "versions?": (is_object, "an object"),
}


def this_process(devices: Sequence[Any]) -> dict[str, Any]:
    """What the journal says of a process that measures on these devices."""
    return {
        "device": name_devices(devices),
        "host": platform.node(),
        "process": os.getpid(),
        "git": git_state(),
        "versions": versions(),
    }


def name_devices(devices: Sequence[Any]) -> str:
    """Number and kind of devices that are all alike."""
    return f"{len(devices)} x {devices[0].device_kind} ({devices[0].platform})"


@functools.cache
def git_state() -> dict[str, Any] | None:
    """Commit of the source that runs, and whether tracked files differ from it; None outside a git checkout."""
    source = Path(__file__).resolve().parent

    def ask(*words: str) -> str:
        command = ["git", "-C", str(source), *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()

    try:
        if not ask("ls-files", Path(__file__).name):
            return None  # installed below somebody else's checkout
        return {"commit": ask("rev-parse", "HEAD"), "modified": bool(ask("status", "--porcelain", "-uno"))}
    except (OSError, subprocess.SubprocessError):
        return None
