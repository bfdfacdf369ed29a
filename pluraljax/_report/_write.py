"""Puts a report together: reads a store, writes the table and the figures, prints the table."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from .._activity import told_if_long
from .._atomic import sweep, write_text
from .._scan.store._manifest import Manifest
from .._scan.store._versions import spelled
from ._csv import summary_csv
from ._figures import FORMATS, planned_figures, save_figure
from ._own_figures import own_figures
from ._page import PageTooLarge, page
from ._read import read_summaries
from ._served import said_of_none_valid
from ._summary import CONFIDENCE, check_confidence
from ._table import plain_report, print_report


@dataclass(frozen=True)
class Written:
    """The files of a report; `failing` says that not one market of the scan is valid, and why, and is empty else."""

    files: list[Path]
    failing: str


def write_report(
    path: str | Path,
    out: str | Path | None = None,
    console: Console | None = None,
    confidence: float = CONFIDENCE,
    formats: Sequence[str] = ("png", "svg"),
) -> Written:
    """Reports on the scan stored in a directory: prints the table and writes it with the figures.

    **Arguments:**

    - `path`: directory of the scan.
    - `out`: directory for the files; default `path/report`. Files of an earlier report are replaced.
    - `console`: where the table is printed; default standard output.
    - `confidence`: of every interval, strictly between 0 and 1.
    - `formats`: of the figures, any of `"png"`, `"svg"` and `"pdf"`; none means no figures.

    **Returns:** what was written; a figure that cannot be drawn is warned of, and the others are.
    Raises `ValueError` when the directory holds no scan or no rows yet.
    """
    check_confidence(confidence)
    if unknown := [name for name in formats if name not in FORMATS]:
        raise ValueError(f"Unknown figure format {', '.join(unknown)}; choose from {', '.join(FORMATS)}.")
    manifest, summaries, own, stopping = read_summaries(path)
    about = _about(manifest, sum(summary.markets for summary in summaries))
    out = Path(path) / "report" if out is None else Path(out)
    written = [out / "report.txt", out / "summary.csv", out / "report.html"]
    out.mkdir(parents=True, exist_ok=True)
    sweep(out)
    write_text(written[0], plain_report(summaries, confidence, about, stopping, own))
    write_text(written[1], summary_csv(summaries, confidence, stopping))
    # Before anything is drawn: a mistake in a picture takes no answer away.
    print_report(summaries, console or Console(), confidence, about, stopping, own)
    try:
        write_text(written[2], page(summaries, manifest.as_data(), confidence, about))
    except PageTooLarge as error:
        warnings.warn(str(error), stacklevel=2)
        written.pop()
    with told_if_long("report: writing figures", 2.0):
        planned = [*planned_figures(summaries, confidence), *own_figures(summaries, own, confidence)]
        for each in planned if formats else ():
            try:
                figure, files = each.draw(), [out / f"{each.name}.{name}" for name in formats]
                for file in files:
                    save_figure(figure, file)
            except (OSError, MemoryError):
                raise
            except Exception as error:
                told = f"the figure {each.name} could not be drawn ({type(error).__name__}: {error}); please report it."
                warnings.warn(told, stacklevel=2)
            else:
                written += files
    return Written(written, said_of_none_valid(summaries))


def _about(manifest: Manifest, rows: int) -> str:
    """Says what defines the scan, whether it is finished, and what is odd about it."""
    config = manifest.config
    missing = manifest.until is None and rows < manifest.markets
    about = f"seed {config['seed']}, equilibria within delta = {config['delta']:g}"
    about += f"; unfinished: {rows:,} of {manifest.markets:,} markets" if missing else ""
    about += f"; measured by several versions: {spelled(manifest.versions)}" if len(manifest.versions) > 1 else ""
    return about
