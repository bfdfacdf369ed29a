"""Is silence an equilibrium, is a given profile one, and if not, who gains how much by deviating?"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from .._answer import Decided, truth_of
from .._arguments import checked, instance_of
from .._bracket import Bracket
from .._candidates import Solver, simplex
from .._conversation import Profile, check_profile, is_distribution
from .._market import Market, market_status, one_market, slack, with_zeros_if_invalid
from .._precision import float64_scope, in_float64
from .._segments import Labels, as_labels, user_labels
from .._status import Status
from ._gains import Gains, Proof, find_gains
from ._standing import Standing, profile_standing, silent_standing


class Silence(Decided):
    """What providers gain by breaking silence.

    `value` brackets each provider's best deviation, in units of its objective, and `most` bounds the gain of one to any
    conversation at all, even one that treats every user apart. `reply`, the `witness`, holds a deviation that reaches
    the lower end, in the row of its provider; `multipliers`, the `proof`, are those of the upper ends. `holds` is a
    `Truth` code: whether silence is an equilibrium. `status` is a `Status` code per provider; where the market's data
    are invalid, every number is NaN.
    """

    attained_by = "reply"
    proved_by = "multipliers"

    value: Bracket
    most: Float[Array, " provider"]
    holds: Int[Array, ""]
    reply: Profile
    multipliers: Proof
    status: Int[Array, " provider"]


class Deviation(Decided):
    """What providers gain by deviating from a profile.

    `user_value` is what each user gets under the profile, from the provider `choice`, and `provider_value` each
    provider's objective. `value` brackets each provider's best deviation, in units of its objective, and `most` bounds
    the gain of one to any conversation at all, even one that treats every user apart. `reply`, the `witness`, holds a
    deviation that reaches the lower end, in the row of its provider; `multipliers`, the `proof`, are those of the upper
    ends. `holds` is a `Truth` code: whether the profile is a delta-equilibrium. `status` is a `Status` code per
    provider; where market or profile are invalid, every number is NaN.
    """

    attained_by = "reply"
    proved_by = "multipliers"

    value: Bracket
    most: Float[Array, " provider"]
    holds: Int[Array, ""]
    user_value: Float[Array, " user"]
    provider_value: Float[Array, " provider"]
    choice: Int[Array, " user"]
    reply: Profile
    multipliers: Proof
    status: Int[Array, " provider"]


@checked(market=one_market, segments=user_labels, delta=slack)
@float64_scope
def silence(market: Market, segments: Any, delta: Any = 0.0, *, solver: Solver = simplex) -> Silence:
    """Brackets what each provider gains at most by telling users something when nobody else tells them anything.

    A deviating provider wins the users to whom its new policy is worth more than silence; the others go on with their
    best uninformed action, the first one where several tie (another choice among them can change the gains). With one
    provider, users at a tie do as it says. The new policy has no queries, except to segments of one user, and, where
    users have types, menus that ask for the type: other queries can set users of a segment apart and gain more, but
    never more than `most`.

    In a segment of one user, and in one of several users of one type each whose profiles of actions are few (at most
    256, and at most 4,096 times sets of users), the bracket closes but for knife-edge ties. In others it is the best
    policy of a pool, and the private bound. Derivatives are not provided: they are zero.

    **Arguments:**

    - `market`: one market; use `jax.vmap` for a batch.
    - `segments`: an integer label per user; equal labels share a policy (`personalized`, `anonymous`, or any other).
    - `delta`: how much a provider may leave on the table in an equilibrium, in units of its objective; >= 0. Never read
      as less than 1e-9 of the range of its objective.
    - `solver`: proposes candidates for the private bound; the brackets are valid whatever it returns.

    **Returns:** a `Silence`. Where `status` is `OPEN` the bracket is valid but wider than 1e-6 of the range of the
    provider's objective.

    Example::

        market = plx.families.gaussian(providers=2, users=2)(jax.random.key(0))
        plx.silence(market, plx.anonymous(2)).holds  # is it an equilibrium that nobody tells anything?
    """
    return _ask(market, segments, delta, solver, decide=False)


@float64_scope
def silence_decision(market: Market, segments: Any, delta: Any = 0.0, *, solver: Solver = simplex) -> Silence:
    """`silence` for those who only want to know whether it is an equilibrium: its brackets stay as wide as they may."""
    return _ask(market, segments, delta, solver, decide=True)


def _ask(market: Market, segments: Any, delta: Any, solver: Solver, decide: bool) -> Silence:
    labels = as_labels(segments, market.user_value.shape[0])
    status, standing = _silent(market)
    gains = find_gains(market, labels, standing, None, delta, status, solver, decide)
    return Silence(gains.gain, gains.most, _truth(gains), gains.reply, gains.proof, gains.status)


def _truth(gains: Gains) -> Int[Array, ""]:
    return truth_of(gains.is_equilibrium, gains.is_refuted)


@checked(
    market=one_market,
    segments=user_labels,
    profile=instance_of(Profile),
    delta=slack,
    replies=instance_of(Profile, type(None)),
)
@float64_scope
def deviation(
    market: Market,
    segments: Any,
    profile: Profile,
    delta: Any = 0.0,
    *,
    replies: Profile | None = None,
    solver: Solver = simplex,
) -> Deviation:
    """Brackets what each provider gains at most by changing its own policies while users respond optimally.

    A user without the provider is won by strictly more than she has; one who is with it stays at a tie with her best
    other offer, and takes that where she is left (silence if there is no other provider). The deviation is any policy
    without queries (one signal for all users of a segment; menus where a segment is one user, and menus that ask for
    the type are tried elsewhere). Other queries can set users of a segment apart and gain more, but never more than
    `most`.

    A profile of rounded numbers stands for one near by: what it tells a user to do, or whom to talk to, counts as best
    where it misses that by at most 2^-36 of the size of her payoffs. Where it tells her nothing, all that comes so near
    and does not tie exactly counts against the claim, at both ends.

    In a segment of one user, and in one of several users of one type each whose profiles of actions are few (at most
    256, and at most 4,096 times sets of users), the bracket closes but for knife-edge ties. In others it is the best
    policy of a pool, and the private bound; time and memory are linear in users. Derivatives are not provided: they are
    zero.

    **Arguments:**

    - `market`: one market; use `jax.vmap` for a batch.
    - `segments`: an integer label per user; equal labels share a policy (`personalized`, `anonymous`, or any other).
    - `profile`: the policies from which providers deviate.
    - `delta`: how much a provider may leave on the table in an equilibrium, in units of its objective; >= 0. Never read
      as less than 1e-9 of the range of its objective.
    - `replies`: policies that are tried as well, each by its own provider, such as the `reply` of `best_response`; of
      one round, and with what they recommend left to the users.
    - `solver`: proposes candidates for the private bound; the brackets are valid whatever it returns.

    **Returns:** a `Deviation`. Where `status` is `OPEN` the bracket is valid but wider than 1e-6 of the range of the
    provider's objective.

    Example::

        market = plx.families.gaussian(providers=2, users=2)(jax.random.key(0))
        everyone = plx.anonymous(2)
        found = plx.deviation(market, everyone, plx.play.informative_profile(market, everyone))
        found.value, found.holds  # what each provider gains at most, and whether nobody gains
    """
    labels = as_labels(segments, market.user_value.shape[0])
    num_segments = len(set(labels)) if isinstance(labels, tuple) else None
    check_profile(profile, market, num_segments)
    tried, own = None if isinstance(profile.policy, tuple) else profile.policy, None
    if replies is not None:
        check_profile(replies, market, num_segments)
        if len(replies.rounds) > 1:
            raise ValueError(f"replies must be a profile of one round, got {len(replies.rounds)} rounds.")
        own = next(iter(replies.rounds))
    return _deviation(market, labels, profile, tried, own, delta, solver)


@float64_scope
def deviation_of_fixed_shape(
    market: Market,
    segments: Any,
    profile: Profile,
    delta: Any = 0.0,
    *,
    replies: Array | None = None,
    solver: Solver = simplex,
) -> Deviation:
    """`deviation` whose replies do not grow with the profile: its own policies are not among those that are tried."""
    return _deviation(market, as_labels(segments, market.user_value.shape[0]), profile, None, replies, delta, solver)


def _deviation(
    market: Market,
    labels: Labels,
    profile: Profile,
    tried: Array | None,
    replies: Array | None,
    delta: Any,
    solver: Solver,
) -> Deviation:
    status, standing = _under(market, labels, profile)
    gains = find_gains(market, labels, standing, tried, delta, status, solver, replies=replies)
    return _report(standing, gains, status)


@in_float64
def _silent(market: Market) -> tuple[Array, Standing]:
    status = market_status(market)
    return status, silent_standing(with_zeros_if_invalid(market, status))


@in_float64
def _under(market: Market, labels: Labels, profile: Profile) -> tuple[Array, Standing]:
    status = market_status(market)
    sound = jnp.stack([is_distribution(kernel) for kernel in profile.rounds]).all()
    valid = status < Status.NOT_FINITE
    status = jnp.asarray(jnp.where(valid & ~sound, jnp.int32(Status.POLICY_NOT_NORMALISED), status))
    return status, profile_standing(with_zeros_if_invalid(market, status), labels, profile)


@in_float64
def _report(standing: Standing, gains: Gains, status: Array) -> Deviation:
    hide = lambda leaf: jnp.asarray(jnp.where(status < Status.NOT_FINITE, leaf, jnp.nan))
    return Deviation(
        value=gains.gain,
        most=gains.most,
        holds=_truth(gains),
        user_value=hide(standing.user_value * standing.user_unit + standing.user_baseline),
        provider_value=hide(standing.present.sum(axis=-1) * standing.objective_unit + standing.provider_baseline),
        choice=standing.choice,
        reply=gains.reply,
        multipliers=gains.proof,
        status=gains.status,
    )
