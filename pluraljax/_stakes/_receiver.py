"""One user as the receiver of Bayesian persuasion."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from .._counted import OptimalPlay
from .._ties import Sized


class Receiver(eqx.Module):
    """What the choices of one user are worth to her (the receiver of Bayesian persuasion).

    `lead[t, x, a, b]` is how far action a is ahead of b, which is known better than the difference of two stakes.
    `optimal` says what she may do on full evidence. `states` is how many products add up to a stake.
    """

    stakes: Sized
    lead: Sized
    optimal: OptimalPlay
    states: int = eqx.field(static=True)

    @classmethod
    def of(cls, user: Float[Array, "type evidence action"]) -> "Receiver":
        """Takes stakes as they are: actions with equal numbers tie."""
        size = jnp.abs(user)
        lead = user[..., :, None] - user[..., None, :]
        lead_size = jnp.where(lead == 0, 0.0, size[..., :, None] + size[..., None, :])
        optimal = OptimalPlay(user == user.max(axis=-1, keepdims=True), jnp.ones(user.shape[:-1], bool))
        return cls(Sized(user, size), Sized(lead, lead_size), optimal, 1)

    @property
    def user(self) -> Float[Array, "type evidence action"]:
        return self.stakes.value

    @property
    def size(self) -> Float[Array, ""]:
        """What no outcome is worth more than, or less than minus this."""
        return self.stakes.size.max(axis=-1).sum()

    @property
    def terms(self) -> int:
        """How many products add up to what an outcome is worth, at most."""
        return self.states + self.user.size

    @property
    def has_doubts(self) -> Bool[Array, "type evidence"]:
        """Where it is in doubt what is optimal on full evidence."""
        return ~self.optimal.is_exact
