"""The columns of a scan that say what equilibria give."""

import functools

import cases
import jax
import numpy as np
import pytest
from compiled import CHEAP, MEASURED, ROWS, float64, measured
from test_measure import FAMILIES, FOES, NO, OPPOSED, PERFECT, UNDECIDED, YES, draws, observed

import pluraljax as plx
from pluraljax import Status
from pluraljax._scan.measure import _conditions_rows, _equilibria_rows
from pluraljax._scan.measure._columns import CONDITIONS, EQUILIBRIA
from pluraljax._scan.measure._equilibria import Equilibria


@functools.cache
def _batch():
    ask = jax.vmap(_equilibria_rows.measure_equilibria, in_axes=(0, None, 0, 0))
    return jax.jit(ask, compiler_options=CHEAP)


def equilibria(markets, delta=0.0, alone=False):
    """Every column of both programmes for up to `ROWS` markets of shape `MEASURED`."""
    rows = [markets[i % len(markets)] for i in range(ROWS)]
    conditions = measured(rows, delta)
    # In double precision, which NumPy's numbers do not keep under JAX's default settings.
    known = {name: float64(conditions[name]) for name in Equilibria.needs}
    found = _batch()(cases.stack(rows), float64(delta), np.full(ROWS, alone), known)
    return {name: np.asarray(value)[: len(markets)] for name, value in (conditions | found).items()}


@pytest.mark.slow
def test_by_hand():
    rows = equilibria([OPPOSED, PERFECT, FOES])
    assert {column.name for column in EQUILIBRIA} <= set(rows)
    # Everybody told everything; with foes nobody tells anything, and full information is the other equilibrium.
    np.testing.assert_allclose(rows["personalized_worst_upper"], [[1, 1], [1, 1], [1 / 3, 1 / 3]], atol=1e-6)
    np.testing.assert_allclose(rows["personalized_worst_lower"], [[1, 1], [1, 1], [1 / 3, 1 / 3]], atol=1e-6)
    # The opposed pair with K = 2: silence is an anonymous equilibrium although the market is weakly aligned.
    np.testing.assert_array_equal(rows["weakly_aligned"], [YES, YES, NO])
    np.testing.assert_array_equal(rows["anonymous_silence"], [YES, NO, YES])
    np.testing.assert_array_equal(rows["personalized_silence"], [NO, NO, YES])
    np.testing.assert_allclose(rows["anonymous_worst_upper"], [[1 / 3, 1 / 3], [1, 1], [1 / 3, 1 / 3]], atol=1e-6)
    np.testing.assert_array_equal(rows["personalized_worst_aligned"], [YES, YES, NO])
    np.testing.assert_array_equal(rows["anonymous_worst_aligned"], [NO, YES, NO])
    np.testing.assert_array_equal(rows["equilibria_theorem"], YES)
    np.testing.assert_array_equal(rows["status"], Status.OK)


@pytest.mark.slow
def test_twins_of_a_provider_that_is_alone_do_not_compete():
    """Padding leaves a monopoly what it is, and a provider's twins do no more for users than it does alone."""
    rng = np.random.default_rng(3)
    singles = [observed(rng.normal(size=(2, 3, 3)), rng.normal(size=(1, 2, 3, 3))) for _ in range(8)]
    rows, pairs = equilibria(singles, alone=True), equilibria(singles)
    for i, market in enumerate(singles):
        one = cases.as_market(market._replace(provider_value=market.provider_value[:1]))
        exact = plx.worst_equilibrium(one, plx.personalized(one.num_users)).value
        np.testing.assert_allclose(rows["personalized_worst_lower"][i], exact.lower, atol=1e-5)
        np.testing.assert_allclose(rows["personalized_worst_upper"][i], exact.upper, atol=1e-5)
    for end in ("lower", "upper"):
        name = f"personalized_worst_{end}"
        np.testing.assert_allclose(pairs[name], rows[name], atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_equilibria_lie_between_the_guarantee_and_aligned(name):
    for delta in (0.0, 0.1):
        rows = equilibria(draws(name), delta)
        size = 1e-5 * np.maximum(rows["payoff_range"], 1e-9)
        for scheme in ("personalized", "anonymous"):
            lower, upper = rows[f"{scheme}_worst_lower"], rows[f"{scheme}_worst_upper"]
            assert (lower <= upper).all()
            assert (upper <= rows["aligned"] + size).all()
            assert (lower >= rows["silent"] - size).all()
            # The search may find a worse equilibrium than is guaranteed only where it is more patient.
            assert (upper >= rows[f"{scheme}_bound"] - size).all()
        assert (rows["equilibria_theorem"] == YES).all()
        assert (rows["status"] <= Status.RESCUED).all()
        assert (rows["personalized_silence"] != UNDECIDED).all()


@pytest.mark.slow
def test_the_check_of_equilibria_fails_where_more_was_promised():
    """Bounds above what the worst equilibria give, one scheme at a time."""
    conditions = measured([PERFECT, OPPOSED] * (ROWS // 2))
    for scheme, market, worst in (("personalized", 0, 1.0), ("anonymous", 1, 1 / 3)):
        for promised, verdict in ((worst, YES), (worst + 1e-3, NO)):
            known = {name: conditions[name].copy() for name in Equilibria.needs}
            known[f"{scheme}_bound"][market] = promised
            found = _batch()(cases.stack([PERFECT, OPPOSED] * (ROWS // 2)), float64(0.0), np.full(ROWS, False), known)
            assert found["equilibria_theorem"][market] == verdict


@pytest.mark.slow
def test_invalid_markets_are_marked():
    good = cases.build("gaussian", 1, MEASURED)
    bad = good._replace(prior=good.prior * 1.01)
    rows = equilibria([good, bad])
    assert rows["status"][1] == Status.PRIOR_NOT_NORMALISED
    for column in EQUILIBRIA:
        if column.kind == "value":
            assert np.isnan(rows[column.name][1]).all()
            assert np.isfinite(rows[column.name][0]).all()
        else:
            assert rows[column.name][1] == UNDECIDED


def test_what_nobody_asked_for_is_undefined():
    rows = Equilibria.undefined((4, 2))
    assert set(rows) == {column.name for column in EQUILIBRIA}
    np.testing.assert_array_equal(rows["personalized_worst_lower"], np.full((4, 2), np.nan))
    np.testing.assert_array_equal(rows["anonymous_silence"], np.full(4, _conditions_rows.UNDECIDED))


@pytest.mark.slow
def test_the_second_pass_measures_what_the_first_one_does():
    rng = np.random.default_rng(5)
    markets = [observed(rng.normal(size=(2, 3, 3)), rng.normal(size=(3, 2, 3, 3))) for _ in range(3)]
    first = equilibria(markets)
    kinds = {column.name: column.kind for column in (*CONDITIONS, *EQUILIBRIA)}
    for row, market in enumerate(map(cases.as_market, markets)):
        again = _conditions_rows.measure_again(market, 0.0)
        known = {name: np.asarray(again[name]) for name in Equilibria.needs}
        found = _equilibria_rows.measure_equilibria_again(market, 0.0, False, known)
        assert int(again["status"]) == int(found["status"]) == Status.RESCUED
        for name, value in (again | found).items():
            if kinds[name] == "value":
                np.testing.assert_allclose(np.asarray(value), first[name][row], atol=1e-5, err_msg=name)
            elif kinds[name] == "event":
                assert int(value) == first[name][row], name
