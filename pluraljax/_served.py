"""The scale from silent to aligned, and whom competition serves: scans, reports and studies all count by this.

NumPy only, but for what is handed in.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float, Int

# Who is served: every equilibrium gives her this share of the way from silent to aligned. Brackets of worst equilibria
# of shared policies close to 1e-3 of that way, so nothing much nearer to 1 could be told.
SERVED = 0.99

# What counts as zero, as a share of a user's payoff range: far above rounding, far below anything a market means.
ZERO = 1e-8

# Ends of brackets that cross by more than this share of a user's payoff range contradict each other: brackets of worst
# equilibria close to 1e-6 of the way from silent to aligned.
CROSSED = 1e-5

YES, NO, UNDECIDED = 1, 0, -1

# The same in words.
SHARE = f"{100 * SERVED:.0f} % of the way from silent to aligned, at least"
MEANING = (
    f"Served: every equilibrium gives every user at least {100 * SERVED:.0f} % of the way from what she gets in "
    "silence to what a perfectly aligned model would give her."
)


# Of the size of utilities: what they differ by less by is rounding, where large constants are in them.
ROUNDING = 1e-11


def has_way(silent: Any, aligned: Any, payoff_range: Any) -> Any:
    """Whether conversation is worth anything to a user: not where aligned is silent, to `ZERO` of her payoff range."""
    return SERVED * (aligned - silent) > ZERO * payoff_range


def on_scale(value: Any, silent: Any, aligned: Any, payoff_range: Any, where: Callable[..., Any] = np.where) -> Any:
    """Puts utilities on the scale where silent is 0 and aligned is 1; NaN where there is no way between the two.

    Also where it is lost in the rounding of large constants. `where` is that of the arrays' library.
    """
    way = aligned - silent
    told = has_way(silent, aligned, payoff_range) & (way > ROUNDING * (abs(silent) + abs(aligned)))
    return (value - silent) / where(told, way, np.nan)


def served_level(
    silent: Float[np.ndarray, "*batch user"],
    aligned: Float[np.ndarray, "*batch user"],
    payoff_range: Float[np.ndarray, "*batch user"],
) -> Float[np.ndarray, "*batch user"]:
    """The utility from which on a user counts as served; `payoff_range` is what her largest and smallest differ by."""
    return silent + SERVED * (aligned - silent) - ZERO * payoff_range


def intersected(
    ends: Float[np.ndarray, "end *batch user"],
    others: Float[np.ndarray, "end *batch user"],
    payoff_range: Float[np.ndarray, "*batch user"],
) -> Float[np.ndarray, "end *batch user"]:
    """Takes what two brackets of the same number say together; nothing where they contradict each other."""
    lower, upper = np.fmax(ends[0], others[0]), np.fmin(ends[1], others[1])
    crossed = lower > upper + CROSSED * payoff_range
    return np.stack([np.where(crossed, -np.inf, lower), np.where(crossed, np.inf, upper)])


def is_served(lower: Any, upper: Any, level: Any) -> Int[np.ndarray, "*batch user"]:
    """Whether each user is served, by a bracket of what her worst equilibrium gives her: `YES`, `NO` or `UNDECIDED`."""
    always, sometimes_not = np.asarray(lower >= level), np.asarray(upper < level)
    return np.where(sometimes_not, NO, np.where(always, YES, UNDECIDED)).astype(np.int8)


def everybody(served: Int[np.ndarray, "*batch user"]) -> Int[np.ndarray, "*batch"]:
    """Whether all users are served: not where one is known who is not."""
    some_not, all_are = (served == NO).any(axis=-1), (served == YES).all(axis=-1)
    return np.where(some_not, NO, np.where(all_are, YES, UNDECIDED)).astype(np.int8)
