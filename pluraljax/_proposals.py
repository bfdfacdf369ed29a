"""What the exact checker is given to check: the float64 numbers of one market, and the candidates behind them.

Solvers are run here and nowhere in the checker. Everything comes out as NumPy arrays, and nothing has to be right.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ._alignment import Offset, Scale, Weights, _lay_out_segments, _read, _search_scales, _units_of, segment_alignment
from ._bounds import SegmentStakes, aligned_action
from ._candidates import FitCandidate, GuaranteeCandidate, LinearProgram, Solution, read_guarantee, solve
from ._conversation import Profile
from ._counted import counted
from ._deviation import deviation, silence
from ._frontier import Links, Points, frontier_proof, persuasion_proof
from ._guarantee import _collect, _delta_of, _targets, solve_guarantees
from ._market import Market
from ._precision import float64_scope, in_float64
from ._segments import Labels, blocks


class FitProposal(NamedTuple):
    """One segment's alignment: its users, the bracket of its error, and weights, scales and a direction for it."""

    users: list[int]
    lower: float
    upper: float
    weights: np.ndarray
    scale: np.ndarray
    direction: np.ndarray


class GuaranteeProposal(NamedTuple):
    """One user's guarantee: the users of her segment, her place there, its bracket, multipliers and an outcome."""

    users: list[int]
    member: int
    lower: float
    upper: float
    multipliers: np.ndarray
    outcome: np.ndarray


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


class _Recorder:
    """Solves as `solve` does, and keeps the solutions."""

    def __init__(self) -> None:
        self.solutions: list[Solution] = []

    def __call__(self, programs: LinearProgram) -> Solution:
        self.solutions.append(solve(programs))
        return self.solutions[-1]


@float64_scope
def propose_fits(
    market: Market,
    labels: tuple[int, ...],
    weights: Weights = "cone",
    offset: Offset = "constant",
    scale: Scale = "unit",
) -> list[FitProposal]:
    """Runs `segment_alignment`, and keeps what proves it for every segment."""
    hull = weights == "hull"
    fits = _lay_out_segments(market, labels, hull, offset)
    if scale == "free":
        found = segment_alignment(market, np.array(labels), weights, offset, scale)
        candidates = [_search_scales(fit, hull, solve)[0] for fit in fits]
    else:
        recorder = _Recorder()
        found = segment_alignment(market, np.array(labels), weights, offset, scale, solver=recorder)
        pairs = zip(fits, recorder.solutions, strict=True)
        candidates = [_read(fit, hull, solution) for fit, solution in pairs]
    candidates = [
        _in_own_units(candidate, _units_of(market, block, hull))
        for candidate, block in zip(candidates, blocks(labels), strict=True)
    ]
    proposals = []
    for members, candidate in _segments(labels, candidates):
        first = members[0]
        bracket = float(found.error.lower[first]), float(found.error.upper[first])
        proposals.append(FitProposal(members, *bracket, candidate.weights, candidate.scale, candidate.direction))
    return sorted(proposals, key=lambda proposal: proposal.users)


def _in_own_units(candidates: FitCandidate, unit: Any) -> FitCandidate:
    """Takes the weights of a block of segments back to the units of its users and providers."""
    return eqx.tree_at(lambda c: c.weights, candidates, candidates.weights * unit.weight)


def _segments(labels: Labels, found: list[Any]) -> list[tuple[list[int], Any]]:
    """Splits what was found for blocks of segments into segments, as NumPy arrays."""
    rows = []
    for block, leaves in zip(blocks(labels), found, strict=True):
        for row, members in enumerate(np.asarray(block.members).tolist()):
            rows.append((members, jax.tree.map(lambda leaf, row=row: np.asarray(leaf[row]), leaves)))
    return rows


@float64_scope
def propose_guarantees(market: Market, labels: tuple[int, ...], delta: float) -> list[GuaranteeProposal]:
    """Runs `guarantee`, and keeps what proves it for every user."""
    blocks_of_stakes, solutions = solve_guarantees(market, labels, jnp.asarray(delta, jnp.float64), solve)
    found = _collect(market, labels, blocks_of_stakes, solutions, _delta_of(market, jnp.asarray(delta, jnp.float64)))
    candidates = [
        _read_guarantees(stakes, solution) for stakes, solution in zip(blocks_of_stakes, solutions, strict=True)
    ]
    types, evidences = market.prior.shape[1:3]
    # Candidates are in the units of `counted`.
    own = counted(market)
    user_unit, objective_unit = np.asarray(own.user_unit), np.asarray(own.objective_unit)
    proposals: list[tuple[int, GuaranteeProposal]] = []
    for members, candidate in _segments(labels, candidates):
        for place, user in enumerate(members):
            outcome = candidate.outcome[place].reshape(len(members), types, evidences, -1)
            bracket = float(found.lower[user]), float(found.upper[user])
            with np.errstate(over="ignore"):
                multipliers = candidate.multipliers[place] * user_unit[user] / objective_unit
            # Those that float64 does not hold prove nothing in it.
            multipliers = np.where(np.isfinite(multipliers), multipliers, 0.0)
            proposals.append((user, GuaranteeProposal(members, place, *bracket, multipliers, outcome)))
    return [proposal for _, proposal in sorted(proposals, key=lambda pair: pair[0])]


@in_float64
def _read_guarantees(stakes: SegmentStakes, solutions: Solution) -> GuaranteeCandidate:
    def one(stakes: SegmentStakes, target: Array, solution: Solution) -> GuaranteeCandidate:
        return read_guarantee(
            stakes.user, stakes.provider, stakes.probability, stakes.mass, aligned_action(stakes), target, solution
        )

    each_member = jax.vmap(one, in_axes=(None, 0, 0))
    return jax.vmap(lambda s, solution: each_member(s, _targets(s), solution))(stakes, solutions)


def propose_frontiers(market: Market, delta: float) -> list[FrontierProposal]:
    """Runs the search for every user's worst equilibrium, and keeps what proves it."""
    found = frontier_proof(market, delta)
    proposals = []
    for user in range(market.num_users):
        hers = jax.tree.map(lambda leaf, user=user: leaf[user], found)
        worst = hers.frontier.worst
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
        lower=np.asarray(found.gain.lower),
        upper=np.asarray(found.gain.upper),
        policy=np.asarray(found.reply.policy),
        recommended=np.asarray(recommended),
        prices=found.proof.prices,
        segments=[by_label[label] for label in sorted(by_label)],
    )


def _of_provider(public: Any, row: int) -> Callable[[int], Any]:
    return lambda provider: jax.tree.map(lambda leaf: leaf[row, provider], public)
