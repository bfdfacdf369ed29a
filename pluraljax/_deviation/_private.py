"""What a provider could get from each user if it could treat her apart: a bound for any conversation."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jax.core import Tracer
from jaxtyping import Array, Float, Int

from .._bounds import Audience, Sense, best_response_line, optimal_play, value_of
from .._candidates import LinearProgram, OutcomeTask, Solution, Solver, pose_outcome, read_outcome, truthful_task
from .._counted import OptimalPlay
from .._precision import in_float64
from .._stakes import Multipliers, Receiver
from .._ties import Sized
from ._standing import Standing

# Levels this close to full information leave a solver no room, as a share of the span.
_NEAR = 2.0**-30
# How much of a menu under which truth pays is mixed into others, so that it surely does there.
_SURE = 2.0**-30


class Private(eqx.Module):
    """Per provider and user: a line above what the provider gets by an offer worth r to her, and an offer that wins.

    The line is `height - slope r`, in units of the provider's objective; `prices` prove it.
    """

    height: Float[Array, "*pair"]
    slope: Float[Array, "*pair"]
    outcome: Float[Array, "*pair type evidence action"]
    prices: Multipliers
    solved: Int[Array, "*pair"]


def floor_of(audience: Audience) -> Float[Array, "*batch member"]:
    """What an offer should be worth to win each user for sure; candidates only."""
    return audience.outside + jnp.where(audience.loyal & audience.bare, 0.0, audience.room)


def _task(user: Array, provider: Array, probability: Array, floor: Array) -> OutcomeTask:
    aligned, silent = user.max(axis=-1).sum(), user.sum(axis=-2).max(axis=-1).sum()
    near = _NEAR * jnp.maximum(aligned - silent, 0.0)
    return OutcomeTask(user, probability, -provider, user[None], jnp.minimum(floor, aligned - near)[None])


def _each(function):
    """Over providers and users; the users' own arrays are the same for all providers."""
    return jax.vmap(jax.vmap(function), in_axes=(None, 0, None, 0))


@in_float64
def pose_private(standing: Standing) -> LinearProgram:
    floor = floor_of(standing.audience())
    pose = lambda *task: pose_outcome(_task(*task))
    return _each(pose)(standing.user, standing.provider, standing.probability, floor)


# Numbers in the programmes that are posed at once: 128 MiB of them. More programmes are solved part by part.
_MOST_AT_ONCE = 2**24


def find_private(standing: Standing, solver: Solver) -> Private:
    """Solves one programme for each provider and user, and one more for each user of several types."""
    solutions = _solve_in_parts(standing, solver)
    if standing.user.shape[1] == 1:
        return read_private(standing, solutions, None)
    return read_private(standing, solutions, _read_truthful(standing, solver(_pose_truthful(standing))))


def _solve_in_parts(standing: Standing, solver: Solver) -> Solution:
    """Solves the programmes of as many users at a time as memory is meant to hold."""
    users = standing.user.shape[0]
    size = math.prod(jax.eval_shape(pose_private, standing).matrix.shape) // users
    parts = -(-users // max(_MOST_AT_ONCE // size, 1))
    if parts == 1:
        return solver(pose_private(standing))
    # Parts of one size, so that one programme is compiled for them all: the last one starts before the others end.
    together = -(-users // parts)
    starts = [min(start, users - together) for start in range(0, users, together)]
    floor = _floors(standing)
    part = lambda start: solver(_pose_part(standing, floor, start, together))
    if isinstance(standing.user, Tracer):
        found = lax.map(part, jnp.asarray(starts, jnp.int32))
        solved = [jax.tree.map(lambda leaf, n=n: leaf[n], found) for n in range(len(starts))]
    else:
        solved = [part(jnp.int32(start)) for start in starts]
    again = len(starts) * together - users
    solved[-1] = jax.tree.map(lambda leaf: leaf[:, again:], solved[-1])
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves, axis=1), *solved)


@in_float64
def _floors(standing: Standing) -> Float[Array, "provider user"]:
    return floor_of(standing.audience())


@in_float64
def _pose_part(standing: Standing, floor: Float[Array, "provider user"], start: Array, together: int) -> LinearProgram:
    take = lambda leaf, axis: lax.dynamic_slice_in_dim(leaf, start, together, axis)
    pose = lambda *task: pose_outcome(_task(*task))
    users = take(standing.user, 0), take(standing.provider, 1), take(standing.probability, 0)
    return _each(pose)(*users, take(floor, 1))


@in_float64
def _pose_truthful(standing: Standing) -> LinearProgram:
    return jax.vmap(lambda *task: pose_outcome(truthful_task(*task)))(standing.user, standing.probability)


@in_float64
def _read_truthful(standing: Standing, solutions: Solution) -> Float[Array, "user type evidence action"]:
    def one(sense: Sense, probability: Array, solution: Solution) -> Array:
        outcome = read_outcome(truthful_task(sense.user, probability), solution).outcome
        return _winning(sense.user, outcome, jnp.array(-jnp.inf), optimal_play(_receiver(sense), sense.user))

    return jax.vmap(one)(standing.sense, standing.probability, solutions)


@in_float64
def read_private(
    standing: Standing, solutions: Solution, truthful: Float[Array, "user type evidence action"] | None
) -> Private:
    """Reads the menus, with a little of those mixed in that make every type tell the truth."""
    floor = floor_of(standing.audience())

    def one(
        sense: Sense, provider: Sized, probability: Array, row: tuple[Array, Solution], sure: Array | None
    ) -> Private:
        (floor, solution), user = row, sense.user
        candidate = read_outcome(_task(user, provider.value, probability, floor), solution)
        prices = candidate.multipliers
        prices = jax.tree.map(lambda leaf: jnp.where(jnp.isfinite(leaf), jnp.maximum(leaf, 0.0), 0.0), prices)
        receiver = _receiver(sense)
        informed = optimal_play(receiver, provider.value)
        outcome = _winning(user, candidate.outcome, floor, informed)
        if sure is not None:
            outcome = (1 - _SURE) * outcome + _SURE * sure
        height, slope = best_response_line(receiver, provider, prices)
        return Private(height, slope, outcome, prices, solution.status)

    providers = Sized(standing.provider, standing.provider_size)
    of_provider = lambda row: jax.vmap(one)(standing.sense, row[0], standing.probability, row[1], truthful)
    # Every pair of actions of every pair of a provider and a user is compared.
    compared = standing.provider.size * standing.provider.shape[-1]
    over = jax.vmap(of_provider) if compared <= _MOST_AT_ONCE else (lambda rows: lax.map(of_provider, rows))
    return over((providers, (floor, solutions)))


def _receiver(sense: Sense) -> Receiver:
    """A user's stakes for bounds; which of her optimal actions she plays, if told, only makes candidates."""
    best = sense.user == sense.user.max(axis=-1, keepdims=True)
    optimal = OptimalPlay(best, jnp.ones(best.shape[:-1], bool))
    return Receiver(Sized(sense.user, sense.size), sense.lead, optimal, sense.states)


def _winning(user: Array, outcome: Array, floor: Array, informed: Array) -> Array:
    """Makes ANY numbers a policy, with so much full information that it is worth the floor to a user who obeys it."""
    outcome = jnp.where(jnp.isfinite(outcome), jnp.maximum(outcome, 0.0), 0.0)
    total = outcome.sum(axis=-1, keepdims=True)
    outcome = jnp.where(total > 0, outcome / jnp.where(total > 0, total, 1.0), informed)
    short, room = floor - value_of(user, outcome), value_of(user, informed) - value_of(user, outcome)
    share = jnp.where(short > 0, short / jnp.where(short > 0, jnp.maximum(room, short), 1.0), 0.0)
    return (1 - share) * outcome + share * informed
