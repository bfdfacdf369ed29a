"""The first row of a market in a spreadsheet: which columns there are, and which of them are states.

Columns that are neither are asked about. A column is judged by its name and by what is in it: states hold numbers.
"""

import difflib
import re
from collections.abc import Sequence
from pathlib import Path

from .._printable import did_you_mean, listed, quoted
from ._names import repeated_names

COLUMNS = ("who", "user", "action", "state", "payoff")
_NEEDED = ("who", "action", "payoff")
# How much of a name has to be the same for a slip, whatever is in the column: no state is called "payoffs".
_ALIKE = 0.8
# How a number begins, also one that is spelled in a way that is not read.
_NUMERIC = re.compile(r"[+-]?[.,]?\d")


def read_header(
    path: Path, where: str, spelled: Sequence[str], rows: Sequence[tuple[str, list[str]]]
) -> tuple[list[str], tuple[str, ...]]:
    """Reads the names of columns, as they are called here, and the states, where there is a column for each.

    Raises `ValueError` with what the column might be for whatever is no column and no state.
    """
    header = [name.lower() if name.lower() in COLUMNS else name for name in spelled]
    _check_names(path, where, header)
    unknown = [name for name in header if name not in COLUMNS]
    states = [name for name in unknown if _is_state(name, header.index(name), rows)]
    may_be_wide = "payoff" not in header and "state" not in header and len(unknown) > 1
    if may_be_wide and states == unknown:
        _check_lacking(path, header, _NEEDED[:-1])
        return header, tuple(unknown)
    # Whatever is called almost like a column that is not there comes first.
    strange = [name for name in unknown if not may_be_wide or name not in states]
    strange.sort(key=lambda name: not _meant(name, header))
    if "payoff" not in header and not may_be_wide and len(states) > 1:
        raise ValueError(
            f"{path}, {where}: there is no column 'payoff'. A row holds one payoff: give each number under "
            f"{listed(states)} a row of its own, with whose it is in the columns 'who' and 'user'; {_wanted()}. Or "
            "leave out the columns 'state' and 'payoff', and have a column for each state."
        )
    if strange:
        raise ValueError(f"{path}, {where}: {_no_column(strange[0], header, rows)}")
    _check_lacking(path, header, _NEEDED)
    return header, ()


def _check_names(path: Path, where: str, header: list[str]) -> None:
    if any(_is_number(name) for name in header):
        raise ValueError(f"{path}, {where}: {_wanted()}; here it holds a number already.")
    if "" in header:
        raise ValueError(f"{path}, {where}: column {header.index('') + 1} has no name; give it one, or leave it out.")
    if repeated := sorted(repeated_names([name.lower() for name in header])):
        raise ValueError(f"{path}, {where}: its columns {listed(repeated)} appear twice.")


def _check_lacking(path: Path, header: list[str], needed: Sequence[str]) -> None:
    if lacking := [name for name in needed if name not in header]:
        raise ValueError(f"{path} needs the columns {', '.join(needed)}; {listed(lacking)} is missing.")


def _wanted() -> str:
    return f"the first line must name the columns: {','.join(COLUMNS)}"


def _is_state(name: str, place: int, rows: Sequence[tuple[str, list[str]]]) -> bool:
    """Whether a column may be a state: mostly numbers, of what is there, and nothing that is called a payoff."""
    if difflib.get_close_matches(name.lower(), ["payoff"], n=1, cutoff=_ALIKE):
        return False
    there = [entries[place] for _, entries in rows if entries[place]]
    numbers = sum(bool(_NUMERIC.match(entry)) for entry in there)
    return 2 * numbers > len(there) or not rows


def _meant(name: str, header: list[str]) -> str:
    """The question whether a column that is not there was meant; empty where none is called like that."""
    return did_you_mean(name.lower(), [each for each in COLUMNS if each not in header])


def _no_column(name: str, header: list[str], rows: Sequence[tuple[str, list[str]]]) -> str:
    """What is wrong with a column, and what it may be."""
    place = header.index(name)
    there = [(where, entries[place]) for where, entries in rows if entries[place]]
    texts = [(where, entry) for where, entry in there if not _NUMERIC.match(entry)]
    lacking = [each for each in (("who", "user", "action") if texts else ("payoff",)) if each not in header]
    # Of a single one that is missing it may be a translation.
    meant = _meant(name, header) or (f" Did you mean {quoted(lacking[0])}?" if len(lacking) == 1 else " Leave it out.")
    is_wide = "payoff" not in header and "state" not in header
    why = ""
    if is_wide and texts:
        why = f", and it is no state: {texts[0][0]} has {quoted(texts[0][1])} in it, and states have numbers"
    elif is_wide and rows and not there:
        why = ", and nothing is in it"
    return f"there is no column {quoted(name)}{why}.{meant} Known: {', '.join(COLUMNS)}."


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
