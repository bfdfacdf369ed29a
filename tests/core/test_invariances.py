"""What must not change an answer, or change it in a known way."""

import cases
import compiled
import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from compiled import MEASURED, ROWS, float64, measured

import pluraljax as plx
from pluraljax._scan.measure._columns import CONDITIONS

# All kinds, degenerate ones too; what is compared is closed to 1e-6 at worst and to 1e-8 as a rule.
MARKETS = cases.many(tuple(cases.CASES), ROWS, MEASURED)
DELTA = 0.1
# Of several optimal weights any may be found, and with them other bounds of the theorems.
VALUES = [c.name for c in CONDITIONS if c.kind == "value" and c.name != "weak_weight" and "bound" not in c.name]
CONE_ERRORS = [name for name in VALUES if "error" in name and "hull" not in name]
UTILITIES = ["aligned", "silent", *(name for name in VALUES if "guarantee" in name)]
SIZES = np.array([max(1.0, np.abs(market.user_value).max()) for market in MARKETS])


@pytest.fixture(scope="module")
def before():
    return measured(MARKETS, DELTA)


def is_per_user(name):
    return next(column.axis for column in CONDITIONS if column.name == name) == "user"


def assert_same(before, after, factor=None, names=VALUES):
    """Compares brackets: neither may exclude what the other contains; `factor[market user]` rescales `before`."""
    for name in names:
        scale = 1.0
        if factor is not None:
            scale = factor if is_per_user(name) else factor[:, 0]
        new = after[name]
        slack = 1e-8 * SIZES * (1.0 if factor is None else np.maximum(factor.max(axis=1), 1))
        slack = slack[:, None] if is_per_user(name) else slack
        if name.endswith("_lower"):
            assert (new <= before[name.replace("_lower", "_upper")] * scale + slack).all(), name
        elif name.endswith("_upper"):
            assert (new >= before[name.replace("_upper", "_lower")] * scale - slack).all(), name
        else:
            assert (np.abs(new - before[name] * scale) <= slack).all(), name


def renamed(users=(0, 1), providers=(0, 1, 2), actions=(0, 1, 2), states=(0, 1, 2), evidence=(0, 1, 2)):
    users, providers, actions, states, evidence = map(list, (users, providers, actions, states, evidence))
    return [
        cases.Primitives(
            prior[users][:, :, evidence][..., states],
            user[users][:, actions][..., states],
            provider[providers][:, users][:, :, actions][..., states],
            mass[users],
        )
        for prior, user, provider, mass in MARKETS
    ]


@pytest.mark.parametrize(
    "order",
    [{"providers": (2, 0, 1)}, {"actions": (1, 2, 0)}, {"states": (2, 0, 1)}, {"evidence": (1, 0, 2)}],
    ids=lambda order: next(iter(order)),
)
def test_names_do_not_matter(order, before):
    assert_same(before, measured(renamed(**order), DELTA))


def test_names_of_users_do_not_matter(before):
    after = measured(renamed(users=(1, 0)), DELTA)
    swapped = {name: leaf[:, ::-1] if is_per_user(name) else leaf for name, leaf in after.items()}
    assert_same(before, swapped)


def test_units_of_users(before):
    """The same unit for both users, and a constant for each: errors and guarantees follow."""
    unit = np.resize([0.5, 2.0, 8.0], ROWS)
    shift = np.array([3.0, -1.0])
    markets = [
        market._replace(user_value=market.user_value * u + shift[:, None, None])
        for market, u in zip(MARKETS, unit, strict=True)
    ]
    after = measured(markets, DELTA)
    for name in UTILITIES:
        after[name] = after[name] - shift
    factor = np.repeat(unit[:, None], 2, axis=1)
    assert_same(before, after, factor, UTILITIES + CONE_ERRORS + ["payoff_range"])


def test_units_of_providers(before):
    """Cone errors do not see them, weights go the other way; guarantees neither, when the provider's delta is 0."""
    unit = np.array([0.25, 2.0, 16.0])[:, None, None, None]
    shift = np.array([1.0, -2.0, 0.5])[:, None, None, None]
    markets = [market._replace(provider_value=market.provider_value * unit + shift) for market in MARKETS]
    assert_same(before, measured(markets, DELTA), names=CONE_ERRORS)
    guarantees = [name for name in VALUES if "guarantee" in name]
    assert_same(measured(MARKETS, 0.0), measured(markets, 0.0), names=guarantees)
    # All in one unit: delta is in that unit.
    markets = [market._replace(provider_value=market.provider_value * 4.0) for market in MARKETS]
    assert_same(before, measured(markets, 4 * DELTA), names=guarantees)
    generic = cases.build("gaussian", 0, MEASURED)
    half = generic._replace(provider_value=generic.provider_value / 2)
    rows = measured([generic, half])
    np.testing.assert_allclose(rows["weak_weight"][1], 2 * rows["weak_weight"][0], rtol=1e-6)


@pytest.mark.parametrize("delta", [0.0, DELTA])
def test_copies_of_providers_change_nothing(delta):
    """A scan fills markets up with copies of providers: the padded brackets hold the optima of the original."""
    kinds = ("gaussian", "conic", "integers", "skewed", "grid", "signed")
    originals = [cases.build(kind, seed, MEASURED._replace(providers=2)) for kind in kinds for seed in range(6)]
    copies = ([0, 1, 0], [0, 1, 1])
    padded = [
        market._replace(provider_value=market.provider_value[copies[i % 2]]) for i, market in enumerate(originals)
    ]
    rows = measured(padded, delta)
    for i, market in enumerate(originals):
        slack = 1e-8 * max(1.0, np.abs(market.user_value).max())
        apart, together = plx.personalized(2), plx.anonymous(2)
        exact = {
            "weak_error": oracles.alignment_errors(market, apart),
            "hull_error": oracles.alignment_errors(market, apart, "hull"),
            "strong_error": oracles.alignment_errors(market, together)[0],
            "personalized_guarantee": oracles.guarantees(market, apart, delta),
            "anonymous_guarantee": oracles.guarantees(market, together, delta),
        }
        for name, value in exact.items():
            assert (rows[f"{name}_lower"][i] <= value + slack).all(), (name, i)
            assert (rows[f"{name}_upper"][i] >= value - slack).all(), (name, i)
        ends = [np.full(2, rows[f"scaled_error_{end}"][i]) for end in ("lower", "upper")]
        assert oracles.alignment_contained(market, together, *ends, slack, scale="free").all(), i
    # Padding may not cost precision either.
    assert (rows["status"] == 0).mean() >= 0.9


def test_a_batch_is_a_loop_and_jit_is_eager(before):
    """One market on its own, not compiled as a whole, with labels known in advance."""
    market = cases.as_market(MARKETS[0])
    strong = plx.strong_alignment(market)
    anonymous = plx.guarantee(market, plx.anonymous(2), DELTA)
    for name, bracket in (
        ("strong_error", strong.value),
        ("anonymous_guarantee", anonymous),
    ):
        for end in ("lower", "upper"):
            alone = getattr(bracket, end)
            assert alone.dtype == jnp.float64
            np.testing.assert_allclose(alone, before[f"{name}_{end}"][0], rtol=0, atol=1e-8 * SIZES[0])
    assert strong.value.upper == pytest.approx(float(np.asarray(strong.user_error).max()), abs=1e-15)
    assert strong.weights.shape == (3,)


def test_neighbours_in_a_batch_do_not_matter(before):
    order = np.random.default_rng(0).permutation(ROWS)
    shuffled = measured([MARKETS[i] for i in order], DELTA)
    for name in VALUES:
        np.testing.assert_array_equal(shuffled[name], before[name][order])


def test_traced_labels_are_static_labels():
    labels = [4, 4, -2]
    markets = cases.many(tuple(cases.CASES), ROWS)
    traced = compiled.alignment()(cases.stack(markets), jnp.asarray(np.tile(labels, (ROWS, 1)), jnp.int32))
    for i in (0, 7):
        static = plx.segment_alignment(cases.as_market(markets[i]), labels)
        for leaf in ("lower", "upper"):
            np.testing.assert_allclose(getattr(static.value, leaf), getattr(traced.value, leaf)[i], atol=1e-8)


def test_the_float64_switch_changes_nothing():
    batch = cases.stack(cases.many(tuple(cases.CASES), ROWS))
    labels = jnp.asarray(np.tile([0, 0, 1], (ROWS, 1)), jnp.int32)
    arguments = batch, labels, float64(np.full(ROWS, DELTA))
    off = compiled.guarantee()(*arguments), compiled.alignment()(*arguments[:2])
    with jax.enable_x64(True):
        on = compiled.guarantee()(*arguments), compiled.alignment()(*arguments[:2])
    jax.tree.map(np.testing.assert_array_equal, on, off)
