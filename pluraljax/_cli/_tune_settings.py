"""What `pluraljax tune` is asked to do: a TOML file, all of which is checked before anything is drawn or compiled."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._files._toml import read_toml
from .._printable import quoted

_KNOWN = ("objective", "segments", "delta", "seed", "instrument", "markets", "schedule")
# Markets that are tuned together, or drawn at a step, or certified; and users whose labels are written out.
_MOST_MARKETS, _MOST_USERS = 2**20, 2**16


@dataclass(frozen=True)
class Settings:
    """A checked file: `plain` is what it holds, the rest is made of it."""

    plain: Mapping[str, Any]
    objective: str
    instrument: Any
    family: Any
    count: int | None
    labels: list[int]
    delta: float
    seed: int
    schedule: Any


def read_settings(path: Path) -> Settings:
    """Reads a file; raises `ValueError`, with its path, for whatever is wrong with it."""
    plain = read_toml(path)
    try:
        return _check(plain)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{path}: {str(error)[:1000]}") from None


def _check(plain: Mapping[str, Any]) -> Settings:
    from .._families import make_family, unknown
    from .._tuning import INSTRUMENTS, Schedule
    from .._tuning._objectives import OBJECTIVES

    for name in plain:
        if name not in _KNOWN:
            raise unknown("key", name, _KNOWN)
    for name, inside in (("instrument", "name"), ("markets", "family")):
        table = plain.get(name)
        if not isinstance(table, Mapping) or not isinstance(table.get(inside), str):
            raise ValueError(f"needs a table [{name}] with a {inside}, a text.")
    objective = plain.get("objective", "weak_error")
    if not isinstance(objective, str) or objective not in OBJECTIVES:
        raise ValueError(f"objective must be one of {', '.join(OBJECTIVES)}, got {quoted(objective)}.")
    instrument, markets = dict(plain["instrument"]), dict(plain["markets"])
    name, count = instrument.pop("name"), markets.pop("count", None)
    if name not in INSTRUMENTS:
        raise unknown("instrument", name, INSTRUMENTS)
    schedule = _made(Schedule, plain.get("schedule", {}), "schedule")
    for what, number in (("batch", schedule.batch), ("held_out", schedule.held_out), ("markets.count", count or 1)):
        _whole(what, number, 1, _MOST_MARKETS)
    family = make_family(markets.pop("family"), markets)
    delta = plain.get("delta", 0.0)
    if isinstance(delta, bool) or not isinstance(delta, int | float) or not 0 <= delta < math.inf:
        raise ValueError(f"delta must be a finite number that is not negative, got {quoted(delta)}.")
    return Settings(
        plain=plain,
        objective=objective,
        instrument=_made(INSTRUMENTS[name], instrument, "instrument"),
        family=family,
        count=count,
        labels=_labels(plain.get("segments", "personalized"), family.users),  # pyright: ignore[reportAttributeAccessIssue]
        delta=float(delta),
        seed=_whole("seed", plain.get("seed", 0), 0, 2**32 - 1),
        schedule=schedule,
    )


def _made(kind: Any, values: Any, table: str) -> Any:
    """Makes a record of plain values, each of the type of its default."""
    from .._families import unknown

    if not isinstance(values, Mapping):
        raise ValueError(f"[{table}] is a table, got {quoted(values)}.")
    defaults = {field.name: field.default for field in dataclasses.fields(kind)}
    for name, value in values.items():
        if name not in defaults:
            raise unknown(f"key of [{table}]", name, defaults)
        wanted = type(defaults[name])
        fits = isinstance(value, int | float) if wanted is float else isinstance(value, wanted)
        # In Python `true` is a number, too, and in TOML infinity is one.
        odd = isinstance(value, bool) != (wanted is bool) or (isinstance(value, float) and not math.isfinite(value))
        if (not fits or odd) and value != defaults[name]:
            raise ValueError(f"{table}.{name} must be like {defaults[name]!r}, got {quoted(value)}.")
    return kind(**values)


def _labels(sharing: Any, users: int) -> list[int]:
    _whole("markets.users", users, 1, _MOST_USERS)
    named = {"personalized": list(range(users)), "anonymous": [0] * users}
    labels = named.get(sharing) if isinstance(sharing, str) else sharing
    if not isinstance(labels, list) or len(labels) != users:
        raise ValueError(f'segments must be "personalized", "anonymous" or {users} labels, got {quoted(sharing)}.')
    return [_whole("segments", label, -(2**31), 2**31 - 1) for label in labels]


def _whole(what: str, value: Any, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{what} must be a whole number from {least} to {most}, got {quoted(value)}.")
    return value
