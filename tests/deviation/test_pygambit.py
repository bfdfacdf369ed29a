"""An outside check: providers choose from menus of policies, and pygambit finds the pure equilibria of that game."""

import importlib.util
import itertools
import json
import subprocess
import sys
from pathlib import Path

import asked
import cases
import deviation_oracle as oracle
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pluraljax as plx
from pluraljax._bounds import gain_if_meant, value_of
from pluraljax._conversation import respond
from pluraljax._deviation._standing import profile_standing
from pluraljax._precision import in_float64

MARKETS, MENU = 50, 3
TOGETHER = (0, 0)


@in_float64
def payoffs(markets, policies):
    """What each provider gets under each pair of policies: [market first second provider]."""

    def one(market, menu, i, j):
        return profile_standing(market, TOGETHER, plx.Profile(jnp.stack([menu[0, i], menu[1, j]])[:, None])).present

    places = jnp.arange(MENU, dtype=jnp.int32)
    over = jax.vmap(jax.vmap(one, in_axes=(None, None, None, 0)), in_axes=(None, None, 0, None))
    return jax.vmap(over, in_axes=(0, 0, None, None))(markets, policies, places, places).sum(axis=-1)


@in_float64
def gains(markets, policies):
    """What each provider gains at most by another policy of its menu, as deviations are evaluated."""

    def of_provider(market, menu, standing, i):
        audience = jax.tree.map(lambda leaf: leaf[i], standing.audience())

        def of_policy(policy):
            heard = jax.vmap(lambda user, provider: respond(user, policy, provider))(audience.user, audience.provider)
            return gain_if_meant(audience, heard.value, jax.vmap(value_of)(audience.provider, heard.outcome))

        return jax.vmap(of_policy)(menu[i]).max()

    def one(market, menu, i, j):
        standing = profile_standing(market, TOGETHER, plx.Profile(jnp.stack([menu[0, i], menu[1, j]])[:, None]))
        return jnp.stack([of_provider(market, menu, standing, provider) for provider in (0, 1)])

    places = jnp.arange(MENU, dtype=jnp.int32)
    over = jax.vmap(jax.vmap(one, in_axes=(None, None, None, 0)), in_axes=(None, None, 0, None))
    return jax.vmap(over, in_axes=(0, 0, None, None))(markets, policies, places, places)


def draw():
    """Markets, and menus of policies, under which no user is indifferent between two providers."""
    rows, menus = [], []
    for seed in itertools.count():
        row = cases.build("observed", seed, asked.PAIR)
        menu = np.random.default_rng(seed).dirichlet(np.ones(3) * 0.2, size=(2, MENU, asked.PAIR.evidence, 1))
        own, theirs = oracle.stakes(row)
        worth = [
            [[oracle.play(u, p[:, 0], v).value for p in side] for side in menu]
            for u, v in zip(own, theirs[0], strict=True)
        ]
        if all(np.abs(np.subtract.outer(first, second)).min() > 1e-6 for first, second in worth):
            rows.append(row)
            menus.append(menu)
        if len(rows) == MARKETS:
            return cases.stack(rows), rows, np.array(menus)


def solve_by_gambit(games):
    if importlib.util.find_spec("pygambit") is None:
        pytest.skip("pygambit is not installed")
    script = Path(__file__).with_name("pure_equilibria.py")
    done = subprocess.run([sys.executable, script], input=json.dumps(games), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [{tuple(pair) for pair in pairs} for pairs in json.loads(done.stdout)]


@pytest.mark.slow
def test_pure_equilibria_on_menus_are_those_that_deviations_certify():
    markets, rows, policies = draw()
    table, gained = np.asarray(payoffs(markets, policies)), np.asarray(gains(markets, policies))
    wanted = solve_by_gambit([[game[:, :, 0].tolist(), game[:, :, 1].tolist()] for game in table])
    pairs = list(itertools.product(range(MENU), repeat=2))
    certified = [{pair for pair in pairs if game[pair].max() <= 1e-12} for game in gained]
    assert certified == wanted
    assert 20 < sum(len(found) for found in wanted) < 9 * MARKETS
    # Freed from their menus providers gain at least as much, and no profile that is no equilibrium becomes one.
    for row, menu, found, gain in zip(rows[:5], policies, wanted, gained, strict=False):
        for i, j in pairs:
            profile = plx.Profile(np.stack([menu[0, i], menu[1, j]])[:, None])
            free = asked.deviation(cases.as_market(row), TOGETHER, profile)
            assert (free.value.upper >= gain[i, j] - 1e-12).all()
            assert (i, j) in found or free.is_refuted
