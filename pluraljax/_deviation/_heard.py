"""What a user surely makes of a provider's new policy, whichever way her doubts go."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from .._bounds import Audience, Heard, brings_nothing, brings_something, compare, compare_queries, tells_all
from .._ties import doubt


def surely_heard(
    audience: Audience,
    policy: Float[Array, "evidence query signal"],
    told: Int[Array, "type query signal"],
) -> Heard:
    """Compares a policy with what one member of an audience has elsewhere, and bounds what she brings from below.

    She does what she is `told` where that surely is best, and elsewhere what brings the provider least of all that may
    be best. Of queries that surely are best she asks the one that brings it most; where none is, the one that brings it
    least of those that may be best.
    """
    evidences, queries, signals = policy.shape
    likelihood = policy.reshape(evidences, -1)
    found = compare(audience.sense, likelihood)
    terms = likelihood.shape[0] * audience.sense.states
    liked = (likelihood[None, :, :, None] * audience.provider[:, :, None]).sum(axis=1)
    actions = jnp.arange(liked.shape[-1], dtype=jnp.int32)
    meant = told.reshape(told.shape[0], -1, 1) == actions[None, None]
    sure = (meant & found.surely_best).any(axis=-1)
    least = jnp.where(found.may_be_best, liked, jnp.inf).min(axis=-1)
    by_query = lambda leaf: leaf.reshape(leaf.shape[0], queries, signals).sum(axis=-1)
    brought = by_query(jnp.where(sure, jnp.where(meant, liked, 0.0).sum(axis=-1), least))
    best = by_query(found.worth.max(axis=-1)).max(axis=-1)
    largest = audience.sense.size.max(axis=-1).sum(axis=-1)
    asked = compare_queries(found, policy, doubt(2 * largest, terms * signals))
    most = jnp.asarray(jnp.where(asked.surely_best, brought, -jnp.inf)).max(axis=-1)
    least = jnp.asarray(jnp.where(asked.may_be_best, brought, jnp.inf)).min(axis=-1)
    earned = jnp.maximum(most, least).sum()
    earned = earned - doubt(jnp.abs(audience.provider).max(axis=-1).sum(), terms)
    value, tie = best.sum(), audience.tie + doubt(largest.sum(), terms * signals)
    idle = audience.instinct.uninformed
    above, below = value > audience.outside + tie, value < audience.outside - tie
    return Heard(
        more=~audience.full & (above | (audience.bare & brings_something(found, idle))),
        at_least=above | audience.bare | (audience.full & tells_all(likelihood, audience.instinct.optimal)),
        less=~audience.bare & below,
        at_most=below | audience.full | (audience.bare & brings_nothing(found, idle)),
        earned=earned,
    )
