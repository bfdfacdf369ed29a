"""What a measurement is: its columns, what it starts from, how one market is measured, and how a report shows it.

Importing this, and every measurement of this package, imports no JAX: a reader of scans wants the columns only.
"""

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np

from ..._served import UNDECIDED

# How an entry of a report's table may show what it shows.
FORMS = ("frequency", "mean", "percent", "scale", "count")

EVENT_UNIT = "1 yes, 0 no, missing open"


@dataclass(frozen=True)
class Column:
    """One measured column of a scan; one row is one market.

    An event is measured as int8: 1 it holds, 0 it does not, -1 it is open or the market is invalid. It is stored as a
    boolean, null where it is open.

    ```python
    plx.scans.Column("regret", "user", "value", "utility", "what she loses to her favourite provider")
    ```

    **Arguments:**

    - `name`: of the column; no other column and no parameter of a family has it.
    - `axis`: `"market"` for one entry per market, `"user"` for a list with one per user.
    - `kind`: `"value"` (float64, NaN where it is not defined), `"event"` (of markets only), or `"status"` (int8
      `Status` code), which this package measures.
    - `unit`, `description`: what the numbers are; the description is a sentence without its full stop.
    """

    name: str
    axis: Literal["market", "user"]
    kind: Literal["value", "event", "status"]
    unit: str
    description: str


@dataclass(frozen=True)
class Pair:
    """Two events that are asked of the same markets, `first` and `second`; reports show how their frequencies differ.

    `name` is what files call it, and `heading` what stands above its column, "" where it stands elsewhere.
    """

    name: str
    first: str
    second: str
    heading: str = ""


@dataclass(frozen=True)
class Entry:
    """A column of a report's table: its heading, which measured column, bracket or sum of a cell it shows, and how.

    `form` is `"frequency"` (percent of markets, with its interval), `"mean"`, `"percent"` (the mean of a share),
    `"scale"` (the mean on the scale where silent is 0 and aligned is 1; of a bracket, by the name of its two columns
    without their ending) or `"count"` (a sum that a summary of a cell holds, by its name).
    """

    heading: str
    shows: str
    form: Literal["frequency", "mean", "percent", "scale", "count"]


@dataclass(frozen=True)
class Table:
    """A table of a report: its heading, sentences below that, and its columns; none for all that were measured.

    `label` is what the page calls it. `{interval}` in the heading stands for the kind of interval that is shown.
    """

    heading: str
    about: str = ""
    entries: tuple[Entry, ...] = ()
    label: str = ""


@dataclass(frozen=True)
class Given:
    """What a measurement is told of a market besides its payoffs.

    - `delta`: slack of the scan's equilibria, `[]`.
    - `known`: the columns that it `needs`, `[]` or `[user]`.
    - `key`: a PRNG key of the market's own, where it `draws`.
    - `alone`: where it takes `twins`, whether all providers are twins of a single one.
    - `stopped`: where it is measured `on_host`, asked now and then: once it is true, `Stopped` is to be raised.
    """

    delta: Any
    known: Mapping[str, Any] = field(default_factory=dict)
    key: Any = None
    alone: Any = False
    stopped: Callable[[], bool] = lambda: False


class Stopped(Exception):
    """Whoever asked for a measurement does not want it any more."""


def column_bracket(name: str, axis: Literal["market", "user"], description: str) -> tuple[Column, Column]:
    """The two columns of a bracket, in units of utility."""
    return tuple(
        Column(f"{name}_{end}", axis, "value", "utility", f"{description} ({end} end of its bracket)")
        for end in ("lower", "upper")
    )  # pyright: ignore[reportReturnType]


def column_event(name: str, description: str) -> Column:
    """The column of an event."""
    return Column(name, "market", "event", EVENT_UNIT, description)


class Measurement:
    """What a scan measures in each of its markets: subclass it, and give it to `scan` to have one of your own.

    ```python
    @dataclass(frozen=True)
    class Spread(plx.scans.Measurement):
        columns = (
            plx.scans.Column("spread", "user", "value", "utility", "how far providers' payoffs lie apart, on average"),
            plx.scans.Column("is_wide", "market", "event", "1 yes, 0 no, missing open", "some spread exceeds 1"),
        )
        figure = ("is_wide",)

        def measure(self, market, given):
            spread = market.provider_value.std(axis=0).mean(axis=(-2, -1))
            return {"spread": spread, "is_wide": (spread > 1).any().astype("int8")}


    plx.scan(plx.families.gaussian(providers=3), markets=100, measurements=[Spread()])
    ```

    What a subclass says of itself, as attributes of the class:

    - `columns`: what it measures, a tuple of `Column`.
    - `needs`: names of columns of other measurements that it starts from, which are measured before it.
    - `tables`: how reports show it, as a tuple of `Table`; none for one table of all its columns.
    - `pairs`: pairs of its events, whose frequencies reports compare.
    - `figure`: names of its columns that a figure shows against the number of providers; none for no figure.
    - `twins`: whether providers that are repeated change nothing. Markets with few providers then share the compiled
      programme of those with many, and `given.alone` says where all are one.
    - `draws`: whether it needs random numbers, `given.key`.
    - `on_host`: whether it is measured by NumPy, for a batch of the first markets of each cell, as many as `first`
      says; otherwise it is one compiled function of one market.
    - `linear`: whether it is linear programmes for the most part, which XLA compiles in another way than the rest.

    Its settings are fields of a frozen dataclass: numbers, texts and truth.
    """

    columns: ClassVar[tuple[Column, ...]] = ()
    needs: ClassVar[tuple[str, ...]] = ()
    tables: ClassVar[tuple[Table, ...]] = ()
    pairs: ClassVar[tuple[Pair, ...]] = ()
    figure: ClassVar[tuple[str, ...]] = ()
    twins: ClassVar[bool] = False
    draws: ClassVar[bool] = False
    on_host: ClassVar[bool] = False
    linear: ClassVar[bool] = False
    # Of those that this package brings: by which entry of a config a scan asks for it.
    asked_by: ClassVar[str] = ""

    @property
    def stream(self) -> int:
        """Where `draws`: what a market's key is folded with, apart from that of others that draw."""
        return zlib.crc32(type(self).__qualname__.encode())

    def measure(self, market: Any, given: Given) -> Mapping[str, Any]:
        """Measures one market, or on the host a batch of them.

        **Arguments:**

        - `market`: a `Market`; on devices its arrays are traced, in float64.
        - `given`: what else is known of it.

        **Returns:** an array per column, `[]` or `[user]`; besides them, as `status`, what happened, if this may come
        out `OPEN` and so go through `measure_again`.
        """
        raise NotImplementedError(f"{type(self).__name__} has no method measure(self, market, given).")

    def measure_again(self, market: Any, given: Given) -> Mapping[str, Any] | None:
        """Measures one market whose status came back `OPEN`, or whose `needs` did, on the host and with more care.

        **Returns:** as `measure`, for the columns that changed; None where there is no such second pass.
        """
        return None

    def first(self, start: int, stop: int) -> int:
        """On the host: how many of the replicates `start` to `stop - 1` of a cell are measured; they come first."""
        return stop - start

    @classmethod
    def undefined(cls, shape: Sequence[int]) -> dict[str, np.ndarray]:
        """The columns of rows, `[row user]`, where nobody asked: NaN, and undecided events."""
        return {column.name: blank(column, shape) for column in cls.columns}


def blank(column: Column, shape: Sequence[int]) -> np.ndarray:
    """A column of rows, `[row user]`, in which nothing was measured."""
    size = tuple(shape) if column.axis == "user" else tuple(shape[:1])
    return np.full(size, np.nan) if column.kind == "value" else np.full(size, UNDECIDED, np.int8)
