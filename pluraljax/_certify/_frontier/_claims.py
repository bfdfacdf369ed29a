"""Claims on worst personalized equilibria, and on the most that a provider can get from a user."""

from fractions import Fraction
from typing import Any

from .._claims import TOLERANCE, Bound, Claim, allowance
from .._market import ExactMarket
from .._outcomes import Multipliers
from .._rational import ZERO, rounded
from .._words import Names, by_provider, short
from ._curves import Equilibrium, Frontiers, Line, Link, Point, chain, equilibrium_at

# Said where the outcome found is no equilibrium for the delta that was asked for, but for the least one that counts.
_LEAST_SLACK = ", delta / mass counting as 1e-9 of the range of each provider's payoffs"


def worst_claim(market: ExactMarket, user: int, proposal: Any, delta: Fraction) -> Claim:
    """Evaluates both ends of one user's worst equilibrium; `proposal` is her `FrontierProposal`."""
    slack = [market.slack_of(i, user, delta) for i in range(market.num_providers)]
    frontiers = Frontiers(market.outcomes_of(user), slack, proposal.points)
    reached, links = chain(frontiers, proposal.links)
    size = market.user_range(user)
    upper, needed = _upper(market, user, frontiers, proposal)
    lower = Bound(
        "lower",
        reached,
        float(proposal.lower),
        allowance(market.user_value[user]),
        _chain_words(market.names, frontiers, links),
        {"silent": frontiers.user.silent, "slack": slack, "links": [_link_data(link) for link in links]},
    )
    span = frontiers.user.aligned - frontiers.user.silent
    return Claim(
        f"worst/user {user}",
        f"utility of {market.names.user(user)} in her worst personalized equilibrium"
        + (_LEAST_SLACK if needed > delta else ""),
        [lower, upper],
        span + TOLERANCE * size,
    )


def _upper(market: ExactMarket, user: int, frontiers: Frontiers, proposal: Any) -> tuple[Bound, Fraction]:
    """An equilibrium by (5), or aligned play, and the delta that it takes."""
    found = equilibrium_at(frontiers, proposal.outcome)
    holds = all(gain <= slack for gain, slack in zip(found.gains, frontiers.slack, strict=True))
    reported, allowed = float(proposal.upper), allowance(market.user_value[user])
    if found.is_aligned or not holds:
        # With one provider, some outcome gives it the most it can get, and none is worth more than this to her.
        told = found.outcome if found.is_aligned else frontiers.user.informed()
        words = ["all tell her everything, and she does what her own provider likes most: no offer is strictly better"]
        if frontiers.num_providers == 1:
            words = ["no outcome is worth more to her than what she does when told everything"]
        return Bound("upper", frontiers.user.aligned, reported, allowed, words, {"outcome": told}), ZERO
    data = {
        "outcome": found.outcome,
        "gains": found.gains,
        "slack": frontiers.slack,
        "lines": [_line_data(line) for line in found.lines],
    }
    bound = Bound("upper", found.level, reported, allowed, _equilibrium_words(market.names, frontiers, found), data)
    return bound, max(found.gains) * market.mass[user]


def _equilibrium_words(names: Names, frontiers: Frontiers, found: Equilibrium) -> list[str]:
    beaten = frontiers.user.silent if frontiers.num_providers == 1 else found.level
    words = ["all providers offer one outcome, which she obeys exactly; lines above the curves bound other offers (5)"]
    rows = zip(found.lines, found.gains, frontiers.slack, strict=True)
    for i, (line, gain, slack) in enumerate(rows):
        words.append(
            f"{names.provider(i)}: phi(r) <= {short(line.height)} - {short(line.slope)} r, at {short(beaten)} "
            f"{short(line.at(beaten))}; gains at most {rounded(gain, up=True, digits=6)} of {short(slack)} allowed"
        )
    return words


def _chain_words(names: Names, frontiers: Frontiers, links: list[Link]) -> list[str]:
    if not links:
        return ["she never gets less than with silence"]
    words = [
        f"she never gets less than with silence, {short(frontiers.user.silent)}; intervals without equilibria (6):"
    ]
    for link in links:
        chords = "; ".join(
            f"phi_{i}(r) >= {short(h)} - {short(s)} r by outcomes worth {', '.join(short(p.level) for p in chord)}"
            for i, (h, s, chord) in enumerate(zip(link.heights, link.slopes, link.chords, strict=True))
        )
        words += [
            f"[{short(link.start)}, {short(link.reach)}): {chords}",
            f"  multipliers: providers {by_provider(link.prices.floors[:-1].tolist())}, her utility "
            f"{short(link.prices.floors[-1])}, {_incentive_words(names, link.prices)}: what is left is worth at least "
            f"{short(link.cleared)}",
        ]
    return words


def _incentive_words(names: Names, prices: Multipliers) -> str:
    several = prices.obedience.shape[0] > 1
    terms = []
    for t, a, b in zip(*(axis.tolist() for axis in prices.obedience.nonzero()), strict=True):
        who = f"type {t} " if several else ""
        terms.append(f"{who}{names.action(a)}->{names.action(b)} {short(prices.obedience[t, a, b])}")
    lies = int((prices.recoding.sum(axis=(2, 3)) != 0).sum())
    terms += [f"{lies} kinds of lie"] * bool(lies)
    return "obedience " + (", ".join(terms) or "0")


def monopoly_claim(market: ExactMarket, provider: int, user: int, proposal: Any) -> Claim:
    """Evaluates both ends of the most that a provider can get from a user who has no other offer."""
    frontiers = Frontiers(market.outcomes_of(user), [], proposal.points)
    point, line = frontiers.point(provider, 0), frontiers.line(provider, 0)
    size, allowed = market.provider_range(provider, user), allowance(market.provider_value[provider, user])
    lower = Bound(
        "lower",
        point.value,
        float(proposal.lower[provider]),
        allowed,
        [f"an outcome that she obeys exactly; it is worth {short(point.level)} to her"],
        _point_data(point),
    )
    upper = Bound(
        "upper",
        line.at(frontiers.user.silent),
        float(proposal.upper[provider]),
        allowed,
        [
            "sum over (type, evidence) of the largest V + incentives, less multiplier x silent utility",
            f"multipliers: {_incentive_words(market.names, line.prices)}, her utility {short(line.slope)}",
        ],
        _line_data(line),
    )
    return Claim(
        f"most/provider {provider}/user {user}",
        f"most that {market.names.provider(provider)} can get from {market.names.user(user)}",
        [lower, upper],
        size,
    )


def _prices_data(prices: Multipliers) -> dict[str, Any]:
    return {"obedience": prices.obedience, "recoding": prices.recoding, "floors": prices.floors}


def _line_data(line: Line) -> dict[str, Any]:
    return {"height": line.height, "slope": line.slope, "multipliers": _prices_data(line.prices)}


def _point_data(point: Point) -> dict[str, Any]:
    return {"outcome": point.outcome, "user_value": point.level, "provider_value": point.value}


def _link_data(link: Link) -> dict[str, Any]:
    return {
        "start": link.start,
        "end": link.reach,
        "cleared": link.cleared,
        "heights": link.heights,
        "slopes": link.slopes,
        "chords": [[_point_data(point) for point in chord] for chord in link.chords],
        "multipliers": _prices_data(link.prices),
    }
