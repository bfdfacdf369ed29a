"""Claims on what users who share policies get in their worst equilibria: parts that cover all others, and a profile."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from .._claims import TOLERANCE, Bound, Claim, allowance
from .._conversations import stakes_of
from .._market import LEAST_SLACK, ExactMarket
from .._rational import ZERO, rounded
from .._words import Names, by_provider, short
from ._bounds import Loss
from ._cover import Part
from ._lower import Cover, Leaf, Lower
from ._policies import Policy
from ._profile import Equilibrium, equilibrium_of
from ._rays import Crowd, crowd_of

# A worst equilibrium of users who share policies is known when its ends are no further apart, from silent to aligned.
_KNOWN = Fraction(1, 1000)
# Parts that are shown: those in which she may lose most.
_SHOWN = 3
# Multipliers that are shown, as a share of the largest; the data have all.
_NOTABLE = Fraction(1, 10**9)
_LEAST_SLACK = ", delta counting as 1e-9 of the range of each provider's objective"


def shared_claims(market: ExactMarket, regime: str, proposal: Any, delta: Fraction) -> list[Claim]:
    """Evaluates both ends of the worst equilibria of one segment's users; `proposal` is its `SharedProposal`."""
    members = list(proposal.proof.members)
    crowd = segment_crowd(market, members, delta)
    cover = Cover(crowd, proposal.proof)
    ends = zip(proposal.lower.tolist(), proposal.upper.tolist(), strict=True)
    return [_claim(market, regime, cover, members, place, both, delta) for place, both in enumerate(ends)]


def segment_crowd(market: ExactMarket, members: Sequence[int], delta: Fraction) -> Crowd:
    """Lays out the users of one segment, of one type each."""
    stakes = stakes_of(market)
    slack = [
        max(delta, LEAST_SLACK * sum((market.mass[j] * market.provider_range(i, j) for j in members), ZERO))
        for i in range(market.num_providers)
    ]
    return crowd_of(stakes.user[members][:, 0], stakes.provider[:, members][:, :, 0], slack)


def _claim(
    market: ExactMarket,
    regime: str,
    cover: Cover,
    members: Sequence[int],
    place: int,
    reported: tuple[float, float],
    delta: Fraction,
) -> Claim:
    crowd, user, (low, high) = cover.crowd, members[place], reported
    aligned, span = market.outcomes_of(user).aligned, crowd.way[place]
    allowed = allowance(market.user_value[user])
    most = cover.most_lost(place, aligned - Fraction(low))
    lower = Bound(
        "lower", aligned - most.most, low, allowed, _cover_words(market.names, members, most), _cover_data(cover, most)
    )
    attained = cover.proof.attained[place]
    found = None if attained is None else equilibrium_of(crowd, attained)
    if found is None:
        words = ["all tell everything, and users do what their own provider likes most: no offer is strictly better"]
        if crowd.num_providers == 1:
            words = ["no outcome is worth more to her than what she does when told everything"]
        upper, needed = Bound("upper", aligned, high, allowed, words), ZERO
    else:
        words, data = _profile_words(market.names, crowd, members, found), _profile_data(crowd, found)
        upper = Bound("upper", aligned - found.lost[place], high, allowed, words, data)
        needed = max(found.gains)
    return Claim(
        f"worst/{regime}/user {user}",
        f"utility of {market.names.user(user)} in her worst {regime} equilibrium"
        + (_LEAST_SLACK if needed > delta else ""),
        [lower, upper],
        span + TOLERANCE * market.user_range(user),
        _KNOWN,
    )


def _cover_words(names: Names, members: Sequence[int], lower: Lower) -> list[str]:
    empty = sum(leaf.by is not None and leaf.by.is_empty for leaf in lower.leaves)
    words = [
        f"she loses at most {short(lower.most)} against full information: {len(lower.leaves)} parts cover all",
        f"profiles, {empty} of them hold no equilibrium, and (11) bounds what she loses in the others, most of all in",
    ]
    largest = sorted(lower.leaves, key=lambda leaf: -leaf.most)[:_SHOWN]
    return [*words, *(_leaf_words(names, members, leaf) for leaf in largest)]


def _leaf_words(names: Names, members: Sequence[int], leaf: Leaf) -> str:
    where = f"part {'-'.join(map(str, leaf.part.path))}, {_allowed_words(names, members, leaf.part)}"
    if leaf.by is None:
        return f"{where}: {short(leaf.most)}, at a corner of its simplex"
    terms, largest = [], max((each.price for each in leaf.by.inequalities), default=ZERO)
    for each in leaf.by.inequalities:
        if each.price < _NOTABLE * largest:
            continue
        won = names.several([j for j, comes in zip(members, each.won, strict=True) if comes])
        terms.append(f"{short(each.price)} x ({names.provider(each.provider)} wins {won})")
    what = "nothing" if leaf.by.is_empty else short(leaf.most)
    return f"{where}: {what}, by {' + '.join(terms) or 'what policies can do at all'}"


def _allowed_words(names: Names, members: Sequence[int], part: Part) -> str:
    if len(set(part.allowed)) == 1 and len(part.allowed[0]) > 1:
        return "whoever serves whom"
    pairs = zip(members, part.allowed, strict=True)
    return ", ".join(f"{names.user(j)} with {names.either(sorted(who))}" for j, who in pairs)


def _profile_words(names: Names, crowd: Crowd, members: Sequence[int], found: Equilibrium) -> list[str]:
    profile, words = found.profile, ["a profile in which nobody envies and no provider gains more than delta (13):"]
    for i, offer in enumerate(profile.offers):
        served = [j for j, server in zip(members, profile.served_by, strict=True) if server == i]
        who = f"serves {names.several(served)}" if served else "serves nobody"
        words.append(
            f"{names.provider(i)} offers policy {offer}, {who}, gains at most "
            f"{rounded(found.gains[i], up=True, digits=6)} of {short(crowd.slack[i])} allowed"
        )
    for place, policy in enumerate(profile.policies):
        words.append(f"policy {place}: {len(policy.rays)} signals with weights {by_provider(_weights(crowd, policy))}")
    return words


def _weights(crowd: Crowd, policy: Policy) -> list[Fraction]:
    return [share * sum(crowd.rays[n]) for n, share in zip(policy.rays, policy.share, strict=True)]


def _cover_data(cover: Cover, lower: Lower) -> dict[str, Any]:
    bounds: list[Loss] = []
    places: dict[int, int] = {}
    for leaf in lower.leaves:
        if leaf.by is not None and id(leaf.by) not in places:
            places[id(leaf.by)] = len(bounds)
            bounds.append(leaf.by)
    leaves = [
        {
            "path": leaf.part.path,
            "allowed": [sorted(who) for who in leaf.part.allowed],
            "most": leaf.most,
            "by": None if leaf.by is None else places[id(leaf.by)],
        }
        for leaf in lower.leaves
    ]
    return {"splits": _split_data(cover), "leaves": leaves, "bounds": [_loss_data(loss) for loss in bounds]}


def _split_data(cover: Cover) -> list[dict[str, Any]]:
    return [{"path": path, **split._asdict()} for path, split in sorted(cover.proof.splits.items())]


def _loss_data(loss: Loss) -> dict[str, Any]:
    return {
        "path": loss.part.path,
        "goal": loss.goal,
        "most": loss.most,
        "slope": loss.slope,
        "envy": loss.envy,
        "evidence": loss.evidence,
        "inequalities": [
            {"provider": each.provider, "won": each.won, "price": each.price, "brings": each.brings}
            for each in loss.inequalities
        ],
    }


def _profile_data(crowd: Crowd, found: Equilibrium) -> dict[str, Any]:
    """Every policy as its signals: the probability of each by evidence, and what users do; the rest is told."""
    policies = [
        [
            {"probability": [share * value for value in crowd.rays[n]], "action": action}
            for n, share, action in zip(policy.rays, policy.share, policy.action or [], strict=True)
        ]
        for policy in found.profile.policies
    ]
    deviations = [
        {"provider": each.provider, "won": each.won, "gain": each.gain, "evidence": each.evidence, "room": each.room}
        for each in found.deviations
    ]
    return {
        "offers": found.profile.offers,
        "served_by": found.profile.served_by,
        "policies": policies,
        "lost": found.lost,
        "deviations": deviations,
    }
