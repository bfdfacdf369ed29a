"""Summaries of the cells of a scan, from its folder or from what `open_scan` makes of it."""

from pathlib import Path
from typing import Any

from .._scan.config._stopping import Stopping
from .._scan.store._manifest import Manifest, read_manifest
from .._scan.store._read import read_parts
from ._own import Own, own_of
from ._summary import CellSummary, merge_summaries, summarize


def read_summaries(path: str | Path) -> tuple[Manifest, list[CellSummary], tuple[Own, ...], Stopping | None]:
    """Reads a scan's folder, finished or not: its manifest, its cells, measurements of a user's own, when it stops.

    Raises `ValueError` where there is no scan, or not a row of it.
    """
    manifest = read_manifest(Path(path))
    stopping = Stopping.of(manifest)
    own = own_of(manifest.columns, manifest.measurements)
    pairs = [pair for each in own for pair in each.pairs]
    summaries: list[CellSummary] = []
    for part in read_parts(Path(path)):
        summaries = merge_summaries(summaries, summarize(part, stopping is not None, manifest.columns, pairs))
    if not summaries:
        raise ValueError(f"{path} holds a scan, but no finished rows yet. Run the scan first.")
    return manifest, summaries, own, stopping


def summaries_of(scan: Any) -> list[CellSummary]:
    """The cells of a scan: of a folder by its path, or of the dataset that `scan` and `open_scan` return.

    Raises `ValueError` for whatever is neither.
    """
    if isinstance(scan, str | Path):
        return read_summaries(scan)[1]
    from .._scan.store._dataset import from_dataset

    table, columns, is_sequential = from_dataset(scan)
    if not table.num_rows:
        raise ValueError("scan holds no rows.")
    return summarize(table, is_sequential, columns)
