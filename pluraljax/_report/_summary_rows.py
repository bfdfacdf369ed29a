"""The numbers of a table of scan rows, one per market: users averaged, brackets checked, utilities put on one scale."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from .._scan.measure._columns import COLUMNS, SEARCHED, Column
from .._scan.store._codes import codes_of
from .._served import on_scale

# A bracket is open when it is wider than this share of the user's payoff range, as for `Status.OPEN`.
OPEN_SHARE = 1e-6
# Brackets that a search looks for close to this share of the way from silent to aligned.
SEARCHED_SHARE = 1e-3

BRACKETS = tuple(c.name.removesuffix("_lower") for c in COLUMNS if c.name.endswith("_lower"))
SCHEMES = ("personalized", "anonymous")
_SEARCHED_EVENTS = {column.name for column in SEARCHED if column.kind == "event"}


class Rows:
    """Every number of the valid rows, one entry per market.

    Events are those of the table; a value that it does not have, as one that a later version measures, is NaN.
    """

    def __init__(self, table: pa.Table, columns: Sequence[Column]):
        users, stored = _Users(table, columns), {(c.name, c.axis, c.kind) for c in columns}
        self.events = {column.name: codes_of(table, column.name) for column in columns if column.kind == "event"}
        self.values = {
            column.name: users.mean(users[column.name])
            if column.axis == "user"
            else _floats(table, column.name, (column.name, column.axis, column.kind) in stored)
            for column in {each.name: each for each in (*COLUMNS, *columns)}.values()
            if column.kind == "value"
        }
        aligned, silent = users["aligned"], users["silent"]
        scale, spread = aligned - silent, users["payoff_range"]
        defined = np.isfinite(on_scale(aligned, silent, aligned, spread))
        self.undefined, self.users = users.count(~defined), users.count(np.ones_like(defined))

        self.searched = np.isfinite(self.values["anonymous_searched_lower"])
        slack = OPEN_SHARE * spread
        self.open = {}
        for name in BRACKETS:
            allowed = slack + SEARCHED_SHARE * scale if name == "anonymous_searched" else slack
            if f"{name}_lower" in users:
                wide = users.count(users[f"{name}_upper"] - users[f"{name}_lower"] > allowed) > 0
            else:
                wide = self.values[f"{name}_upper"] - self.values[f"{name}_lower"] > users.greatest(allowed)
            self.open[name] = wide

        def share(value: np.ndarray) -> np.ndarray:
            return np.maximum(on_scale(value, silent, aligned, spread), 0.0)

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

    def asked(self, event: str) -> np.ndarray:
        """In which markets an event was looked at; elsewhere nobody asked, and it is not open."""
        return self.searched if event in _SEARCHED_EVENTS else np.ones_like(self.searched)


class _Users:
    """The columns that hold a list per market (an entry per user), flat, and what to do with them per market."""

    def __init__(self, table: pa.Table, columns: Sequence[Column]):
        self._markets = table.num_rows
        lists = {c.name: table.column(c.name).combine_chunks() for c in columns if c.axis == "user"}
        lengths = {name: values.value_lengths().fill_null(0).to_numpy() for name, values in lists.items()}
        number = lengths["aligned"]
        if ragged := sorted(name for name, these in lengths.items() if not np.array_equal(these, number)):
            raise ValueError(f"Columns {', '.join(ragged)} do not hold one entry per user, as the column aligned does.")
        self._flat = {n: values.flatten().to_numpy(zero_copy_only=False).astype(float) for n, values in lists.items()}
        self._flat |= {
            c.name: np.full(number.sum(), np.nan) for c in COLUMNS if c.axis == "user" and c.name not in lists
        }
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


def _floats(table: pa.Table, name: str, is_there: bool) -> np.ndarray:
    return table.column(name).to_numpy().astype(float) if is_there else np.full(table.num_rows, np.nan)
