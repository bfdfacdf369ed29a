"""What is reported about worst equilibria with shared policies."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from .._bracket import Bracket
from .._market import Benchmarks
from .._status import Status

# A bracket counts as closed within this share of the way from silent to aligned utility, and of the size of payoffs.
TOLERANCE = 1e-3
ROUNDING = 2.0**-40


class AnonymousFrontier(eqx.Module):
    """A bracket of the least that a delta-equilibrium gives each user when the users of a segment share a policy.

    `worst` is in expected utility: no delta-equilibrium gives user j less than `worst.lower[j]`, and one gives her at
    most `worst.upper[j]`. `boxes` counts the boxes of utilities that were looked at for her. `status` is a `Status`
    code per user: `OPEN` where the bracket is valid but wider than 1e-3 of the distance between silent and aligned
    utility. Where the market's data are invalid, every number is NaN.
    """

    worst: Bracket
    boxes: Int[Array, " user"]
    status: Int[Array, " user"]


def report(
    base: Benchmarks, size: Float[Array, " user"], worst: Bracket, boxes: Int[Array, " user"]
) -> AnonymousFrontier:
    """Puts a result together; `size` is that of the users' payoffs, which rounding is relative to."""
    valid = base.status < Status.NOT_FINITE
    span = base.aligned - base.silent
    # Ends that meet may cross by rounding.
    closed = worst.is_within(TOLERANCE * span + ROUNDING * size, size)
    worst = Bracket(jnp.where(closed, jnp.minimum(worst.lower, worst.upper), worst.lower), worst.upper)
    status = jnp.where(closed, jnp.int32(Status.OK), jnp.int32(Status.OPEN))
    return AnonymousFrontier(
        worst=jax.tree.map(lambda end: jnp.where(valid, end, jnp.nan), worst),
        boxes=boxes,
        status=jnp.asarray(jnp.where(valid, status, base.status)),
    )
