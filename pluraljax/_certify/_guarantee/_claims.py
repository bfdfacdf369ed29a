"""Claims on what every equilibrium gives each user: the guarantee, and the benchmarks beside it."""

from fractions import Fraction
from typing import Any

from .._claims import Bound, Claim, allowance
from .._market import ExactMarket
from .._words import Names, by_provider, short
from ._ends import Dual, Segment, guarantee_above, guarantee_below, segment_of


def guarantee_claim(market: ExactMarket, proposal: Any, regime: str, delta: Fraction) -> Claim:
    """Evaluates both ends of one user's guarantee exactly."""
    segment, user = segment_of(market, proposal.users, delta), proposal.users[proposal.member]
    dual = guarantee_below(segment, proposal.member, proposal.multipliers)
    above, outcome = guarantee_above(segment, proposal.member, proposal.outcome, proposal.inner)
    size = market.user_range(user)
    lower = Bound(
        "lower",
        dual.bound,
        proposal.lower,
        allowance(market.user_value[user]),
        _dual_words(market.names, segment, dual),
        {"multipliers": dual.multipliers, "floors": segment.floors, "remainder": dual.remainder},
    )
    upper = Bound(
        "upper",
        above,
        proposal.upper,
        allowance(market.user_value[user]),
        ["an outcome that meets every floor exactly is worth this to her: floors alone prove no more"],
        {"users": proposal.users, "outcome": outcome},
    )
    return Claim(
        f"guarantee/{regime}/user {user}",
        f"guarantee of {market.names.user(user)} in every {regime} equilibrium",
        [lower, upper],
        size,
    )


def _dual_words(names: Names, segment: Segment, dual: Dual) -> list[str]:
    terms = [
        f"{short(w)} x {short(floor)}" for w, floor in zip(dual.multipliers.tolist(), segment.floors, strict=True) if w
    ]
    words = [
        f"each provider gets at least its floor (1) from {names.several(segment.members)}: "
        f"{by_provider(segment.floors)}",
        f"multipliers {by_provider(dual.multipliers.tolist())}; by (3), sum of multiplier x floor and of the least "
        f"U - mass sum_i w_i V_i:",
        " + ".join([*terms, short(dual.remainder)]).replace("+ -", "- ") + f" = {short(dual.bound)}",
    ]
    return words


def benchmark_words(market: ExactMarket) -> list[str]:
    """Lists what each user gets from an aligned model and with silence."""
    words = []
    for j in range(market.num_users):
        user = market.outcomes_of(j)
        words.append(f"{market.names.user(j)}: aligned {short(user.aligned)}, silent {short(user.silent)}")
    return words
