"""What is left after the worst exit agrees with linear programmes on every removal, and behaves as it has to."""

import jax
import numpy as np
import pytest
from cases import Shape, as_market, build
from removal_oracle import coverage_errors, weak_errors, worst

import pluraljax as plx
from pluraljax._scan.measure._robust_rows import measure_robust

SMALL = Shape(providers=5, users=2)
# Ties and duplicates, payoffs that cancel, and providers who do not care.
NAMES = ("gaussian", "duplicates", "integers", "grid", "conic", "constant_provider", "opposed_pair", "zero_user")


def make(name, seed, shape=SMALL):
    primitives = build(name, seed, shape)
    with jax.enable_x64(True):
        return primitives, as_market(primitives)


def host(answer):
    """An answer as NumPy arrays, which can be compared in float64 with JAX's switch off."""
    return jax.tree.map(np.asarray, answer)


def size(primitives):
    return np.ptp(primitives.user_value, axis=(1, 2)) + 1e-12


def check(found, expected, scale, closed=1e-6, slack=1e-8):
    lower, upper = np.asarray(found.value.lower), np.asarray(found.value.upper)
    assert (lower <= expected + slack * scale).all(), (lower, expected)
    assert (upper >= expected - slack * scale).all(), (upper, expected)
    assert (upper - lower <= closed * scale + 1e-12).all(), (lower, upper)


@pytest.mark.parametrize("name", NAMES)
def test_every_removal_agrees_with_its_programme(name):
    primitives, market = make(name, 1)
    last = None
    for removed in (0, 1, 3):
        weak, cover = host(plx.robust_alignment(market, removed)), host(plx.robust.robust_coverage(market, removed))
        check(weak, worst(primitives, removed, weak_errors), size(primitives))
        check(cover, worst(primitives, removed, coverage_errors), size(primitives), slack=1e-6)
        assert (np.asarray(weak.removed).sum(axis=1) == removed).all()
        if last is not None:
            assert (weak.value.upper >= last.value.lower - 1e-9).all()
        last = weak


@pytest.mark.slow
@pytest.mark.parametrize("providers", [2, 8])
def test_many_markets_agree_with_their_programmes(providers):
    for seed in range(20):
        primitives, market = make(NAMES[seed % len(NAMES)], seed, Shape(providers=providers, users=1))
        for removed in range(min(3, providers) + 1):
            check(
                host(plx.robust_alignment(market, removed)), worst(primitives, removed, weak_errors), size(primitives)
            )
            found = host(plx.robust.robust_coverage(market, removed))
            check(found, worst(primitives, removed, coverage_errors), size(primitives), slack=1e-6)


def test_none_removed_is_the_question_itself():
    _, market = make("gaussian", 3)
    alone = host(plx.weak_alignment(market)).value
    found = host(plx.robust_alignment(market, 0))
    np.testing.assert_allclose(found.value.upper, alone.upper, rtol=0, atol=1e-9)
    np.testing.assert_allclose(found.value.lower, alone.lower, rtol=0, atol=1e-9)
    np.testing.assert_allclose(
        host(plx.robust.robust_coverage(market, 0)).value.upper,
        host(plx.robust.coverage(market)).value.upper,
        atol=1e-9,
    )


@pytest.mark.parametrize("name", ["gaussian", "duplicates", "grid"])
def test_coverage_is_what_the_guarantee_misses(name):
    _, market = make(name, 2)
    guarantee, marks = host(plx.guarantee(market, plx.personalized(2))), host(plx.benchmarks(market))
    found = host(plx.robust.coverage(market)).value
    scale = np.ptp(market.user_value, axis=(1, 2))
    assert (np.asarray(marks.aligned - guarantee.lower) >= found.lower - 1e-6 * scale).all()
    assert (np.asarray(marks.aligned - guarantee.upper) <= found.upper + 1e-6 * scale).all()


def test_other_baselines():
    primitives, market = make("gaussian", 5)
    rng = np.random.default_rng(0)
    baseline = rng.integers(0, 3, np.shape(market.prior)[:3])
    found = host(plx.robust.coverage(market, baseline))
    expected = coverage_errors(primitives, baseline)
    np.testing.assert_allclose(found.value.upper, expected, atol=1e-7)
    np.testing.assert_allclose(found.value.lower, expected, atol=1e-7)
    with pytest.raises(ValueError, match="actions from 0 to 2"):
        plx.robust.coverage(market, baseline + 3)
    with pytest.raises(ValueError, match="per \\[user,type,evidence\\]"):
        plx.robust.coverage(market, baseline[0])


@pytest.mark.slow
def test_a_search_closes_what_enumeration_does():
    _, market = make("gaussian", 7)
    for removed in (2,):
        for ask in (plx.robust_alignment, plx.robust.robust_coverage):
            whole, searched = host(ask(market, removed)), host(ask(market, removed, budget=4))
            assert (searched.value.lower <= whole.value.upper + 1e-9).all()
            assert (searched.value.upper >= whole.value.lower - 1e-9).all()
            assert (np.asarray(searched.removed).sum(axis=1) == removed).all()


@pytest.mark.slow
def test_a_search_in_the_hull():
    _, market = make("gaussian", 7)
    whole = host(plx.robust_alignment(market, 2, "hull"))
    searched = host(plx.robust_alignment(market, 2, "hull", budget=9))
    assert (searched.value.lower <= whole.value.upper + 1e-9).all()
    assert (searched.value.upper >= whole.value.lower - 1e-9).all()


def test_a_search_with_room_is_exact():
    # 8 providers, 56 removals of 3: the supports have at most as many providers as there are payoffs to match.
    shape = Shape(providers=8, users=1, actions=2, evidence=2, states=2)
    for name, seed in (("gaussian", 0), ("duplicates", 1)):
        _, market = make(name, seed, shape)
        whole, searched = host(plx.robust_alignment(market, 3)), host(plx.robust_alignment(market, 3, budget=55))
        np.testing.assert_allclose(searched.value.lower, whole.value.lower, atol=1e-8)
        np.testing.assert_allclose(searched.value.upper, whole.value.upper, atol=1e-8)


@pytest.mark.slow
def test_guarantees_and_equilibria_after_the_worst_exit():
    _, market = make("observed", 4, Shape(providers=3, users=2))
    users = plx.personalized(2)
    least = host(plx.robust.robust_guarantee(market, users, 1))
    each, worsts = [], []
    for gone in range(3):
        left = plx.Market(market.prior, market.user_value, np.delete(market.provider_value, gone, axis=0), market.mass)
        each.append(host(plx.guarantee(left, users)))
        worsts.append(host(plx.worst_equilibrium(left, plx.personalized(left.num_users))).value)
    np.testing.assert_allclose(least.value.lower, np.min([g.lower for g in each], axis=0), atol=1e-8)
    np.testing.assert_allclose(least.value.upper, np.min([g.upper for g in each], axis=0), atol=1e-8)
    found = host(plx.robust.robust_worst_equilibrium(market, 1))
    np.testing.assert_allclose(found.value.lower, np.min([w.lower for w in worsts], axis=0), atol=1e-5)
    assert (found.value.upper >= least.value.lower - 1e-6).all()
    searched = host(plx.robust.robust_worst_equilibrium(market, 1, budget=2))
    assert (searched.value.lower <= found.value.upper + 1e-6).all()
    assert (searched.value.upper >= found.value.lower - 1e-6).all()
    searched = host(plx.robust.robust_guarantee(market, users, 1, budget=2))
    assert (searched.value.lower <= least.value.upper + 1e-9).all()
    assert (searched.value.upper >= least.value.lower - 1e-9).all()


def test_robustness_counts_exits():
    for name in ("duplicates", "conic", "grid"):
        primitives, market = make(name, 3)
        found = host(plx.robust.robustness(market))
        scale = 1e-8 * size(primitives)
        held = [worst(primitives, removed, coverage_errors) <= 10 * scale for removed in range(6)]
        expected = np.cumprod(held, axis=0).sum(axis=0) - 1
        decided = np.asarray(found.lower == found.upper)
        assert (np.asarray(found.lower) <= expected).all()
        assert (np.asarray(found.upper) >= expected).all()
        broken = decided & (expected < 5)
        assert (np.asarray(found.removed).sum(axis=1)[broken] == expected[broken] + 1).all()


def test_order_does_not_matter_and_twins_do_not_hurt():
    for name in ("grid", "conic"):
        _, market = make(name, 9)
        provider = np.array(market.provider_value)
        alter = lambda values, market=market: plx.Market(market.prior, market.user_value, values, market.mass)
        found, other = host(plx.robust.robustness(market)), host(plx.robust.robustness(alter(provider[::-1])))
        np.testing.assert_array_equal(found.lower, other.lower)
        np.testing.assert_array_equal(found.upper, other.upper)
        np.testing.assert_array_equal(found.removed.sum(axis=1), other.removed.sum(axis=1))
        # A provider who does not care is as good as none.
        provider[4] = 0.0
        four = host(plx.robust.robustness(alter(provider)))
        provider[4] = provider[0]
        twin = host(plx.robust.robustness(alter(provider)))
        assert (four.lower <= twin.upper).all()


@pytest.mark.slow
def test_a_batch_is_a_loop():
    pairs = [make(name, 2)[1] for name in ("gaussian", "integers")]
    with jax.enable_x64(True):
        batch = jax.tree.map(lambda *rows: np.stack(rows), *pairs)
        found = jax.jit(jax.vmap(lambda market: plx.robust.robust_coverage(market, 1)))(batch)
    for row, market in enumerate(pairs):
        single = host(plx.robust.robust_coverage(market, 1))
        np.testing.assert_allclose(found.value.lower[row], single.value.lower, atol=1e-9)
        np.testing.assert_allclose(found.value.upper[row], single.value.upper, atol=1e-9)


def test_a_scan_asks_the_same_questions():
    _, market = make("conic", 3)
    rows = host(measure_robust(market, plx.scans.Exits((0, 1))))
    for name, ask in (("aligned", plx.robust_alignment), ("covered", plx.robust.robust_coverage)):
        both = [host(ask(market, removed)).value for removed in (0, 1)]
        np.testing.assert_allclose(rows[f"robustly_{name}_error"], both[1].upper, atol=1e-9)
        survived = np.stack([value.upper <= 1e-8 * np.ptp(market.user_value, axis=(1, 2)) for value in both])
        np.testing.assert_array_equal(rows[f"robustly_{name}_exits"], np.cumprod(survived, axis=0).sum(axis=0) - 1)
        assert rows[f"robustly_{name}"] in (survived[1].all(), -1)


def test_what_makes_no_sense_is_refused():
    _, market = make("gaussian", 3)
    with pytest.raises(ValueError, match="from 0 to the 5 providers"):
        plx.robust_alignment(market, 6)
    with pytest.raises(ValueError, match="removed must leave a provider"):
        plx.robust.robust_worst_equilibrium(market, 5)
    with pytest.raises(ValueError, match="at most 4, got 5"):
        plx.robust_alignment(market, 5, "hull")
    with pytest.raises(ValueError, match="budget must be a whole number"):
        plx.robust_alignment(market, 1, budget=0)
    with pytest.raises(ValueError, match="cannot do under jit"):
        jax.jit(lambda m: plx.robust_alignment(m, 2, budget=3))(market)
    with pytest.raises(ValueError, match="cannot do under jit"):
        jax.jit(lambda m: plx.robust.robustness(m, budget=3))(market)


def test_bad_data_have_a_status():
    primitives, _ = make("gaussian", 3)
    broken = primitives._replace(user_value=np.where(np.arange(3) == 1, np.nan, primitives.user_value))
    market = as_market(broken)
    for found in (host(plx.robust_alignment(market, 1)), host(plx.robust.robust_coverage(market, 1))):
        assert (np.asarray(found.status) == plx.Status.NOT_FINITE).all()
        assert np.isnan(found.value.lower).all()
    counted = host(plx.robust.robustness(market))
    assert (np.asarray(counted.lower) == -2).all()
    assert (np.asarray(counted.status) == plx.Status.NOT_FINITE).all()
