"""Every provider's best deviation: all segments together, with the proofs of both ends."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from .._bounds import Audience
from .._bracket import Bracket
from .._candidates import Solver, SolverStatus
from .._conversation import Profile
from .._counted import counted
from .._market import LEAST_SLACK, Market, objective_range
from .._precision import in_float64
from .._segments import Block, Labels, blocks, first_of_label, gather, segment_of
from .._stakes import Multipliers
from .._status import Status
from .._ties import EPSILON
from ._crowd import is_crowd, look_at_crowds
from ._policies import Policies, disclosures, join, padded, recommending
from ._private import Private, find_private
from ._segment import Goal, PublicProof, SegmentGain, Task, evaluate_segments
from ._standing import Standing


class Proof(eqx.Module):
    """What proves the upper ends; any non-negative multipliers in place of these prove valid ones.

    Provider i gets at most `max(win, lose)` from user j in whatever conversation, where `win` follows from
    `prices` (those of `pluraljax`'s persuasion programmes, for her stakes and the provider's times her mass) and the
    floor `outside`, and `lose` is `elsewhere`. Entries are `None` in `public` for segments of one user, which need no
    more, and for those too large; the others hold multipliers for each set of users who may be won.
    """

    outside: Float[Array, "provider user"]
    elsewhere: Float[Array, "provider user"]
    loyal: Bool[Array, "provider user"]
    present: Float[Array, "provider user"]
    prices: Multipliers
    public: tuple[PublicProof | None, ...]
    members: tuple[Int[Array, "..."], ...]


class Gains(eqx.Module):
    """What every provider gains at most by deviating, as `silence` and `deviation` report it."""

    gain: Bracket
    most: Float[Array, " provider"]
    reply: Profile
    proof: Proof
    is_equilibrium: Bool[Array, ""]
    is_refuted: Bool[Array, ""]
    status: Int[Array, " provider"]


def find_gains(
    market: Market,
    labels: Labels,
    standing: Standing,
    tried: Array | None,
    delta: Any,
    status: Array,
    solver: Solver,
    decide: bool = False,
    replies: Array | None = None,
) -> Gains:
    """Brackets the gains; `tried` are policies `[policy segment evidence query signal]` to include in the search.

    So are `replies`, `[provider segment evidence query signal]`, each in that of its own provider.

    With `decide` the brackets are as wide as they may be to tell whether anybody gains.
    """
    standing, tried, replies = lax.stop_gradient((standing, tried, replies))
    delta = jnp.asarray(delta, jnp.float64)
    private = find_private(standing, solver)
    goals = _goals(market, labels, delta) if decide else [None] * len(blocks(labels))
    tasks = _lay_out(market, labels, standing, private, tried, replies)
    found = [
        _look_at_crowds(block, market, labels, standing, private, tried, replies)
        if task is None
        else evaluate_segments(task, goal)
        for task, goal, block in zip(tasks, goals, blocks(labels), strict=True)
    ]
    return _collect(market, labels, standing, private, found, delta, status)


@in_float64
def _goals(market: Market, labels: Labels, delta: Float[Array, ""]) -> list[Goal | None]:
    if not isinstance(labels, tuple):
        return [None] * len(blocks(labels))
    allowed, _ = _limits(market, delta)
    return [Goal(allowed, allowed / len(set(labels)))] * len(blocks(labels))


def _limits(market: Market, delta: Float[Array, ""]) -> tuple[Array, Array]:
    """What each provider may leave on the table, and the range of its objective, in the units of standings."""
    found = counted(market)
    scale = objective_range(found.market)
    return jnp.maximum(found.delta(delta), LEAST_SLACK * scale), scale


@in_float64
def _collect(
    market: Market,
    labels: Labels,
    standing: Standing,
    private: Private,
    found: list[SegmentGain],
    delta: Array,
    status: Array,
) -> Gains:
    total = jnp.zeros(standing.present.shape[0], jnp.float64)
    lower, upper, most = total, total, total
    for block, segment in zip(blocks(labels), found, strict=True):
        once = _counted_once(labels, block)[:, None]
        add = lambda gain, once=once: jnp.where(once, jnp.maximum(gain, 0.0), 0.0).sum(axis=0)
        lower, upper = lower + add(segment.gain.lower), upper + add(segment.gain.upper)
        most = most + add(segment.most)
    allowed, scale = _limits(market, delta)
    gain, valid = Bracket(lower, upper), status < Status.NOT_FINITE
    rescued = (private.solved == SolverStatus.RESCUED).any(axis=-1)
    solved = jnp.where(rescued, jnp.int32(Status.RESCUED), jnp.int32(Status.OK))
    row = jnp.where(gain.is_exact(scale), solved, jnp.int32(Status.OPEN))
    unit = standing.objective_unit
    own = lambda tree: jax.tree.map(lambda leaf: jnp.where(valid, leaf * unit, jnp.nan), tree)
    # The sums of several segments are rounded, too.
    near = 4 * EPSILON * allowed
    return Gains(
        gain=own(gain),
        most=own(jnp.maximum(most, upper)),
        reply=_replies(market, labels, found),
        proof=_proof(standing, private, labels, found),
        is_equilibrium=jnp.asarray(valid & (upper <= allowed - near).all()),
        is_refuted=jnp.asarray(valid & (lower > allowed + near).any()),
        status=jnp.asarray(jnp.where(valid, row, status)),
    )


def reply_shape(market: Market, labels: Labels) -> tuple[int, int]:
    """The numbers of queries and signals of a reply, when no other policies are tried."""
    queries, signals = _pool_shape(market, labels)
    return queries, signals + 1 + market.prior.shape[2]


def _pool_shape(market: Market, labels: Labels, *more: Array | None) -> tuple[int, int]:
    """The numbers of queries and signals that the policies of all pools fit into, and `more` policies."""
    _, types, evidences, _ = market.prior.shape
    actions = market.user_value.shape[1]
    # Crowds have no programmes of their own, whose best policies have a signal more for each member.
    largest = max(1 if is_crowd(block.members.shape[1]) else block.members.shape[1] for block in blocks(labels))
    queries, signals = types, max(evidences + largest, evidences + 1, actions, 2)
    for policies in more:
        if policies is not None:
            queries, signals = max(queries, policies.shape[-2]), max(signals, policies.shape[-1])
    return queries, signals


def _counted_once(labels: Labels, block: Block) -> Bool[Array, " segment"]:
    """Marks the rows of a block to be counted: traced labels give every user a row of her segment."""
    if isinstance(labels, tuple):
        return jnp.ones(block.members.shape[0], bool)
    return first_of_label(labels)


@in_float64
def _lay_out(
    market: Market, labels: Labels, standing: Standing, private: Private, tried: Array | None, replies: Array | None
) -> list[Task | None]:
    """Lays out the segments of each size, with leading axes [segment provider]; none of crowds."""
    shape = _pool_shape(market, labels, tried, replies)
    return [
        None
        if is_crowd(block.members.shape[1])
        else _lay_out_block(block, labels, standing, private, tried, replies, shape)
        for block in blocks(labels)
    ]


def _lay_out_block(
    block: Block,
    labels: Labels,
    standing: Standing,
    private: Private,
    tried: Array | None,
    replies: Array | None,
    shape: tuple[int, int],
) -> Task:
    of_user, of_pair = (lambda leaf: gather(leaf, block, 0)), (lambda leaf: gather(leaf, block, 1))
    audience = _audience(standing, block)
    segments, providers = audience.outside.shape[:2]
    everyone = lambda leaf: jnp.broadcast_to(leaf[:, None], (segments, providers, *leaf.shape[1:]))
    of_segment = _by_segment(block, labels, tried)
    own = _by_segment(block, labels, replies)
    pool = jax.vmap(
        lambda outcome, told, own: jax.vmap(
            lambda one, mine: _pool(one, told, mine, shape), in_axes=(0, None if own is None else 0)
        )(outcome, own),
        in_axes=(0, None if tried is None else 0, None if own is None else 0),
    )(of_pair(private.outcome), of_segment, own)
    return Task(
        audience=audience,
        probability=everyone(of_user(standing.probability)),
        height=of_pair(private.height),
        slope=of_pair(private.slope),
        pool=pool,
    )


def _by_segment(block: Block, labels: Labels, policies: Array | None) -> Array | None:
    """The policies of a block's segments, `[segment ...]`, out of those of all, `[policy segment ...]`."""
    if policies is None:
        return None
    place = jnp.take(segment_of(labels), block.members[:, 0])
    return jnp.moveaxis(jnp.take(policies, place, axis=1), 1, 0)


@in_float64
def _look_at_crowds(
    block: Block,
    market: Market,
    labels: Labels,
    standing: Standing,
    private: Private,
    tried: Array | None,
    replies: Array | None,
) -> SegmentGain:
    shape = _pool_shape(market, labels, tried, replies)
    policies = _by_segment(block, labels, tried), _by_segment(block, labels, replies)
    return look_at_crowds(block, standing, private, *policies, shape)


def _audience(standing: Standing, block: Block) -> Audience:
    """The audiences of a block of segments: [segment provider member]. Nobody can win or lose an absent member."""

    def of_pair(leaf: Array) -> Array:
        if leaf.dtype == bool:
            rows = jnp.moveaxis(jnp.take(leaf, block.members, axis=1), 1, 0)
            return rows & block.present.reshape(block.present.shape[0], 1, -1, *(1,) * (rows.ndim - 3))
        if jnp.issubdtype(leaf.dtype, jnp.integer):
            return jnp.moveaxis(jnp.take(leaf, block.members, axis=1), 1, 0)
        return gather(leaf, block, 1)

    found = jax.tree.map(of_pair, standing.audience())
    return found.without(jnp.broadcast_to(~block.present[:, None], found.away.shape))


def _pool(
    outcome: Float[Array, "member type evidence action"],
    tried: Array | None,
    reply: Array | None,
    shape: tuple[int, int],
) -> Policies:
    """The policies that are tried on every segment."""
    members, types, evidences, _ = outcome.shape
    sizes = (members, types, *shape)
    some = padded(jnp.asarray(disclosures(evidences), jnp.float64), None, sizes)
    pools = [some, padded(recommending(outcome), None, sizes)]
    if tried is not None:
        pools.append(padded(tried, None, sizes))
    if reply is not None:
        pools.append(padded(reply[None], None, sizes))
    return join(*pools)


def _replies(market: Market, labels: Labels, found: list[SegmentGain]) -> Profile:
    """Puts the best replies found into a profile: the row of a provider holds its deviation."""
    providers, users, _, _ = market.provider_value.shape
    *_, queries, signals = found[0].reply.policy.shape
    types, evidences = market.prior.shape[1:3]
    groups = len(set(labels)) if isinstance(labels, tuple) else users
    silent = np.zeros((groups, providers, evidences, queries, signals))
    silent[..., 0] = 1.0
    policy = jnp.asarray(silent, jnp.float64)
    told = jnp.full((users, providers, types, queries, signals), -1, jnp.int32)
    for block, segment in zip(blocks(labels), found, strict=True):
        place = jnp.take(segment_of(labels), block.members[:, 0])
        if not isinstance(labels, tuple):
            place = segment_of(labels)
        policy = policy.at[place].set(segment.reply.policy)
        by_member = jnp.moveaxis(segment.reply.recommended, 2, 1)
        told = told.at[block.users].set(by_member[block.row, block.place])
    return Profile(jnp.moveaxis(policy, 1, 0), jnp.moveaxis(told, 1, 0))


def _proof(standing: Standing, private: Private, labels: Labels, found: list[SegmentGain]) -> Proof:
    """The multipliers in the market's own units; those that float64 does not hold prove nothing."""
    objective, user = standing.objective_unit[:, None], standing.user_unit[None]
    scaled = lambda unit, leaf: leaf * unit.reshape(*unit.shape, *(1,) * (leaf.ndim - unit.ndim))

    def priced(unit: Array, leaf: Array) -> Array:
        price = scaled(unit, leaf)
        return jnp.asarray(jnp.where(jnp.isfinite(price), price, 0.0))

    def of_sets(segment: SegmentGain, block: Block) -> PublicProof | None:
        if segment.proof is None:
            return None
        each = standing.objective_unit[None, :, None] / jnp.take(standing.user_unit, block.members)[:, None]
        obedience = jnp.moveaxis(segment.proof.obedience, -2, 2)
        participation = jnp.moveaxis(segment.proof.participation, -1, 2)
        return PublicProof(
            jnp.moveaxis(priced(each, obedience), 2, -2), jnp.moveaxis(priced(each, participation), 2, -1)
        )

    return Proof(
        outside=scaled(standing.user_unit, standing.outside.T).T,
        elsewhere=scaled(standing.objective_unit, standing.elsewhere),
        loyal=standing.loyal,
        present=scaled(standing.objective_unit, standing.present),
        prices=jax.tree.map(lambda leaf: priced(objective / user, leaf), private.prices),
        public=tuple(of_sets(*pair) for pair in zip(found, blocks(labels), strict=True)),
        members=tuple(block.members for block in blocks(labels)),
    )
