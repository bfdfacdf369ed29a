"""A market that is said entry by entry: every number once, none twice, and all that is missing has a name."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from .._files._rows import decimal_comma
from .._printable import did_you_mean, listed, nearest_names, quoted
from ._names import MarketNames

# Entries that all payoffs of a market may have together, and its prior once evidence is the state.
MOST_ENTRIES = 2**22
# As far as a prior may be from 1 in all: decimals are rounded.
_PRIOR_OFF = 1e-6


# Axes of payoffs, and who comes after the last provider: what users get themselves.
_AXES, _USERS = ("provider", "user", "action", "state"), "user"
# Names that are compared with others where something is missing: those that are read least often.
_MOST_DOUBTED = 20


@dataclass(frozen=True)
class Form:
    """One market as arrays, for `observed_market`, and its names."""

    names: MarketNames
    user_value: Float[np.ndarray, "user action state"]
    provider_value: Float[np.ndarray, "provider user action state"]
    prior: Float[np.ndarray, "user state"] | None
    mass: Float[np.ndarray, " user"] | None


class _Doubted(NamedTuple):
    """A name that may be misspelt: its place on an axis, where it is read first, and what to ask."""

    axis: int
    place: int
    where: str
    question: str


class Draft:
    """Collects the numbers of a form; `path` is what errors call its file."""

    def __init__(self, path: Path, names: MarketNames):
        self._path, self._names = path, names
        users, providers = len(names.users), len(names.providers)
        actions, states = len(names.actions), len(names.states)
        _check_size(path, (providers + 1) * users * actions * states, users * states * states)
        self._place = {
            "user": {name: place for place, name in enumerate(names.users)},
            "provider": {name: place for place, name in enumerate(names.providers)},
            "action": {name: place for place, name in enumerate(names.actions)},
            "state": {name: place for place, name in enumerate(names.states)},
        }
        # The users come last, after all providers.
        self._payoff = np.full((providers + 1, users, actions, states), np.nan)
        self._prior, self._mass = np.full((users, states), np.nan), np.full(users, np.nan)
        # Where names, and priors and masses of users, are first read, and how often names are.
        self._read: dict[tuple[str, str], tuple[str, int]] = {}
        self._first: dict[tuple[str, int], str] = {}
        # Which payoffs are those of a user, or a state, that was named.
        self._named = {axis: np.zeros(self._payoff.shape, bool) for axis in ("user", "state")}

    def put_payoff(
        self, where: str, provider: str | None, user: str | None, action: str, state: str | None, value: float
    ) -> None:
        """Takes a payoff of a provider, or of users themselves if it is None; no user, or state, means all of them."""
        who = len(self._names.providers) if provider is None else self._at(where, "provider", provider)
        at = (who, self._at(where, "user", user), self._at(where, "action", action), self._at(where, "state", state))
        for axis, name in (("provider", provider or _USERS), ("user", user), ("action", action), ("state", state)):
            if name is not None:
                first, times = self._read.get((axis, name), (where, 0))
                self._read[axis, name] = first, times + 1
        if not np.isnan(self._payoff[at]).all():
            raise ValueError(f"{self._path}, {where}: a second payoff {self._spelled(provider, user, action, state)}.")
        self._payoff[at] = value
        for axis, name in (("user", user), ("state", state)):
            self._named[axis][at] = name is not None

    def put_prior(self, where: str, user: str | None, state: str, value: float) -> None:
        """Takes the probability of a state, for all users where none is named."""
        at = self._at(where, "user", user), self._at(where, "state", state)
        self._note("prior", at[0], where)
        if not np.isnan(self._prior[at]).all():
            of = "" if user is None else f" for user {quoted(user)}"
            raise ValueError(f"{self._path}, {where}: a second probability of state {quoted(state)}{of}.")
        if value < 0:
            raise ValueError(f"{self._path}, {where}: a probability must be >= 0, got {value:g}.")
        self._prior[at] = value

    def put_mass(self, where: str, user: str | None, value: float) -> None:
        """Takes how many people a user stands for."""
        at = self._at(where, "user", user)
        self._note("mass", at, where)
        if not np.isnan(self._mass[at]).all():
            of = "" if user is None else f" of user {quoted(user)}"
            raise ValueError(f"{self._path}, {where}: a second mass{of}.")
        if value <= 0:
            raise ValueError(f"{self._path}, {where}: a mass must be positive, got {value:g}.")
        self._mass[at] = value

    def finished(self) -> Form:
        """The market; raises `ValueError` where something is missing, or a prior does not sum to 1."""
        if (missing := np.argwhere(np.isnan(self._payoff))).size:
            raise ValueError(self._missing(missing))
        prior = self._whole("prior", self._prior, "probability of state", "no prior at all means equal ones")
        mass = self._whole("mass", self._mass, "mass", "no mass at all means equal ones")
        if prior is not None and (off := np.abs(prior.sum(axis=1) - 1)).max() > _PRIOR_OFF:
            user = int(off.argmax())
            whose = quoted(self._names.users[user])
            raise ValueError(
                f"{self._path}, {self._first['prior', user]}: the prior of user {whose}, which begins here, sums to "
                f"{prior[user].sum():.9g} instead of 1. Divide it by its sum."
            )
        return Form(self._names, self._payoff[-1], self._payoff[:-1], prior, mass)

    def _at(self, where: str, axis: str, name: str | None) -> Any:
        if name is None:
            return slice(None)
        known = self._place[axis]
        if name not in known:
            raise ValueError(f"{self._path}, {where}: {unknown_name(axis, name, tuple(known))}")
        return known[name]

    def _spelled(self, provider: str | None, user: str | None, action: str, state: str | None) -> str:
        users = "all users" if user is None else f"user {quoted(user)}"
        who = f"of {users}" if provider is None else f"of provider {quoted(provider)} from {users}"
        in_state = "" if len(self._names.states) == 1 else f" in state {quoted(state)}" if state else " in all states"
        return f"{who} for action {quoted(action)}{in_state}"

    def _note(self, what: str, user: Any, where: str) -> None:
        for each in np.arange(len(self._names.users))[user].ravel().tolist():
            self._first.setdefault((what, each), where)

    def _missing(self, places: np.ndarray) -> str:
        names, doubted = self._names, self._misspelt(places)
        of_doubted = places if doubted is None else places[places[:, doubted.axis] == doubted.place]
        who, user, action, state = (of_doubted if len(of_doubted) else places)[0].tolist()
        provider = names.providers[who] if who < len(names.providers) else None
        entry = self._spelled(provider, names.users[user], names.actions[action], names.states[state])
        more = f" (and {len(places) - 1:,} more)" if len(places) > 1 else ""
        if doubted is None:
            return f"{self._path}: there is no payoff {entry}{more}."
        return f"{self._path}, {doubted.where}: there is no payoff {entry}{more}. {doubted.question}"

    def _misspelt(self, places: np.ndarray) -> "_Doubted | None":
        """A name that may be another one, misspelt: nothing is said twice if it is, and that one is read more often.

        Of two that are read as often it is the one that is read later.
        """
        order = {key: place for place, key in enumerate(self._read)}
        rank = lambda key: (-self._read[key][1], order[key])
        some = [(axis, place) for axis in range(4) for place in np.unique(places[:, axis]).tolist()]
        named = {(axis, place): self._name_at(axis, place) for axis, place in some}
        doubtful = sorted((at for at in some if named[at] in self._read), key=lambda at: rank(named[at]))
        for axis, place in doubtful[: -_MOST_DOUBTED - 1 : -1]:
            kind, name = named[axis, place]
            said = ~np.isnan(self._payoff) & self._named.get(kind, True)
            where, times = self._read[kind, name]
            known = {each: at for at, each in enumerate([*self._place[kind], *[_USERS] * (axis == 0)])}
            others = [each for of, each in self._read if of == kind and rank((of, each)) < rank((kind, name))]
            for near in nearest_names(name, others, most=3):
                if not (said.take(place, axis) & said.take(known[near], axis)).any():
                    other, uses = self._read[kind, near]
                    ask = f"Did you mean {quoted(near)}" if uses > times else f"Is it the same as {quoted(near)}"
                    return _Doubted(axis, place, where, f"Here {kind} {quoted(name)} is read first. {ask} ({other})?")
        return None

    def _name_at(self, axis: int, place: int) -> tuple[str, str]:
        kind = _AXES[axis]
        is_theirs = kind == "provider" and place == len(self._names.providers)
        return kind, "" if is_theirs else [*self._place[kind]][place]

    def _whole(self, name: str, values: np.ndarray, what: str, otherwise: str) -> np.ndarray | None:
        """The array, if all of it was said; None if nothing was."""
        empty = np.isnan(values)
        if empty.all():
            return None
        if empty.any():
            user, *state = np.argwhere(empty)[0].tolist()
            of_state = f" {quoted(self._names.states[state[0]])}" if state else ""
            of = quoted(self._names.users[user])
            first = next(where for (each, _), where in self._first.items() if each == name)
            where = self._first.get((name, user), first)
            raise ValueError(f"{self._path}, {where}: there is no {what}{of_state} for user {of}; {otherwise}.")
        return values


def unknown_name(axis: str, name: str, known: Sequence[str]) -> str:
    """The sentences that say that nothing has this name."""
    return f"there is no {axis} {quoted(name)}.{did_you_mean(name, known)} Known: {listed(known)}."


def finite_number(path: Path, where: str, what: str, entry: Any) -> float:
    """A finite number of a text or a TOML value; raises `ValueError` for anything else."""
    try:
        # Python also reads `1_0` and the digits of other scripts, which files of numbers do not mean.
        spelled = isinstance(entry, str) and ("_" in entry or not entry.isascii())
        number = math.nan if spelled or isinstance(entry, bool) else float(entry)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        hint = decimal_comma(entry) or _percent(entry)
        raise ValueError(f"{path}, {where}: {what} must be a finite number, got {quoted(entry)}.{hint}")
    return number


def _check_size(path: Path, payoffs: int, prior: int) -> None:
    """Raises `ValueError`, before memory is taken, for a market that is too large to be written by hand."""
    for what, size in (("payoffs, all named users and providers counted,", payoffs), ("probabilities", prior)):
        if size > MOST_ENTRIES:
            raise ValueError(f"{path}: the market has {size:,} {what} and at most {MOST_ENTRIES:,} are allowed here.")


def _percent(entry: Any) -> str:
    """What to write in place of a percentage, in a sentence with a blank before it; nothing where it is none."""
    try:
        return f" Write {float(entry.strip().removesuffix('%')) / 100:.9g}." if entry.strip().endswith("%") else ""
    except (AttributeError, ValueError):
        return ""
