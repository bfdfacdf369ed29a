"""Worst equilibria of markets in which much nearly ties: no bracket excludes the exact one, and most close."""

import exact_oracle
import jax
import near_ties
import numpy as np
import pytest

import pluraljax as plx
from pluraljax import Status

# Half the time to compile, for the price of a slower run.
RUN = jax.jit(
    jax.vmap(lambda market, delta: plx.worst_equilibrium(market, plx.personalized(market.num_users), delta)),
    compiler_options={"xla_backend_optimization_level": 0},
)
ROWS = 60


def judge(seed):
    """Holds a batch against the exact twin; returns statuses."""
    markets, batch, deltas = near_ties.draw_many(seed, ROWS)
    found = jax.tree.map(np.asarray, RUN(batch, deltas))
    for i, market in enumerate(markets):
        exact = exact_oracle.ExactMarket(market)
        for j in np.flatnonzero(found.status[i] != Status.TOO_SMALL):
            worst = exact_oracle.Frontier(exact, j).worst(float(deltas[i])) + exact.baseline[j]
            ends = found.value.lower[i, j], found.value.upper[i, j]
            assert near_ties.contains(*ends, worst, market.user_value[j]), (seed, i, j, ends, float(worst))
    return found.status


@pytest.mark.parametrize("seeds", [range(3), pytest.param(range(3, 8), marks=pytest.mark.slow)], ids=str)
def test_no_worst_equilibrium_excludes_the_exact_one(seeds):
    status = np.concatenate([judge(seed) for seed in seeds])
    assert np.isin(status, (Status.OK, Status.OPEN, Status.TOO_SMALL)).all()
    # Not by giving up. (Gaps in units of 1e-300 are too small.)
    assert (status == Status.OPEN).mean() < 0.08


def test_the_exact_twin_knows_the_prosecutor():
    """The judge convicts at a belief of 1/2: with prior 1/4 of guilt that is worth 3/4 to her, silence as much."""
    convictions = np.array([[[[0, 0], [1.0, 1.0]]]])
    market = plx.observed_market(np.eye(2)[None], convictions, prior=np.array([0.75, 0.25]))
    twin = exact_oracle.Frontier(market, 0)
    assert twin.silent == 0.75 - twin.market.baseline[0]
    assert twin.phi(0, twin.silent) == 0.5
    assert twin.worst(0.0) == twin.silent
    assert twin.phi(0, twin.aligned) == 0.25
