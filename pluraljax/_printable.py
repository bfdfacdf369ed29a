"""Names as they can be shown: whatever a file or a folder calls something takes part of a line, and does nothing else.

Names come from tables, manifests and folders that somebody else may have made. What writes to a terminal, a text, a
figure, a page or a CSV file passes them through here first.
"""

import difflib
import re
from collections.abc import Iterable
from typing import Any

# Characters that a name, and a list of names, may take.
LONGEST = 60
_MOST_LISTED = 8
# Names that one is compared with, for a suggestion.
_MOST_COMPARED = 1000
# What spreadsheets take for the start of a formula, in both widths.
_FORMULA = tuple("=+-@\t\r\n＝＋－＠")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def printable(name: Any, longest: int | None = LONGEST) -> str:
    """Shows a name on one line, and the two ends of one that is longer than `longest`.

    Control characters, escape sequences, marks that turn the direction of writing, and whatever else is no printable
    character, are spelled as in Python: `\\x1b`, `\\u202e`.
    """
    text = str(name)
    if not text.isprintable():
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
    return _cut(text, longest)


def printable_lines(text: str) -> str:
    """A message of one or more lines in which names may stand as they are."""
    return "\n".join(printable(line, None) for line in text.split("\n"))


def quoted(value: Any) -> str:
    """Shows a name, or another entry of a file, as Python spells it, for an error."""
    try:
        return _cut(repr(value), LONGEST)
    except (ValueError, RecursionError):  # more digits than Python spells, or lists in lists without end
        return f"a {type(value).__name__} too large to be shown"


def listed(names: Iterable[Any]) -> str:
    """Lists names for an error; of many, the first few."""
    names = list(names)
    left_out = len(names) - _MOST_LISTED
    shown = ", ".join(map(quoted, names[:_MOST_LISTED])) or "nothing"
    return shown + (f" and {left_out:,} more" if left_out > 0 else "")


def did_you_mean(name: Any, known: Iterable[str]) -> str:
    """Suggests the nearest known name, in a sentence with a blank before it; nothing where none is near."""
    nearest = nearest_names(name, known)
    return f" Did you mean {quoted(nearest[0])}?" if nearest else ""


def nearest_names(name: Any, known: Iterable[str], most: int = 1) -> list[str]:
    """The known names that another one is most like, the nearest first; none where none is near."""
    cut = {each[:100]: each for each in [*known][:_MOST_COMPARED]}
    return [cut[each] for each in difflib.get_close_matches(str(name)[:100], cut, n=most)]


def for_figures(name: Any, longest: int | None = LONGEST) -> str:
    """As `printable`, with dollar signs that Matplotlib does not read as mathematics."""
    return printable(name, longest).replace("$", r"\$")


def for_spreadsheets(value: Any) -> Any:
    """An entry of a CSV file: texts are printable, and none of them is a formula; numbers stay as they are."""
    if not isinstance(value, str):
        return value
    text = printable(value, None)
    return f"'{text}" if value.startswith(_FORMULA) and not _NUMBER.fullmatch(value) else text


def _cut(text: str, longest: int | None) -> str:
    if longest is None or len(text) <= longest:
        return text
    tail = (longest - 1) // 3
    return f"{text[: longest - 1 - tail]}…{text[len(text) - tail :]}"
