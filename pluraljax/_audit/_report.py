"""Writes what an audit found: a line per prompt, a figure, and a page."""

import csv
import html
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from .._atomic import replacing, sweep, write_text
from .._printable import for_spreadsheets, printable, printable_lines
from .._report._figures import figure_style, save_figure
from .._report._panels import BLUE, GREY
from ._audit import Audit, Finding, Share
from ._table import open_table

_MOST_NAMED = 20
_STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
body{color:#222;background:#fff}table{border-collapse:collapse;margin:1rem 0}
th,td{padding:.25rem .8rem;text-align:right;border-bottom:1px solid #ccc}
th:first-child,td:first-child{text-align:left}img{max-width:100%;height:auto}
@media(prefers-color-scheme:dark){body{color:#eee;background:#161616}img{background:#fff}}"""


@contextmanager
def prompts_file(folder: Path, models: tuple[str, ...]) -> Iterator[Any]:
    """Opens `prompts.csv` in a folder; yields what takes one `Finding` after the other."""
    folder.mkdir(parents=True, exist_ok=True)
    sweep(folder)
    with replacing(folder / "prompts.csv") as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["prompt", "answers", "survives_at_least", "survives_at_most", "worst_removal"])

        def write(found: Finding) -> None:
            named = ";".join(models[i] for i in np.flatnonzero(found.removed))
            row = [found.name, found.answers, found.lower, found.upper, named]
            writer.writerow([for_spreadsheets(entry) for entry in row])

        try:
            yield write
        finally:
            text.flush()
            text.detach()


def models_of(path: Any, baseline: str) -> tuple[str, ...]:
    """The names of a table's models, from its head alone."""
    return open_table(path, baseline).models


def summary_lines(found: Audit) -> list[str]:
    """What an audit says, in lines of plain text."""
    prompts = len(found.lower)
    lines = [f"{prompts:,} prompts, {len(found.models):,} models"]
    for share in found.shares:
        lines.append(f"  any {share.removed} gone: {_share(share, found.confidence)}")
    if found.narrow:
        lines.append(f"in the worst removals of {found.narrow:,} prompts that survive fewer than {max(found.removed)}:")
        lines += [f"  {printable(name)}: {count:,}" for name, count in _ranked(found)[:_MOST_NAMED] if count]
    return lines


def _share(share: Share, confidence: float) -> str:
    still = f", {share.open:,} open" if share.open else ""
    return (
        f"{share.covered:,} covered, {100 * share.covered / share.prompts:.1f} % "
        f"[{100 * share.lower:.1f}, {100 * share.upper:.1f}] at {100 * confidence:g} %{still}"
    )


def _ranked(found: Audit) -> list[tuple[str, int]]:
    order = np.argsort(-found.pivotal, kind="stable")
    return [(found.models[i], int(found.pivotal[i])) for i in order]


def covered_figure(found: Audit) -> Figure:
    """Draws the share of prompts that are covered against the number of models that leave."""
    most = max(max(found.removed), int(np.quantile(found.upper, 0.95)), 1)
    shares = [found.share(number) for number in range(min(most, len(found.models)) + 1)]
    at = [share.removed for share in shares]
    with figure_style():
        figure = Figure(figsize=(5.6, 3.4), layout="constrained")
        axes = figure.subplots()
        low, high = [share.lower for share in shares], [share.upper for share in shares]
        axes.fill_between(at, low, high, color=BLUE, alpha=0.25, linewidth=0, label=f"{found.confidence:.0%} interval")
        axes.plot(at, [share.covered / share.prompts for share in shares], "o-", color=BLUE, label="covered for sure")
        axes.set(xlabel="models that leave, whoever they are", ylabel="share of prompts", ylim=(-0.02, 1.02))
        axes.grid(color=GREY, alpha=0.2)
        axes.legend()
    return figure


def write_audit(found: Audit, folder: Path, source: str, formats: tuple[str, ...] = ("png", "svg")) -> list[Path]:
    """Writes the figure, `audit.json` and `audit.html` beside `prompts.csv`; returns what was written."""
    figure, written = covered_figure(found), []
    for kind in formats:
        written.append(folder / f"covered.{kind}")
        save_figure(figure, written[-1])
    data = {
        "source": source,
        "prompts": len(found.lower),
        "confidence": found.confidence,
        "shares": [vars(share) for share in found.shares],
        "narrow": found.narrow,
        "pivotal": {name: int(count) for name, count in zip(found.models, found.pivotal, strict=True)},
    }
    write_text(folder / "audit.json", json.dumps(data, indent=1) + "\n")
    write_text(folder / "audit.html", _page(found, source, "covered.svg" if "svg" in formats else None))
    return [folder / "prompts.csv", *written, folder / "audit.json", folder / "audit.html"]


def _text(value: Any) -> str:
    return html.escape(printable_lines(str(value)), quote=True)


def _page(found: Audit, source: str, picture: str | None) -> str:
    """The page: one table of shares, one of models, and the figure beside it."""
    rows = "".join(
        f"<tr><td>{share.removed}</td><td>{share.covered:,}</td><td>{100 * share.covered / share.prompts:.1f} %</td>"
        f"<td>{100 * share.lower:.1f} to {100 * share.upper:.1f} %</td><td>{share.open:,}</td></tr>"
        for share in found.shares
    )
    named = "".join(
        f"<tr><td>{_text(name)}</td><td>{count:,}</td></tr>" for name, count in _ranked(found)[:_MOST_NAMED] if count
    )
    alt = "Share of prompts that are covered against the number of models that leave; the table has the numbers."
    image = f'<p><img src="{picture}" alt="{alt}"></p>' if picture else ""
    worst = (
        f"<h2>Which models it hangs on</h2><p>In how many worst removals each model is, of the {found.narrow:,} "
        f"prompts that survive the loss of fewer than {max(found.removed)}.</p>"
        f"<table><thead><tr><th>model</th><th>removals</th></tr></thead><tbody>{named}</tbody></table>"
        if named
        else ""
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>Audit of {_text(source)}</title>'
        f"<style>{_STYLE}</style></head><body><main>"
        f"<h1>{len(found.lower):,} prompts, {len(found.models):,} models</h1><p>{_text(source)}</p>"
        "<p>A prompt is covered when non-negative weights on the models that are left make up for whatever a user "
        f"loses by leaving the baseline answer. Intervals over prompts are Clopper and Pearson's, at "
        f"{100 * found.confidence:g} %; they hold whatever the open prompts are.</p>"
        "<table><thead><tr><th>models gone, at the worst</th><th>covered</th><th>share</th><th>interval</th>"
        f"<th>open</th></tr></thead><tbody>{rows}</tbody></table>{image}{worst}</main></body></html>\n"
    )
