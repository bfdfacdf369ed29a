"""Intervals for a probability: exact and approximate ones for a fixed number of trials, and one for any stopping rule.

All take counts only, so that what is merged from many chunks has the interval of the whole. NumPy and SciPy only.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import betainccinv, betaincinv, betaln, gammaln, ndtri

from .._arguments import described, is_number

CONFIDENCE = 0.95

# Strengths (in trials) of the priors around p that the confidence sequence mixes over: it is tightest where trials are
# about eight times one of them, and a factor of 16 apart costs little in between.
_STRENGTHS = 2.0 * 16.0 ** np.arange(5)
# One more prior, the same for all p (Jeffreys): it refuses p = 0 as soon as the event was seen once.
_SPREAD = 0.5
# Steps towards an end, and how near to a known point, as a share of what is left, a step may come.
_STEPS, _MARGIN = 10, 1e-3


def clopper_pearson(successes: Any, trials: Any, confidence: Any = CONFIDENCE) -> tuple[np.ndarray, np.ndarray]:
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


def wilson(successes: Any, trials: Any, confidence: Any = CONFIDENCE) -> tuple[np.ndarray, np.ndarray]:
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


def rule_of_three(trials: Any, confidence: Any = CONFIDENCE) -> np.ndarray:
    """Returns how likely an event can be, at most, that was seen in none of so many trials: about 3 / n for 95 %.

    The exact one-sided bound 1 - (1 - confidence)^(1 / n), which is at most -log(1 - confidence) / n; 1 with no trials.
    Where trials differ in probability it bounds their average, because none at all is then less likely still. For an
    event that was seen every time it bounds the probability of the opposite.
    """
    check_confidence(confidence)
    trials = _numbers("trials", trials)
    if not np.all(trials >= 0):
        raise ValueError("The rule of three needs a number of trials of at least 0 in every entry.")
    return np.where(trials > 0, -np.expm1(np.log1p(-confidence) / np.maximum(trials, 1.0)), 1.0)


def confidence_sequence(successes: Any, trials: Any, confidence: Any = CONFIDENCE) -> tuple[np.ndarray, np.ndarray]:
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

    Example::

        plx.statistics.confidence_sequence(12, 40)  # holds at all numbers of trials at once
    """
    successes, trials = _counts(successes, trials, confidence)
    # The upper end is 1 minus the lower end of the opposite.
    own, opposite = _log_lower(np.stack([successes, trials - successes]), np.stack([trials, trials]), confidence)
    return np.asarray(np.exp(own)), np.asarray(-np.expm1(opposite))


def _log_lower(successes: np.ndarray, trials: np.ndarray, confidence: float) -> np.ndarray:
    """The logarithm of the sequence's lower end: keeps a point outside and one inside, and returns the one outside.

    The logarithm of the ratio is convex in log p, too, and falls from the end to the share. So the chord between the
    two points meets the level inside, and the line through two points inside meets it outside: they are taken in turn.
    On which side a point is, is decided by the ratio at that point alone.
    """
    seen = successes > 0
    s, n = np.where(seen, successes, 1.0), np.where(seen, trials, 1.0)
    height = lambda place: _log_ratio(place, s, n) + np.log1p(-confidence)
    outside = _start(s, n, confidence, height)
    inside = np.log1p((s - n) / n)
    h_outside, h_inside = height(outside), height(inside)
    further, h_further = inside, h_inside
    for step in range(_STEPS):
        with np.errstate(invalid="ignore", divide="ignore"):
            chord = outside + (inside - outside) * h_outside / (h_outside - h_inside)
            line = inside - h_inside * (further - inside) / (h_further - h_inside)
        guess = chord if step % 2 == 0 else line
        # What rounding or a missing point spoils is halved, and what lies too near an end is moved off it.
        margin = _MARGIN * (inside - outside)
        point = np.where(np.isfinite(guess), guess, (outside + inside) / 2.0)
        point = np.clip(point, outside + margin, inside - margin)
        h_point = height(point)
        refused = h_point >= 0
        further, h_further = np.where(refused, further, inside), np.where(refused, h_further, h_inside)
        inside, h_inside = np.where(refused, inside, point), np.where(refused, h_inside, h_point)
        outside, h_outside = np.where(refused, point, outside), np.where(refused, h_point, h_outside)
    return np.where(seen, outside, -np.inf)


def _start(s: np.ndarray, n: np.ndarray, confidence: float, height: Callable[..., np.ndarray]) -> np.ndarray:
    """A point outside, in log p: the end of the fixed interval at a far higher confidence, if that is outside.

    Else where the Jeffreys prior alone, with p^s (1 - p)^(n - s) <= p^s, refuses.
    """
    near = np.log(np.maximum(betaincinv(s, n - s + 1.0, (1.0 - confidence) * 1e-4), 1e-300))
    safe = betaln(_SPREAD + s, _SPREAD + n - s) - betaln(_SPREAD, _SPREAD) - np.log(len(_STRENGTHS) + 1.0)
    safe = (safe + np.log1p(-confidence)) / s - 1e-9
    return np.where(height(near) >= 0, near, safe)


def _log_ratio(log_p: np.ndarray, s: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Logarithm of the likelihood ratio of the mixture to p, 0 < p <= 1, after `s` > 0 successes in `n` trials."""
    miss = np.maximum(-np.expm1(log_p), 1e-300)[..., None]
    yes, no, s_, n_ = _STRENGTHS * np.exp(log_p)[..., None], _STRENGTHS * miss, s[..., None], n[..., None]
    near = gammaln(yes + s_) - gammaln(yes) + gammaln(no + n_ - s_) - gammaln(no)
    near += gammaln(_STRENGTHS) - gammaln(_STRENGTHS + n_)
    wide = betaln(_SPREAD + s_, _SPREAD + n_ - s_) - betaln(_SPREAD, _SPREAD)
    mixed = np.logaddexp.reduce(np.concatenate([near, wide], axis=-1), axis=-1) - np.log(len(_STRENGTHS) + 1.0)
    return mixed - s * log_p - (n - s) * np.log(miss[..., 0])


def check_confidence(confidence: Any) -> None:
    """Raises `ValueError` unless `confidence` lies strictly between 0 and 1."""
    if not is_number(confidence) or not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must lie strictly between 0 and 1, such as 0.95, got {described(confidence)}.")


def normal_quantile(confidence: float) -> float:
    """How many standard errors on either side of a mean hold `confidence` of a normal distribution (1.96 for 0.95)."""
    check_confidence(confidence)
    return float(ndtri(0.5 + confidence / 2.0))


def _counts(successes: Any, trials: Any, confidence: Any) -> tuple[np.ndarray, np.ndarray]:
    check_confidence(confidence)
    successes, trials = _numbers("successes", successes), _numbers("trials", trials)
    try:
        successes, trials = np.broadcast_arrays(successes, trials)
    except ValueError as error:
        shapes = f"{successes.shape} and {trials.shape}"
        raise ValueError(f"successes and trials must be of shapes that broadcast, got {shapes}.") from error
    if not np.all((successes >= 0) & (successes <= trials)):
        raise ValueError("A proportion needs 0 <= successes <= trials in every entry.")
    return successes, trials


def _numbers(name: str, values: Any) -> np.ndarray:
    try:
        return np.asarray(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be a number or an array of numbers, got {described(values)}.") from error
