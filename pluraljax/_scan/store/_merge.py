"""Puts folders together that hold parts of one scan."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..config._definition import differences
from ._chunk import DamagedChunk, block_of
from ._journal import read_journal
from ._manifest import Manifest, read_manifest
from ._read import chunk_files
from ._store import Store, check_current, check_folder
from ._versions import mixture


@dataclass(frozen=True)
class Merged:
    """What a merge did: chunks copied, chunks of which a part was new, chunks all of whose markets were there already.

    `damaged` are the files that were left out, or set aside where the whole is, with the reason.
    """

    copied: int
    in_part: int
    present: int
    damaged: tuple[str, ...]


def merge(sources: Sequence[str | Path], out: str | Path, *, mix_versions: bool = False) -> Merged:
    """Puts the chunks of several folders into one, in which every market is then in one file, however they were cut.

    A chunk all of whose markets are new is copied as it is; of one that shares markets with what is there already, the
    others are written as a chunk of their own. Each is checked first.

    **Arguments:**

    - `sources`: folders of scans with the same definition; how many markets each was to have, and in chunks of which
      size, does not matter.
    - `out`: a new folder, or one that holds the same scan.
    - `mix_versions`: whether rows that different versions of JAX measured may come together.

    **Returns:** what was done. Raises `ValueError`, before anything is touched, for folders that hold no scan, a
    damaged manifest or journal, or scans with different definitions, or were measured by versions that are not to be
    mixed.
    """
    manifests = [read_manifest(source) for source in sources]
    _check_same(sources, manifests)
    wanted = max(manifests, key=lambda manifest: manifest.markets)
    _check_versions(sources, manifests, check_folder(Path(out), wanted), out, mix_versions)
    # That of `out` is only looked at: nothing is touched where it cannot be read.
    *journals, _ = [read_journal(folder) for folder in (*sources, out)]
    copied, in_part, present, damaged = 0, 0, 0, []
    with Store(out, wanted, mix_versions=mix_versions) as store:
        covered, aside = store.covered()
        damaged += [f"{out}: {each}" for each in aside]
        for source, journal in zip(sources, journals, strict=True):
            if Path(source).resolve() == Path(out).resolve():
                continue
            for file in chunk_files(source):
                try:
                    parts = store.adopt(file, covered, journal)
                except DamagedChunk as damage:
                    damaged.append(f"{file}: {damage}")
                    continue
                whole = parts == [block_of(file.name)]
                copied, in_part, present = copied + whole, in_part + bool(parts and not whole), present + (not parts)
    return Merged(copied, in_part, present, tuple(damaged))


def _check_same(sources: Sequence[str | Path], manifests: Sequence[Manifest]) -> None:
    first = manifests[0]
    for source, manifest in zip(sources, manifests, strict=True):
        check_current(source, manifest)
        if manifest.identity != first.identity:
            phrases = differences(first.definition, manifest.definition)
            raise ValueError(
                f"{sources[0]} and {source} hold different scans: another {'; another '.join(phrases) or 'definition'} "
                "(there is the first, here the second). Nothing was changed."
            )


def _check_versions(
    sources: Sequence[str | Path],
    manifests: Sequence[Manifest],
    there: Manifest | None,
    out: str | Path,
    mix_versions: bool,
) -> None:
    known = [(out, there)] if there else []
    known += zip(sources, manifests, strict=True)
    first, manifest = known[0]
    for other, here in known[1:]:
        for made in here.versions:
            if (phrase := mixture(manifest.versions, made)) and not mix_versions:
                raise ValueError(
                    f"{first} and {other} were measured by different versions ({phrase}), which may draw other markets "
                    "and round otherwise. Nothing was changed; --mix-versions merges them all the same, and records it."
                )
