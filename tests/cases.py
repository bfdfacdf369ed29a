"""A registry of markets to test on: random ones, and degenerate ones of every kind that has ever broken a solver.

Plain NumPy with seeds. A case maps a generator and a `Shape` to `Primitives`; `stack` makes a batch out of several.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import pluraljax as plx


class Shape(NamedTuple):
    """Lengths of a market's axes."""

    providers: int = 4
    users: int = 3
    types: int = 1
    evidence: int = 3
    states: int = 3
    actions: int = 3


class Primitives(NamedTuple):
    """The four arrays of one market, in the order of `plx.Market`."""

    prior: np.ndarray
    user_value: np.ndarray
    provider_value: np.ndarray
    mass: np.ndarray


CASES = {}


def _case(make):
    CASES[make.__name__] = make
    return make


def build(name, seed, shape=Shape()):  # noqa: B008
    """The market of a case: the same name, seed and shape give the same arrays."""
    entropy = [seed, *name.encode(), *shape]
    return CASES[name](np.random.default_rng(entropy), shape)


def as_market(primitives):
    return plx.Market(*primitives)


def stack(markets):
    """A batch: one `plx.Market` whose arrays have a leading market axis, in double precision."""
    with jax.enable_x64(True):
        return jax.tree.map(lambda *rows: jnp.stack(rows), *[as_market(market) for market in markets])


def unstack(batch):
    """The markets of a batch, one by one, as NumPy."""
    leaves = [np.asarray(leaf) for leaf in (batch.prior, batch.user_value, batch.provider_value, batch.mass)]
    return [Primitives(*rows) for rows in zip(*leaves, strict=True)]


def _dirichlet(rng, shape, concentration=1.0):
    cells = shape.types * shape.evidence * shape.states
    return rng.dirichlet(np.full(cells, concentration), size=shape.users).reshape(shape.users, *shape[2:5])


def _observed(shape, by_state):
    """A prior under which evidence tells the state: `by_state[user state]`, one type."""
    prior = np.zeros((shape.users, shape.types, shape.evidence, shape.states))
    for y in range(shape.states):
        prior[:, 0, y % shape.evidence, y] = by_state[:, y]
    return prior


def _normal_payoffs(rng, shape):
    payoffs = (shape.users, shape.actions, shape.states)
    return rng.normal(size=payoffs), rng.normal(size=(shape.providers, *payoffs))


def _mass(rng, shape):
    return rng.uniform(0.5, 2.0, size=shape.users)


@_case
def gaussian(rng, shape):
    """Generic: nothing ties."""
    user, provider = _normal_payoffs(rng, shape)
    return Primitives(_dirichlet(rng, shape), user, provider + 0.5 * user, _mass(rng, shape))


@_case
def observed(rng, shape):
    """Providers see the state, which is uniform."""
    user, provider = _normal_payoffs(rng, shape)
    uniform = np.full((shape.users, shape.states), 1 / shape.states)
    return Primitives(_observed(shape, uniform), user, provider + user, np.full(shape.users, 1 / shape.users))


@_case
def conic(rng, shape):
    """Every user is a mixture of her providers: weak alignment with error 0."""
    user, provider = _normal_payoffs(rng, shape)
    user = np.einsum("ij,ijay->jay", rng.exponential(size=(shape.providers, shape.users)), provider)
    return Primitives(_dirichlet(rng, shape), user, provider, _mass(rng, shape))


@_case
def common_conic(rng, shape):
    """One mixture imitates all users, each scaled down by a factor of her own: free scales reach error 0."""
    user, provider = _normal_payoffs(rng, shape)
    user = np.tensordot(rng.exponential(size=shape.providers), provider, 1)
    return Primitives(
        _dirichlet(rng, shape), user / rng.uniform(1, 3, size=(shape.users, 1, 1)), provider, _mass(rng, shape)
    )


@_case
def skewed(rng, shape):
    """Priors over many orders of magnitude, down to entries of 1e-8 and exact zeros."""
    user, provider = _normal_payoffs(rng, shape)
    prior = rng.choice([0.0, 1e-8, 1e-4, 1.0], p=[0.25, 0.25, 0.2, 0.3], size=(shape.users, *shape[2:5]))
    prior[:, 0, 0, 0] = 1.0
    return Primitives(prior / prior.sum(axis=(1, 2, 3), keepdims=True), user, provider + 0.5 * user, _mass(rng, shape))


@_case
def integers(rng, shape):
    """Small integer payoffs and a uniform prior: ties of every kind, in optimal plays and in pivots."""
    payoffs = (shape.users, shape.actions, shape.states)
    user = rng.integers(-1, 2, size=payoffs).astype(float)
    provider = rng.integers(-2, 3, size=(shape.providers, *payoffs)).astype(float)
    uniform = np.full((shape.users, shape.states), 1 / shape.states)
    return Primitives(_observed(shape, uniform), user, provider, np.ones(shape.users))


@_case
def integers_unseen(rng, shape):
    """Small integer payoffs, and a prior in twelfths with zeros that evidence does not resolve."""
    market = integers(rng, shape)
    cells = shape.types * shape.evidence * shape.states
    counts = rng.multinomial(12, np.full(cells, 1 / cells), size=shape.users)
    return market._replace(prior=(counts / 12).reshape(shape.users, *shape[2:5]))


@_case
def zero_user(rng, shape):
    """The first user does not care about anything."""
    market = gaussian(rng, shape)
    market.user_value[0] = 0.0
    return market


@_case
def constant_user(rng, shape):
    """The first user gets the same number whatever happens; no number of the machine hits it exactly."""
    market = gaussian(rng, shape)
    market.user_value[0] = rng.normal()
    return market


@_case
def all_zero(rng, shape):
    """Nobody cares about anything."""
    market = gaussian(rng, shape)
    return market._replace(user_value=0 * market.user_value, provider_value=0 * market.provider_value)


@_case
def state_only(rng, shape):
    """The first user's payoff depends on the state only: every action is optimal."""
    market = gaussian(rng, shape)
    market.user_value[0] = market.user_value[0, :1]
    return market


@_case
def duplicates(rng, shape):
    """All providers are copies of the first, the last one scaled."""
    market = gaussian(rng, shape)
    market.provider_value[:] = market.provider_value[0]
    market.provider_value[-1] *= 3.0
    return market


@_case
def opposed_pair(rng, shape):
    """Providers come in opposed pairs: v2 = -v1."""
    market = gaussian(rng, shape)
    pairs = shape.providers // 2
    market.provider_value[pairs : 2 * pairs] = -market.provider_value[:pairs]
    return market


@_case
def signed(rng, shape):
    """Every provider's payoff is a signed multiple of the user's."""
    market = gaussian(rng, shape)
    factor = rng.normal(size=(shape.providers, shape.users, 1, 1))
    return market._replace(provider_value=factor * market.user_value)


@_case
def constant_provider(rng, shape):
    """The first provider does not care; the second does not care what the first user does."""
    market = gaussian(rng, shape)
    market.provider_value[0] = rng.normal()
    market.provider_value[1 % shape.providers, 0] = -2.0
    return market


@_case
def twin_users(rng, shape):
    """All users are the same person, with the same providers."""
    market = gaussian(rng, shape)
    first = (market.prior[:1], market.user_value[:1], market.provider_value[:, :1], market.mass[:1])
    return Primitives(*(np.repeat(leaf, shape.users, axis) for leaf, axis in zip(first, (0, 0, 1, 0), strict=True)))


@_case
def scales(rng, shape):
    """Payoffs in very different units: users over six, providers over eight orders of magnitude."""
    market = gaussian(rng, shape)
    user = 10.0 ** rng.integers(-3, 4, size=(shape.users, 1, 1))
    provider = 10.0 ** rng.integers(-4, 5, size=(shape.providers, 1, 1, 1))
    return market._replace(user_value=market.user_value * user, provider_value=market.provider_value * provider)


@_case
def shifted(rng, shape):
    """Payoffs with a large constant in front."""
    market = gaussian(rng, shape)
    return market._replace(user_value=market.user_value + 1e4, provider_value=market.provider_value - 1e4)


@_case
def grid(rng, shape):
    """Squared distances on a grid, as in the spatial family: many exact coincidences."""
    action, state = np.arange(shape.actions) - 1.0, np.arange(shape.states) - 1.0
    distance = action[:, None] - state
    user = -((distance - rng.integers(-1, 2, size=(shape.users, 1, 1))) ** 2)
    provider = -((distance - rng.integers(-2, 3, size=(shape.providers, shape.users, 1, 1))) ** 2)
    uniform = np.full((shape.users, shape.states), 1 / shape.states)
    return Primitives(_observed(shape, uniform), user, provider, np.ones(shape.users))


RANDOM = ("gaussian", "observed", "conic", "common_conic")
DEGENERATE = tuple(name for name in CASES if name not in RANDOM)


def many(names, count, shape=Shape()):  # noqa: B008
    """`count` markets that take turns among the named cases."""
    return [build(names[i % len(names)], i, shape) for i in range(count)]


# Five investors (fund, index fund, bond, cash) in a boom, a flat market and a crash; nobody who advises cares for them.
_OWN = [
    [[8, 2, -6], [6.5, 0.5, -5], [2, 2.5, 1], [0, 0.7, 1.8]],
    [[5, 1, -9], [4.2, 1.6, -4], [2.2, 2.9, 1.5], [0.3, 1, 2.4]],
    [[9, 3, -3], [7, 1.4, -3.5], [1.7, 2.2, 0.4], [0.1, 0.4, 1.1]],
    [[3, -1, -12], [3.6, 0.8, -6], [2.1, 3.1, 2], [1, 1.9, 3.3]],
    [[6, 2.6, -4], [7.5, 1.1, -2.5], [1.2, 1.9, 0.6], [0.2, 0.9, 2.9]],
]
_PAID = [[0, 3, 1, 0], [1.5, 0, 0, 0], [0, 0, 0, 0.8]]


def investors():
    """A market whose anonymous half takes thousands of parts; full information only just meets all floors."""
    paid = np.broadcast_to(np.array(_PAID)[:, None, :, None], (3, 5, 4, 3))
    return plx.observed_market(np.array(_OWN, float), paid, np.array([0.45, 0.35, 0.2]))
