"""Quantiles of a number from counts in fixed bins: a sketch that adds up exactly, in any order."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy.special import bdtr, bdtrik

from ._intervals import CONFIDENCE, check_confidence

# Bins per factor of two; the ends of a bin are no more than 1 / 128 of its lower end apart.
_BINS = 128
# Sizes below 2^-40 count as 0, and those of at least 2^40 share one bin.
_SMALLEST, _LARGEST = -40, 40
_BEYOND = (_LARGEST - _SMALLEST) * _BINS + 1
Range = tuple[float, float]


@dataclass(frozen=True)
class Quantiles:
    """Counts of numbers in bins whose edges no data can move, as in DDSketch (Masson, Rim and Lee 2019).

    Bin 0 holds sizes below 2^-40, and each sign has 128 bins between a power of two and the next; so there are at most
    20,483 bins, most of them empty. Adding two sketches adds counts, which is exact, associative and commutative.

    Every answer is a range that contains the sample's own order statistic: its rank error is 0, and its width at most
    1/128 of the number's size (2^-39 at 0). Any single number taken from the range has a rank that is off by no
    more than the count of one bin.
    """

    bins: Mapping[int, int] = field(default_factory=dict)
    missing: int = 0

    @classmethod
    def from_values(cls, values: np.ndarray) -> "Quantiles":
        """Sketches numbers; those that are NaN are counted as `missing`, infinite ones lie in the outermost bins."""
        numbers = values[~np.isnan(values)]
        bins, counts = np.unique(_bin_of(numbers), return_counts=True)
        return cls(dict(zip(bins.tolist(), counts.tolist(), strict=True)), len(values) - len(numbers))

    @property
    def count(self) -> int:
        return sum(self.bins.values())

    def quantile(self, share: float) -> Range:
        """A range that holds the sample's quantile: the least number that `share` of the sample does not exceed."""
        if not 0.0 <= share <= 1.0:
            raise ValueError(f"a quantile needs a share from 0 to 1, got {share}.")
        rank = max(math.ceil(share * self.count - 1e-9), 1)
        return self._at(rank)

    def interval(self, share: float, confidence: float = CONFIDENCE) -> Range:
        """The interval of the quantile of the law that the sample was drawn from, whatever law that is.

        Between the order statistics whose ranks are quantiles of Binomial(count, share) (David and Nagaraja 2003, 7.1):
        exact for a fixed number of draws, and infinite where the sample is too small to say.
        """
        check_confidence(confidence)
        tail = (1.0 - confidence) / 2.0
        low, high = _binomial_quantile(tail, self.count, share), _binomial_quantile(1.0 - tail, self.count, share) + 1
        lower = self._at(low)[0] if low >= 1 else -math.inf
        return lower, self._at(high)[1] if high <= self.count else math.inf

    def _at(self, rank: int) -> Range:
        """The bin of the number of this rank, counted from 1."""
        if not self.bins:
            return math.nan, math.nan
        bins = sorted(self.bins)
        reached = np.cumsum([self.bins[each] for each in bins])
        return _edges(bins[int(np.searchsorted(reached, rank))])

    def __add__(self, other: "Quantiles") -> "Quantiles":
        both = {**self.bins}
        for each, count in other.bins.items():
            both[each] = both.get(each, 0) + count
        return Quantiles(both, self.missing + other.missing)


@dataclass(frozen=True)
class BracketQuantiles:
    """Sketches of both ends of a bracket: a quantile of the bracketed number lies between theirs."""

    lower: Quantiles = field(default_factory=Quantiles)
    upper: Quantiles = field(default_factory=Quantiles)

    def quantile(self, share: float) -> Range:
        """A range that holds the sample's quantile, wherever in their brackets the numbers lie."""
        return self.lower.quantile(share)[0], self.upper.quantile(share)[1]

    def __add__(self, other: "BracketQuantiles") -> "BracketQuantiles":
        return BracketQuantiles(self.lower + other.lower, self.upper + other.upper)


def _binomial_quantile(tail: float, trials: int, probability: float) -> int:
    """The least k with P(Binomial <= k) >= tail."""
    if not 0.0 < probability < 1.0:
        return trials if probability else 0
    k = max(math.ceil(float(bdtrik(tail, trials, probability))) - 1, 0)
    return k if bdtr(k, trials, probability) >= tail else k + 1


def _bin_of(numbers: np.ndarray) -> np.ndarray:
    size = np.abs(numbers)
    fraction, power = np.frexp(np.where(np.isfinite(size), size, 2.0**_LARGEST))
    # size = fraction * 2^power with 1/2 <= fraction < 1, so its power of two below is power - 1.
    place = (power.astype(np.int64) - 1 - _SMALLEST) * _BINS + np.floor((2.0 * fraction - 1.0) * _BINS).astype(np.int64)
    place = np.where(size < 2.0**_SMALLEST, 0, np.minimum(place + 1, _BEYOND))
    return np.where(numbers < 0, -place, place)


def _edges(place: int) -> Range:
    if place < 0:
        low, high = _edges(-place)
        return -high, -low
    if place == 0:
        return -(2.0**_SMALLEST), 2.0**_SMALLEST
    if place == _BEYOND:
        return 2.0**_LARGEST, math.inf
    power, part = divmod(place - 1, _BINS)
    return math.ldexp(1.0 + part / _BINS, power + _SMALLEST), math.ldexp(1.0 + (part + 1) / _BINS, power + _SMALLEST)
