"""Puts folders together that hold parts of one scan."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ._chunk import DamagedChunk
from ._config import ScanConfig
from ._definition import differences
from ._journal import read_journal
from ._read import ROWS, read_manifest
from ._store import Store


@dataclass(frozen=True)
class Merged:
    """What a merge did: chunks copied, chunks that were there already, and those left out, with the reason."""

    copied: int
    present: int
    damaged: tuple[str, ...]


def merge(sources: Sequence[str | Path], out: str | Path) -> Merged:
    """Copies the chunks of several folders into one; each is checked first, and those that are there stay.

    **Arguments:**

    - `sources`: folders of scans with the same definition; how many markets each was to have does not matter.
    - `out`: a new folder, or one that holds the same scan.

    **Returns:** what was done. Raises `ValueError`, before anything is touched, for folders that hold no scan or scans
    with different definitions.
    """
    manifests = [read_manifest(source) for source in sources]
    _check_same(sources, manifests)
    largest = max(manifests, key=lambda manifest: manifest["config"]["markets"])
    config = ScanConfig.from_mapping(largest["config"], f"{sources[manifests.index(largest)]}/manifest.json")
    copied, present, damaged = 0, 0, []
    with Store(out, config) as store:
        for source in sources:
            if Path(source).resolve() == Path(out).resolve():
                continue
            made = []
            for file in sorted((Path(source) / ROWS).glob("*.parquet")):
                try:
                    is_new = store.adopt(file)
                except DamagedChunk as damage:
                    damaged.append(f"{file}: {damage}")
                    continue
                copied, present = copied + is_new, present + (not is_new)
                made += [file.name] if is_new else []
            store.adopt_journal([entry for entry in read_journal(source) if entry["chunk"] in made])
    return Merged(copied, present, tuple(damaged))


def _check_same(sources: Sequence[str | Path], manifests: Sequence[dict[str, Any]]) -> None:
    first = manifests[0]
    for source, manifest in zip(sources, manifests, strict=True):
        if manifest["identity"] != first["identity"]:
            phrases = differences(first["definition"], manifest["definition"])
            raise ValueError(
                f"{sources[0]} and {source} hold different scans: another {'; another '.join(phrases) or 'definition'} "
                "(there is the first, here the second). Nothing was changed."
            )
