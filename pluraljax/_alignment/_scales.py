"""Finds the least ratio `max_j eps_j / scale_j` of free scales, by steps that start at the best scales so far."""

from dataclasses import dataclass

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from .._bounds import Fit, fit_error, fit_lower, largest_weights, payoff_range, usable_weights
from .._bracket import Bracket
from .._candidates import FitCandidate, LinearProgram, Solution, SolverStatus, Step, pose_scaled_fit, read_scaled_fit

# Linear programmes per fit at most, and the width (relative) at which a search ends.
_MAX_STEPS = 16
_CLOSE = 5e-9


def allowed(fit: Fit, hull: bool, candidate: FitCandidate) -> FitCandidate:
    """Lowers cone weights to the largest that count."""
    weights = candidate.weights if hull else jnp.minimum(candidate.weights, largest_weights(fit))
    weights = usable_weights(weights, hull)
    return FitCandidate(weights, candidate.scale, candidate.direction)


class Scales(eqx.Module):
    """State of a search: the bracket so far, where to look next, and the candidates of the bracket's ends."""

    bracket: Bracket
    target: Float[Array, ""]
    candidate: FitCandidate
    status: Int[Array, ""]
    step: Int[Array, ""]


@dataclass(frozen=True)
class ScaleSearch:
    """The search for the scales of one fit, as its driver takes it."""

    hull: bool

    # Searches differ more in length than single programmes do, so that narrow groups pay (measured: 25 to 35 %).
    lanes_on_cpu = 8

    @property
    def steps(self) -> tuple[Step, ...]:
        return (Step(self._pose, self._learn),)

    def start(self, fit: Fit) -> Scales:
        """Starts from equal weights in the hull, or from no weights in the cone."""
        providers = fit.provider.shape[0]
        weights = jnp.full(providers, 1.0 / providers if self.hull else 0.0, jnp.float64)
        scale = jnp.ones(fit.user.shape[0], jnp.float64)
        bracket = Bracket(jnp.zeros((), jnp.float64), fit_error(fit, weights, scale).max())
        candidate = FitCandidate(weights, scale, jnp.zeros_like(fit.user))
        return Scales(bracket, bracket.upper, candidate, jnp.int32(SolverStatus.OPTIMAL), jnp.int32(0))

    def finished(self, fit: Fit, search: Scales) -> Bool[Array, ""]:
        closed = search.bracket.width <= _CLOSE * payoff_range(fit.user).max()
        return jnp.asarray(closed | (search.step >= _MAX_STEPS))

    def _pose(self, fit: Fit, search: Scales) -> LinearProgram:
        return pose_scaled_fit(fit.user, fit.provider, self.hull, search.target, search.candidate.scale)

    def _learn(self, fit: Fit, search: Scales, solution: Solution) -> Scales:
        old, bracket = search.candidate, search.bracket
        new = allowed(fit, self.hull, read_scaled_fit(fit.user, fit.provider, self.hull, old.scale, solution))
        upper = (fit_error(fit, new.weights, new.scale) / new.scale).max()
        lower = fit_lower(fit, new.direction, self.hull, True)
        lower_is_better, upper_is_better = lower > bracket.lower, upper < bracket.upper
        candidate = FitCandidate(
            weights=jnp.where(upper_is_better, new.weights, old.weights),
            scale=jnp.where(upper_is_better, new.scale, old.scale),
            direction=jnp.where(lower_is_better, new.direction, old.direction),
        )
        old_width = bracket.width
        bracket = Bracket(jnp.maximum(lower, bracket.lower), jnp.minimum(upper, bracket.upper))
        # Steps from the upper end converge fast, but not where the least ratio is only reached by ever larger scales.
        slow = (bracket.width > old_width / 2) & (search.target == search.bracket.upper)
        target = jnp.where(slow, (bracket.lower + bracket.upper) / 2, bracket.upper)
        status = jnp.maximum(search.status, solution.status)
        return Scales(bracket, target, candidate, status, search.step + jnp.int32(1))
