"""Claims on alignment conditions, and on what they promise: the theorems."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from .._claims import Bound, Claim, allowance
from .._guarantee._ends import segment_of, theorem_bound
from .._market import ExactMarket, value_range
from .._rational import ONE, Rationals, as_float, at_least, candidate
from .._words import Names, by_provider, short
from ._errors import Direction, allowed_weights, error_below, errors_at, lay_out


@dataclass(frozen=True)
class Alignment:
    """One segment's weights and scales, and the errors that they have exactly."""

    users: list[int]
    weights: Rationals
    scale: Rationals
    errors: list[Fraction]
    claim: Claim


# Keys of claims do not depend on names.
_NUMBERED = Names()
# Said where the lower end does not hold for all weights, however large.
_CAPPED = ", for weights up to 1e6 range(u) / range(v)"


def check_alignment(
    market: ExactMarket, proposal: Any, condition: str, *, hull: bool, offset: str, free_scale: bool
) -> Alignment:
    """Evaluates both ends of one segment's alignment error exactly."""
    fit = lay_out(market, proposal.users, offset)
    weights = allowed_weights(fit, proposal.weights, hull)
    scale = at_least(candidate(proposal.scale), ONE)
    errors = errors_at(fit, weights, scale)
    worst = max(error / s for error, s in zip(errors, scale, strict=True))
    direction = error_below(fit, proposal.direction, hull, free_scale)
    values = [market.user_value[j] for j in proposal.users]
    if hull:
        # Hull weights leave providers' payoffs in the residual.
        values += [market.provider_value[i, j] for i in range(market.num_providers) for j in proposal.users]
    size, allowed = max(value_range(v) for v in values), max(allowance(v) for v in values)
    who, key = market.names.several(proposal.users), _NUMBERED.several(proposal.users)
    lower = Bound(
        "lower",
        direction.bound,
        proposal.lower,
        allowed,
        _direction_words(direction, hull),
        {"direction": direction.values, "slopes": direction.slopes, "caps": direction.caps},
    )
    upper = Bound(
        "upper",
        worst,
        proposal.upper,
        allowed,
        _weights_words(weights, scale, errors),
        {"weights": weights, "scale": scale, "errors": errors},
    )
    among = "" if direction.caps is None or direction.bound == 0 else _CAPPED
    claim = Claim(f"{condition}/{key}", f"least alignment error of {who}{among}", [lower, upper], size)
    return Alignment(proposal.users, weights, scale, errors, claim)


def _direction_words(direction: Direction, hull: bool) -> list[str]:
    if direction.bound == 0:
        return ["an error is never negative"]
    if hull:
        return ["D adds up to 0 over each user's rows, sum |D| = 1, and <D, u> - max_i <D, v_i> is this"]
    words = ["D adds up to 0 over each user's rows, sum |D| = 1, and <D, u> is this"]
    if direction.caps is None:
        return [*words, f"no <D, v_i> is positive, {by_provider(direction.slopes)}: holds for all weights"]
    return [*words, f"less sum_i W_i max(0, <D, v_i>): holds for weights up to W = {by_provider(direction.caps)}"]


def _weights_words(weights: Rationals, scale: Rationals, errors: list[Fraction]) -> list[str]:
    words = f"with weights {by_provider(weights.tolist())}"
    if any(s != 1 for s in scale):
        words += f" and scales {', '.join(short(s) for s in scale)}"
    errors_shown = ", ".join(short(error) for error in errors)
    return [words, f"half the range of the residual sum_i w_i v_i - scale u is {errors_shown}"]


def theorem_claims(market: ExactMarket, alignment: Alignment, regime: str, delta: Fraction) -> list[Claim]:
    """Evaluates theorem (4) for every user of a segment, at the segment's weights."""
    segment = segment_of(market, alignment.users, delta)
    claims = []
    for member, user in enumerate(alignment.users):
        found = theorem_bound(market, segment, member, alignment.weights, alignment.scale, alignment.errors, delta)
        proof = [
            f"theorem (4) with weights {by_provider(alignment.weights.tolist())}",
            f"aligned {short(found.aligned)} - errors {short(found.errors)} - delta {short(found.slack)} "
            f"- ties {short(found.ties)}",
        ]
        data = {
            "weights": alignment.weights,
            "aligned": found.aligned,
            "errors": found.errors,
            "delta": found.slack,
            "ties": found.ties,
        }
        bound = Bound("lower", found.bound, float_below(found.bound), allowance(market.user_value[user]), proof, data)
        claims.append(
            Claim(
                f"theorem/{regime}/user {user}",
                f"utility of {market.names.user(user)} in every {regime} equilibrium, by the alignment theorem",
                [bound],
                market.user_range(user),
            )
        )
    return claims


def float_below(value: Fraction) -> float:
    """A float that is not above a rational: what a theorem promises was not reported by anybody else."""
    found = as_float(value)
    return found if Fraction(found) <= value else float(np.nextafter(found, -np.inf))
