"""The stakes of those who share a policy."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from .._counted import OptimalPlay


class SegmentStakes(eqx.Module):
    """Stakes of one segment's members; a situation is a (type, evidence) pair. Absent members hold zeros.

    `user_size` and `provider_size` are what the stakes would be if no terms cancelled in them, which is what their
    rounding is relative to. `optimal` says what a fully informed member may do. `opposed` marks providers whose payoffs
    are those of one of them, or the very opposite, down to the last bit: their floors make one equality.
    """

    user: Float[Array, "*batch member situation action"]
    provider: Float[Array, "*batch provider member situation action"]
    user_size: Float[Array, "*batch member situation action"]
    provider_size: Float[Array, "*batch provider member situation action"]
    optimal: OptimalPlay
    opposed: Bool[Array, "*batch provider"]
    states: int = eqx.field(static=True)
    probability: Float[Array, "*batch member situation"]
    mass: Float[Array, "*batch member"]

    @classmethod
    def of_one(
        cls,
        user: Float[Array, "situation action"],
        provider: Float[Array, "provider situation action"],
        probability: Float[Array, " situation"],
    ) -> "SegmentStakes":
        """A single member of mass 1, whose stakes are taken as they are: what is best is what is largest."""
        own, others = user[None], provider[:, None]
        best = own == own.max(axis=-1, keepdims=True)
        return cls(
            user=own,
            provider=others,
            user_size=jnp.abs(own),
            provider_size=jnp.abs(others),
            optimal=OptimalPlay(best, jnp.ones(best.shape[:-1], bool)),
            opposed=jnp.zeros(provider.shape[0], bool),
            states=1,
            probability=probability[None],
            mass=jnp.ones(1, jnp.float64),
        )

    @property
    def terms(self) -> int:
        """The most products that are added up to a number that is compared with another one."""
        return self.states + self.user.shape[-1] + self.user.shape[-2] + self.provider.shape[-4]


def aligned_action(stakes: SegmentStakes) -> Int[Array, "member situation"]:
    """Picks the first best action per situation."""
    # Not `argmax`: float64 ones do not lower under a caller's float32 `jit`.
    actions = jnp.arange(stakes.user.shape[-1], dtype=jnp.int32)
    best = stakes.user == stakes.user.max(axis=-1, keepdims=True)
    return jnp.where(best, actions, actions[-1]).min(axis=-1)
