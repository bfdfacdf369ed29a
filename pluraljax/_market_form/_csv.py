"""Markets from a spreadsheet: a row for each payoff, in the columns who, user, action, state and payoff.

Or a wide one: a column for each state in place of the columns state and payoff.
"""

import io
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from .._files._rows import csv_rows, decimal_comma, decoded
from .._printable import did_you_mean, quoted
from ._form import Draft, Form, finite_number
from ._header import read_header
from ._names import MarketNames

# Bytes and rows of a file.
MOST_BYTES, MOST_ROWS = 2**25, 2**19
# Whose payoffs these rows hold; everybody else is a provider. The other two rows are about users, and no payoffs.
_USER, _PRIOR, _MASS = "user", "prior", "mass"
_ALL = ("", "*")
# A market in which there is nothing to be known.
_ONE_STATE = ("always",)


# Where a row stands, and its entries.
_Line = tuple[str, list[str]]


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


def _one_too_many(entries: list[str], wanted: int) -> str:
    """What may be the matter with a row that has one entry more than there are columns."""
    if len(entries) != wanted + 1:
        return ""
    hint = decimal_comma(",".join(entries[-2:]))
    return f" One is too many; or is {','.join(entries[-2:])} one number?{hint}" if hint else " One is too many."


def _read_rows(path: Path) -> list[_Row]:
    lines = csv_rows(path, io.StringIO(_text(path), newline=""))
    where, spelled = next(lines, ("line 1", []))
    body: list[_Line] = []
    for at, entries in lines:
        if len(entries) != len(spelled):
            count = f"{len(entries)} entr{'y' if len(entries) == 1 else 'ies'} under {len(spelled)} columns"
            raise ValueError(f"{path}, {at}: {count}.{_one_too_many(entries, len(spelled))}")
        if len(body) >= MOST_ROWS:
            raise ValueError(f"{path} has more than {MOST_ROWS:,} rows, the most that are read.")
        body.append((at, entries))
    header, states = read_header(path, where, spelled, body)
    rows: list[_Row] = []
    for at, entries in body:
        named = dict(zip(header, entries, strict=True))
        named["who"] = _special(named["who"])
        rows += _wide_rows(path, at, named, states) if states else [_row(path, at, named)]
    return rows


def _special(who: str) -> str:
    """A word that stands for no provider in small letters, as columns are read; names stay as they are."""
    return who.lower() if who.lower() in (_USER, _PRIOR, _MASS) else who


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
    return decoded(path, data)


def _row(path: Path, where: str, entries: dict[str, str]) -> _Row:
    name = lambda column: None if entries.get(column, "") in _ALL else entries[column]
    who, user, action, state = entries["who"], name("user"), name("action"), name("state")
    if not who:
        problem = "nobody in column 'who'; it takes 'user' or the name of a provider"
    elif who not in (_PRIOR, _MASS) and action is None:
        problem = f"no action; every payoff is that of one action.{did_you_mean(who, (_PRIOR, _MASS))}".rstrip(".")
    elif who in (_PRIOR, _MASS) and action is not None:
        problem = f"a row of {quoted(who)} has no action, got {quoted(action)}"
    elif who == _MASS and state is not None:
        problem = f"a mass has no state, got {quoted(state)}"
    elif who == _PRIOR and state is None:
        problem = "no state; every probability is that of one state"
    else:
        what = {_PRIOR: "a probability", _MASS: "a mass"}.get(who, "payoff")
        return _Row(where, who, user, action or "", state, finite_number(path, where, what, entries["payoff"]))
    raise ValueError(f"{path}, {where}: {problem}{'' if problem.endswith('?') else '.'}")


def _names_of(path: Path, rows: list[_Row]) -> MarketNames:
    """The names of the market: those that say what there is, in the order in which they come."""
    own = [row for row in rows if row.who == _USER]
    providers = _distinct(row.who for row in rows if row.who not in (_USER, _PRIOR, _MASS))
    if not rows:
        raise ValueError(f"{path} has no rows under its header.")
    if not own:
        raise ValueError(_no_users(path, rows))
    if not providers:
        raise ValueError(f"{path} has no row of a provider, whose name stands in column 'who'.")
    users = _distinct(row.user for row in own) or _distinct(row.user for row in rows) or ("everybody",)
    priors = [row for row in rows if row.who == _PRIOR]
    states = _distinct(row.state for row in priors) or _distinct(row.state for row in own)
    states = states or _distinct(row.state for row in rows) or _ONE_STATE
    return MarketNames(users, providers, _distinct(row.action for row in own), states)


def _no_users(path: Path, rows: list[_Row]) -> str:
    said = "no row whose 'who' is 'user', for what users get"
    for row in rows:
        if row.who not in (_PRIOR, _MASS) and (hint := did_you_mean(row.who, (_USER,))):
            return f"{path}, {row.where}: 'who' is {quoted(row.who)}, and there is {said}.{hint}"
    return f"{path} has {said}."


def _distinct(names: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if name))
