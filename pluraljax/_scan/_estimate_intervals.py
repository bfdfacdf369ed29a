"""Intervals for a probability: exact and approximate ones for a fixed number of trials, and one for any stopping rule.

All take counts only, so that what is merged from many chunks has the interval of the whole. NumPy and SciPy only.
"""

from typing import Any

import numpy as np
from scipy.special import betainccinv, betaincinv, betaln, gammaln, ndtri

CONFIDENCE = 0.95

# Strengths (in trials) of the priors around p that the confidence sequence mixes over: it is tightest where trials are
# about eight times one of them, and a factor of 16 apart costs little in between.
_STRENGTHS = 2.0 * 16.0 ** np.arange(5)
# One more prior, the same for all p (Jeffreys): it refuses p = 0 as soon as the event was seen once.
_SPREAD = 0.5
# Halvings of [0, share]: past these, rounding decides.
_HALVINGS = 40


def clopper_pearson(successes: Any, trials: Any, confidence: float = CONFIDENCE) -> tuple[np.ndarray, np.ndarray]:
    """Returns the exact interval of a proportion: it covers the truth at least `confidence` of the time.

    Clopper and Pearson (1934): the ends are quantiles of Beta(s, n - s + 1) and Beta(s + 1, n - s). The lower end is 0
    at s = 0 and the upper end 1 at s = n; with no trials at all the interval is [0, 1]. It holds for a number of trials
    that was fixed beforehand; see `confidence_sequence` for any other.

    **Arguments:**

    - `successes`, `trials`: counts, of shapes that broadcast; 0 <= successes <= trials.
    - `confidence`: two-sided, strictly between 0 and 1.
    """
    successes, trials = _counts(successes, trials, confidence)
    tail, failures = (1.0 - confidence) / 2.0, trials - successes
    lower = np.where(successes > 0, betaincinv(np.maximum(successes, 1.0), failures + 1.0, tail), 0.0)
    upper = np.where(failures > 0, betainccinv(successes + 1.0, np.maximum(failures, 1.0), tail), 1.0)
    return lower, upper


def wilson(successes: Any, trials: Any, confidence: float = CONFIDENCE) -> tuple[np.ndarray, np.ndarray]:
    """Returns the score interval of a proportion: narrower than the exact one, and right on average over truths only.

    Wilson (1927): all p with |s / n - p| <= z sqrt(p (1 - p) / n). Arguments as for `clopper_pearson`; with no trials
    the interval is [0, 1].
    """
    successes, trials = _counts(successes, trials, confidence)
    z = normal_quantile(confidence)
    some = np.maximum(trials, 1.0)
    centre = (successes + z**2 / 2) / (some + z**2)
    half = z * np.sqrt(successes * (trials - successes) / some + z**2 / 4) / (some + z**2)
    lower = np.where(successes > 0, np.maximum(centre - half, 0.0), 0.0)
    upper = np.where(successes < trials, np.minimum(centre + half, 1.0), 1.0)
    return np.where(trials > 0, lower, 0.0), np.where(trials > 0, upper, 1.0)


def rule_of_three(trials: Any, confidence: float = CONFIDENCE) -> np.ndarray:
    """Returns how likely an event can be, at most, that was seen in none of so many trials: about 3 / n for 95 %.

    The exact one-sided bound 1 - (1 - confidence)^(1 / n), which is at most -log(1 - confidence) / n; 1 with no trials.
    Where trials differ in probability it bounds their average, because none at all is then less likely still. For an
    event that was seen every time it bounds the probability of the opposite.
    """
    check_confidence(confidence)
    trials = np.asarray(trials, dtype=float)
    if not np.all(trials >= 0):
        raise ValueError("The rule of three needs a number of trials of at least 0 in every entry.")
    return np.where(trials > 0, -np.expm1(np.log1p(-confidence) / np.maximum(trials, 1.0)), 1.0)


def confidence_sequence(successes: Any, trials: Any, confidence: float = CONFIDENCE) -> tuple[np.ndarray, np.ndarray]:
    """Returns the interval of a proportion that holds for all numbers of trials at once, whenever somebody stops.

    With probability `confidence` at least, the intervals after 1, 2, 3, ... trials *all* hold the truth; so the one at
    which a run stops does, whatever made it stop. It is the set of p at which the likelihood ratio

        mean over F of  integral q^s (1 - q)^(n - s) dF(q)  /  (p^s (1 - p)^(n - s))

    stays below 1 / (1 - confidence), for six priors F: Beta(1/2, 1/2), and Beta(c p, c (1 - p)) with c = 2 to 131,072.
    At the true p the ratio is a martingale that starts at 1, and Ville's inequality does the rest (method of mixtures,
    Robbins 1970). Its logarithm is convex in p, so the set is an interval. Docs: estimation.md.

    **Arguments:**

    - `successes`, `trials`: counts, of shapes that broadcast; 0 <= successes <= trials.
    - `confidence`: two-sided, strictly between 0 and 1.

    **Returns:** lower and upper ends; [0, 1] with no trials.
    """
    successes, trials = _counts(successes, trials, confidence)
    # The upper end is 1 minus the lower end of the opposite.
    ends = _sequence_lower(np.stack([successes, trials - successes]), np.stack([trials, trials]), confidence)
    return np.asarray(ends[0]), np.asarray(1.0 - ends[1])


def _sequence_lower(successes: np.ndarray, trials: np.ndarray, confidence: float) -> np.ndarray:
    """The lower end of the confidence sequence, by bisection; of the last two points the one outside is returned."""
    level = -np.log1p(-confidence)
    outside, inside = np.zeros(trials.shape), successes / np.maximum(trials, 1.0)
    for _ in range(_HALVINGS):
        middle = (outside + inside) / 2.0
        refused = _log_mixture(middle, successes, trials) >= level
        outside, inside = np.where(refused, middle, outside), np.where(refused, inside, middle)
    return np.where(successes > 0, outside, 0.0)


def _log_mixture(p: np.ndarray, successes: np.ndarray, trials: np.ndarray) -> np.ndarray:
    """Logarithm of the likelihood ratio against p, 0 < p < 1; entries without successes are not used and 0."""
    use = successes > 0
    p, s, n = np.where(use, p, 0.5)[..., None], np.where(use, successes, 0.0)[..., None], trials[..., None]
    yes, no = _STRENGTHS * p, _STRENGTHS * (1.0 - p)
    near = gammaln(yes + s) - gammaln(yes) + gammaln(no + n - s) - gammaln(no) + gammaln(_STRENGTHS)
    near -= gammaln(_STRENGTHS + n)
    wide = betaln(_SPREAD + s, _SPREAD + n - s) - betaln(_SPREAD, _SPREAD)
    mixed = np.logaddexp.reduce(np.concatenate([near, wide], axis=-1), axis=-1) - np.log(len(_STRENGTHS) + 1)
    ratio = mixed - (s * np.log(p) + (n - s) * np.log1p(-p))[..., 0]
    return np.where(use, ratio, 0.0)


def check_confidence(confidence: float) -> None:
    """Raises `ValueError` unless `confidence` lies strictly between 0 and 1."""
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must lie strictly between 0 and 1, such as 0.95, got {confidence}.")


def normal_quantile(confidence: float) -> float:
    """How many standard errors on either side of a mean hold `confidence` of a normal distribution (1.96 for 0.95)."""
    check_confidence(confidence)
    return float(ndtri(0.5 + confidence / 2.0))


def _counts(successes: Any, trials: Any, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    check_confidence(confidence)
    successes, trials = np.broadcast_arrays(np.asarray(successes, dtype=float), np.asarray(trials, dtype=float))
    if not np.all((successes >= 0) & (successes <= trials)):
        raise ValueError("A proportion needs 0 <= successes <= trials in every entry.")
    return successes, trials
