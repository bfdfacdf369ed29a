"""The primitives of a market, the stakes that solvers need, and each user's two benchmarks."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int

from ._answer import Readable
from ._arguments import checked, described, finite_slack, market_wanted
from ._float_bits import is_negative, is_zero, power_of_two
from ._precision import in_float64, in_scope
from ._served import on_scale
from ._status import Status
from ._warnings import PAYOFFS, warn_once

# Priors that come from float32 data sum to 1 only this well.
PRIOR_SUM_TOLERANCE = 1e-6


def _as_float_array(value: Any) -> Array:
    """Converts to a floating JAX array; what was double precision stays so, whatever JAX's global switch says."""
    if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jnp.floating):
        notice_float32(value)
        return value
    if isinstance(value, np.ndarray | list | tuple | int | float):
        value = np.asarray(value)
        if value.dtype.kind not in "biuf":
            raise ValueError(f"A market holds real numbers, got an array of {value.dtype}.")
        value = value if value.dtype.kind == "f" else value.astype(np.float64)
    # A constant also where a caller's `jit` is being traced: an operation there would round outside the scope.
    with jax.ensure_compile_time_eval(), jax.enable_x64(True):
        return jnp.asarray(value, dtype=jnp.float64 if value.dtype.itemsize >= 8 else jnp.float32)


def notice_float32(*arrays: Any) -> None:
    """Warns of JAX arrays in float32 while JAX's switch is off: they may have been float64."""
    if not in_scope() and any(isinstance(each, jax.Array) and each.dtype == np.float32 for each in arrays):
        warn_once(PAYOFFS)


class Market(eqx.Module):
    """Primitives of one market; holds no solver settings. A batch of markets is a `Market` with a leading axis.

    User j privately knows her type t, every provider sees the evidence x, and y is the state. A provider's objective
    is the sum over users of `mass[j] * provider_value[i, j]`.

    **Arguments:**

    - `prior`: probability of (type, evidence, state) for each user; sums to 1 per user.
    - `user_value`: what a user gets from her action in each state.
    - `provider_value`: what each provider gets from each user's action in each state.
    - `mass`: how many people each user stands for; positive.

    Raises `ValueError` when shapes disagree. Values are not looked at here: `market_status` reports on them row by row.
    """

    prior: Float[Array, "user type evidence state"] = eqx.field(converter=_as_float_array)
    user_value: Float[Array, "user action state"] = eqx.field(converter=_as_float_array)
    provider_value: Float[Array, "provider user action state"] = eqx.field(converter=_as_float_array)
    mass: Float[Array, " user"] = eqx.field(converter=_as_float_array)

    def __check_init__(self):
        # Shapes only: values are unknown under `jit`.
        for name, axes in (
            ("prior", "user,type,evidence,state"),
            ("user_value", "user,action,state"),
            ("provider_value", "provider,user,action,state"),
            ("mass", "user"),
        ):
            shape, wanted = getattr(self, name).shape, axes.count(",") + 1
            if len(shape) != wanted or 0 in shape:
                raise ValueError(f"Market.{name}[{axes}] needs {wanted} non-empty axes, got shape {shape}.")
        users, actions, states = self.user_value.shape
        if self.provider_value.shape[1:] != (users, actions, states):
            raise ValueError(
                f"Market axes disagree: user_value[user,action,state] is {self.user_value.shape}, "
                f"but provider_value[provider,user,action,state] is {self.provider_value.shape}."
            )
        if self.prior.shape[0] != users or self.prior.shape[3] != states:
            raise ValueError(
                f"Market axes disagree: user_value[user,action,state] is {self.user_value.shape}, "
                f"but prior[user,type,evidence,state] is {self.prior.shape}."
            )
        if self.mass.shape != (users,):
            raise ValueError(f"Market axes disagree: {users} users, but mass[user] is {self.mass.shape}.")

    @property
    def num_users(self) -> int:
        return self.user_value.shape[-3]

    @property
    def num_providers(self) -> int:
        return self.provider_value.shape[-4]


def one_market(name: str, value: Any, _: dict[str, Any]) -> Market:
    """The check of an argument that is one market."""
    if not isinstance(value, Market):
        raise ValueError(market_wanted(name, value))
    extra = np.ndim(value.user_value) - 3
    if extra:
        raise ValueError(
            f"{name} must be one market, got user_value[user,action,state] with {extra} more axes: use jax.vmap."
        )
    notice_float32(value.user_value, value.provider_value, value.prior, value.mass)
    return value


def slack(name: str, value: Any, arguments: dict[str, Any]) -> Any:
    """The check of an argument that says how much a provider may leave on the table: a finite number that is >= 0.

    Where it is traced, its value is data of its row: the market counts as not finite where it makes no sense.
    """
    if not isinstance(value, Tracer):
        number = finite_slack(name, value)
        # An array for what is compiled outside a scope: one programme for all values.
        return value if in_scope() else np.float64(number)
    if value.shape != ():
        raise ValueError(f"{name} must be one number for all users, got {described(value)}.")
    if "market" in arguments:
        arguments["market"] = _without_numbers(arguments["market"], value)
    return value


@in_float64
def _without_numbers(market: Market, delta: Float[Array, ""]) -> Market:
    """The market, with masses that are NaN unless delta makes sense."""
    sound = (delta >= 0) & (delta < jnp.inf)
    return eqx.tree_at(lambda m: m.mass, market, jnp.where(sound, market.mass, jnp.nan))


def observed_market(user_value: Any, provider_value: Any, prior: Any = None, mass: Any = None) -> Market:
    """Builds a market in which providers see the state (evidence = state) and users have one type.

    **Arguments:**

    - `user_value`: `[user action state]`.
    - `provider_value`: `[provider user action state]`.
    - `prior`: probability of the state, `[state]` for all users alike or `[user state]`; default uniform.
    - `mass`: `[user]`; default `1 / users` each, so that masses sum to 1.

    Example::

        import numpy as np

        right = np.eye(2)  # [action state]: she wants to do what the state calls for
        market = plx.observed_market(right[None], np.stack([right[None], [[[1.0, 1.0], [0.0, 0.0]]]]))
        plx.weak_alignment(market).value  # 0: the first provider wants the same
    """
    user_value, provider_value = _as_float_array(user_value), _as_float_array(provider_value)
    if user_value.ndim != 3 or provider_value.ndim != 4:
        raise ValueError(
            "observed_market needs user_value[user,action,state] and provider_value[provider,user,action,state], "
            f"got shapes {user_value.shape} and {provider_value.shape}."
        )
    users, _, states = user_value.shape
    prior = np.full((states,), 1.0 / max(states, 1)) if prior is None else prior
    prior = _as_float_array(prior)
    if prior.shape not in ((states,), (users, states)):
        raise ValueError(
            f"prior must be [state] = ({states},) or [user,state] = ({users}, {states}), got shape {prior.shape}."
        )
    mass = np.full((users,), 1.0 / max(users, 1)) if mass is None else mass
    return Market(_observe_state(prior, num_users=users), user_value, provider_value, mass)


@in_float64
def _observe_state(prior: Float[Array, "..."], num_users: int) -> Float[Array, "user type evidence state"]:
    states = prior.shape[-1]
    rows = jnp.broadcast_to(prior, (num_users, states))
    seen = jnp.eye(states, dtype=bool)
    # `where` and not a product: a NaN stays where it is instead of spreading over its row.
    return jnp.where(seen, rows[:, None, :], 0.0)[:, None]


class Stakes(eqx.Module):
    """Prior-weighted payoffs, all that any solver needs: `sum_y p_j(t, x, y) u_j(a, y)`, and likewise for providers."""

    user: Float[Array, "user type evidence action"]
    provider: Float[Array, "provider user type evidence action"]


@checked(market=one_market)
@in_float64
def stakes(market: Market) -> Stakes:
    """Computes the stakes of a market: an outcome `q_j(a | t, x)` is worth `<user[j], q_j>` to user j.

    NaN or infinite primitives spread into the stakes of their user.

    Example::

        market = plx.families.gaussian(providers=2, users=2)(jax.random.key(0))
        plx.stakes(market).user  # [user type evidence action]
    """
    return Stakes(
        user=jnp.einsum("jtxy,jay->jtxa", market.prior, market.user_value),
        provider=jnp.einsum("jtxy,ijay->ijtxa", market.prior, market.provider_value),
    )


class Benchmarks(Readable):
    """What each user would get from a perfectly aligned model, and with no conversation at all (expected utility).

    `payoff_range` is what her largest and smallest payoff differ by. All are NaN, and `status` says why, where the
    market's data are invalid. `share` puts utilities on the scale between the two.
    """

    aligned: Float[Array, " user"]
    silent: Float[Array, " user"]
    payoff_range: Float[Array, " user"]
    status: Int[Array, ""]

    def share(self, utility: Any) -> Any:
        """Says where utilities are on the way from silent (0) to aligned (1).

        `(utility - silent) / (aligned - silent)`, in float64 whatever JAX is set to; under `jit`, `vmap` and `grad`,
        too. NaN where the two benchmarks coincide (to 1e-8 of the user's payoff range, and 1e-11 of their size): no
        conversation is worth anything to her. What is worse than silence is below 0, as a bound may be that says less
        than that nobody has to listen.

        **Arguments:**

        - `utility`: expected utilities `[... user]`: an array, a `Bracket` of them, or an answer with such a `value`.

        **Returns:** the same of it: a `Bracket` for a bracket or an answer, an array for an array. Raises `ValueError`
        where the last axes are not those of the benchmarks.

        Example::

            market = plx.families.gaussian(providers=3, users=2)(jax.random.key(0))
            marks = plx.benchmarks(market)
            marks.share(plx.guarantee(market, plx.personalized(2)))  # a Bracket
            marks.share(marks.aligned)  # 1 for everybody
        """
        ends = getattr(utility, "value", utility)
        ends = ends if hasattr(ends, "lower") else _as_float_array(ends)
        for end in jax.tree.leaves(ends):
            if np.shape(end)[max(np.ndim(end) - np.ndim(self.silent), 0) :] != np.shape(self.silent):
                raise ValueError(
                    f"share needs utilities whose last axes are those of the benchmarks, {np.shape(self.silent)}, "
                    f"got an array of shape {np.shape(end)}."
                )
        return _share(self, ends)


@in_float64
def _share(marks: Benchmarks, ends: Any) -> Any:
    def of(end: Float[Array, "... user"]) -> Float[Array, "... user"]:
        wide = (jnp.broadcast_to(each, end.shape) for each in (marks.silent, marks.aligned, marks.payoff_range))
        return on_scale(end, *wide, where=jnp.where)

    return jax.tree.map(of, ends)


@checked(market=one_market)
@in_float64
def benchmarks(market: Market) -> Benchmarks:
    """Computes `aligned[j] = sum_{t,x} max_a U[j,t,x,a]` and `silent[j] = sum_t max_a sum_x U[j,t,x,a]`.

    Example::

        market = plx.families.gaussian(providers=2, users=2)(jax.random.key(0))
        marks = plx.benchmarks(market)
        marks.silent, marks.aligned  # without any conversation, and with a perfectly aligned model
    """
    status = market_status(market)
    unit = power_of_two(jnp.abs(market.user_value).max(axis=(-2, -1)))
    moved = market.user_value / unit[:, None, None]
    user = jnp.einsum("jtxy,jay->jtxa", market.prior, moved - moved[:, :1])
    aligned = user.max(axis=-1).sum(axis=(-2, -1))
    silent = user.sum(axis=-2).max(axis=-1).sum(axis=-1)
    base, valid = expected_baseline(market.prior, market.user_value), status < Status.NOT_FINITE
    report = lambda value: jnp.asarray(jnp.where(valid, value * unit + base, jnp.nan))
    spread = market.user_value.max(axis=(-2, -1)) - market.user_value.min(axis=(-2, -1))
    return Benchmarks(report(aligned), report(silent), jnp.where(valid, spread, jnp.nan), status)


def expected_baseline(
    prior: Float[Array, "user type evidence state"], value: Float[Array, "*more user action state"]
) -> Float[Array, "*more user"]:
    """Computes what the first action is worth: all payoffs count from it, and it is added to what is reported."""
    return jnp.einsum("jtxy,...jy->...j", prior, value[..., 0, :])


# Of the largest payoff of a user or provider at least, and of any other as a share of it: what is smaller gets lost.
_SMALLEST = 2.0**-1000


def _is_lost(value: Float[Array, "*more action state"], axes: tuple[int, ...]) -> Bool[Array, ""]:
    """Tells whether a payoff is so close to zero, yet not zero, that arithmetic cannot hold on to it."""
    size = jnp.abs(value)
    largest = size.max(axis=axes, keepdims=True)
    small = (size < _SMALLEST * largest) | (size == 0) | (largest < _SMALLEST)
    return (small & ~is_zero(value)).any()


@checked(market=one_market)
@in_float64
def market_status(market: Market) -> Int[Array, ""]:
    """Says whether the values of one market make sense, as a `Status` code: `OK`, or the first thing found wrong.

    Example::

        market = plx.families.gaussian(providers=2, users=2)(jax.random.key(0))
        plx.market_status(market) == plx.Status.OK
    """
    finite = jnp.array(True)
    for leaf in (market.prior, market.user_value, market.provider_value, market.mass):
        finite &= jnp.isfinite(leaf).all()
    normalised = jnp.abs(market.prior.sum(axis=(-3, -2, -1)) - 1.0) <= PRIOR_SUM_TOLERANCE
    lost = _is_lost(market.user_value, (-2, -1)) | _is_lost(market.provider_value, (-3, -2, -1))
    checks = (
        (finite, Status.NOT_FINITE),
        (~is_negative(market.prior).any(), Status.NEGATIVE_PRIOR),
        (normalised.all(), Status.PRIOR_NOT_NORMALISED),
        ((market.mass > 0).all(), Status.MASS_NOT_POSITIVE),
        (~lost, Status.TOO_SMALL),
    )
    status = jnp.int32(Status.OK)
    for passed, code in reversed(checks):
        status = jnp.where(passed, status, jnp.int32(code))
    return status


def with_zeros_if_invalid(market: Market, status: Int[Array, ""]) -> Market:
    """Replaces an invalid market by zeros, so that solvers see harmless numbers; its results are masked afterwards."""
    valid = status < Status.NOT_FINITE
    return jax.tree.map(lambda leaf: jnp.where(valid, leaf, jnp.zeros((), leaf.dtype)), market)


# Slack is read as no less than this share of the range of a provider's payoffs: below it, rounding would decide.
LEAST_SLACK = 1e-9


def provider_range(market: Market) -> Float[Array, "provider user"]:
    """The most that an action makes of a difference to each provider, per unit of each user's mass."""
    return action_range(market.provider_value).max(axis=-1)


def objective_range(market: Market) -> Float[Array, " provider"]:
    """The most that actions make of a difference to each provider's objective."""
    return provider_range(market) @ market.mass


def slack_of(market: Market, delta: Float[Array, ""]) -> Float[Array, " provider"]:
    """How much of its objective each provider leaves on the table in a delta-equilibrium."""
    return jnp.maximum(delta, LEAST_SLACK * objective_range(market))


def action_range(value: Float[Array, "*more action state"]) -> Float[Array, "*more state"]:
    """What an action makes of a difference in each state."""
    return value.max(axis=-2) - value.min(axis=-2)


def counted_from_first_action(market: Market) -> Market:
    """The market with all payoffs counted from those of the first action, so that large constants do not round."""
    count = lambda value: value - value[..., :1, :]
    return Market(market.prior, count(market.user_value), count(market.provider_value), market.mass)
