"""Tells which actions a user surely prefers after each signal of a policy, whichever way rounding went."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from .._float_bits import Grid, grid_of, is_exact_sum, product
from .._ties import Sized, doubt


class Sense(eqx.Module):
    """One user's stakes, and what comparisons of them hang on.

    `lead[t, x, a, b]` is how far action a is ahead of b, which is known better than the difference of two stakes: that
    is as far off as the stakes are large. Each stake is an exact multiple of `2**last`; where it was rounded that is so
    small that nothing counts as exact.
    """

    user: Float[Array, "*batch type evidence action"]
    lead: Sized
    last: Int[Array, "*batch type evidence action"]
    states: int = eqx.field(static=True)

    @property
    def size(self) -> Float[Array, "*batch type evidence action"]:
        """What each stake would be if all that it adds up counted as positive."""
        return self.lead.size[..., 0]


class Comparison(eqx.Module):
    """After each transcript: whether an action is surely better than another one, or surely at least as good.

    What an action is worth adds up multiples of `2**last`; the absolute values of these add up to `total`.
    """

    worth: Float[Array, "type transcript action"]
    better: Bool[Array, "type transcript action other"]
    at_least: Bool[Array, "type transcript action other"]
    last: Int[Array, "type transcript action"]
    total: Float[Array, "type transcript action"]

    @property
    def may_be_best(self) -> Bool[Array, "type transcript action"]:
        return ~self.better.any(axis=-2)

    @property
    def surely_best(self) -> Bool[Array, "type transcript action"]:
        return self.at_least.all(axis=-1)


def compare(sense: Sense, likelihood: Float[Array, "evidence transcript"]) -> Comparison:
    """Compares what a user's actions are worth after each transcript, by the tie rule."""
    heard = likelihood[None, :, :, None]
    worth = (heard * sense.user[:, :, None]).sum(axis=1)
    leads = lambda values: (heard[..., None] * values[:, :, None]).sum(axis=1)
    gap, size = leads(sense.lead.value), leads(sense.lead.size)
    # Which stakes are added up exactly: likelihoods of zero leave nothing to add.
    terms = product(_lift(grid_of(likelihood)), Grid(sense.last[:, :, None], grid_of(sense.user).top[:, :, None]))
    last, total = terms.last.min(axis=1), (heard * jnp.abs(sense.user[:, :, None])).sum(axis=1)
    pair = lambda leaf, join: join(leaf[..., :, None], leaf[..., None, :])
    exact = (size == 0) | is_exact_sum(pair(last, jnp.minimum), pair(total, jnp.add))
    unsure = jnp.where(exact, 0.0, doubt(size, likelihood.shape[0] * sense.states))
    better = gap > unsure
    return Comparison(worth, better, better | (exact & (gap >= 0)), last, total)


class Queries(eqx.Module):
    """Which queries of a policy a type may like best, and which surely are best."""

    may_be_best: Bool[Array, "type query"]
    surely_best: Bool[Array, "type query"]


def compare_queries(
    found: Comparison, policy: Float[Array, "evidence query signal"], unsure: Float[Array, " type"]
) -> Queries:
    """Compares queries by what the best actions after their signals are worth, which is known up to `unsure`.

    Some ties are exact: of queries with the same answers, where all numbers add up exactly, and where a query leaves a
    type's action as it is, whatever the answer, which no query does worse than.
    """
    queries = policy.shape[1]
    same = (policy[:, :, None] == policy[:, None]).all(axis=(0, 3))
    by_query = lambda leaf: leaf.reshape(leaf.shape[0], queries, -1, *leaf.shape[2:])
    worth = by_query(found.worth.max(axis=-1)).sum(axis=-1)
    last, total = by_query(found.last).min(axis=(2, 3)), by_query(found.total.max(axis=-1)).sum(axis=-1)
    pair = lambda leaf, join: join(leaf[:, :, None], leaf[:, None])
    exact = is_exact_sum(pair(last, jnp.minimum), pair(total, jnp.add))
    idle = by_query(found.surely_best).all(axis=2).any(axis=-1)
    gap = worth[:, :, None] - worth[:, None]
    better = (gap > unsure[:, None, None]) | (exact & (gap > 0))
    at_least = better | (exact & (gap >= 0)) | idle[:, None] | same[None]
    return Queries(~(better & ~idle[:, :, None]).any(axis=1), at_least.all(axis=-1))


def _lift(grid: Grid) -> Grid:
    return Grid(grid.last[None, :, :, None], grid.top[None, :, :, None])


class Instinct(eqx.Module):
    """What a user may do uninformed (one action where it is sure which), and what is surely optimal if told."""

    uninformed: Bool[Array, "*batch type action"]
    optimal: Bool[Array, "*batch type evidence action"]


def instinct_of(sense: Sense) -> Instinct:
    evidences = sense.user.shape[1]
    silent = compare(sense, jnp.ones((evidences, 1), jnp.float64))
    may_be = silent.may_be_best[:, 0]
    # Where those that may be best tie exactly, she does the first of them.
    tied = (silent.at_least[:, 0] | ~may_be[:, None, :]).all(axis=-1)
    sure = (tied | ~may_be).all(axis=-1)
    first = jnp.cumsum(may_be, axis=-1, dtype=jnp.int32) == 1
    told = compare(sense, jnp.eye(evidences, dtype=jnp.float64))
    # A transcript is an evidence here.
    return Instinct(may_be & (first | ~sure[:, None]), told.surely_best)


def brings_nothing(found: Comparison, uninformed: Bool[Array, "type action"]) -> Bool[Array, ""]:
    """Tells whether a policy surely is worth no more than silence: one action stays best, whatever is heard."""
    stays = found.at_least.all(axis=(1, 3))
    return (stays & uninformed).any(axis=-1).all()


def brings_something(found: Comparison, uninformed: Bool[Array, "type action"]) -> Bool[Array, ""]:
    """Tells whether a policy surely is worth more than silence: some answer makes something else better."""
    moved = found.better.any(axis=(1, 2))
    return (moved | ~uninformed).all(axis=-1).any()


def tells_all(
    likelihood: Float[Array, "evidence transcript"], optimal: Bool[Array, "type evidence action"]
) -> Bool[Array, ""]:
    """Tells whether a policy surely is worth what full information is: every answer leaves her an optimal action."""
    fits = (likelihood == 0)[None, :, :, None] | optimal[:, :, None]
    return fits.all(axis=1).any(axis=-1).all()
