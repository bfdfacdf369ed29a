"""What is reported about markets after the worst exit."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from .._answer import Answer
from .._bracket import Bracket
from .._precision import in_float64
from .._status import Status


class Robust(Answer):
    """What each user has, or misses, after the exit of some providers that is worst for her.

    `value` brackets it, in units of expected utility. `removed` marks a removal for each user that shows the end which
    a removal can show: the lower end of an error, and the upper end of what she gets. `status` is a `Status` code per
    user; where the market's data are invalid, every number is NaN.
    """

    attained_by = "removed"

    value: Bracket
    removed: Bool[Array, "user provider"]
    status: Int[Array, " user"]


class Robustness(Answer):
    """How many providers may leave, whoever they are, before a user is no longer aligned or covered.

    `value` brackets the largest such number, in whole numbers: -1 where she is not with all of them there, and the
    number of providers where she needs none. `removed` marks a removal after which she is proved not to be, of
    `value.upper + 1` providers, and nobody where there is none. `status` is `OPEN` where the ends differ; invalid
    markets have -2.
    """

    attained_by = "removed"

    value: Bracket
    removed: Bool[Array, "user provider"]
    status: Int[Array, " user"]


@in_float64
def worst_loss(
    losses: Bracket,
    gone: Bool[Array | np.ndarray, "removal provider"],
    scale: Float[Array, " user"],
    valid: Int[Array, ""],
    is_gain: bool = False,
) -> Robust:
    """Takes the worst of all removals: the largest loss, or the least gain; `scale` is what tolerances count in."""
    lower, upper = losses.lower, losses.upper
    if is_gain:
        lower, upper = -upper, -lower
    best = lower.max(axis=0)
    rows = jnp.arange(lower.shape[0], dtype=jnp.int32)[:, None]
    first = jnp.where(lower == best[None], rows, rows[-1:]).min(axis=0)
    ends = Bracket(best, upper.max(axis=0))
    return settle(ends, jnp.asarray(gone)[first], scale, valid, is_gain)


@in_float64
def settle(
    ends: Bracket,
    removed: Bool[Array, "user provider"],
    scale: Float[Array, " user"],
    valid: Int[Array, ""],
    is_gain: bool,
) -> Robust:
    """Makes the answer out of a bracket of the worst loss; `valid` is the status of the market."""
    status = jnp.where(ends.is_exact(scale), jnp.int32(Status.OK), jnp.int32(Status.OPEN))
    sound = valid < Status.NOT_FINITE
    if is_gain:
        ends = Bracket(-ends.upper, -ends.lower)
    ends = jax.tree.map(lambda end: jnp.where(sound, end, jnp.nan), ends)
    return Robust(ends, removed & sound, jnp.asarray(jnp.where(sound, status, valid)))
