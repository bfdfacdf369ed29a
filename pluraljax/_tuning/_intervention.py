"""The least intervention: the smallest payment to providers that makes a population of users aligned.

Whoever serves user j receives `s_j(a, y)` on top of its own payoff. Alignment with error at most `target` asks for
weights w >= 0 with sum W and offsets c with `|sum_i w_i v_ij + W s_j + c_j - u_j| <= target`. Divided by W, with
`beta = 1 / W`, this reads `|sum_i w'_i v_ij + s_j + c'_j - beta u_j| <= beta target`, w' in the simplex: jointly
convex in (s, w', c', beta). The least-norm s is therefore the solution of a convex quadratic programme.
"""

import math
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jaxtyping import Array, Float, Int

from .._answer import Answer
from .._arguments import checked
from .._bracket import Bracket
from .._market import Market, one_market
from .._precision import float64_scope, in_float64
from .._segments import as_labels, known_labels, user_labels
from .._status import Status
from ._payment import cost_of, least_cost, payment_at
from ._quadratic import Optimum, least_norm_programme, solve_quadratic

By = Literal["outcome", "action"]


class Subsidised(Answer):
    """A payment, what it costs, and the market with it.

    `value` brackets the least cost: half the mass-weighted sum of squares of a payment. `payment[j, a, y]`, the
    `witness`, costs its upper end; it goes to whoever serves user j, in units of provider payoffs. The lower end is a
    dual bound that does not trust the solver (0 where none is known). `weights` sum to one in each row. `status` is
    `OPEN` where the programme has no solution, or its solver stopped early: the ends are NaN then, and the payment must
    not be used. It is also `OPEN` where only the lower end is not known. Alignment itself is certified by the
    `*_alignment` questions on `market`.
    """

    attained_by = "payment"

    market: Market
    value: Bracket
    payment: Float[Array, "user action state"]
    weights: Float[Array, "user provider"]
    status: Int[Array, ""]

    @property
    def cost(self) -> Any:
        """What the payment costs: the upper end of `value`."""
        return self.value.upper


def pay(market: Market, payment: Float[Array, "user action state"]) -> Market:
    """Adds a payment to what every provider gets from each user's actions."""
    return eqx.tree_at(lambda m: m.provider_value, market, market.provider_value + payment[None])


@checked(market=one_market, segments=known_labels)
def least_subsidy(
    market: Market, segments: Any, target: float = 0.0, *, by: By = "outcome", most_weight: float = 100.0
) -> Subsidised:
    """Finds the least-norm payment that makes segment alignment hold with error at most `target`, exactly.

    Every user her own segment (`personalized`) is weak alignment, one segment (`anonymous`) strong alignment. Solved
    segment by segment on the host by an interior-point method, to a duality gap of about 1e-8 of the cost, or of the
    square of the payoffs.

    **Arguments:**

    - `market`: one market with concrete arrays.
    - `segments`: an integer label per user, concrete.
    - `target`: the alignment error to reach, in units of utility; >= 0 and finite.
    - `by`: payments for each `"outcome"` (action and state), or for each `"action"` alone, which may not suffice.
    - `most_weight`: the sum of alignment weights is kept below this, or providers that are paid to be indifferent
      would count as aligned; > 0.

    **Returns:** a `Subsidised`. Raises `ValueError` for arguments out of range.

    Example::

        market = plx.families.gaussian(providers=2, users=2)(jax.random.key(0))
        paid = plx.tuning.least_subsidy(market, plx.anonymous(2))
        paid.value, paid.payment  # the least cost that aligns the market, and what is paid for
    """
    _check(target, most_weight)
    if by not in ("outcome", "action"):
        raise ValueError(f'by must be "outcome" or "action", got {by!r}.')
    users = market.user_value.shape[0]
    labels: tuple[int, ...] = segments
    user, provider = np.asarray(market.user_value, np.float64), np.asarray(market.provider_value, np.float64)
    mass = np.asarray(market.mass, np.float64)
    payment, weights = np.zeros_like(user), np.zeros((users, provider.shape[0]))
    cost, gap, solved = 0.0, 0.0, True
    for label in dict.fromkeys(labels):
        members = [j for j in range(users) if labels[j] == label]
        own = user[members], provider[:, members], mass[members]
        found = _least_of_segment(*own, target, 1.0 / most_weight, by == "action")
        payment[members], weights[members] = found.payment, found.weights
        cost, gap, solved = cost + found.cost, gap + found.gap, solved and found.solved
    with jax.enable_x64(True):
        paid = jnp.asarray(payment)
        least = jnp.asarray(max(cost - gap, 0.0) if solved else math.nan)
        status = jnp.asarray(Status.OK if solved else Status.OPEN, jnp.int32)
        return Subsidised(pay(market, paid), Bracket(least, jnp.asarray(cost)), paid, jnp.asarray(weights), status)


class _Paid(NamedTuple):
    """What one segment is paid; cost and gap are NaN where that is not what was asked for."""

    payment: np.ndarray
    weights: np.ndarray
    cost: float
    gap: float
    solved: bool


def _least_of_segment(
    user: np.ndarray, provider: np.ndarray, mass: np.ndarray, target: float, least: float, by_action: bool
) -> _Paid:
    """Solves one segment in units of its payoffs, counted from one outcome, which offsets make up for."""
    nothing = _Paid(np.zeros_like(user), np.full(len(provider), 1.0 / len(provider)), math.nan, math.nan, False)
    if not all(np.isfinite(leaf).all() for leaf in (user, provider, mass)):
        return nothing
    user, provider = user - user[:, :1, :1], provider - provider[..., :1, :1]
    utility, people = _largest(user), _largest(mass)
    money = max(_largest(provider, 0.0), least * utility)
    user, provider, mass = user / utility, provider / money, mass / people
    # Any error that is larger costs nothing to reach either.
    target, least = min(target / utility, _LARGE_ERROR), least * (utility / money)
    answer = solve_quadratic(*least_norm_programme(user, provider, mass, target, least, by_action))
    shares, paid, fits = _read(answer, user, provider, target, least, by_action)
    if not (answer.solved and fits):
        return nothing._replace(payment=money * paid, weights=shares)
    spent = cost_of(paid, mass)
    proved = least_cost(user, provider, mass, _prices(answer, paid.shape, target), target, least, by_action)
    unit = people * money * money
    return _Paid(money * paid, shares, unit * spent, unit * max(0.0, spent - proved), math.isfinite(unit * spent))


# In units of a user's largest payoff, which differ from each other by 2 at most.
_LARGE_ERROR = 4.0


def _largest(values: np.ndarray, otherwise: float = 1.0) -> float:
    return float(np.abs(values).max()) or otherwise


def _read(
    answer: Optimum, user: np.ndarray, provider: np.ndarray, target: float, least: float, by_action: bool
) -> tuple[np.ndarray, np.ndarray, bool]:
    """The weights that a solver's point stands for, the payment that they need, and whether that suffices."""
    providers, members = provider.shape[0], user.shape[0]
    shares, offset, inverse = np.split(np.nan_to_num(answer.point[-providers - members - 1 :]), (providers, -1))
    shares, inverse = np.maximum(shares, 0.0), max(least, float(inverse[0]))
    shares = shares / shares.sum() if shares.sum() > 0 else np.full(providers, 1.0 / providers)
    paid, fits = payment_at(user, provider, shares, offset, inverse, inverse * target, by_action)
    return shares, paid, fits


def _prices(answer: Optimum, shape: tuple[int, ...], target: float) -> np.ndarray:
    """The multipliers of the fit of each entry."""
    count = int(np.prod(shape))
    prices = answer.duals[count : 2 * count] - answer.duals[:count] if target > 0 else -answer.prices[1:]
    return np.nan_to_num(prices).reshape(shape)


def _error(_: str, value: Any, arguments: dict[str, Any]) -> Any:
    """The check of the error to reach, and of the weights with it."""
    if isinstance(value, Tracer):
        return value
    _check(float(value), arguments["most_weight"])
    return np.float64(value)


@checked(market=one_market, segments=user_labels, target=_error)
@float64_scope
def gradient_subsidy(
    market: Market, segments: Any, target: Any = 0.0, *, most_weight: float = 100.0, steps: int = 3000
) -> Subsidised:
    """Finds the payment of `least_subsidy` by projected gradient steps; one compiled programme for any batch.

    The payment that is left, given weights, is what the residual exceeds its tolerance by; half its squared norm is
    convex and smooth in (w', c', beta). Accelerated projected gradient (Beck and Teboulle 2009, with restarts).

    **Arguments:**

    - `market`: one market; use `jax.vmap` for a batch.
    - `segments`: an integer label per user; may be traced.
    - `target`, `most_weight`: as for `least_subsidy`.
    - `steps`: gradient steps; >= 1.

    **Returns:** a `Subsidised` whose lower end is 0. Whatever the number of steps, its payment makes alignment hold
    with error at most `target`; with too few steps it costs more than needed.

    Example::

        market = plx.families.gaussian(providers=2, users=2)(jax.random.key(0))
        plx.tuning.gradient_subsidy(market, plx.anonymous(2), steps=200).value  # the cost, at most
    """
    labels = as_labels(segments, market.num_users)
    places = jnp.asarray(np.unique(labels, return_inverse=True)[1] if isinstance(labels, tuple) else labels, jnp.int32)
    return _gradient_subsidy(market, places, jnp.asarray(target, jnp.float64), 1.0 / most_weight, steps)


@in_float64
def _gradient_subsidy(market: Market, places: Array, target: Array, least: float, steps: int) -> Subsidised:
    users, providers = market.user_value.shape[0], market.provider_value.shape[0]
    together = (places[:, None] == jnp.arange(users, dtype=jnp.int32)[None]).astype(jnp.float64)
    user = market.user_value.reshape(users, -1)
    provider = market.provider_value.reshape(providers, users, -1)
    middle = lambda rows: (rows.max(axis=-1, keepdims=True) + rows.min(axis=-1, keepdims=True)) / 2
    user, provider = user - middle(user), provider - middle(provider)
    share = market.mass / market.mass.sum()
    unit = jnp.sqrt((user**2).mean())
    unit = jnp.where(unit > 0, unit, 1.0)

    def excess(variables):
        weights, beta, offset = variables
        mixed = jnp.einsum("jg,gi,ijr->jr", together, weights, provider)
        own = together @ beta / unit
        rest = mixed + offset[:, None] - own[:, None] * user
        allowed = (own * target)[:, None]
        return jnp.sign(rest) * jnp.maximum(jnp.abs(rest) - allowed, 0.0)

    loss = lambda variables: 0.5 * jnp.einsum("j,jr->", share, excess(variables) ** 2)
    row = share[:, None] * ((provider**2).sum(axis=0) + ((jnp.abs(user) + target) / unit) ** 2 + 1.0)
    steepest = jnp.asarray(jnp.where(row.sum() > 0, row.sum(), 1.0))

    def project(variables):
        weights, beta, offset = variables
        return jax.vmap(onto_simplex)(weights), jnp.maximum(beta, least * unit), offset

    start = (
        jnp.full((users, providers), 1.0 / providers, jnp.float64),
        jnp.full(users, jnp.maximum(least * unit, 1.0)),
        jnp.zeros(users, jnp.float64),
    )
    weights, beta, offset = _accelerate(loss, project, start, steepest, steps)
    payment = -excess((weights, beta, offset)).reshape(market.user_value.shape)
    cost = 0.5 * (market.mass[:, None, None] * payment**2).sum()
    known = jnp.asarray(jnp.where(jnp.isfinite(cost), 0.0, jnp.nan))
    # A payment of nothing is the cheapest.
    status = jnp.where(cost == 0, jnp.int32(Status.OK), jnp.int32(Status.OPEN))
    return Subsidised(pay(market, payment), Bracket(known, cost), payment, together @ weights, jnp.asarray(status))


def onto_simplex(point: Float[Array, " n"]) -> Float[Array, " n"]:
    """Projects onto the probability simplex: the nearest point with non-negative entries that sum to one."""
    order = -jnp.sort(-point)
    count = jnp.arange(1, point.shape[0] + 1, dtype=jnp.int32).astype(point.dtype)
    level = (jnp.cumsum(order) - 1.0) / count
    return jnp.maximum(point - jnp.where(order > level, level, -jnp.inf).max(), 0.0)


def _accelerate(loss, project, start, steepest: Array, steps: int):
    """Accelerated projected gradient with a restart wherever a step goes uphill."""
    slope = jax.grad(loss)

    def advance(_, state):
        here, ahead, pace = state
        new = project(jax.tree.map(lambda x, g: x - g / steepest, ahead, slope(ahead)))
        along = jax.tree.map(lambda a, n, h: ((a - n) * (n - h)).sum(), ahead, new, here)
        uphill = sum(jax.tree.leaves(along)) > 0
        pace = jnp.asarray(jnp.where(uphill, 1.0, pace))
        faster = (1 + jnp.sqrt(1 + 4 * pace**2)) / 2
        ahead = jax.tree.map(lambda n, h: n + (pace - 1) / faster * (n - h), new, here)
        return new, ahead, faster

    state = (start, start, jnp.ones((), jnp.float64))
    return lax.fori_loop(jnp.int32(0), jnp.int32(steps), advance, state)[0]


def _check(target: float, most_weight: float) -> None:
    if not 0 <= target < math.inf:
        raise ValueError(f"target must be >= 0 and finite, got {target}.")
    if not 0 < most_weight < math.inf:
        raise ValueError(f"most_weight must be > 0 and finite, got {most_weight}.")
