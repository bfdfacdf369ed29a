"""What the exact checker is given to check: the float64 numbers of one market, and the candidates behind them.

Solvers are run here and nowhere in the checker. Everything comes out as NumPy arrays, and nothing has to be right.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from ._alignment import Offset, Scale, Weights, segment_alignment
from ._conversation import Profile
from ._deviation import deviation, silence
from ._frontier import Links, Points, frontier_proof, persuasion_proof
from ._guarantee import guarantee
from ._inner import inner_outcome
from ._market import Market
from ._status import Status
from ._worst_shared import APART as APART
from ._worst_shared import Outlook, SegmentProof, shared_proof


class FitProposal(NamedTuple):
    """One segment's alignment: its users, the bracket of its error, and weights, scales and a direction for it."""

    users: list[int]
    lower: float
    upper: float
    weights: np.ndarray
    scale: np.ndarray
    direction: np.ndarray


class GuaranteeProposal(NamedTuple):
    """One user's guarantee: the users of her segment, her place there, its bracket, multipliers and an outcome.

    `inner` is one that clears all floors, if there is any, where the bracket did not close: solvers miss floors by
    1e-13, and aligned play may have nothing to spare to make up for it.
    """

    users: list[int]
    member: int
    lower: float
    upper: float
    multipliers: np.ndarray
    outcome: np.ndarray
    inner: np.ndarray | None = None


class FrontierProposal(NamedTuple):
    """One user's worst equilibrium: its bracket, an equilibrium's outcome, points of curves and intervals."""

    lower: float
    upper: float
    outcome: np.ndarray
    points: Points
    links: Links


class PersuasionProposal(NamedTuple):
    """The most that each provider can get from one user: brackets `[provider]`, and one point of each curve."""

    lower: np.ndarray
    upper: np.ndarray
    points: Points


class SharedProposal(NamedTuple):
    """The worst equilibria of the users of one segment, brackets `[user]`, and the proof that the answer carries."""

    lower: np.ndarray
    upper: np.ndarray
    proof: SegmentProof


class SegmentProposal(NamedTuple):
    """One segment's users, and multipliers of one policy for all of them, as a function of the provider."""

    members: list[int]
    public: Callable[[int], Any] | None


class DeviationProposal(NamedTuple):
    """Best deviations `[provider]`: brackets, a reply, multipliers, and segments in the order of their labels."""

    lower: np.ndarray
    upper: np.ndarray
    policy: np.ndarray
    recommended: np.ndarray
    prices: Any
    segments: list[SegmentProposal]


def propose_fits(
    market: Market,
    labels: tuple[int, ...],
    weights: Weights = "cone",
    offset: Offset = "constant",
    scale: Scale = "unit",
) -> list[FitProposal]:
    """Asks `segment_alignment`, and takes what proves it for every segment."""
    found = jax.tree.map(np.asarray, segment_alignment(market, np.array(labels), weights, offset, scale))
    proposals = []
    for users in _segments(labels):
        bracket = float(found.lower[users[0]]), float(found.upper[users[0]])
        proposals.append(
            FitProposal(users, *bracket, found.weights[users[0]], found.scale[users], found.direction[users])
        )
    return proposals


def _segments(labels: tuple[int, ...]) -> list[list[int]]:
    """The users of each segment, in the order of the first of them."""
    return [[user for user, own in enumerate(labels) if own == label] for label in dict.fromkeys(labels)]


def propose_guarantees(market: Market, labels: tuple[int, ...], delta: float) -> list[GuaranteeProposal]:
    """Asks `guarantee`, and takes what proves it for every user."""
    found = jax.tree.map(np.asarray, guarantee(market, np.array(labels), delta))
    mass = np.asarray(market.mass, np.float64)
    members_of = {user: users for users in _segments(labels) for user in users}
    proposals = []
    for user, users in sorted(members_of.items()):
        bracket = float(found.lower[user]), float(found.upper[user])
        with np.errstate(over="ignore"):
            multipliers = found.weights[user] / mass[user]
        # Those that float64 does not hold prove nothing in it.
        multipliers = np.where(np.isfinite(multipliers), multipliers, 0.0)
        outcome = found.outcome[user, : len(users)]
        inner = None if found.status[user] == Status.OK else _inner(market, users, delta)
        proposals.append(GuaranteeProposal(users, users.index(user), *bracket, multipliers, outcome, inner))
    return proposals


def _inner(market: Market, users: list[int], delta: float) -> np.ndarray | None:
    """An outcome of some users, `[member type evidence action]`, that clears all floors, if one is found."""
    prior, mass = (np.asarray(leaf, np.float64)[users] for leaf in (market.prior, market.mass))
    own = np.asarray(market.user_value, np.float64)[users]
    given = np.asarray(market.provider_value, np.float64)[:, users]
    user = np.einsum("jtxy,jay->jtxa", prior, own)
    brings = np.einsum("j,jtxy,ijay->ijtxa", mass, prior, given)
    best = user == user.max(axis=-1, keepdims=True)
    floors = np.where(best, brings, np.inf).min(axis=-1).sum(axis=(1, 2, 3)) - delta
    found = inner_outcome(brings.reshape(len(brings), -1, brings.shape[-1]), floors)
    return None if found is None else found.reshape(brings.shape[1:])


def propose_frontiers(market: Market, delta: float) -> list[FrontierProposal]:
    """Runs the search for every user's worst equilibrium, and keeps what proves it."""
    found = frontier_proof(market, delta)
    proposals = []
    for user in range(market.num_users):
        hers = jax.tree.map(lambda leaf, user=user: leaf[user], found)
        worst = hers.frontier.value
        proposals.append(
            FrontierProposal(float(worst.lower), float(worst.upper), hers.frontier.outcome, hers.points, hers.links)
        )
    return proposals


def propose_persuasion(market: Market) -> list[PersuasionProposal]:
    """Runs `persuasion` without floors, and keeps what proves it for every user."""
    found, points = persuasion_proof(market)
    return [
        PersuasionProposal(
            np.asarray(found.value.lower)[:, user],
            np.asarray(found.value.upper)[:, user],
            jax.tree.map(lambda leaf, user=user: leaf[user][None], points),
        )
        for user in range(market.num_users)
    ]


def propose_deviations(
    market: Market, labels: tuple[int, ...], delta: float, profile: Profile | None = None
) -> DeviationProposal:
    """Runs `deviation`, or `silence` without a profile, and keeps what proves it."""
    segments = np.array(labels)
    found = silence(market, segments, delta) if profile is None else deviation(market, segments, profile, delta)
    found = jax.tree.map(np.asarray, found)
    by_label = {}
    for members, public in zip(found.proof.members, found.proof.public, strict=True):
        for row, users in enumerate(members.tolist()):
            by_label[labels[users[0]]] = SegmentProposal(users, None if public is None else _of_provider(public, row))
    recommended = found.reply.recommended
    if recommended is None:
        raise ValueError("A reply says what users do.")
    return DeviationProposal(
        lower=np.asarray(found.value.lower),
        upper=np.asarray(found.value.upper),
        policy=np.asarray(found.reply.policy),
        recommended=np.asarray(recommended),
        prices=found.proof.prices,
        segments=[by_label[label] for label in sorted(by_label)],
    )


def propose_shared(
    market: Market, labels: tuple[int, ...], delta: float, budget: int
) -> tuple[list[SharedProposal], Outlook]:
    """Runs the search for the worst equilibria of users who share policies, once, and keeps what proves it.

    Segments that are too large to be searched are left out. Also returns what is said of a longer search.
    """
    found, proofs, outlook = shared_proof(market, np.array(labels), delta, budget)
    lower, upper = np.asarray(found.value.lower), np.asarray(found.value.upper)
    proposals = [SharedProposal(lower[list(proof.members)], upper[list(proof.members)], proof) for proof in proofs]
    return proposals, outlook


def _of_provider(public: Any, row: int) -> Callable[[int], Any]:
    return lambda provider: jax.tree.map(lambda leaf: leaf[row, provider], public)
