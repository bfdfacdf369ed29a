"""The report as one self-contained HTML page: no network, everything escaped, the same rows give the same bytes."""

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from .._printable import printable_lines
from .._scan.config._config import as_toml
from .._scan.measure._measurement import Column
from .._scan.store._versions import spelled
from .._status import Status
from ._entries import show_percent
from ._layout import readable, show
from ._own import Own, own_of
from ._page_data import MEASURED_BESIDES, Measure, families, measures
from ._page_served import served_section
from ._served import searched
from ._summary import CONFIDENCE, CellSummary, Proportion, open_anywhere
from ._table import check_lines, counted, table_sections

# Bytes that a page may have; diagrams of the largest scans offer less.
LIMIT = 5_000_000
_FAMILY_EVENTS = {
    "weakly_aligned": "weakly aligned",
    "strongly_aligned": "strongly aligned",
    "personalized_guaranteed": "guaranteed, personalized",
    "anonymous_guaranteed": "guaranteed, anonymous",
}
# The groups of measures that the diagrams do without, one after another, where a page would be too large.
_DISPENSABLE = (MEASURED_BESIDES, "What users get", "Conditions")
_SLOT = re.compile(r"\{\{(\w+)\}\}")
_FIRST_NUMBER = re.compile(r"[+-]?\d[\d,]*(?:\.\d+)?(?:[eE][+-]?\d+)?")


class PageTooLarge(ValueError):
    """More cells than fit on a page, whatever is left out."""


def page(
    summaries: Sequence[CellSummary], manifest: Mapping[str, Any], confidence: float = CONFIDENCE, about: str = ""
) -> str:
    """Returns the page as text, to be written in UTF-8.

    **Arguments:**

    - `summaries`: of the cells of one scan, at least one.
    - `manifest`: of the scan, as its store holds it.
    - `confidence`: of every interval.
    - `about`: a line on the scan as a whole.

    Stays under `LIMIT` bytes: where all measures of all cells would be more, the diagrams leave the least telling ones
    out, and the page says so. Raises `PageTooLarge` where that is not enough.
    """
    columns = [Column(**each) for each in manifest.get("columns", ())]
    own = own_of(columns, manifest.get("measurements", ()))
    style, script = _resource("page.css"), _resource("page.js")
    named = ", ".join(dict.fromkeys(readable(cell.family) for cell in summaries))
    heading = f"{counted(summaries)}: {named}"
    slots = {
        "title": _text(f"pluraljax report: {heading}"),
        "heading": _text(heading),
        "about": _text(about),
        "level": _text(f"{100 * confidence:g} %"),
        "served": served_section(summaries),
        "served_link": '<a href="#served">Whom competition serves</a>\n' if searched(summaries) else "",
        "tiles": _tiles(summaries, manifest),
        "families": _families(summaries, confidence),
        "table": _cells(summaries, confidence, own),
        "checks": "\n".join(f"<li>{_text(line)}</li>" for line in check_lines(summaries, confidence)),
        "statuses": _statuses(summaries),
        "manifest": _manifest(manifest),
        "manifest_json": _text(_json(manifest)),
        "reproduce": _reproduce(manifest),
        "version": _text(manifest["definition"]["pluraljax"]),
        "style": style,
        "script": script,
        "style_hash": _hash(style),
        "script_hash": _hash(script),
    }
    template = _resource("page.html")
    offered = measures(summaries, confidence, columns)
    dispensable = [name for name in _DISPENSABLE if any(measure.group == name for measure in offered)]
    for left_out in range(len(dispensable) + 1):
        dropped = dispensable[:left_out]
        slots["data"] = _data(summaries, confidence, [each for each in offered if each.group not in dropped])
        slots["table_note"] = _text(_note(dropped))
        # One pass, so that nothing that is put in is looked at again.
        text = _SLOT.sub(lambda match: slots[match[1]], template)
        if len(text.encode()) < LIMIT:
            return text
    raise PageTooLarge(f"A page of {len(summaries):,} cells would exceed {LIMIT:,} bytes; summary.csv has them all.")


def _resource(name: str) -> str:
    return (files("pluraljax._report") / "page" / name).read_text(encoding="utf-8").rstrip("\n")


def _hash(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


def _text(value: Any) -> str:
    return html.escape(printable_lines(str(value)), quote=True)


def _json(value: Any) -> str:
    """JSON to be read, by people and by programmes: what is no printable character is escaped."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)


def _data(summaries: Sequence[CellSummary], confidence: float, listed: Sequence[Measure]) -> str:
    """JSON that can stand inside a `script` element: nothing in it can end the element or open a comment."""
    varying = _varying(summaries)
    cells = [
        {
            "family": readable(cell.family),
            "name": ", ".join(f"{readable(n)} {show(cell.parameters[n])}" for n in varying if n in cell.parameters)
            or "its only cell",
            "numbers": [measure.numbers[place] for measure in listed],
        }
        for place, cell in enumerate(summaries)
    ]
    content = {
        "level": f"{100 * confidence:g} %",
        "measures": [measure.plain() for measure in listed],
        "cells": cells,
        "families": families(summaries),
    }
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _note(dropped: Sequence[str]) -> str:
    note = "Every count, mean and standard error in full precision is in summary.csv, beside this page."
    if dropped:
        note += f" To keep the page small, the diagrams leave out: {', '.join(name.lower() for name in dropped)}."
    return note


def _varying(summaries: Sequence[CellSummary]) -> list[str]:
    """The parameters that tell cells of one family apart, in any family."""
    names = dict.fromkeys(name for cell in summaries for name in cell.parameters)
    seen: dict[tuple[str, str], set[str]] = {}
    for cell in summaries:
        for name in names:
            seen.setdefault((cell.family, name), set()).add(repr(cell.parameters.get(name)))
    return [name for name in names if any(len(v) > 1 for (_, other), v in seen.items() if other == name)]


def _tiles(summaries: Sequence[CellSummary], manifest: Mapping[str, Any]) -> str:
    markets = sum(cell.markets for cell in summaries)
    wanted = manifest["config"]["markets"]
    violations = sum(cell.violations for cell in summaries)
    tiles = [
        ("markets", f"{markets:,}"),
        ("of the scan finished", f"{100 * markets / wanted:.0f} %"),
        ("cells", f"{len(summaries):,}"),
        ("violations of a theorem", f"{violations:,}"),
        ("markets with an open bracket", f"{open_anywhere(summaries):,}"),
        ("rows that held no market", f"{sum(cell.invalid for cell in summaries):,}"),
    ]
    wrong = lambda name: ' class="wrong"' if name == "violations of a theorem" and violations else ""
    return "\n".join(f"<div><dt>{_text(name)}</dt><dd{wrong(name)}>{_text(value)}</dd></div>" for name, value in tiles)


def _families(summaries: Sequence[CellSummary], confidence: float) -> str:
    heads = ["cells", "markets", *_FAMILY_EVENTS.values()]
    rows = []
    for family in dict.fromkeys(cell.family for cell in summaries):
        cells = [cell for cell in summaries if cell.family == family]
        shares = [sum((cell.events[name] for cell in cells), Proportion()) for name in _FAMILY_EVENTS]
        entries = [len(cells), f"{sum(cell.markets for cell in cells):,}"]
        entries += [show_percent(share, confidence) for share in shares]
        rows.append(_row(readable(family), entries))
    return _head(["family", *heads]) + _body(rows)


def _cells(summaries: Sequence[CellSummary], confidence: float, own: Sequence[Own]) -> str:
    """The table of cells; `data-key` is what a column is sorted by, `data-words` what the filter looks at."""
    varying = _varying(summaries)
    sections = table_sections(summaries, confidence, own)
    groups = [("", 2 + len(varying)), *((title, len(columns)) for title, columns in sections)]
    above = "".join(
        f'<th class="group" scope="colgroup" colspan="{span}">{_text(title)}</th>'
        if title
        else f'<td class="words" colspan="{span}"></td>'
        for title, span in groups
    )
    columns = [column for _, part in sections for column in part]
    heads = ["cell", "family", *map(readable, varying), *(column.heading for column in columns)]
    rows = []
    for cell in summaries:
        settings = [cell.parameters.get(name) for name in varying]
        texts = ["" if value is None else show(value) for value in settings]
        entries = [(column.entry(cell), "") for column in columns]
        keyed = [(readable(cell.family), readable(cell.family))]
        keyed += [(text, _key(value)) for text, value in zip(texts, settings, strict=True)]
        keyed += [(text, _first_number(text)) for text, _ in entries]
        words = [cell.family, *(text for text in texts if text)]
        words += [f"{name}={text}" for name, text in zip(varying, texts, strict=True) if text]
        trouble = int(bool(cell.open_markets or cell.invalid or cell.violations))
        wrong = ' class="wrong"' if cell.violations else ""
        spelled = _text(" ".join(words).lower())
        body = "".join(f'<td data-key="{_text(key)}">{_text(text)}</td>' for text, key in keyed)
        rows.append(
            f'<tr data-family="{_text(readable(cell.family))}" data-words="{spelled}" data-trouble="{trouble}"{wrong}>'
            f'<th scope="row" data-key="{cell.cell}">{cell.cell}</th>{body}</tr>'
        )
    head = "".join(f'<th scope="col">{_text(name)}</th>' for name in heads)
    return f"<thead><tr>{above}</tr>\n<tr>{head}</tr></thead>" + _body(rows)


def _key(value: Any) -> str:
    return "" if value is None else str(float(value)) if isinstance(value, bool | int | float) else str(value)


def _first_number(text: str) -> str:
    """What an entry such as `≥31.2 [29.8, 32.7]` or `0.41..0.52` is sorted by; empty where it has no number."""
    match = _FIRST_NUMBER.search(text)
    return match[0].replace(",", "") if match else ""


def _statuses(summaries: Sequence[CellSummary]) -> str:
    counts = {status: sum(cell.statuses.get(status, 0) for cell in summaries) for status in Status}
    rows = [
        f'<tr><th scope="row" class="words">{_text(status.name)}</th><td>{count:,}</td>'
        f'<td class="prose">{_text(status.sentence)}</td></tr>'
        for status, count in counts.items()
        if count
    ]
    return _head(["status", "markets", "meaning"]) + _body(rows)


def _manifest(manifest: Mapping[str, Any]) -> str:
    config = manifest["config"]
    entries = [
        ("identity", manifest["identity"]),
        ("started", manifest["created"]),
        *(("versions", spelled([each])) for each in _versions(manifest)),
        *((name, value) for name, value in config.items() if name != "grid"),
    ]
    return _body([f'<tr><th scope="row">{_text(k)}</th><td class="broken">{_text(v)}</td></tr>' for k, v in entries])


def _reproduce(manifest: Mapping[str, Any]) -> str:
    """The config, and the commands that measure the same rows and write this page from them."""
    config = manifest["config"]
    try:
        text, hint = as_toml(config), "Save the config as scan.toml:"
    except ValueError as error:
        text, hint = _json(config), f"The config, as JSON since TOML cannot hold it ({error}); write it as scan.toml:"
    commands = "pluraljax scan scan.toml --out results\npluraljax report results"
    versions = spelled(_versions(manifest))
    return (
        f"<p>With {_text(versions)}. The seed and the config fix every market: market i depends on the seed and i "
        "alone. The same versions on the same kind of machine give the same rows to the last bit, others the same "
        f"markets.</p>\n<p>{_text(hint)}</p>\n"
        f'<pre tabindex="0">{_text(text)}</pre>\n<p>Then:</p>\n<pre tabindex="0">{_text(commands)}</pre>'
    )


def _versions(manifest: Mapping[str, Any]) -> list[Mapping[str, str]]:
    """Of all that measured rows; a manifest in format 1 knows of one."""
    made = manifest["versions"]
    return [made] if isinstance(made, Mapping) else list(made)


def _head(names: Sequence[str]) -> str:
    return "<thead><tr>" + "".join(f'<th scope="col">{_text(name)}</th>' for name in names) + "</tr></thead>"


def _row(name: str, entries: Sequence[Any]) -> str:
    cells = "".join(f"<td>{_text(entry)}</td>" for entry in entries)
    return f'<tr><th scope="row">{_text(name)}</th>{cells}</tr>'


def _body(rows: Sequence[str]) -> str:
    return "<tbody>\n" + "\n".join(rows) + "\n</tbody>"
