"""How measurements are shown: a table a section, in a terminal of 80 columns, and between the markers of a page.

A measured section is plain data: `columns`, `rows` (words, numbers, or None for what was not measured), and `notes`.
"""

import math
import textwrap
from collections.abc import Mapping
from typing import Any

_WIDTH = 80


def as_word(entry: Any) -> str:
    """A cell of a table: three digits, which is as many as times are good for."""
    if entry is None:
        return "-"
    if not isinstance(entry, float):
        return str(entry)
    if entry == 0 or not 1e-2 <= abs(entry) < 1e6:
        return f"{entry:.2g}"
    return f"{entry:,.{max(0, 2 - math.floor(math.log10(abs(entry))))}f}"


def as_text(section: Mapping[str, Any]) -> str:
    """A table for the terminal, columns padded, and its notes."""
    lines = [section["columns"], *([as_word(entry) for entry in row] for row in section["rows"])]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    numbers = _numeric(section)
    show = lambda word, width, number: word.rjust(width) if number else word.ljust(width)
    told = ["  ".join(map(show, line, widths, numbers)).rstrip() for line in lines]
    notes = [textwrap.fill(note, _WIDTH, subsequent_indent="  ") for note in section["notes"]]
    return "\n".join([*told, *notes])


def as_markdown(section: Mapping[str, Any]) -> str:
    """The same for a page."""
    marks = ["---:" if number else "---" for number in _numeric(section)]
    lines = [section["columns"], marks, *([as_word(entry) for entry in row] for row in section["rows"])]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return "\n\n".join([table, *(textwrap.fill(note, 120) for note in section["notes"])])


def fill_page(page: str, measured: Mapping[str, Any]) -> str:
    """The text of a page with what is between `<!-- NAME -->` and `<!-- /NAME -->` replaced.

    NAME is a section, or `machine`. Raises `ValueError` where the page lacks a pair of markers.
    """
    parts = {name: as_markdown(section) for name, section in measured["sections"].items()}
    for name, text in ({"machine": as_machine(measured)} | parts).items():
        begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        if page.count(begin) != 1 or page.count(end) != 1:
            raise ValueError(f"The page needs {begin} and {end}, each once.")
        before, _, rest = page.partition(begin)
        page = f"{before}{begin}\n\n{text}\n\n{end}{rest.partition(end)[2]}"
    return page


def as_machine(measured: Mapping[str, Any]) -> str:
    """What was measured with, in a sentence."""
    versions = ", ".join(f"{name} {version}" for name, version in measured["versions"].items())
    run = "a small run (`--quick`)" if measured["quick"] else "one run"
    return textwrap.fill(
        f"Measured on {measured['date']}, on one core of {measured['machine']}, in {run} of "
        f"{measured['minutes']:.0f} minutes, with {versions}.",
        120,
    )


def _numeric(section: Mapping[str, Any]) -> list[bool]:
    columns = zip(*section["rows"], strict=True)
    return [any(isinstance(entry, int | float) for entry in column) for column in columns]
