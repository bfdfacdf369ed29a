"""An instrument of a user's own, in one file outside the package, is tuned and certified like those inside."""

import importlib.util

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import pluraljax as plx

# All that adding one takes.
FILE = '''
from dataclasses import dataclass

import jax.numpy as jnp

import pluraljax as plx


@dataclass(frozen=True)
class ProfitShare(plx.tuning.Instrument):
    """Pays every provider a share of what the user gets."""

    def start(self, market):
        return jnp.zeros(())

    def apply(self, parameters, market):
        paid = market.provider_value + parameters * market.user_value[None]
        return plx.Market(market.prior, market.user_value, paid, market.mass)

    def cost(self, parameters, market):
        return parameters**2 / 2
'''


@pytest.mark.slow
def test_it_is_tuned_and_certified(tmp_path, x64):
    (tmp_path / "profit_share.py").write_text(FILE)
    spec = importlib.util.spec_from_file_location("profit_share", tmp_path / "profit_share.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def foes(key):
        value = jr.normal(key, (1, 2, 2))
        return plx.observed_market(value, -0.5 * value[None])

    def distance(market, labels):
        return ((market.provider_value - market.user_value[None]) ** 2).mean()

    markets = jax.vmap(foes)(jr.split(jr.key(0), 3))
    schedule = plx.tuning.Schedule(steps=300, rate=0.05)
    found = plx.tuning.tune(distance, module.ProfitShare(), markets, schedule=schedule)
    # A provider that gets -u / 2 wants what the user wants, to the same extent, with 3 / 2 of u on top.
    np.testing.assert_allclose(found.parameters, [1.5] * 3, atol=1e-3)
    np.testing.assert_allclose(jnp.asarray(found.history)[-1], 0.0, atol=1e-4)
    assert (np.asarray(found.before.weak_error) > 0.01).all()
    assert (np.asarray(found.after.weak_error) < 1e-6).all()
