"""Arguments that make no sense: one sentence in the house style from every public function; and what is warned of."""

import inspect
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from public import public_names

import pluraljax as plx

MARKET = plx.observed_market(np.eye(2)[None], np.eye(2)[None, None])
FUNCTIONS = {name: each for name, each in public_names().items() if inspect.isfunction(each)}
# What else a function needs before it looks at the argument in question.
GIVEN = {
    "market": MARKET,
    "segments": [0],
    "conversation": plx.Conversation(signals=2),
    "profile": plx.play.silent_profile(MARKET, [0], plx.Conversation(signals=2)),
    "key": None,
    "people": plx.Logit(0.5, 0.5, 0.5),
    "temperature": 0.5,
    "shares": [0.5],
    "question": lambda market: market.mass,
    "direction": MARKET,
    "path": "nowhere.npz",
    "instrument": None,
    "ax": None,
    "parameters": (),
    "markets": jax.tree.map(lambda leaf: np.asarray(leaf)[None], MARKET),
    "labels": (0,),
    "objective": "weak_error",
    "removed": 0,
}


def asked(name, **wrong):
    needed = inspect.signature(FUNCTIONS[name]).parameters
    given = {each: GIVEN[each] for each, it in needed.items() if it.default is it.empty and each not in wrong}
    if name == "tuning.tune":
        given["instrument"] = plx.tuning.Subsidy()
    return FUNCTIONS[name](**given, **wrong)


def taking(argument):
    return sorted(name for name, each in FUNCTIONS.items() if argument in inspect.signature(each).parameters)


@pytest.mark.parametrize("name", taking("market"))
@pytest.mark.parametrize("wrong", [3.0, None, np.eye(2)], ids=["number", "nothing", "array"])
def test_a_market_is_a_market(name, wrong):
    with pytest.raises(ValueError, match=r"market must be a Market.*got "):
        asked(name, market=wrong)


@pytest.mark.parametrize("name", sorted(set(taking("market")) - {"certify", "save_market", "worst_equilibrium"}))
def test_a_batch_of_markets_needs_vmap(name):
    with pytest.raises(ValueError, match=r"market must be one market, .* with 1 more axes: use jax\.vmap"):
        asked(name, market=GIVEN["markets"])


@pytest.mark.parametrize("name", taking("delta"))
@pytest.mark.parametrize(
    "wrong",
    [float("inf"), float("nan"), -1, -1e-300, np.zeros(2), jnp.asarray(jnp.inf), "a", None, True],
    ids=["inf", "nan", "negative", "tiny", "two", "array", "word", "nothing", "flag"],
)
def test_delta_is_one_finite_number(name, wrong):
    with pytest.raises(ValueError, match="delta must be "):
        asked(name, delta=wrong)


@pytest.mark.parametrize("name", sorted(set(taking("segments")) - {"tuning.tune"}))
@pytest.mark.parametrize("wrong", [[0, 0], [0.5], "a", [[0]], [[0], [0, 1]]], ids=str)
def test_segments_are_a_label_per_user(name, wrong):
    with pytest.raises(ValueError, match="segments must hold one integer label per user"):
        asked(name, segments=wrong)


@pytest.mark.parametrize("argument", ["profile", "conversation"])
def test_profiles_and_conversations_are_some(argument):
    for name in taking(argument):
        if name not in ("certify", "files.save_profile"):
            with pytest.raises(ValueError, match=f"{argument} must be a {argument.title()}, got 3.0"):
                asked(name, **{argument: 3.0})


def test_numbers_of_users_are_whole():
    for function in (plx.personalized, plx.anonymous):
        for wrong in (3.0, 0, -1, True, "3", None):
            with pytest.raises(ValueError, match=r"num_users must be a whole number of at least 1, got "):
                function(wrong)
        assert function(np.int64(2)).dtype == np.int32


@pytest.mark.parametrize("wrong", [3.0, None, np.zeros(2)], ids=["number", "nothing", "array"])
def test_paths_are_paths(wrong):
    for name in ("open_scan", "load_market", "files.load_profile"):
        with pytest.raises(ValueError, match="path must be "):
            FUNCTIONS[name](wrong)
    with pytest.raises(ValueError, match="path must be "):
        plx.save_market(wrong, MARKET)
    with pytest.raises(ValueError, match="path must be "):
        plx.files.save_profile(wrong, GIVEN["profile"])


def test_shares_and_targets_keep_their_checks_under_vmap():
    with pytest.raises(ValueError, match="shares must be between 0"):
        jax.vmap(lambda market: plx.frontier_curve(market, [0.5, 1.5]))(GIVEN["markets"])
    with pytest.raises(ValueError, match="target must be >= 0"):
        jax.vmap(lambda market: plx.tuning.gradient_subsidy(market, [0], -1.0))(GIVEN["markets"])


def test_a_traced_delta_is_data_of_its_row():
    deltas = np.array([0.0, np.nan, np.inf, -1.0, 0.25])
    found = jax.vmap(lambda delta: plx.guarantee(MARKET, [0], delta))(deltas)
    assert (np.asarray(found.status)[1:4] == plx.Status.NOT_FINITE).all()
    for leaf in (found.lower, found.upper, found.weights):
        assert np.isnan(np.asarray(leaf)[1:4]).all()
    for row, delta in ((0, 0.0), (4, 0.25)):
        alone = plx.guarantee(MARKET, [0], delta)
        for leaf, other in zip(jax.tree.leaves(found), jax.tree.leaves(alone), strict=True):
            np.testing.assert_allclose(np.asarray(leaf)[row], np.asarray(other), rtol=1e-12, atol=1e-12)


def test_an_invalid_market_says_so_where_its_segment_is_looked_at():
    broken = plx.Market(MARKET.prior, MARKET.user_value, np.asarray(MARKET.provider_value) * np.nan, MARKET.mass)
    assert plx.worst_equilibrium(broken, plx.anonymous(broken.num_users), budget=0).status[0] == plx.Status.NOT_FINITE


def said(program, *options):
    done = subprocess.run([sys.executable, *options, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stderr


MAKE = "import numpy as np, jax, jax.numpy as jnp, pluraljax as plx\nu = np.eye(2)[None]\n"
ASK = "m = plx.observed_market(u, u[None])\nplx.benchmarks(m); jax.jit(plx.benchmarks)(m); plx.benchmarks(m)\n"


def test_arithmetic_on_answers_is_warned_of_once():
    heard = said(MAKE + ASK)
    assert heard.count("PrecisionWarning") == 1
    assert 'jax.config.update("jax_enable_x64", True)' in heard
    assert "<string>:3:" in heard, "the warning is not shown where the user called"
    assert said("import jax\njax.config.update('jax_enable_x64', True)\n" + MAKE + ASK) == ""
    quiet = "import warnings, pluraljax\nwarnings.simplefilter('ignore', pluraljax.PrecisionWarning)\n"
    assert said(quiet + MAKE + ASK) == ""


def test_files_and_studies_warn_of_nothing():
    """Numbers of a study are NumPy's, which does not round them; an answer's arrays are JAX's, which does."""
    shop = Path(__file__).parents[2] / "docs" / "examples" / "shop.csv"
    load = f"import pluraljax as plx\nmarket, names = plx.files.load_named_market({str(shop)!r})\n"
    assert said(load + "print(plx.study(market, names).sentence)\n") == ""
    assert said(load + "plx.weak_alignment(market)\n").count("PrecisionWarning") == 1


def test_rounded_payoffs_are_warned_of():
    rounded = "m = plx.observed_market(jnp.asarray(u), u[None])\n"
    assert "A market holds float32 arrays" in said(MAKE + rounded)
    inside = "jax.jit(lambda u: plx.benchmarks(plx.observed_market(u, u[None])))(u)\n"
    assert "A market holds float32 arrays" in said(MAKE + inside)
    assert said("import jax\njax.config.update('jax_enable_x64', True)\n" + MAKE + rounded) == ""


def test_statistics_ask_for_numbers():
    for wrong in ("many", [[1], [1, 2]], {}):
        with pytest.raises(ValueError, match="successes must be a number or an array of numbers, got "):
            plx.statistics.confidence_sequence(wrong, 3)
        with pytest.raises(ValueError, match="trials must be a number or an array of numbers, got "):
            plx.statistics.confidence_sequence(0, wrong)
    with pytest.raises(ValueError, match=r"shapes that broadcast, got \(2,\) and \(3,\)"):
        plx.statistics.confidence_sequence([1, 1], [2, 2, 2])
    for wrong in ("a half", None, [0.5, 0.5], True):
        with pytest.raises(ValueError, match="probability must be a number, got "):
            plx.statistics.markets_needed(wrong, 0.1)
        with pytest.raises(ValueError, match="half_width must be a number, got "):
            plx.statistics.markets_needed(0.5, wrong)
        with pytest.raises(ValueError, match=r"confidence must lie strictly between 0 and 1, such as 0\.95, got "):
            plx.statistics.confidence_sequence(1, 2, wrong)


def test_what_is_proved_is_a_profile():
    for wrong in (3.0, np.eye(2), MARKET):
        with pytest.raises(ValueError, match=r"profile must be a Profile .*, got "):
            plx.certify(MARKET, profile=wrong)


def test_a_name_of_a_namespace_is_told_where_it_is():
    for name in ("files.load_named_market", "scans.ScanConfig", "solvers.highs", "families.gaussian"):
        with pytest.raises(AttributeError, match=rf"no attribute '{name.partition('.')[2]}'; it is plx\.{name}$"):
            getattr(plx, name.partition(".")[2])
    for name in ("nothing", "_market_of_nobody"):
        with pytest.raises(AttributeError, match=f"no attribute '{name}'$"):
            getattr(plx, name)


def test_help_of_a_status_says_what_each_means():
    assert all(f"`{each.name}` ({each.value}): {each.sentence}" in plx.Status.__doc__ for each in plx.Status)
