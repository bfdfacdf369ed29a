"""Markets from a spreadsheet: a row for each payoff, in the columns who, user, action, state and payoff.

Or a wide one: a column for each state in place of the columns state and payoff.
"""

import difflib
import io
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from .._files._rows import csv_rows, decimal_comma
from .._printable import did_you_mean, listed, quoted
from ._form import Draft, Form, finite_number
from ._names import MarketNames, repeated_names

# Bytes and rows of a file.
MOST_BYTES, MOST_ROWS = 2**25, 2**19
_COLUMNS = ("who", "user", "action", "state", "payoff")
_NEEDED = ("who", "action", "payoff")
# Whose payoffs these rows hold; everybody else is a provider. The other two rows are about users, and no payoffs.
_USER, _PRIOR, _MASS = "user", "prior", "mass"
_ALL = ("", "*")
# How much of a name has to be the same for a slip: "users" and "payof" are slips, and "hot" is none of "who".
_ALIKE = 0.8
# A market in which there is nothing to be known.
_ONE_STATE = ("always",)


class _Row(NamedTuple):
    where: str
    who: str
    user: str | None
    action: str
    state: str | None
    value: float


def read_csv_form(path: Path) -> Form:
    """Reads a market from a CSV file with the columns who, user, action, state and payoff, in any order.

    `who` is `user`, for what users get themselves, or the name of a provider. An empty `user` or `state`, or `*`, means
    all of them; both columns may be left out. Rows whose `who` is `prior` hold probabilities of states, those with
    `mass` how many people a user stands for. In place of `state` and `payoff` there may be a column for each state,
    with its name; a row of `mass` then has one entry. What users' own rows name are the users and actions of the
    market, and what `prior` rows name are its states. Raises `ValueError` with the file and the line for whatever is
    wrong.
    """
    rows = _read_rows(path)
    names = _names_of(path, rows)
    draft = Draft(path, names)
    for where, who, user, action, state, value in rows:
        if who == _PRIOR:
            draft.put_prior(where, user, state or "", value)
        elif who == _MASS:
            draft.put_mass(where, user, value)
        else:
            draft.put_payoff(where, None if who == _USER else who, user, action, state, value)
    return draft.finished()


def _read_rows(path: Path) -> list[_Row]:
    lines = csv_rows(path, io.StringIO(_text(path), newline=""))
    where, spelled = next(lines, ("line 1", []))
    header = [name.lower() for name in spelled]
    if states := _wide_states(header, spelled):
        header = [name if name in _COLUMNS else own for name, own in zip(header, spelled, strict=True)]
    _check_header(path, where, header, spelled, states)
    rows: list[_Row] = []
    for where, entries in lines:
        # Spreadsheets write rows of nothing.
        if not any(entries):
            continue
        if len(entries) != len(header):
            hint = decimal_comma(",".join(entries[-2:])) if len(entries) == len(header) + 1 else ""
            raise ValueError(f"{path}, {where}: {len(entries)} entries under {len(header)} columns.{hint}")
        if len(rows) >= MOST_ROWS:
            raise ValueError(f"{path} has more than {MOST_ROWS:,} rows, the most that are read.")
        named = dict(zip(header, entries, strict=True))
        rows += _wide_rows(path, where, named, states) if states else [_row(path, where, named)]
    return rows


def _wide_states(header: list[str], spelled: list[str]) -> tuple[str, ...]:
    """The states that a header names, where there are columns for them; none where it is the usual one."""
    if "payoff" in header or "state" in header:
        return ()
    others = [own for name, own in zip(header, spelled, strict=True) if name not in _COLUMNS]
    if len(others) < 2 or any(_is_number(name) or not name or _is_misspelt(name.lower()) for name in others):
        return ()
    return tuple(others)


def _is_misspelt(name: str) -> bool:
    """Whether it is one of the usual columns with a slip, which no state is called like."""
    return bool(difflib.get_close_matches(name, _COLUMNS, n=1, cutoff=_ALIKE))


def _wide_rows(path: Path, where: str, entries: dict[str, str], states: tuple[str, ...]) -> list[_Row]:
    """The rows that one of a wide table stands for."""
    shared = {name: entry for name, entry in entries.items() if name not in states}
    if shared["who"] != _MASS:
        return [_row(path, where, shared | {"state": state, "payoff": entries[state]}) for state in states]
    masses = [entries[state] for state in states if entries[state]]
    if len(masses) != 1:
        raise ValueError(f"{path}, {where}: a mass is one number, in any of the columns of states, got {len(masses)}.")
    return [_row(path, where, shared | {"payoff": masses[0]})]


def _text(path: Path) -> str:
    with path.open("rb") as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise ValueError(f"{path} is larger than {MOST_BYTES // 2**20} MiB, the most that is read.")
    try:
        # A byte-order mark is no part of the first column's name.
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ValueError(f"{path}, line {line}: not in UTF-8 ({error.reason}).") from None


def _check_header(path: Path, where: str, header: list[str], spelled: list[str], states: tuple[str, ...]) -> None:
    if repeated := sorted(repeated_names([name.lower() for name in header])):
        raise ValueError(f"{path}, {where}: its columns {listed(repeated)} appear twice.")
    needs = f"the first line must name the columns: {','.join(_COLUMNS)}"
    if any(_is_number(name) for name in header):
        raise ValueError(f"{path}, {where}: {needs}; here it holds a number already.")
    needed = _NEEDED[:-1] if states else _NEEDED
    lacking = [name for name in needed if name not in header]
    unknown = [name for name in spelled if name.lower() not in _COLUMNS]
    if unknown and not states and "payoff" in lacking and not any(did_you_mean(name, ["payoff"]) for name in unknown):
        raise ValueError(
            f"{path}, {where}: there is no column 'payoff'. A row holds one payoff: give each number under "
            f"{listed(unknown)} a row of its own, with whose it is in the columns 'who' and 'user'; {needs}. Or leave "
            "out the columns 'state' and 'payoff', and have a column for each state."
        )
    for name in header:
        if name not in (*_COLUMNS, *states):
            # A column that is there already is not what was meant.
            hint = did_you_mean(name, [each for each in _COLUMNS if each not in header])
            raise ValueError(f"{path}, {where}: there is no column {quoted(name)}.{hint} Known: {', '.join(_COLUMNS)}.")
    if lacking:
        raise ValueError(f"{path} needs the columns {', '.join(needed)}; {listed(lacking)} is missing.")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _row(path: Path, where: str, entries: dict[str, str]) -> _Row:
    name = lambda column: None if entries.get(column, "") in _ALL else entries[column]
    who, user, action, state = entries["who"], name("user"), name("action"), name("state")
    if not who:
        problem = "nobody in column 'who'; it takes 'user' or the name of a provider"
    elif who not in (_PRIOR, _MASS) and action is None:
        problem = "no action; every payoff is that of one action"
    elif who in (_PRIOR, _MASS) and action is not None:
        problem = f"a row of {quoted(who)} has no action, got {quoted(action)}"
    elif who == _MASS and state is not None:
        problem = f"a mass has no state, got {quoted(state)}"
    elif who == _PRIOR and state is None:
        problem = "no state; every probability is that of one state"
    else:
        what = {_PRIOR: "a probability", _MASS: "a mass"}.get(who, "payoff")
        return _Row(where, who, user, action or "", state, finite_number(path, where, what, entries["payoff"]))
    raise ValueError(f"{path}, {where}: {problem}.")


def _names_of(path: Path, rows: list[_Row]) -> MarketNames:
    """The names of the market: those that say what there is, in the order in which they come."""
    own = [row for row in rows if row.who == _USER]
    providers = _distinct(row.who for row in rows if row.who not in (_USER, _PRIOR, _MASS))
    if not rows:
        raise ValueError(f"{path} has no rows under its header.")
    if not own:
        raise ValueError(
            f"{path} has no row whose 'who' is 'user', for what users get.{did_you_mean(_USER, providers)}"
        )
    if not providers:
        raise ValueError(f"{path} has no row of a provider, whose name stands in column 'who'.")
    users = _distinct(row.user for row in own) or _distinct(row.user for row in rows) or ("everybody",)
    priors = [row for row in rows if row.who == _PRIOR]
    states = _distinct(row.state for row in priors) or _distinct(row.state for row in own)
    states = states or _distinct(row.state for row in rows) or _ONE_STATE
    return MarketNames(users, providers, _distinct(row.action for row in own), states)


def _distinct(names: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if name))
