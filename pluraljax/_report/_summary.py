"""Estimates from the rows of a scan: how often an event holds and how large a number is, with intervals.

Everything here is a small sum that adds up: the summary of two halves of a cell, added, is the summary of the cell. So
a scan can be summarised chunk by chunk, in any order, on any number of machines. Needs NumPy, SciPy and pyarrow only.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from .._scan.measure._columns import BUILT_IN, COLUMNS, EVENTS, Column
from .._scan.measure._measurement import Pair
from .._scan.store._codes import codes_of
from .._statistics._intervals import CONFIDENCE, check_confidence, clopper_pearson, normal_quantile
from .._statistics._quantiles import BracketQuantiles, Quantiles
from .._statistics._sums import BracketMoments, Moments, PairedProportions, Proportion
from .._status import Status
from ._summary_rows import SCHEMES, Rows

__all__ = [
    "CONFIDENCE",
    "PAIRS",
    "PAIR_BINS",
    "SCHEMES",
    "BracketMoments",
    "BracketQuantiles",
    "CellSummary",
    "Moments",
    "PairedProportions",
    "Proportion",
    "Quantiles",
    "check_confidence",
    "clopper_pearson",
    "merge_summaries",
    "normal_quantile",
    "summarize",
]

IDENTITY = ("market", "cell", "family")
# Columns that no summary can do without.
_NEEDED = ("status", "aligned", "silent", "payoff_range")
# Searches close these for so many markets only: an open one is no failure.
OPEN_BY_NATURE = ("anonymous_worst", "anonymous_searched")
PAIR_BINS = 25
# What is asked of personalized and of anonymous policies alike, in the same markets.
PAIRS = tuple(pair for kind in BUILT_IN for pair in kind.pairs)


@dataclass(frozen=True)
class CellSummary:
    """What the markets of one cell (one family at one setting of its parameters) say.

    The unit is the market: a number held per user is averaged over a market's users first, because users who share
    providers are not independent. Shares put utility on the scale where silent is 0 and aligned is 1; a user is left
    out of them, and counted in `undefined_users`, of all `users`, where the two coincide.

    - `statuses`: markets by status code; the rows that held no market are among them.
    - `events`: by name of the event.
    - `values`: by name of the column, in the column's unit.
    - `shares`: by scheme, what every equilibrium is proved to give, on the scale; never below 0, because a user may
      always ignore what she is told.
    - `worst_shares`: the same, for the user of each market who is guaranteed least.
    - `equilibria`: by scheme, what the worst equilibria give, on the scale; no numbers where the scan did not ask.
    - `found`: by scheme, what the worst equilibrium that play found gives, on the scale, where it found one.
    - `difference`: shares["personalized"] - shares["anonymous"], paired market by market.
    - `gains`: whether personalized policies are proved to guarantee more than anonymous ones (on average over users).
    - `paired`: by what was asked (`PAIRS`, mostly whether something holds with personalized and with anonymous
      policies), how often both events of a pair hold.
    - `quantiles`: of the shares market by market: `"personalized"` and `"anonymous"` (guarantees), `"difference"`, and
      `"personalized_worst"` and `"anonymous_worst"` (equilibria).
    - `pairs`: markets by (anonymous, personalized) share, on a grid of `PAIR_BINS` bins a side.
    - `open_brackets`: markets in which a bracket stayed open for some user, by name of the bracket.
    - `open_markets`: markets with at least one such bracket, not counting `OPEN_BY_NATURE`; `open_anywhere` counts all.
    """

    cell: int
    family: str
    parameters: Mapping[str, Any]
    statuses: Mapping[int, int]
    events: Mapping[str, Proportion]
    values: Mapping[str, Moments]
    shares: Mapping[str, BracketMoments]
    worst_shares: Mapping[str, BracketMoments]
    equilibria: Mapping[str, BracketMoments]
    found: Mapping[str, BracketMoments]
    difference: BracketMoments
    gains: Proportion
    paired: Mapping[str, PairedProportions]
    quantiles: Mapping[str, BracketQuantiles]
    open_brackets: Mapping[str, int]
    open_markets: int
    open_anywhere: int
    users: int
    undefined_users: int
    pairs: np.ndarray = field(compare=False, repr=False)

    @property
    def markets(self) -> int:
        """Rows of the cell, those that held no market included."""
        return sum(self.statuses.values())

    @property
    def invalid(self) -> int:
        """Rows that held no market (bad data); they enter no estimate."""
        return sum(count for code, count in self.statuses.items() if code >= Status.NOT_FINITE)

    @property
    def has_equilibria(self) -> bool:
        """Whether the scan asked for worst equilibria."""
        return self.equilibria["personalized"].lower.count > 0

    @property
    def has_found(self) -> bool:
        """Whether play found an equilibrium in some market."""
        return any(bracket.lower.count > 0 for bracket in self.found.values())

    @property
    def has_searched(self) -> bool:
        """Whether markets were searched for the worst equilibria of one anonymous policy."""
        return self.paired["served"].trials > 0

    def on_scale(self, name: str) -> BracketMoments:
        """What a bracket of utilities, or a value, is on the scale from silent to aligned; none where nobody asked."""
        scheme, _, what = name.partition("_")
        fields = {"guarantee": self.shares, "worst": self.equilibria, "found": self.found}
        return self.difference if name == "difference" else fields[what][scheme]

    def bracket(self, name: str) -> BracketMoments:
        """The moments of a measured column, or of both ends of a bracket by the name of its columns without ending."""
        if name in self.values:
            return BracketMoments(self.values[name], self.values[name])
        ends = (f"{name}_lower", f"{name}_upper")
        return BracketMoments(*(self.values.get(end, Moments()) for end in ends))

    def has_measured(self, columns: Iterable[Column]) -> bool:
        """Whether any of some columns holds something: a number, or an event that is decided."""
        named = [column.name for column in columns]
        events = [self.events[name] for name in named if name in self.events]
        return any(self.values[name].count for name in named if name in self.values) or any(
            share.yes + share.no for share in events
        )

    @property
    def violations(self) -> int:
        """Markets that break a theorem, all theorems together; anything but 0 is a bug."""
        return sum(share.no for name, share in self.events.items() if name.endswith("_theorem"))

    def __add__(self, other: "CellSummary") -> "CellSummary":
        identity = (self.cell, self.family, dict(self.parameters))
        if identity != (other.cell, other.family, dict(other.parameters)):
            raise ValueError(f"Only summaries of the same cell add up, got {identity} and cell {other.cell}.")
        sums = {f.name: _add(getattr(self, f.name), getattr(other, f.name)) for f in dataclasses.fields(self)[3:]}
        return CellSummary(*identity, **sums)


def _add(a: Any, b: Any) -> Any:
    """Adds two sums, or two tables of sums key by key."""
    if not isinstance(a, Mapping):
        return a + b
    return {key: a[key] + b[key] if key in a and key in b else a.get(key, b.get(key)) for key in {**a, **b}}


def open_anywhere(summaries: Iterable[CellSummary]) -> int:
    """In how many markets some bracket is open, also one that is by nature: the report and its page say the same."""
    return sum(cell.open_anywhere for cell in summaries)


def merge_summaries(*parts: Iterable[CellSummary]) -> list[CellSummary]:
    """Adds summaries of parts of one scan (its chunks, say), cell by cell."""
    merged: dict[int, CellSummary] = {}
    for summary in (summary for part in parts for summary in part):
        merged[summary.cell] = merged[summary.cell] + summary if summary.cell in merged else summary
    return [merged[cell] for cell in sorted(merged)]


def summarize(
    table: pa.Table,
    sequential: bool = False,
    columns: Sequence[Column] = COLUMNS,
    pairs: Sequence[Pair] = (),
) -> list[CellSummary]:
    """Summarises the rows of a scan, one summary per cell in the order of the cells.

    **Arguments:**

    - `table`: one row per market, with the columns of `columns`, `market`, `cell` and `family`; every other column is
      a parameter of the grid, null where a family has no such parameter.
    - `sequential`: whether the number of markets was decided while they were measured, so that intervals allow for it.
    - `columns`: what was measured, as the scan's manifest says. What this version would measure besides is summarised
      as nothing: no trials, no numbers.
    - `pairs`: pairs of events to compare besides `PAIRS`.
    """
    wanted = {column.name for column in columns} | {*IDENTITY, *_NEEDED}
    if missing := sorted(wanted - set(table.column_names)):
        raise ValueError(f"This is not a table of scan rows: it lacks the columns {', '.join(missing)}.")
    names = [name for name in table.column_names if name in IDENTITY[1:] or name not in wanted]
    status, cell = codes_of(table, "status"), codes_of(table, "cell")
    _, firsts = np.unique(cell, return_index=True)
    cells = table.select(names).take(firsts).to_pylist()
    valid = status < Status.NOT_FINITE
    rows, compared = Rows(table.filter(pa.array(valid)), columns), (*PAIRS, *pairs)
    return [
        _summarize_cell(row, status[cell == row["cell"]], rows, cell[valid] == row["cell"], sequential, compared)
        for row in cells
    ]


def _summarize_cell(
    identity: dict[str, Any],
    status: np.ndarray,
    rows: Rows,
    member: np.ndarray,
    sequential: bool,
    pairs: Sequence[Pair],
) -> CellSummary:
    """Summarises one cell: `status` of all its rows, `member` marks its valid ones among `rows`."""
    parameters = {key: value for key, value in identity.items() if key not in IDENTITY and value is not None}
    codes, counts = np.unique(status, return_counts=True)
    invalid = int((status >= Status.NOT_FINITE).sum())

    def ends(pair: tuple[np.ndarray, np.ndarray]) -> BracketMoments:
        return BracketMoments(*(Moments.from_values(end[member]) for end in pair))

    def sketch(pair: tuple[np.ndarray, np.ndarray]) -> BracketQuantiles:
        return BracketQuantiles(*(Quantiles.from_values(end[member]) for end in pair))

    def count(codes: np.ndarray | None, asked: np.ndarray = member) -> Proportion:
        if codes is None:
            return Proportion(invalid=invalid, sequential=sequential)
        return Proportion.from_codes(codes[asked], invalid, sequential)

    def compare(pair: Pair) -> PairedProportions:
        first, second = rows.events.get(pair.first), rows.events.get(pair.second)
        if first is None or second is None:
            return PairedProportions(sequential=sequential)
        asked = member & rows.asked(pair.first)
        return PairedProportions.from_codes(first[asked], second[asked], sequential)

    spread = {**rows.shares, "difference": rows.difference}
    spread |= {f"{scheme}_worst": pair for scheme, pair in rows.equilibria.items()}
    return CellSummary(
        cell=identity["cell"],
        family=identity["family"],
        parameters=parameters,
        statuses={int(code): int(count) for code, count in zip(codes, counts, strict=True)},
        events={
            name: count(rows.events.get(name), member & rows.asked(name))
            for name in dict.fromkeys((*EVENTS, *rows.events))
        },
        values={name: Moments.from_values(values[member]) for name, values in rows.values.items()},
        shares={scheme: ends(pair) for scheme, pair in rows.shares.items()},
        worst_shares={scheme: ends(pair) for scheme, pair in rows.worst_shares.items()},
        equilibria={scheme: ends(pair) for scheme, pair in rows.equilibria.items()},
        found={scheme: ends((values, values)) for scheme, values in rows.found.items()},
        difference=ends(rows.difference),
        gains=count(rows.gains),
        paired={pair.name: compare(pair) for pair in pairs},
        quantiles={name: sketch(pair) for name, pair in spread.items()},
        open_brackets={name: int(is_open[member].sum()) for name, is_open in rows.open.items()},
        open_markets=int(np.any([rows.open[n][member] for n in rows.open if n not in OPEN_BY_NATURE], axis=0).sum()),
        open_anywhere=int(np.any([is_open[member] for is_open in rows.open.values()], axis=0).sum()),
        users=int(rows.users[member].sum()),
        undefined_users=int(rows.undefined[member].sum()),
        pairs=_histogram(rows.shares["anonymous"][0][member], rows.shares["personalized"][0][member]),
    )


def _histogram(anonymous: np.ndarray, personalized: np.ndarray) -> np.ndarray:
    """Counts markets on the unit square, by (anonymous, personalized) share."""
    both = np.isfinite(anonymous) & np.isfinite(personalized)
    points = (np.clip(anonymous[both], 0.0, 1.0), np.clip(personalized[both], 0.0, 1.0))
    return np.histogram2d(*points, bins=PAIR_BINS, range=((0.0, 1.0), (0.0, 1.0)))[0].astype(np.int64)
