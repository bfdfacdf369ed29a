"""Sums that describe a sample: counts of an event, moments, pairs of events. Two halves, added, describe the whole.

Adding is associative and does not depend on the order: exactly for counts, up to rounding for moments. So a scan can be
summarised chunk by chunk, in any order, on any number of machines.
"""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import bdtrc

from ._intervals import CONFIDENCE, clopper_pearson, confidence_sequence, rule_of_three, wilson

YES, NO, OPEN = 0, 1, 2


def _interval(least: int, most: int, trials: int, confidence: float, sequential: bool) -> tuple[float, float]:
    """From the lower end at `least` successes to the upper end at `most`."""
    lower, upper = (confidence_sequence if sequential else clopper_pearson)([least, most], trials, confidence)
    return float(lower[0]), float(upper[1])


@dataclass(frozen=True)
class Proportion:
    """How many markets have a property. `open` ones may or may not; `invalid` rows held no market and are no trials.

    `sequential` says that the number of markets was decided while they were looked at; the interval is then that of
    the confidence sequence, which allows for it, and not that of Clopper and Pearson.
    """

    yes: int = 0
    no: int = 0
    open: int = 0
    invalid: int = 0
    sequential: bool = False

    @classmethod
    def from_codes(cls, codes: np.ndarray, invalid: int = 0, sequential: bool = False) -> "Proportion":
        """Counts codes 1 (yes), 0 (no) and anything else (open)."""
        yes, no = int((codes == 1).sum()), int((codes == 0).sum())
        return cls(yes, no, len(codes) - yes - no, invalid, sequential)

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
        """The interval that is valid whatever the open markets turn out to be."""
        return _interval(self.yes, self.yes + self.open, self.trials, confidence, self.sequential)

    def wilson(self, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """The score interval over all that open markets may turn out to be; only for a fixed number of markets."""
        lower, upper = wilson([self.yes, self.yes + self.open], self.trials, confidence)
        return float(lower[0]), float(upper[1])

    def unseen(self, confidence: float = CONFIDENCE) -> float | None:
        """How likely, at most, is what no market showed: the property where none has it, its absence where all do.

        One-sided, by the rule of three (`rule_of_three`), or by the confidence sequence where `sequential`. None where
        both were seen, where a market is open, or where there is none.
        """
        if self.open or bool(self.yes) == bool(self.no):
            return None
        if self.sequential:
            return _interval(0, 0, self.trials, confidence, sequential=True)[1]
        return float(rule_of_three(self.trials, confidence))

    def __add__(self, other: "Proportion") -> "Proportion":
        return Proportion(
            self.yes + other.yes,
            self.no + other.no,
            self.open + other.open,
            self.invalid + other.invalid,
            self.sequential or other.sequential,
        )


@dataclass(frozen=True)
class PairedProportions:
    """How often two properties hold in the same markets, side by side: `counts[first][second]`, each yes, no, open.

    Both were measured on the same draws, so their difference is known far better than from two separate samples: it
    rests on the *discordant* markets alone, those with one property and not the other. Every interval is valid whatever
    the open markets turn out to be.
    """

    counts: tuple[tuple[int, int, int], ...] = ((0, 0, 0), (0, 0, 0), (0, 0, 0))
    sequential: bool = False

    @classmethod
    def from_codes(cls, first: np.ndarray, second: np.ndarray, sequential: bool = False) -> "PairedProportions":
        """Counts pairs of codes 1 (yes), 0 (no) and anything else (open)."""
        place = lambda codes: np.where(codes == 1, YES, np.where(codes == 0, NO, OPEN))
        table = np.bincount(3 * place(first) + place(second), minlength=9).reshape(3, 3)
        return cls(tuple(tuple(int(count) for count in line) for line in table), sequential)  # pyright: ignore

    @property
    def trials(self) -> int:
        return sum(map(sum, self.counts))

    @property
    def only_first(self) -> tuple[int, int]:
        """Markets with the first property and not the second: how many surely, and how many at most."""
        return _one_way(self.counts)

    @property
    def only_second(self) -> tuple[int, int]:
        """Markets with the second property and not the first: how many surely, and how many at most."""
        return _one_way(tuple(zip(*self.counts, strict=True)))

    @property
    def estimate(self) -> tuple[float, float]:
        """Share with the first property minus share with the second, as a range where markets are open."""
        if not self.trials:
            return math.nan, math.nan
        (first, first_most), (second, second_most) = self.only_first, self.only_second
        return (first - second_most) / self.trials, (first_most - second) / self.trials

    def interval(self, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """The interval of the difference of the two probabilities.

        The difference is P(only first) - P(only second). Each gets its own interval at confidence (1 + c) / 2; both
        hold together with confidence c at least (Bonferroni), and then so do the differences of opposite ends.
        """
        both = (1.0 + confidence) / 2.0
        (first_low, first_high), (second_low, second_high) = (
            _interval(surely, most, self.trials, both, self.sequential)
            for surely, most in (self.only_first, self.only_second)
        )
        return first_low - second_high, first_high - second_low

    def leaning(self, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """The interval of the probability that a discordant market has the first property; 1/2 means no difference."""
        (first, first_most), (second, second_most) = self.only_first, self.only_second
        lower, _ = _interval(first, first, first + second_most, confidence, self.sequential)
        _, upper = _interval(first_most, first_most, first_most + second, confidence, self.sequential)
        return lower, upper

    def mcnemar(self) -> float:
        """The p-value of 'both are equally likely': McNemar's test in its exact, two-sided form.

        Given their number, discordant markets are then tosses of a fair coin. Open markets count against a difference.
        NaN where the number of markets was decided while they were looked at, because the test does not allow for that.
        """
        if self.sequential:
            return math.nan
        (first, first_most), (second, second_most) = self.only_first, self.only_second
        most, least = (first, second_most) if first > second_most else (second, first_most)
        return min(1.0, 2.0 * float(bdtrc(most - 1, most + least, 0.5))) if most > least else 1.0

    def __add__(self, other: "PairedProportions") -> "PairedProportions":
        table = np.array(self.counts) + np.array(other.counts)
        counts = tuple(tuple(int(count) for count in line) for line in table)
        return PairedProportions(counts, self.sequential or other.sequential)  # pyright: ignore


def _one_way(counts: Any) -> tuple[int, int]:
    surely = counts[YES][NO]
    return surely, surely + counts[YES][OPEN] + counts[OPEN][NO] + counts[OPEN][OPEN]


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
