"""How the time of an answer grows with users, providers and actions, with fitted exponents, and where HiGHS is faster.

An exponent is the slope of the logarithm of time over that of size, by least squares over the sizes listed. Programmes
of persuasion with as many evidences as actions are given to HiGHS, too (one model, reused); where the two cross is read
off the line between neighbouring sizes, in logarithms.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

import pluraljax as plx

from .speed import clock, persuasion

COLUMNS = ["what grows", "size", "us a market", "HiGHS, us", "HiGHS / pluraljax"]


def anonymous_guarantee(users: int) -> tuple[Callable, Any]:
    family = plx.families.gaussian(providers=2, users=users, actions=3, states=3)
    return lambda market: plx.guarantee(market, plx.anonymous(users)), family


def weak_alignment(providers: int) -> tuple[Callable, Any]:
    family = plx.families.gaussian(providers=providers, users=1, actions=4, states=8, alignment=1.0)
    return plx.weak_alignment, family


def personalized_frontier(actions: int) -> tuple[Callable, Any]:
    family = plx.families.gaussian(providers=2, users=1, actions=actions, states=4)
    return lambda market: plx.worst_equilibrium(market, plx.personalized(1)), family


# What grows: how it is asked, the sizes, those of a quick run, and how many markets at once.
Question = tuple[Callable[[int], tuple[Callable, Any]], tuple[int, ...], tuple[int, ...], int]
QUESTIONS: dict[str, Question] = {
    "guarantee, anonymous: users": (anonymous_guarantee, (2, 4, 8, 16, 32), (2, 4), 256),
    "weak alignment: providers": (weak_alignment, (2, 4, 8, 16, 32), (2, 4), 256),
    "frontier: actions": (personalized_frontier, (3, 4, 6, 8, 12), (), 64),
}
# Evidences and actions of persuasion, and how many programmes.
SQUARES = {8: 256, 12: 128, 16: 64, 24: 16, 32: 8}
QUICK_SQUARES = {4: 32, 6: 32}


def microseconds(asked: tuple[Callable, Any], markets: int) -> float:
    question, family = asked
    drawn = jax.vmap(family)(jax.random.split(jax.random.key(0), markets))
    _, seconds, _ = clock(jax.jit(jax.vmap(question)), drawn, repeats=10)
    return 1e6 * seconds / markets


def exponent(sizes: Sequence[float], times: Sequence[float]) -> float:
    """The slope of a line through logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(times), 1)[0])


def crossing(sizes: Sequence[float], ratios: Sequence[float]) -> float | None:
    """Where a ratio passes through 1 first; None where it does not."""
    points = list(zip(np.log(sizes), np.log(ratios), strict=True))
    for (size, ratio), (larger, after) in itertools.pairwise(points):
        if ratio > 0 >= after:
            return float(np.exp(size + (larger - size) * ratio / (ratio - after)))
    return None


def measure(quick: bool) -> dict[str, Any]:
    rows, notes = [], []
    for name, (make, full, few, markets) in QUESTIONS.items():
        sizes = few if quick else full
        if not sizes:
            continue
        times = [microseconds(make(size), markets) for size in sizes]
        rows += [[name, size, time, None, None] for size, time in zip(sizes, times, strict=True)]
        notes.append(f"{name}: time grows as size to the power {exponent(sizes, times):.2f}.")
    name, squares = "persuasion: evidences = actions", QUICK_SQUARES if quick else SQUARES
    found = [persuasion(markets=count, evidences=size, actions=size) for size, count in squares.items()]
    own = [each["microseconds a market"] for each in found]
    exact = [each["HiGHS, microseconds a market"] for each in found]
    ratios = [theirs / ours for theirs, ours in zip(exact, own, strict=True)]
    rows += [[name, *row] for row in zip(squares, own, exact, ratios, strict=True)]
    notes.append(
        f"{name}: time grows as size to the power {exponent(list(squares), own):.2f}, that of HiGHS to the power "
        f"{exponent(list(squares), exact):.2f}; {_where(crossing(list(squares), ratios), ratios, list(squares))}."
    )
    return {"columns": COLUMNS, "rows": rows, "notes": notes}


def _where(place: float | None, ratios: Sequence[float], sizes: Sequence[int]) -> str:
    if place is not None:
        return f"HiGHS is faster from about {place:.0f} on"
    return f"{'pluraljax' if ratios[-1] > 1 else 'HiGHS'} is faster at {sizes[-1]}, and at no size listed do they cross"
