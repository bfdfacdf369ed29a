"""What a scan says of rows that are no answer: how many, and why, while it runs and at its end."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..._progress import Progress
from ..._status import Status

_WIDE = frozenset(map(int, (Status.OPEN, Status.IN_DOUBT)))


class Tally:
    """Counts rows by status, and says at once where the first chunk holds no market."""

    def __init__(self, progress: Progress):
        self.counts: Counter[int] = Counter()
        self._progress = progress

    def add(self, statuses: Any) -> None:
        """Adds the rows of a chunk."""
        is_first = not self.counts
        self.counts.update(np.asarray(statuses).tolist())
        if is_first and (line := said_of_invalid(self.counts)) and min(self.counts) >= Status.NOT_FINITE:
            self._progress.note(f"the first chunk holds no valid market, and the rest may not: {line}")


def said_of_invalid(counts: Mapping[int, int]) -> str:
    """How many rows held no market, and what the commonest of their statuses means; empty where there are none."""
    invalid = {code: count for code, count in counts.items() if code >= Status.NOT_FINITE}
    return _said(counts, invalid, "invalid: their rows hold no numbers") if invalid else ""


def said_of_wide(counts: Mapping[int, int]) -> str:
    """How many rows have brackets that are open or in doubt, and the same; empty where there are none."""
    wide = {code: count for code, count in counts.items() if code in _WIDE}
    return _said(counts, wide, "open or in doubt: their bounds are valid, and wide") if wide else ""


def _said(counts: Mapping[int, int], some: Mapping[int, int], what: str) -> str:
    commonest = Status(max(some, key=lambda code: some[code]))
    most = "" if len(some) == 1 else "Most often "
    number, total = sum(some.values()), sum(counts.values())
    verb = "is" if number == 1 else "are"
    return f"{number:,} of {total:,} markets {verb} {what}. {most}{commonest.name}: {commonest.sentence}"
