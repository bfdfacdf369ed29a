import cases
import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from compiled import MEASURED, ROWS, measured
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import pluraljax as plx
from pluraljax import Status
from pluraljax._scan.measure import _conditions_rows
from pluraljax._scan.measure._columns import CONDITIONS

EVENTS = tuple(column.name for column in CONDITIONS if column.kind == "event")
YES, NO, UNDECIDED = _conditions_rows.YES, _conditions_rows.NO, _conditions_rows.UNDECIDED
U = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]])
V = np.array([[0.3, 0.2, 0], [0, 0.1, 0.5], [0.9, 0, 0.4]])


def observed(user, provider, mass=(1.0, 1.0)):
    """A market of two users and three providers (the last one is repeated), with three equally likely states."""
    provider = np.asarray(provider, float)
    provider = np.concatenate([provider, np.repeat(provider[-1:], 3 - len(provider), axis=0)])
    prior = np.broadcast_to(np.eye(3) / 3, (2, 1, 3, 3))
    return cases.Primitives(np.array(prior), np.asarray(user, float), provider, np.array(mass, float))


def everywhere(*values):
    """Payoffs of three actions, the same in every state."""
    return np.repeat(np.array(values, float)[:, None], 3, axis=1)


PERFECT = observed([U, U], [[U, U]])
OPPOSED = observed([U, U], [[U, -2 * U], [-2 * U, U]])
SCALED = observed([U, U], [[U, 2 * U]])
FOES = observed([U, U], [[-U, -U]])
HALVES = observed([(U + V) / 2, (U + V) / 2], [[U, U], [V, V]])
DOUBLE = observed([2 * U, 2 * U], [[U, U]])


@pytest.mark.parametrize(
    ("market", "events"),
    [
        (PERFECT, {}),
        (HALVES, {}),
        (DOUBLE, {"hull_aligned": NO}),
        (SCALED, {"strongly_aligned": NO, "hull_aligned": NO}),
        (OPPOSED, {"strongly_aligned": NO, "scaled_aligned": NO, "anonymous_guaranteed": NO}),
        (FOES, dict.fromkeys(EVENTS[:6], NO)),
    ],
    ids=["perfect", "halves", "double", "scaled", "opposed", "foes"],
)
def test_events_by_hand(market, events):
    """What is not named holds."""
    rows = measured([market])
    assert {name: int(rows[name][0]) for name in EVENTS} == dict.fromkeys(EVENTS, YES) | events


def test_numbers_by_hand():
    rows = measured([OPPOSED, PERFECT])
    np.testing.assert_allclose(rows["aligned"], 1)
    np.testing.assert_allclose(rows["silent"], 1 / 3)
    np.testing.assert_allclose(rows["weak_error_upper"], 0, atol=1e-9)
    np.testing.assert_allclose(rows["weak_weight"], 1, atol=1e-9)
    for column in ("strong_error", "scaled_error"):
        np.testing.assert_allclose([rows[f"{column}_lower"], rows[f"{column}_upper"]], [[0.5, 0]] * 2, atol=1e-8)
    np.testing.assert_allclose(rows["personalized_guarantee_lower"], 1, atol=1e-9)
    np.testing.assert_allclose(rows["anonymous_guarantee_upper"], [[0, 0], [1, 1]], atol=1e-9)
    np.testing.assert_array_equal(rows["status"], Status.OK)


def test_the_columns_are_those_of_the_table():
    rows = measured([PERFECT])
    assert set(rows) == {column.name for column in CONDITIONS}
    kinds = {"value": np.float64, "event": np.int8, "status": np.int8}
    for column in CONDITIONS:
        assert rows[column.name].dtype == kinds[column.kind]
        assert rows[column.name].shape == ((1, 2) if column.axis == "user" else (1,))


def test_invalid_markets_are_marked_and_leave_the_others_alone():
    good = [cases.build("gaussian", seed, MEASURED) for seed in range(6)]
    bad = list(good)
    bad[1] = good[1]._replace(user_value=np.where(good[1].user_value > 0.5, np.nan, good[1].user_value))
    bad[2] = good[2]._replace(provider_value=np.full_like(good[2].provider_value, np.inf))
    bad[3] = good[3]._replace(prior=good[3].prior * np.array([1, -1])[:, None, None, None])
    bad[4] = good[4]._replace(prior=good[4].prior * 1.01)
    bad[5] = good[5]._replace(mass=np.array([1.0, 0.0]))
    clean, rows = measured(good), measured(bad)
    np.testing.assert_array_equal(
        rows["status"][1:],
        [
            Status.NOT_FINITE,
            Status.NOT_FINITE,
            Status.NEGATIVE_PRIOR,
            Status.PRIOR_NOT_NORMALISED,
            Status.MASS_NOT_POSITIVE,
        ],
    )
    for column in CONDITIONS:
        np.testing.assert_array_equal(rows[column.name][0], clean[column.name][0])
        if column.kind == "value":
            assert np.isnan(rows[column.name][1:]).all()
        elif column.kind == "event":
            assert (rows[column.name][1:] == UNDECIDED).all()


def test_an_event_needs_every_user_and_fails_with_one():
    decide = lambda yes, no: int(_conditions_rows.decide(jnp.array(yes), jnp.array(no)))
    assert decide([True, True], [False, False]) == YES
    assert decide([True, False], [False, False]) == UNDECIDED
    assert decide([True, False], [False, True]) == NO


# Multiples of a quarter, zeros among them: ties everywhere. Hypothesis draws a handful of markets per batch.
QUARTERS = st.integers(-8, 8).map(lambda numerator: numerator / 4)


@st.composite
def made_up(draw):
    counts = draw(hnp.arrays(np.int64, (2, 1, 3, 3), elements=st.integers(0, 3)))
    counts[:, 0, 0, 0] += 1
    prior = counts / counts.sum(axis=(1, 2, 3), keepdims=True)
    user = draw(hnp.arrays(np.float64, (2, 3, 3), elements=QUARTERS))
    provider = draw(hnp.arrays(np.float64, (3, 2, 3, 3), elements=QUARTERS))
    return cases.Primitives(prior, user, provider, np.array([1.0, draw(st.sampled_from([0.25, 1.0, 3.0]))]))


@settings(max_examples=12)
@given(st.lists(made_up(), min_size=1, max_size=8), st.sampled_from([0.0, 0.25]))
def test_made_up_markets(markets, delta):
    rows = measured(markets, delta)
    for i, market in enumerate(markets):
        exact = {
            "weak_error": oracles.alignment_errors(market, [0, 1]),
            "hull_error": oracles.alignment_errors(market, [0, 1], "hull"),
            "strong_error": oracles.alignment_errors(market, [0, 0])[0],
            "personalized_guarantee": oracles.guarantees(market, [0, 1], delta),
            "anonymous_guarantee": oracles.guarantees(market, [0, 0], delta),
        }
        for name, value in exact.items():
            assert (rows[f"{name}_lower"][i] <= value + 1e-8).all(), name
            assert (rows[f"{name}_upper"][i] >= value - 1e-8).all(), name
    for event in ("personalized_theorem", "anonymous_theorem"):
        assert (rows[event] != NO).all()


# The theorems of docs/mathematics.md, section 6.

FAMILIES = {
    "spatial": plx.families.spatial(providers=3, users=2, dimension=1, actions_per_side=3, states_per_side=3),
    "gaussian": plx.families.gaussian(providers=3, users=2, actions=3, states=3),
    "opposed": plx.families.opposed(providers=3, users=2, actions=3, states=3),
    "conic": plx.families.conic(providers=3, users=2, actions=3, states=3, perturbation=0.3),
}


def draws(name):
    with jax.enable_x64(True):
        return cases.unstack(jax.vmap(FAMILIES[name])(jax.random.split(jax.random.key(5), ROWS)))


def violations(markets, delta, error_share=1.0):
    """Counts markets that the check of a scan finds to violate a theorem."""
    rows = measured(markets, delta, error_share)
    return [int((rows[event] == NO).sum()) for event in ("personalized_theorem", "anonymous_theorem")]


@pytest.mark.parametrize("name", [*FAMILIES, "cases"])
def test_no_market_violates_the_theorems(name):
    markets = cases.many(tuple(cases.CASES), ROWS, MEASURED) if name == "cases" else draws(name)
    for delta in (0.0, 0.2):
        assert violations(markets, delta) == [0, 0]


# One provider (and two copies), w = 1, errors 1/2 and delta 1/4: v = u - 1/2 where the user ought to be, and u + 1/2
# where an equilibrium could put her. In the second market, the other user's other optimal action leaves the provider a
# surplus of 1 that the first user pays for.
ALONE = observed([everywhere(3, 1.75, -1)] * 2, [[everywhere(2.5, 2.25, -1.5)] * 2])
TOGETHER = observed(
    [everywhere(3, 0.75, -1), everywhere(3, 3, -1)], [[everywhere(2.5, 1.25, -1.5), everywhere(2.5, 3.5, -1.5)]]
)


def test_the_theorems_are_tight():
    rows = measured([ALONE, TOGETHER], delta=0.25)
    np.testing.assert_allclose(rows["weak_error_upper"][0], 0.5, atol=1e-9)
    np.testing.assert_allclose(rows["weak_weight"][0], 1, atol=1e-9)
    np.testing.assert_allclose(rows["personalized_guarantee_upper"][0], 3 - 2 * 0.5 - 0.25, atol=1e-9)
    np.testing.assert_allclose(rows["strong_error_upper"][1], 0.5, atol=1e-9)
    np.testing.assert_allclose(rows["anonymous_guarantee_upper"][1, 0], 3 - 2 * (0.5 + 0.5) - 0.25, atol=1e-9)


def test_the_check_of_the_theorems_fails_when_errors_are_halved():
    assert violations([ALONE], 0.25) == [0, 0]
    assert violations([TOGETHER], 0.25) == [0, 0]
    assert violations([ALONE], 0.25, error_share=0.5)[0] == 1
    assert violations([TOGETHER], 0.25, error_share=0.5)[1] == 1
    # Not only by a hair, nor only on markets made for it.
    assert violations([ALONE], 0.25, error_share=0.999)[0] == 1
    assert violations([TOGETHER], 0.25, error_share=0.999)[1] == 1


def test_the_check_of_the_theorems_allows_for_ties():
    """docs/mathematics.md, section 6: error 0 and a guarantee of 0, as providers fear different optimal actions."""
    user = np.array([[1.0, 0, 0], [1, 0, 0], [0, 1, 0]])
    first, second = user.copy(), user.copy()
    first[:2, 0], second[:2, 0] = (3, -1), (-1, 3)
    market = observed([user, user], [[first, first], [second, second]])
    market.prior[:] = np.diag([0.5, 0.5, 0.0])
    rows = measured([market])
    np.testing.assert_allclose(rows["weak_error_upper"], 0, atol=1e-9)
    np.testing.assert_allclose(rows["personalized_guarantee_upper"], 0, atol=1e-9)
    np.testing.assert_allclose(rows["aligned"], 1)
    assert violations([market], 0.0) == [0, 0]


def test_the_check_of_the_theorems_needs_delta():
    """Brackets of one delta against the theorem of another."""
    with_delta, without = measured([ALONE], delta=0.25), measured([ALONE], delta=0.0)
    bound = without["aligned"] - 2 * without["weak_error_upper"]
    assert (with_delta["personalized_guarantee_upper"] < bound - 0.2).all()
    assert (without["personalized_guarantee_lower"] >= bound - 1e-9).all()
