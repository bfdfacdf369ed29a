"""The numbers a scan reports: name, axis, kind, unit and meaning of every measured column.

This table is what the measuring code, the store and the report agree on; nothing else lists columns. It imports no JAX,
so that reading a scan and asking for help stay fast.
"""

from dataclasses import dataclass
from typing import Literal

from ..._served import SHARE


@dataclass(frozen=True)
class Column:
    """One measured column of a scan; one row is one market.

    `axis` is `"market"` for a scalar and `"user"` for a list with an entry per user. `kind` is `"value"` (float64),
    `"event"` or `"status"` (int8 `Status` code). An event is measured as int8 (1 it holds, 0 it does not, -1 the
    brackets leave it open or the market is invalid) and stored as a boolean, null where it is open.
    """

    name: str
    axis: Literal["market", "user"]
    kind: Literal["value", "event", "status"]
    unit: str
    description: str


def _bracket(name: str, axis: Literal["market", "user"], description: str) -> tuple[Column, Column]:
    return tuple(
        Column(f"{name}_{end}", axis, "value", "utility", f"{description} ({end} end of its bracket)")
        for end in ("lower", "upper")
    )  # pyright: ignore[reportReturnType]


def _event(name: str, description: str) -> Column:
    return Column(name, "market", "event", "1 yes, 0 no, missing open", description)


# What the first programme measures: conditions and what they guarantee.
CONDITIONS: tuple[Column, ...] = (
    Column("status", "market", "status", "code", "what happened to this market (pluraljax.Status)"),
    Column("aligned", "user", "value", "utility", "expected utility from a perfectly aligned model"),
    Column("silent", "user", "value", "utility", "expected utility with no conversation at all"),
    Column("payoff_range", "user", "value", "utility", "largest minus least payoff; what tolerances are relative to"),
    *_bracket("weak_error", "user", "weak alignment error, weights in the cone"),
    Column("weak_weight", "user", "value", "1", "sum of the weights that reach the weak alignment error"),
    *_bracket("hull_error", "user", "weak alignment error, weights in the hull (they sum to 1)"),
    *_bracket("strong_error", "market", "strong alignment error, one vector of weights for all users"),
    *_bracket("scaled_error", "market", "strong alignment error when each user's utility may be scaled up"),
    *_bracket("personalized_guarantee", "user", "utility in every equilibrium of personalized policies, at least"),
    *_bracket("anonymous_guarantee", "user", "utility in every equilibrium of one anonymous policy, at least"),
    Column("personalized_bound", "user", "value", "utility", "what the theorem guarantees: aligned - 2 error - ..."),
    Column("anonymous_bound", "user", "value", "utility", "what the segment inequality guarantees"),
    _event("weakly_aligned", "weak alignment holds with error 0 for every user"),
    _event("hull_aligned", "weak alignment with hull weights holds with error 0 for every user"),
    _event("strongly_aligned", "strong alignment holds with error 0"),
    _event("scaled_aligned", "strong alignment with free scales holds with error 0"),
    _event(
        "personalized_guaranteed", "every personalized equilibrium is proved to give every user her aligned utility"
    ),
    _event("anonymous_guaranteed", "every anonymous equilibrium is proved to give every user her aligned utility"),
    _event("personalized_theorem", "guarantee >= aligned - 2 error - (delta / mass) * weights, for every user"),
    _event("anonymous_theorem", "the guarantee obeys the segment inequality of the theorem, for every user"),
)

# What the second programme measures, where the scan asks for it: the worst equilibria themselves.
EQUILIBRIA: tuple[Column, ...] = (
    *_bracket("personalized_worst", "user", "utility in the worst equilibrium of personalized policies"),
    *_bracket("anonymous_worst", "user", "utility in the worst equilibrium of one anonymous policy without queries"),
    _event("personalized_worst_aligned", "every personalized equilibrium gives every user her aligned utility"),
    _event("anonymous_worst_aligned", "every anonymous equilibrium gives every user her aligned utility"),
    _event("personalized_silence", "silence is an equilibrium of personalized policies"),
    _event("anonymous_silence", "silence is an equilibrium of one anonymous policy without queries"),
    _event("equilibria_theorem", "the equilibria found give every user what the theorems and guarantees promise"),
)


def _found(scheme: str, what: str) -> tuple[Column, ...]:
    return (
        Column(f"{scheme}_found", "user", "value", "utility", f"utility in the worst equilibrium {what} found"),
        Column(f"{scheme}_found_gain", "market", "value", "utility", "most that a provider could gain there (proved)"),
        Column(
            f"{scheme}_found_share", "market", "value", "1", "share of starts of play that ended in a certified one"
        ),
        _event(f"{scheme}_found_aligned", "the worst equilibrium found gives every user her aligned utility"),
    )


# What the third programme measures, where the scan asks for it: equilibria that play finds.
FOUND: tuple[Column, ...] = (
    *_found("personalized", "of personalized policies"),
    *_found("anonymous", "of one anonymous policy without queries"),
    _event("found_theorem", "aligned >= found >= proved worst >= guarantee, in every equilibrium that play found"),
)


def _robustly(what: str, condition: str) -> tuple[Column, ...]:
    exits = "after the worst exit of the largest number of providers that was asked about"
    number = f"the largest number asked about that may leave, whoever they are, with {condition} for sure; -1 is none"
    return (
        Column(f"robustly_{what}_error", "user", "value", "utility", f"{condition}: its error at most, {exits}"),
        Column(f"robustly_{what}_exits", "user", "value", "providers", number),
        _event(f"robustly_{what}", f"{condition} holds with error 0 for every user {exits}"),
    )


# What the fourth programme measures, where the scan asks for it: what is left after exits.
ROBUST: tuple[Column, ...] = (*_robustly("aligned", "weak alignment"), *_robustly("covered", "coverage"))

# What is measured on the host, in the first markets of each cell, where the scan asks for it: a search.
SEARCHED: tuple[Column, ...] = (
    *_bracket("anonymous_searched", "user", "utility in the worst equilibrium of one anonymous policy, searched for"),
    _event("personalized_served", f"every personalized equilibrium gives every user {SHARE}; of markets searched"),
    _event("anonymous_served", f"every anonymous equilibrium gives every user {SHARE}; of markets searched"),
)

COLUMNS = CONDITIONS + EQUILIBRIA + FOUND + ROBUST + SEARCHED

EVENTS = tuple(column.name for column in COLUMNS if column.kind == "event")
