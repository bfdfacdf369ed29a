"""The bound on a public deviation holds at any multipliers, and the proposed ones make it tight."""

import deviation_oracle as oracle
import jax
import jax.numpy as jnp
import numpy as np

from pluraljax._bounds import (
    Audience,
    Ends,
    Heard,
    Sense,
    gain_if_meant,
    instinct_of,
    possible,
    public_upper,
    sets_of,
    sure_gain,
)
from pluraljax._candidates import PublicTask, solve_public
from pluraljax._precision import in_float64
from pluraljax._ties import Sized

MEMBERS, EVIDENCES, ACTIONS = 2, 3, 3
ROWS = 24


def draw(seed):
    """Stakes of two users and a provider, floors between silent and aligned, and a set of users to win."""
    generator = np.random.default_rng(seed)
    prior = generator.dirichlet(np.ones(EVIDENCES), size=MEMBERS)[:, :, None]
    user, provider = (generator.normal(size=(MEMBERS, EVIDENCES, ACTIONS)) * prior for _ in range(2))
    silent, aligned = user.sum(axis=1).max(axis=-1), user.max(axis=-1).sum(axis=-1)
    floor = silent + generator.uniform(0, 1, MEMBERS) * (aligned - silent)
    return (
        user,
        provider,
        floor,
        generator.normal(size=MEMBERS),
        generator.random(MEMBERS) < 0.6,
        prior.max(axis=0)[:, 0],
    )


@in_float64
def propose(user, provider, floor, won, probability):
    loss = user.max(axis=-1).sum(axis=-1) - floor
    enough = jnp.full(user.shape[0], -1e3, jnp.float64)
    return solve_public(PublicTask(user, provider, probability, won, loss, jnp.zeros_like(loss), enough))


def audience(user, provider, outside, elsewhere, loyal, bare=False, full=False):
    """One state for each evidence; what users bring now is nothing."""
    lead = user[..., :, None] - user[..., None, :]
    sense = Sense(user, Sized(lead, jnp.abs(lead)), jnp.full(user.shape, -(1 << 20), jnp.int32), 1)
    none, every = jnp.zeros_like(outside), lambda flag: jnp.broadcast_to(jnp.asarray(flag), loyal.shape)
    now, stay = Ends(none, none), Ends(elsewhere, elsewhere)
    instinct = jax.vmap(instinct_of)(sense)
    return Audience(sense, instinct, provider, outside, none, now, stay, loyal, ~loyal, every(bare), every(full))


@in_float64
@jax.vmap
def bound(user, provider, floor, elsewhere, won, obedience, participation):
    nobody = jnp.zeros(MEMBERS, bool)
    given = audience(user[:, None], provider[:, None], floor, elsewhere, nobody)
    return public_upper(given, won, obedience, participation)


def test_multipliers_prove_the_optimum_and_changed_ones_only_less():
    user, provider, floor, elsewhere, won, probability = map(np.stack, zip(*map(draw, range(ROWS)), strict=True))
    found = propose(user, provider, floor, won, probability)
    multipliers = np.asarray(found.obedience), np.asarray(found.participation)
    exact = np.array(
        [oracle.public_value(user[i], provider[i], won[i], floor[i]) + elsewhere[i][~won[i]].sum() for i in range(ROWS)]
    )
    feasible = np.isfinite(exact)
    assert 5 < feasible.sum() < ROWS
    tight = np.asarray(bound(user, provider, floor, elsewhere, won, *multipliers))
    np.testing.assert_allclose(tight[feasible], exact[feasible], atol=1e-9)
    # Where no policy wins exactly these users, the bound is as low as one likes.
    assert (tight[~feasible] < -100).all()
    generator = np.random.default_rng(0)
    for size in (1e-3, 0.1, 10.0, 1e16, 1e300):
        changed = [np.maximum(leaf + size * generator.normal(size=leaf.shape), 0) for leaf in multipliers]
        loose = np.asarray(bound(user, provider, floor, elsewhere, won, *changed))
        assert (loose[feasible] >= exact[feasible] - 1e-9).all()
        assert (loose[feasible] > exact[feasible] + 1e-9).any()
    nothing = [np.zeros_like(leaf) for leaf in multipliers]
    assert (np.asarray(bound(user, provider, floor, elsewhere, won, *nothing)) >= exact - 1e-9).all()


def test_a_proposed_policy_is_obeyed_and_keeps_to_the_floors():
    user, provider, floor, _, won, probability = map(np.stack, zip(*map(draw, range(ROWS)), strict=True))
    found = propose(user, provider, floor, won, probability)
    policy, told = np.asarray(found.policy), np.asarray(found.recommended)
    np.testing.assert_allclose(policy.sum(axis=-1), 1.0, atol=1e-12)
    for i in range(ROWS):
        exact = oracle.public_value(user[i], provider[i], won[i], floor[i])
        reached = 0.0
        for j in range(MEMBERS):
            played = oracle.play(user[i, j], policy[i], provider[i, j], told[i, j])
            advised = sum(policy[i, :, s] @ user[i, j, :, told[i, j, s]] for s in range(policy.shape[-1]))
            np.testing.assert_allclose(played.value, advised, atol=1e-10)
            if np.isfinite(exact):
                assert played.value >= floor[i, j] - 1e-10 if won[i, j] else played.value <= floor[i, j] + 1e-10
            reached += np.sum(played.outcome * provider[i, j]) * won[i, j]
        if np.isfinite(exact):
            np.testing.assert_allclose(reached, exact, atol=1e-9)


def test_users_at_a_tie_stay_where_they_are():
    user = np.broadcast_to(np.eye(2), (2, 1, 2, 2))
    earned, elsewhere = np.array([1.0, 2.0]), np.array([10.0, 20.0])

    @in_float64
    def evaluate(user, value, outside, loyal, earned, elsewhere):
        return gain_if_meant(audience(user, user, outside, elsewhere, loyal), value, earned)

    @in_float64
    def check(user, outside, loyal, elsewhere, bare, full):
        given = audience(user, user, outside, elsewhere, loyal, bare, full)
        return jax.vmap(lambda won: possible(given, won))(jnp.asarray(sets_of(2)))

    level, loyal = np.full(2, 1.5), np.array([True, False])
    meant = lambda *given: evaluate(*given, earned, elsewhere)
    allowed = lambda level, loyal, bare, full: check(user, level, loyal, elsewhere, np.array(bare), np.array(full))
    assert float(meant(user, level, level, loyal)) == 21.0
    assert float(meant(user, level, level - 0.1, loyal)) == 3.0
    assert float(meant(user, level, level + 0.1, loyal)) == 30.0
    # Nobody offers more than full information, and nobody less than silence: sets are {}, {1}, {0}, {0, 1}.
    np.testing.assert_array_equal(allowed(level, loyal, False, True), [True, False, True, False])
    np.testing.assert_array_equal(allowed(level, loyal, True, False), [False, False, True, True])


def test_a_user_of_whom_it_is_not_sure_where_she_goes_does_what_brings_less():
    user = np.broadcast_to(np.eye(2), (2, 1, 2, 2))
    earned, loyal, yes, no = np.array([1.0, 30.0]), np.array([True, False]), np.ones(2, bool), np.zeros(2, bool)

    @in_float64
    def evaluate(user, level, elsewhere, loyal, earned, more, at_least, less, at_most):
        return sure_gain(audience(user, user, level, elsewhere, loyal), Heard(more, at_least, less, at_most, earned))

    surely = lambda *heard: evaluate(user, np.full(2, 1.5), np.array([10.0, 20.0]), loyal, earned, *heard)
    assert float(surely(no, no, no, no)) == 1.0 + 20.0
    assert float(surely(yes, yes, no, no)) == 31.0
    assert float(surely(no, yes, no, yes)) == 1.0 + 20.0
    assert float(surely(no, no, yes, yes)) == 30.0
