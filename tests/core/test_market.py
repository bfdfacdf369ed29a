import cases
import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest

import pluraljax as plx
from pluraljax import Status

TYPED = cases.Shape(providers=2, users=3, types=2, evidence=3, states=4, actions=2)


def make(**changes):
    return plx.Market(**(cases.build("gaussian", 0, TYPED)._asdict() | changes))


@pytest.mark.parametrize("name", ["gaussian", "skewed", "integers_unseen", "all_zero", "shifted"])
def test_stakes_and_benchmarks_match_loops(name):
    market = cases.build(name, 3, TYPED)
    user, provider = oracles.stakes(market)
    found = plx.stakes(cases.as_market(market))
    size = np.abs(market.user_value).max() + 1
    np.testing.assert_allclose(found.user, user, rtol=0, atol=1e-14 * size)
    np.testing.assert_allclose(found.provider, provider, rtol=0, atol=1e-14 * (np.abs(market.provider_value).max() + 1))
    aligned, silent = oracles.benchmarks(market)
    marks = plx.benchmarks(cases.as_market(market))
    np.testing.assert_allclose(marks.aligned, aligned, rtol=0, atol=1e-14 * size)
    np.testing.assert_allclose(marks.silent, silent, rtol=0, atol=1e-14 * size)
    assert marks.status == Status.OK
    assert (np.asarray(marks.silent) <= np.asarray(marks.aligned) + 1e-14 * size).all()
    assert marks.aligned.dtype == jnp.float64


def test_observed_market_puts_the_prior_on_the_states_that_are_seen():
    user, provider = np.ones((2, 3, 4)), np.ones((5, 2, 3, 4))
    market = plx.observed_market(user, provider)
    np.testing.assert_allclose(market.prior, np.broadcast_to(np.eye(4) / 4, (2, 1, 4, 4)), rtol=1e-15)
    np.testing.assert_allclose(market.mass, 0.5)
    prior = np.array([[0.1, 0.2, 0.3, 0.4], [1, 0, 0, 0]])
    own = plx.observed_market(user, provider, prior, [1.0, 3.0])
    np.testing.assert_array_equal(own.prior[:, 0], prior[:, None] * np.eye(4))
    np.testing.assert_array_equal(own.mass, [1.0, 3.0])
    common = plx.observed_market(user, provider, prior[0])
    np.testing.assert_array_equal(common.prior[1], common.prior[0])


def test_arrays_keep_double_precision_and_integers_gain_it():
    market = make(mass=[1, 2, 3], user_value=np.ones((3, 2, 4), np.int32))
    assert {leaf.dtype for leaf in jax.tree.leaves(market)} == {jnp.dtype("float64")}
    single = make(mass=np.ones(3, np.float32))
    assert single.mass.dtype == jnp.float32
    assert plx.stakes(single).user.dtype == jnp.float64


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mass": np.ones(2)}, r"3 users, but mass\[user\] is \(2,\)"),
        ({"mass": np.ones((3, 1))}, r"Market.mass\[user\] needs 1 non-empty axes, got shape \(3, 1\)"),
        ({"prior": np.ones((3, 3, 4))}, r"needs 4 non-empty axes, got shape \(3, 3, 4\)"),
        ({"prior": np.ones((2, 2, 3, 4))}, r"\(3, 2, 4\), but prior\[user,type,evidence,state\] is \(2, 2, 3, 4\)"),
        ({"prior": np.ones((3, 2, 3, 5))}, r"is \(3, 2, 3, 5\)"),
        ({"provider_value": np.ones((2, 3, 3, 4))}, r"\(3, 2, 4\), but .* is \(2, 3, 3, 4\)"),
        ({"provider_value": np.ones((0, 3, 2, 4))}, r"non-empty axes, got shape \(0, 3, 2, 4\)"),
        ({"user_value": np.ones((3, 2, 5))}, r"user_value\[user,action,state\] is \(3, 2, 5\)"),
        ({"user_value": np.full((3, 2, 4), 1j)}, "holds real numbers, got an array of complex128"),
    ],
)
def test_shapes_that_disagree_say_what_was_wanted_and_what_came(changes, message):
    with pytest.raises(ValueError, match=message):
        make(**changes)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.ones((3, 4)), np.ones((5, 2, 3, 4))), r"got shapes \(3, 4\) and \(5, 2, 3, 4\)"),
        ((np.ones((2, 3, 4)), np.ones((5, 2, 3, 4)), np.ones(3)), r"\(4,\) or .* \(2, 4\), got shape \(3,\)"),
        ((np.ones((2, 3, 4)), np.ones((5, 2, 3, 4)), None, np.ones(3)), r"2 users, but mass\[user\] is \(3,\)"),
    ],
)
def test_observed_market_explains_bad_shapes(arguments, message):
    with pytest.raises(ValueError, match=message):
        plx.observed_market(*arguments)


def bad_markets():
    """A good market, then one for each thing that can be wrong with its values."""
    good = cases.build("gaussian", 0, TYPED)
    spoil = {
        Status.OK: {},
        Status.NOT_FINITE: {"user_value": (0, 0, 0), "value": np.nan},
        Status.NEGATIVE_PRIOR: {"prior": (1, 0, 0, 0), "value": -1e-3},
        Status.PRIOR_NOT_NORMALISED: {"prior": (2, 1, 1, 1), "value": 0.9},
        Status.MASS_NOT_POSITIVE: {"mass": (1,), "value": 0.0},
    }
    found = []
    for status, how in spoil.items():
        arrays = {name: leaf.copy() for name, leaf in good._asdict().items()}
        for name in set(how) & set(arrays):
            arrays[name][how[name]] = how["value"]
        found.append((status, cases.Primitives(**arrays)))
    for name, value in (("provider_value", np.inf), ("prior", np.nan), ("mass", -np.inf)):
        arrays = {field: leaf.copy() for field, leaf in good._asdict().items()}
        arrays[name][(0,) * arrays[name].ndim] = value
        found.append((Status.NOT_FINITE, cases.Primitives(**arrays)))
    return found


def test_each_bad_row_has_its_status_and_leaves_the_others_alone():
    statuses, markets = zip(*bad_markets(), strict=True)
    marks = jax.jit(jax.vmap(plx.benchmarks))(cases.stack(markets))
    np.testing.assert_array_equal(marks.status, statuses)
    valid = np.array([status.is_valid for status in statuses])
    for leaf in (marks.aligned, marks.silent):
        assert np.isfinite(np.asarray(leaf)[valid]).all()
        assert np.isnan(np.asarray(leaf)[~valid]).all()
    alone = jax.jit(jax.vmap(plx.benchmarks))(cases.stack([markets[0]] * len(markets)))
    np.testing.assert_array_equal(alone.aligned[0], marks.aligned[0])


def test_a_prior_from_single_precision_counts_as_normalised():
    prior = cases.build("gaussian", 1, TYPED).prior.astype(np.float32)
    assert plx.market_status(make(prior=prior)) == Status.OK
    assert plx.market_status(make(prior=prior * (1 + 3e-6))) == Status.PRIOR_NOT_NORMALISED


def test_every_status_says_what_to_do():
    assert len({status.sentence for status in Status}) == len(Status)
    assert all(status.sentence.endswith(".") for status in Status)


# Aligned: (4 + 1) / 2. Silent: the first action always, (4 + 0) / 2. The other user gets the same, whatever she does.
TWO_USERS = plx.observed_market([[[4.0, 0.0], [1.0, 1.0]], [[3.0, 7.0], [3.0, 7.0]]], np.ones((1, 2, 2, 2)))


def test_shares_are_places_between_silent_and_aligned():
    marks = plx.benchmarks(TWO_USERS)
    np.testing.assert_array_equal(marks.silent, [2.0, 5.0])
    np.testing.assert_array_equal(marks.aligned, [2.5, 5.0])
    np.testing.assert_array_equal(marks.payoff_range, [4.0, 4.0])
    found = marks.share(plx.Bracket(jnp.array([1.0, 5.0]), jnp.array([2.25, 5.0])))
    assert isinstance(found, plx.Bracket)
    np.testing.assert_array_equal(found.lower, [-2.0, np.nan])
    np.testing.assert_array_equal(found.upper, [0.5, np.nan])
    np.testing.assert_array_equal(marks.share([[2.0, 5.0], [2.5, 5.0]])[:, 0], [0.0, 1.0])


def test_who_gains_next_to_nothing_by_conversation_has_no_share():
    """The threshold is that of who counts as served: 1e-8 of the payoff range, which is 1 here."""
    for gain, has_one in ((4e-8, True), (1e-8, False)):
        value = np.array([[[1.0, 0.0], [1.0 - 2 * gain, 2 * gain]]])
        marks = plx.benchmarks(plx.observed_market(value, np.ones((1, 1, 2, 2))))
        assert bool(np.isfinite(marks.share(marks.aligned))[0]) == has_one


def test_shares_are_float64_under_every_transformation():
    """1e-12 above silent is seen, whatever JAX is set to."""
    with jax.enable_x64(True):
        value = jnp.array([[2.0 + 0.5e-12, 5.0]])
        markets = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], TWO_USERS)
    ask = lambda market, end: plx.benchmarks(market).share(end)
    for with_switch in (True, False):
        with jax.enable_x64(with_switch):
            for asked in (jax.vmap(ask), jax.jit(jax.vmap(ask)), jax.vmap(jax.jit(ask))):
                found = asked(markets, value)
                assert found.dtype == np.float64
                np.testing.assert_allclose(np.asarray(found)[0, 0], 1e-12, rtol=1e-3)


def test_an_answer_in_utility_has_a_share_of_the_way():
    found = plx.guarantee(TWO_USERS, plx.personalized(2))
    low, high = np.asarray(found.share(TWO_USERS).lower), np.asarray(found.share(TWO_USERS).upper)
    # Its only provider does not mind anything: the bound is the worst action in each state, and nobody has to listen.
    as_it_is = np.asarray(plx.benchmarks(TWO_USERS).share(found).lower)
    np.testing.assert_allclose(as_it_is[0], (0.5 - 2.0) / 0.5, atol=1e-9)
    assert low[0] == 0.0
    assert np.isnan(high[1])
    many = jax.tree.map(lambda leaf: np.stack([np.asarray(leaf)] * 3), (TWO_USERS, found))
    np.testing.assert_array_equal(np.asarray(many[1].share(many[0]).lower)[2], low)


def test_shares_of_other_users_are_refused():
    with pytest.raises(
        ValueError, match=r"last axes are those of the benchmarks, \(2,\), got an array of shape \(3,\)"
    ):
        plx.benchmarks(TWO_USERS).share([1.0, 2.0, 3.0])
