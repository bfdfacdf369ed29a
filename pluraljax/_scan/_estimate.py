"""Estimates from the rows of a scan: how often an event holds and how large a number is, with intervals.

Everything here is a small sum that adds up: the summary of two halves of a cell, added, is the summary of the cell. So
a scan can be summarised chunk by chunk, in any order, on any number of machines. Needs NumPy, SciPy and pyarrow only.
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.special import betainccinv, betaincinv, ndtri

from .._status import Status
from ._columns import COLUMNS, EVENTS

CONFIDENCE = 0.95

# A bracket is open when it is wider than this share of the user's payoff range, as for `Status.OPEN`.
OPEN_SHARE = 1e-6
# aligned and silent coincide when they differ by no more than this share of their size.
COINCIDE = 1e-9

IDENTITY = ("market", "cell", "family")
BRACKETS = tuple(c.name.removesuffix("_lower") for c in COLUMNS if c.name.endswith("_lower"))
# No search closes these yet: an open one is no failure.
OPEN_BY_NATURE = ("anonymous_worst",)
SCHEMES = ("personalized", "anonymous")
PAIR_BINS = 25


def clopper_pearson(successes: Any, trials: Any, confidence: float = CONFIDENCE) -> tuple[np.ndarray, np.ndarray]:
    """Returns the exact interval of a proportion: it covers the truth at least `confidence` of the time.

    Clopper and Pearson (1934): the ends are quantiles of Beta(s, n - s + 1) and Beta(s + 1, n - s). The lower end is 0
    at s = 0 and the upper end 1 at s = n; with no trials at all the interval is [0, 1].

    **Arguments:**

    - `successes`, `trials`: counts, of shapes that broadcast; 0 <= successes <= trials.
    - `confidence`: two-sided, strictly between 0 and 1.
    """
    check_confidence(confidence)
    successes, trials = np.broadcast_arrays(np.asarray(successes, dtype=float), np.asarray(trials, dtype=float))
    if not np.all((successes >= 0) & (successes <= trials)):
        raise ValueError("A proportion needs 0 <= successes <= trials in every entry.")
    tail, failures = (1.0 - confidence) / 2.0, trials - successes
    lower = np.where(successes > 0, betaincinv(np.maximum(successes, 1.0), failures + 1.0, tail), 0.0)
    upper = np.where(failures > 0, betainccinv(successes + 1.0, np.maximum(failures, 1.0), tail), 1.0)
    return lower, upper


def check_confidence(confidence: float) -> None:
    """Raises `ValueError` unless `confidence` lies strictly between 0 and 1."""
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must lie strictly between 0 and 1, such as 0.95, got {confidence}.")


def normal_quantile(confidence: float) -> float:
    """How many standard errors on either side of a mean hold `confidence` of a normal distribution (1.96 for 0.95)."""
    check_confidence(confidence)
    return float(ndtri(0.5 + confidence / 2.0))


@dataclass(frozen=True)
class Proportion:
    """How many markets have a property. `open` ones may or may not; `invalid` rows held no market and are no trials."""

    yes: int = 0
    no: int = 0
    open: int = 0
    invalid: int = 0

    @classmethod
    def from_codes(cls, codes: np.ndarray, invalid: int = 0) -> "Proportion":
        """Counts codes 1 (yes), 0 (no) and anything else (open)."""
        yes, no = int((codes == 1).sum()), int((codes == 0).sum())
        return cls(yes, no, len(codes) - yes - no, invalid)

    @property
    def trials(self) -> int:
        return self.yes + self.no + self.open

    @property
    def estimate(self) -> tuple[float, float]:
        """The observed share, as a range: open markets count as no at its lower end, as yes at its upper end."""
        if not self.trials:
            return math.nan, math.nan
        return self.yes / self.trials, (self.yes + self.open) / self.trials

    def interval(self, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """The Clopper-Pearson interval that is valid whatever the open markets turn out to be."""
        lower, _ = clopper_pearson(self.yes, self.trials, confidence)
        _, upper = clopper_pearson(self.yes + self.open, self.trials, confidence)
        return float(lower), float(upper)

    def __add__(self, other: "Proportion") -> "Proportion":
        return Proportion(*(a + b for a, b in zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)))


@dataclass(frozen=True)
class Moments:
    """Count, mean and sum of squared deviations of a number; entries that are not finite are counted as `missing`."""

    count: int = 0
    mean: float = math.nan
    squares: float = 0.0
    missing: int = 0

    @classmethod
    def from_values(cls, values: np.ndarray) -> "Moments":
        finite = values[np.isfinite(values)]
        if not len(finite):
            return cls(missing=len(values))
        mean = float(finite.mean())
        return cls(len(finite), mean, float(((finite - mean) ** 2).sum()), len(values) - len(finite))

    @property
    def variance(self) -> float:
        """Unbiased sample variance; NaN for fewer than two numbers."""
        return self.squares / (self.count - 1) if self.count > 1 else math.nan

    @property
    def standard_error(self) -> float:
        """Standard error of the mean; NaN for fewer than two numbers."""
        return math.sqrt(self.variance / self.count) if self.count > 1 else math.nan

    def __add__(self, other: "Moments") -> "Moments":
        """Pools two samples (Chan, Golub and LeVeque 1983): stable where sums of squares would cancel."""
        missing = self.missing + other.missing
        if not self.count or not other.count:
            return dataclasses.replace(self if self.count else other, missing=missing)
        count, step = self.count + other.count, other.mean - self.mean
        mean = self.mean + step * other.count / count
        squares = self.squares + other.squares + step**2 * self.count * other.count / count
        return Moments(count, mean, squares, missing)


@dataclass(frozen=True)
class BracketMoments:
    """Moments of both ends of a bracket: the mean of the bracketed number lies between the two means."""

    lower: Moments = Moments()
    upper: Moments = Moments()

    def __add__(self, other: "BracketMoments") -> "BracketMoments":
        return BracketMoments(self.lower + other.lower, self.upper + other.upper)


@dataclass(frozen=True)
class CellSummary:
    """What the markets of one cell (one family at one setting of its parameters) say.

    The unit is the market: a number held per user is averaged over a market's users first, because users who share
    providers are not independent. Shares put utility on the scale where silent is 0 and aligned is 1; a user is left
    out of them, and counted in `undefined_users`, where the two coincide.

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
    - `pairs`: markets by (anonymous, personalized) share, on a grid of `PAIR_BINS` bins a side.
    - `open_brackets`: markets in which a bracket stayed open for some user, by name of the bracket.
    - `open_markets`: markets with at least one such bracket, not counting `OPEN_BY_NATURE`.
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
    open_brackets: Mapping[str, int]
    open_markets: int
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


def merge_summaries(*parts: Iterable[CellSummary]) -> list[CellSummary]:
    """Adds summaries of parts of one scan (its chunks, say), cell by cell."""
    merged: dict[int, CellSummary] = {}
    for summary in (summary for part in parts for summary in part):
        merged[summary.cell] = merged[summary.cell] + summary if summary.cell in merged else summary
    return [merged[cell] for cell in sorted(merged)]


def summarize(table: pa.Table) -> list[CellSummary]:
    """Summarises the rows of a scan, one summary per cell in the order of the cells.

    **Arguments:**

    - `table`: one row per market, with the columns of `COLUMNS`, `market`, `cell` and `family`; every other column is
      a parameter of the grid, null where a family has no such parameter.
    """
    wanted = {column.name for column in COLUMNS} | set(IDENTITY)
    if missing := sorted(wanted - set(table.column_names)):
        raise ValueError(f"This is not a table of scan rows: it lacks the columns {', '.join(missing)}.")
    names = [name for name in table.column_names if name in IDENTITY[1:] or name not in wanted]
    status, cell = _integers(table, "status"), _integers(table, "cell")
    _, firsts = np.unique(cell, return_index=True)
    cells = table.select(names).take(firsts).to_pylist()
    valid = status < Status.NOT_FINITE
    rows = _Rows(table.filter(pa.array(valid)))
    return [_summarize_cell(row, status[cell == row["cell"]], rows, cell[valid] == row["cell"]) for row in cells]


def _summarize_cell(identity: dict[str, Any], status: np.ndarray, rows: "_Rows", member: np.ndarray) -> CellSummary:
    """Summarises one cell: `status` of all its rows, `member` marks its valid ones among `rows`."""
    parameters = {key: value for key, value in identity.items() if key not in IDENTITY and value is not None}
    codes, counts = np.unique(status, return_counts=True)
    invalid = int((status >= Status.NOT_FINITE).sum())

    def ends(pair: tuple[np.ndarray, np.ndarray]) -> BracketMoments:
        return BracketMoments(*(Moments.from_values(end[member]) for end in pair))

    return CellSummary(
        cell=identity["cell"],
        family=identity["family"],
        parameters=parameters,
        statuses={int(code): int(count) for code, count in zip(codes, counts, strict=True)},
        events={name: Proportion.from_codes(rows.events[name][member], invalid) for name in EVENTS},
        values={name: Moments.from_values(values[member]) for name, values in rows.values.items()},
        shares={scheme: ends(pair) for scheme, pair in rows.shares.items()},
        worst_shares={scheme: ends(pair) for scheme, pair in rows.worst_shares.items()},
        equilibria={scheme: ends(pair) for scheme, pair in rows.equilibria.items()},
        found={scheme: ends((values, values)) for scheme, values in rows.found.items()},
        difference=ends(rows.difference),
        gains=Proportion.from_codes(rows.gains[member], invalid),
        open_brackets={name: int(is_open[member].sum()) for name, is_open in rows.open.items()},
        open_markets=int(np.any([rows.open[n][member] for n in rows.open if n not in OPEN_BY_NATURE], axis=0).sum()),
        undefined_users=int(rows.undefined[member].sum()),
        pairs=_histogram(rows.shares["anonymous"][0][member], rows.shares["personalized"][0][member]),
    )


class _Rows:
    """Every number of the valid rows, one entry per market."""

    def __init__(self, table: pa.Table):
        users = _Users(table)
        self.events = {name: _integers(table, name) for name in EVENTS}
        self.values = {
            column.name: users.mean(users[column.name]) if column.axis == "user" else _floats(table, column.name)
            for column in COLUMNS
            if column.kind == "value"
        }
        aligned, silent = users["aligned"], users["silent"]
        size = np.maximum(np.abs(aligned), np.abs(silent))
        scale = aligned - silent
        defined = scale > COINCIDE * size
        self.undefined = users.count(~defined)

        slack = OPEN_SHARE * users["payoff_range"]
        self.open = {}
        for name in BRACKETS:
            if f"{name}_lower" in users:
                wide = users.count(users[f"{name}_upper"] - users[f"{name}_lower"] > slack) > 0
            else:
                wide = self.values[f"{name}_upper"] - self.values[f"{name}_lower"] > users.greatest(slack)
            self.open[name] = wide

        def share(value: np.ndarray) -> np.ndarray:
            place = np.divide(value - silent, scale, where=defined, out=np.full_like(value, np.nan))
            return np.maximum(place, 0.0)

        shares = {s: tuple(share(users[f"{s}_guarantee_{end}"]) for end in ("lower", "upper")) for s in SCHEMES}
        self.shares = {s: (users.mean(lower), users.mean(upper)) for s, (lower, upper) in shares.items()}
        worst = {s: tuple(share(users[f"{s}_worst_{end}"]) for end in ("lower", "upper")) for s in SCHEMES}
        self.equilibria = {s: (users.mean(lower), users.mean(upper)) for s, (lower, upper) in worst.items()}
        self.found = {s: users.mean(share(users[f"{s}_found"])) for s in SCHEMES}
        self.worst_shares = {s: (users.least(lower), users.least(upper)) for s, (lower, upper) in shares.items()}
        (own_low, own_high), (all_low, all_high) = (shares[s] for s in SCHEMES)
        self.difference = users.mean(own_low - all_high), users.mean(own_high - all_low)
        low, high = self.difference
        # Where silent is as good as aligned for everybody, no scheme can guarantee more than another.
        is_none = (high <= OPEN_SHARE) | (users.count(defined) == 0)
        self.gains = np.where(low > OPEN_SHARE, 1, np.where(is_none, 0, -1))


class _Users:
    """The columns that hold a list per market (an entry per user), flat, and what to do with them per market."""

    def __init__(self, table: pa.Table):
        self._markets = table.num_rows
        lists = {c.name: table.column(c.name).combine_chunks() for c in COLUMNS if c.axis == "user"}
        lengths = {name: values.value_lengths().fill_null(0).to_numpy() for name, values in lists.items()}
        number = lengths["aligned"]
        if ragged := sorted(name for name, these in lengths.items() if not np.array_equal(these, number)):
            raise ValueError(f"Columns {', '.join(ragged)} do not hold one entry per user, as the column aligned does.")
        self._flat = {n: values.flatten().to_numpy(zero_copy_only=False).astype(float) for n, values in lists.items()}
        self._owner = np.repeat(np.arange(self._markets), number)

    def __contains__(self, name: str) -> bool:
        return name in self._flat

    def __getitem__(self, name: str) -> np.ndarray:
        return self._flat[name]

    def count(self, flags: np.ndarray) -> np.ndarray:
        return np.bincount(self._owner[flags], minlength=self._markets)

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Averages over each market's users with a finite value; NaN where there are none."""
        good = np.isfinite(values)
        total = np.bincount(self._owner[good], values[good], minlength=self._markets)
        number = self.count(good)
        return np.divide(total, number, where=number > 0, out=np.full(self._markets, np.nan))

    def least(self, values: np.ndarray) -> np.ndarray:
        """The least finite value in each market; NaN where there is none."""
        result = np.full(self._markets, np.nan)
        np.fmin.at(result, self._owner, np.where(np.isfinite(values), values, np.nan))
        return result

    def greatest(self, values: np.ndarray) -> np.ndarray:
        return -self.least(-values)


def _floats(table: pa.Table, name: str) -> np.ndarray:
    return table.column(name).to_numpy().astype(float)


def _integers(table: pa.Table, name: str) -> np.ndarray:
    return pc.fill_null(table.column(name), -1).to_numpy()


def _histogram(anonymous: np.ndarray, personalized: np.ndarray) -> np.ndarray:
    """Counts markets on the unit square, by (anonymous, personalized) share."""
    both = np.isfinite(anonymous) & np.isfinite(personalized)
    points = (np.clip(anonymous[both], 0.0, 1.0), np.clip(personalized[both], 0.0, 1.0))
    return np.histogram2d(*points, bins=PAIR_BINS, range=((0.0, 1.0), (0.0, 1.0)))[0].astype(np.int64)
