"""When a scan stops by itself: once an event's interval is narrow enough in every cell. Imports no JAX."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..._families._family import unknown
from ..._printable import quoted
from ..measure._columns import BUILT_IN, Column
from ..measure._entry import read_entry
from ..measure._measurement import Measurement


@dataclass(frozen=True)
class Until:
    """Asks for markets in each cell until the interval of an event's probability is narrow enough.

    **Arguments:**

    - `event`: name of the event, such as `"weakly_aligned"`; a `ScanConfig` checks that its scan measures it.
    - `half_width`: half the width that the interval may have, strictly between 0 and 1/2.
    - `confidence`: of the interval, which holds whenever a cell stops; strictly between 0 and 1.
    - `most`: markets per cell at most; at least 1. None leaves that to the config's `markets`.

    Raises `ValueError` for anything else.
    """

    event: str
    half_width: int | float = 0.01
    confidence: int | float = 0.95
    most: int | None = None

    def __post_init__(self):
        for name, high in (("half_width", 0.5), ("confidence", 1.0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 < value < high:
                raise ValueError(f"until.{name} must lie strictly between 0 and {high:g}, got {quoted(value)}.")
            object.__setattr__(self, name, float(value))
        if self.most is None:
            return
        if isinstance(self.most, bool) or not isinstance(self.most, int) or not 1 <= self.most <= 2**32:
            raise ValueError(
                f"until.most must be a whole number of at least 1 and at most {2**32:,}, got {quoted(self.most)}."
            )


def as_until(value: Any) -> Until | None:
    """Reads the entry `until` of a config: a table of an `Until`, or nothing."""
    if value is None or isinstance(value, Until):
        return value
    wanted = 'a table with an event, such as {event = "weakly_aligned"}'
    return read_entry(Until, "until", value, wanted, needed="event")


def as_plain_until(until: Until) -> dict[str, Any]:
    """The entry as TOML and JSON hold it."""
    return {name: value for name, value in asdict(until).items() if value is not None}


def check_measured(until: Until, asked: Sequence[Measurement], columns: Sequence[Column]) -> None:
    """Raises `ValueError` where a scan that asks for so much, and stores these columns, would not measure the event."""
    events = [column.name for column in columns if column.kind == "event"]
    if until.event not in events:
        raise unknown("event", until.event, events, " in until")
    owner = next(m for m in (*BUILT_IN, *map(type, asked)) if until.event in {column.name for column in m.columns})
    if owner.on_host:
        raise ValueError(f"until waits for {until.event}, which is known of the first markets of a cell only.")
    if owner not in map(type, asked):
        raise ValueError(f"until waits for {until.event}, which needs {owner.asked_by}.")
