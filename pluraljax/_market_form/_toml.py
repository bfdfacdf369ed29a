"""Markets from a TOML file: a table for each user and each provider, payoffs by name or as a matrix."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .._files._toml import read_toml
from .._printable import did_you_mean, listed, printable, quoted
from ._form import Draft, Form, finite_number, unknown_name
from ._names import MarketNames, repeated_names

_TOP = ("actions", "states", "prior", "users", "providers")
_OF_USER = ("payoff", "prior", "mass")
_OF_PROVIDER = ("payoff", "from")


def read_toml_form(path: Path) -> Form:
    """Reads a market from a TOML file: lists `actions` and `states`, and tables `[users.NAME]` and `[providers.NAME]`.

    `payoff` holds an entry for each action, in a table by their names or a list in their order. An entry is one number
    for all states, a list in their order, or a table by their names. A provider has a `payoff` that is the same from
    all users, or tables `[providers.NAME.from.USER]` by action. `prior`, a list or table of probabilities of states,
    stands on top or in every user's table, and `mass` in the latter. Raises `ValueError` with the file and the key for
    whatever is wrong.
    """
    given = read_toml(path)
    _check_keys(path, "", given, _TOP)
    for needed in ("actions", "users", "providers"):
        if needed not in given:
            raise ValueError(f"{path}: there is no {needed!r}; a market needs actions, users and providers.")
    names = MarketNames(
        tuple(_table(path, "users", given["users"])),
        tuple(_table(path, "providers", given["providers"])),
        _names(path, "actions", given["actions"]),
        _names(path, "states", given["states"]) if "states" in given else ("always",),
    )
    form = _Reader(path, names)
    if "prior" in given:
        form.prior("prior", None, given["prior"])
    for name, table in given["users"].items():
        form.user(name, table)
    for name, table in given["providers"].items():
        form.provider(name, table)
    return form.draft.finished()


class _Reader:
    """Goes through the tables of a file whose names are known, and fills the draft of a market."""

    def __init__(self, path: Path, names: MarketNames):
        self._path, self.draft = path, Draft(path, names)
        self._users = frozenset(names.users)
        self._by = {"action": dict.fromkeys(names.actions), "state": dict.fromkeys(names.states)}

    def prior(self, where: str, user: str | None, value: Any) -> None:
        for at, state, entry in self._entries(where, "state", value):
            self.draft.put_prior(at, user, state, finite_number(self._path, at, "a probability", entry))

    def user(self, name: str, table: Any) -> None:
        where = f"users.{printable(name)}"
        _check_keys(self._path, where, _table(self._path, where, table), _OF_USER)
        if "payoff" not in table:
            raise ValueError(f"{self._path}, {where}: there is no 'payoff'.")
        self._payoff(f"{where}.payoff", None, name, table["payoff"])
        if "prior" in table:
            self.prior(f"{where}.prior", name, table["prior"])
        if "mass" in table:
            mass = finite_number(self._path, f"{where}.mass", "a mass", table["mass"])
            self.draft.put_mass(f"{where}.mass", name, mass)

    def provider(self, name: str, table: Any) -> None:
        where = f"providers.{printable(name)}"
        _check_keys(self._path, where, _table(self._path, where, table), _OF_PROVIDER)
        if ("payoff" in table) == ("from" in table):
            raise ValueError(
                f"{self._path}, {where}: needs either 'payoff', the same from all users, or tables by user in 'from'."
            )
        if "payoff" in table:
            self._payoff(f"{where}.payoff", name, None, table["payoff"])
            return
        for user, payoff in _table(self._path, f"{where}.from", table["from"]).items():
            if user not in self._users:
                raise ValueError(f"{self._path}, {where}.from: {unknown_name('user', user, sorted(self._users))}")
            self._payoff(f"{where}.from.{printable(user)}", name, user, payoff)

    def _payoff(self, where: str, provider: str | None, user: str | None, value: Any) -> None:
        for at, action, entry in self._entries(where, "action", value):
            states = self._entries(at, "state", entry) if isinstance(entry, Mapping | list) else [(at, None, entry)]
            for place, state, number in states:
                payoff = finite_number(self._path, place, "a payoff", number)
                self.draft.put_payoff(place, provider, user, action, state, payoff)

    def _entries(self, where: str, axis: str, value: Any) -> Iterator[tuple[str, str, Any]]:
        """Goes through a list in the order of the names of an axis, or a table by name: (where, name, entry)."""
        names = self._by[axis]
        if not isinstance(value, Mapping | list):
            raise ValueError(f"{self._path}, {where}: needs a list, or a table by {axis}, got {quoted(value)}.")
        if isinstance(value, list) and len(value) != len(names):
            raise ValueError(
                f"{self._path}, {where}: needs an entry for each {axis}, {len(names)} in all, got {len(value)}."
            )
        entries = zip(names, value, strict=True) if isinstance(value, list) else value.items()
        for name, entry in entries:
            if name not in names:
                raise ValueError(f"{self._path}, {where}: {unknown_name(axis, name, tuple(names))}")
            yield f"{where}.{printable(name)}", name, entry


def _check_keys(path: Path, where: str, table: Mapping[str, Any], known: Sequence[str]) -> None:
    at = f", {where}" if where else ""
    for key in table:
        if key not in known:
            hint = did_you_mean(key, known)
            raise ValueError(f"{path}{at}: there is no key {quoted(key)} here.{hint} Known: {', '.join(known)}.")


def _table(path: Path, where: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not value or "" in value:
        raise ValueError(f"{path}, {where}: needs a table of names, got {quoted(value)}.")
    return value


def _names(path: Path, where: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(each, str) and each for each in value):
        raise ValueError(f"{path}, {where}: needs a list of names, got {quoted(value)}.")
    if repeated := repeated_names(value):
        raise ValueError(f"{path}, {where}: {listed(repeated)} appears a second time.")
    return tuple(value)
