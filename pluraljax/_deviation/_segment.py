"""A provider's best deviation in one segment, from both sides."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from .._bounds import Audience, possible, private_upper, public_upper, sets_of
from .._bracket import Bracket
from .._candidates import PublicCandidate, PublicTask, solve_public
from .._precision import in_float64
from ._policies import Meant, Policies, Reply, best_reply, hear, join, most_meant, padded

# With more profiles of actions, or more sets of users times profiles, the bracket of a segment of several users is what
# the policies of the pool prove, and the private bound.
MOST_PROFILES = 256
MOST_PROFILES_AND_SETS = 4096
# Sets of users that promise no more than this share of what is at stake above what is reached are not looked at:
# replies are moved by less than that, so that what users do is sure.
_NEXT_TO_NOTHING = 2.0**-30


class Task(eqx.Module):
    """One segment and provider: `height - slope r` bounds what each member brings by an offer worth r to her."""

    audience: Audience
    probability: Float[Array, "*batch member evidence"]
    height: Float[Array, "*batch member"]
    slope: Float[Array, "*batch member"]
    pool: Policies


class PublicProof(eqx.Module):
    """Multipliers for each set of users who may be won: any non-negative numbers make a valid bound.

    Segments of one size have a common leading axis, then comes the provider. Sets are numbered in binary, the last
    member's digit last; so are profiles, with actions for digits. `obedience[..., p, j, c]` is for member j doing c
    where profile p has another action for her.
    """

    obedience: Float[Array, "*batch set profile member action"]
    participation: Float[Array, "*batch set member"]


class Goal(eqx.Module):
    """What it takes to decide whether a profile is an equilibrium.

    `slack` is what a provider may leave on the table in all, `share` what it may in each segment.
    """

    slack: Float[Array, " provider"]
    share: Float[Array, " provider"]

    def reached(self, gain: Float[Array, "segment provider"]) -> Float[Array, "segment provider"]:
        """The gain that a search has to exceed to matter, where these are known."""
        refuted = (jnp.maximum(gain, 0.0).sum(axis=0) > self.slack).any()
        return jnp.where(refuted, jnp.inf, jnp.maximum(gain, self.share[None]))


class SegmentGain(eqx.Module):
    """The gain of the best deviation in a segment, the private bound on it, and a reply that reaches the lower end."""

    gain: Bracket
    most: Float[Array, "*batch"]
    reply: Reply
    proof: PublicProof | None


def is_small(members: int, types: int, actions: int) -> bool:
    """Tells whether public policies are searched exactly: several users, of one type each, and few enough profiles."""
    profiles = actions**members
    return members > 1 and types == 1 and profiles <= MOST_PROFILES and 2**members * profiles <= MOST_PROFILES_AND_SETS


def evaluate_segments(tasks: Task, goal: Goal | None = None) -> SegmentGain:
    """Brackets the best deviation for each segment and provider (two leading axes).

    With a `goal` only as closely as it takes to see whether somebody gains.
    """
    members, types, _, actions = tasks.audience.user.shape[2:]
    if not is_small(members, types, actions):
        most, reply = _only_look(tasks)
        return SegmentGain(Bracket(reply.value, most), most, reply, None)
    most, meant, reached = _first_look(tasks)
    if goal is not None:
        reached = _reached(goal, reached)
    return _second_look(tasks, most, meant, _solve_sets(_pose_sets(tasks, reached)))


@in_float64
def _reached(goal: Goal, gain: Float[Array, "segment provider"]) -> Float[Array, "segment provider"]:
    return goal.reached(gain)


def _over(function):
    """Over segments and providers."""
    return jax.vmap(jax.vmap(function))


def _most(task: Task) -> Float[Array, ""]:
    return private_upper(task.audience, task.height, task.slope)


@in_float64
def _only_look(tasks: Task) -> tuple[Array, Reply]:
    reply = lambda task: best_reply(task.audience, task.pool, hear(task.audience, task.pool))
    return _over(_most)(tasks), _over(reply)(tasks)


@in_float64
def _first_look(tasks: Task) -> tuple[Array, Meant, Array]:
    """What users make of the pool, and the most that it gains if they do as they are meant to."""
    meant = _over(lambda task: hear(task.audience, task.pool))(tasks)
    reached = _over(lambda task, meant: most_meant(task.audience, task.pool, meant))(tasks, meant)
    return _over(_most)(tasks), meant, reached


# A step of its own, so that every question about segments of one shape compiles it once.
@in_float64
def _solve_sets(tasks: PublicTask) -> PublicCandidate:
    return solve_public(tasks)


@in_float64
def _second_look(tasks: Task, most: Array, meant: Meant, found: PublicCandidate) -> SegmentGain:
    """Lets users respond to the policies found, too, and evaluates the multipliers."""
    sets = jnp.asarray(sets_of(tasks.audience.user.shape[2]))

    def best(task: Task, meant: Meant, found: PublicCandidate) -> Reply:
        new = _public_pool(task, found)
        return best_reply(task.audience, join(task.pool, new), join(meant, hear(task.audience, new)))

    reply = _over(best)(tasks, meant, found)
    proof = PublicProof(_usable(found.obedience), _usable(found.participation))
    upper = _over(lambda task, proof: _upper(task, sets, proof))(tasks, proof)
    upper = jnp.minimum(upper, most)
    return SegmentGain(Bracket(reply.value, upper), most, reply, proof)


def _usable(multipliers: Array) -> Array:
    return jnp.where(jnp.isfinite(multipliers), jnp.maximum(multipliers, 0.0), 0.0)


def _private_of_set(task: Task, won: Bool[Array, " member"]) -> Float[Array, ""]:
    bound = private_upper(task.audience, task.height, task.slope, won)
    return jnp.where(possible(task.audience, won), bound, -jnp.inf)


@in_float64
def _pose_sets(tasks: Task, reached: Float[Array, "segment provider"]) -> PublicTask:
    sets = jnp.asarray(sets_of(tasks.audience.user.shape[2]))
    return _over(lambda task, reached: _pose_each_set(task, sets, reached))(tasks, reached)


def _pose_each_set(task: Task, sets: Bool[Array, "set member"], reached: Float[Array, ""]) -> PublicTask:
    """One programme for each set of users to win; none where the private bound already rules the set out."""
    audience = task.audience

    nothing = _NEXT_TO_NOTHING * jnp.abs(audience.provider).max(axis=-1).sum()

    def one(won: Array) -> PublicTask:
        needless = _private_of_set(task, won) <= reached + nothing
        enough = reached + jnp.where(won, audience.now.low, -audience.stay.high).sum()
        # No offer is on the far side of silence, or of full information; users at a tie stay where they are.
        tight = jnp.where(won, audience.loyal & (audience.bare | audience.full), audience.bare | audience.full)
        return PublicTask(
            user=audience.user[:, 0],
            target=audience.provider[:, 0],
            probability=task.probability.max(axis=0),
            won=won,
            loss=audience.aligned - audience.outside,
            room=jnp.where(tight, 0.0, audience.room),
            enough=jnp.where(needless, jnp.inf, enough),
        )

    return jax.vmap(one)(sets)


def _public_pool(task: Task, found: PublicCandidate) -> Policies:
    members, types, _, _ = task.audience.user.shape
    queries, signals = task.pool.policy.shape[-2:]
    policy, told = found.policy[:, :, None], found.recommended[:, :, None, None]
    return padded(policy, told, (members, types, queries, signals))


def _upper(task: Task, sets: Bool[Array, "set member"], proof: PublicProof) -> Float[Array, ""]:
    """The largest bound over the sets of users who may be won."""

    def one(won: Array, obedience: Array, participation: Array) -> Array:
        bound = public_upper(task.audience, won, obedience, participation)
        return jnp.minimum(bound, _private_of_set(task, won))

    return jax.vmap(one)(sets, proof.obedience, proof.participation).max()
