"""Markets in which much nearly ties, all of one shape: a test asks about few of them, a benchmark about many.

Payoffs take few values and differ by gaps from 0 to 1e-6 of their range, constants are up to 1e12 of it, and units go
from 1e-300 to 1e300. In a part of the markets two actions differ in each state, and tie over both up to rounding.
"""

import jax
import jax.numpy as jnp
import numpy as np

import pluraljax as plx

USERS, PROVIDERS, ACTIONS, STATES = 2, 2, 3, 2
VALUES = (0.0, 1.0, 1.0, -1.0, 0.5, 1 / 3, 2.0, 0.1)
GAPS = (0.0, 2.0**-52, 1e-15, 1e-14, 1e-13, 1e-12, 1e-11, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6)
CONSTANTS = (0.0, 0.0, 0.0, 1.0, 1e3, 1e6, 1e9, 1e12)
UNITS = (1.0, 1.0, 1e-300, 1e-150, 1e-6, 1e6, 1e150, 1e288)
FIRST = (0.5, 0.25, 0.1, 1 / 3, 0.7)


def draw(rng):
    """One market, and a delta in units of its smaller provider range."""
    shape = (1 + PROVIDERS, USERS, ACTIONS, STATES)
    rows = rng.choice(VALUES, size=shape) + rng.choice(GAPS) * rng.integers(-2, 3, size=shape)
    first = rng.choice(FIRST)
    if rng.random() < 0.3:
        balance(rng, rows[0], first)
    rows = (rows + rng.choice(CONSTANTS)) * rng.choice(UNITS, size=1 + PROVIDERS)[:, None, None, None]
    ranges = np.ptp(rows[1:], axis=(1, 2, 3))
    delta = rng.choice([0.0, 0.0, 0.1, 0.5]) * ranges.min()
    mass = rng.choice([1.0, 0.5, 1 / 3], size=USERS)
    return plx.observed_market(rows[0], rows[1:], np.array([first, 1.0 - first]), mass), delta


def balance(rng, user, first):
    """What one action is better by in the first state it is worse by in the second one, for every user."""
    one, other = rng.choice(ACTIONS, size=2, replace=False)
    more = rng.choice([1.0, 0.1, 1e-3, 1e-6, 1e-9], size=USERS) * rng.uniform(0.5, 2.0, size=USERS)
    user[:, other] = user[:, one] + more[:, None] * np.array([1.0, -first / (1.0 - first)])


def draw_many(seed, count):
    """Markets, the same as a batch, and their deltas."""
    rng = np.random.default_rng(seed)
    markets, deltas = zip(*(draw(rng) for _ in range(count)), strict=True)
    with jax.enable_x64(True):
        return markets, jax.tree.map(lambda *leaves: jnp.stack(leaves), *markets), jnp.asarray(np.array(deltas))


def contains(lower, upper, exact, values):
    """Whether a bracket holds a number, up to the rounding of its ends: of differences, and of constants."""
    values = np.asarray(values)
    room = 1e-12 * np.abs(values - values[..., :1, :]).max() + 1e-15 * np.abs(values).max() + np.finfo(float).tiny
    return lower - room <= float(exact) <= upper + room
