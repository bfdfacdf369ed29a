"""Claims on what providers gain by deviating, from silence or from a profile, and whether that makes an equilibrium."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

from .._claims import OPEN, PROVED, REFUTED, Bound, Claim, Question, Verdict, allowance
from .._conversations import Stakes, Standing
from .._market import LEAST_SLACK, ExactMarket
from .._rational import ZERO, rounded
from .._words import Names, short
from ._gains import Ceiling, Rival, ceiling, rival
from ._replies import Reply, reply_value

_NUMBERED = Names()


@dataclass(frozen=True)
class Gain:
    """What one provider, by its name, gains: a bracket, and a bound on the gain by any conversation at all.

    `slack` is what it may gain in an equilibrium, `delta` without the least that this is ever read as.
    """

    provider: str
    lower: Fraction
    upper: Fraction
    private: Fraction
    delta: Fraction
    slack: Fraction
    claim: Claim


def gain_of(
    market: ExactMarket, stakes: Stakes, standing: Standing, provider: int, proposal: Any, delta: Fraction, key: str
) -> Gain:
    """Evaluates one provider's best deviation from both sides, segment by segment."""
    lower, upper, private = ZERO, ZERO, ZERO
    below, above, several = [], [], False
    for place, segment in enumerate(proposal.segments):
        found = rival(stakes, standing, provider, segment.members)
        told = proposal.recommended[provider][segment.members]
        reply = reply_value(found, proposal.policy[provider, place], told)
        public = None if segment.public is None else segment.public(provider)
        most = ceiling(found, proposal.prices, provider, public)
        lower += max(reply.value - found.present, ZERO)
        upper += max(most.public - found.present, ZERO)
        private += max(most.private - found.present, ZERO)
        several = several or len(segment.members) > 1
        below.append(_reply_words(market.names, found, reply))
        above += _ceiling_words(market.names, found, most, public is not None)
    scale = sum(
        (market.mass[j] * market.provider_range(provider, j) for j in range(market.num_users)),
        ZERO,
    )
    allowed = sum(
        (market.mass[j] * allowance(market.provider_value[provider, j]) for j in range(market.num_users)), ZERO
    )
    data = {"by_any_conversation": private, "replies": proposal.policy[provider]}
    if several:
        above.append(f"by any conversation at all, even one that treats users apart: {rounded(private, up=True)}")
    claim = Claim(
        f"gain/{key}/provider {provider}",
        f"most that {market.names.provider(provider)} gains by deviating"
        + (", with one public signal per segment" if several else ""),
        [
            Bound("lower", lower, float(proposal.lower[provider]), allowed, below, data),
            Bound("upper", upper, float(proposal.upper[provider]), allowed, above, {"by_any_conversation": private}),
        ],
        scale,
    )
    return Gain(market.names.provider(provider), lower, upper, private, delta, max(delta, LEAST_SLACK * scale), claim)


def _reply_words(names: Names, found: Rival, reply: Reply) -> str:
    who = names.several(found.members)
    if reply.value <= found.present:
        return f"from {who}: nothing better was found than {short(found.present)} now"
    won = names.several(reply.won) if reply.won else "nobody"
    return (
        f"from {who}: a policy that leaves it with {won} brings {short(reply.value)} in place of {short(found.present)}"
    )


def _ceiling_words(names: Names, found: Rival, most: Ceiling, public: bool) -> list[str]:
    words = []
    for m, user in enumerate(found.members):
        height, slope = most.lines[m]
        words.append(
            f"{names.user(user)}: an offer worth r brings at most {short(height)} - {short(slope)} r, and has to be "
            f"worth {short(found.outside[m])}; elsewhere she brings {short(found.elsewhere[m])}"
        )
    if public:
        words.append("for each set of users won, multipliers of obedience and participation bound one policy for all")
    words.append(f"at most {short(most.public)} from {names.several(found.members)}, {short(found.present)} now")
    return words


def equilibrium_question(gains: list[Gain], key: str, what: str) -> Question:
    """Settles whether no provider gains more than delta."""
    found = _settle(gains)
    quantity = f"{what} is a delta-equilibrium{found.deltas}{found.deviations}"
    return Question(key, quantity, found.verdict, found.reason, [gain.claim for gain in gains])


def silence_question(gains: list[Gain], regime: str, tied: Sequence[int] = (), names: Names = _NUMBERED) -> Question:
    """Settles what silence is: the claim is whichever of the two answers is proved.

    `tied` lists the users who have several best actions when they know nothing; the answer is for the first of them.
    """
    found = _settle(gains)
    word = "no" if found.verdict == REFUTED else "a"
    quantity = f"silence is {word} delta-equilibrium{found.deltas}, {regime}{found.deviations}"
    if tied:
        quantity += (
            f", where {names.several(tied)} {'does' if len(tied) == 1 else 'do'} the first of several best actions"
        )
    verdict = PROVED if found.verdict == REFUTED else found.verdict
    return Question(f"silence/{regime}", quantity, verdict, found.reason, [gain.claim for gain in gains])


# Where users share a policy, queries may set them apart, and the bound for one public signal does not cover that.
_WITHOUT_QUERIES = ", against policies without queries"


class _Settled(NamedTuple):
    """A verdict and why; which deltas and deviations it is about, where not the delta asked for and all deviations."""

    verdict: Verdict
    reason: str
    deltas: str = ""
    deviations: str = ""


def _settle(gains: list[Gain]) -> _Settled:
    for gain in gains:
        if gain.lower > gain.slack:
            words = f"{gain.provider} gains at least {rounded(gain.lower, up=False)}"
            return _Settled(REFUTED, f"{words}, more than {short(gain.slack)}")
    for gain in gains:
        if gain.upper > gain.slack:
            between = f"between {rounded(gain.lower, up=False)} and {rounded(gain.upper, up=True)}"
            return _Settled(OPEN, f"{gain.provider} gains {between}, and {short(gain.slack)} is allowed")
    if all(gain.private <= gain.slack for gain in gains):
        most = max(gain.private for gain in gains)
        reason = f"nobody gains more than {rounded(most, up=True)} by any conversation"
        return _Settled(PROVED, reason, _for_delta(gains, most))
    most, apart = (max(ends) for ends in zip(*((gain.upper, gain.private) for gain in gains), strict=True))
    reason = (
        f"nobody gains more than {rounded(most, up=True)} by one public signal per segment; "
        f"by any conversation at most {rounded(apart, up=True)}"
    )
    return _Settled(PROVED, reason, _for_delta(gains, most), _WITHOUT_QUERIES)


def _for_delta(gains: list[Gain], most: Fraction) -> str:
    """What the deltas are for which it is proved, where the one asked for is less: multipliers of floats prove no 0."""
    return f" for delta >= {rounded(most, up=True)}" if any(most > gain.delta for gain in gains) else ""


def standing_words(market: ExactMarket, standing: Standing) -> list[str]:
    """Says whom users talk to under a profile, and what they get."""
    words = []
    for j, (value, choice) in enumerate(zip(standing.user_value, standing.choice, strict=True)):
        baseline = sum(market.user[j, :, :, 0].ravel().tolist(), ZERO)
        words.append(
            f"{market.names.user(j)} talks to {market.names.provider(choice)} and gets {short(value + baseline)}"
        )
    return words
