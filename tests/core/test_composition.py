"""Every public function under every composition of JAX's transformations, with the float64 switch off as on."""

import inspect

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from public import public_names

import pluraljax as plx

# JAX says so of any float64 array that is summed while the switch is off.
pytestmark = pytest.mark.filterwarnings("ignore:Explicitly requested dtype")

# One shape for everything: 2 users, 2 providers, 2 actions and states.
USERS, PROVIDERS, ROWS = 2, 2, 3
APART, TOGETHER = plx.personalized(USERS), plx.anonymous(USERS)
SHORT = plx.play.Annealing(steps=2)


def _markets() -> plx.Market:
    draw = np.random.default_rng(0).normal
    rows = [plx.observed_market(draw(size=(USERS, 2, 2)), draw(size=(PROVIDERS, USERS, 2, 2))) for _ in range(ROWS)]
    with jax.enable_x64(True):
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *rows)


def _profile(market: plx.Market) -> plx.Profile:
    return plx.play.informative_profile(market, TOGETHER)


MARKETS = _markets()
ONE = jax.tree.map(lambda leaf: leaf[0], MARKETS)

# What each public function answers about one market.
CHEAP = {
    "benchmarks": plx.benchmarks,
    "stakes": plx.stakes,
    "market_status": plx.market_status,
    "weak_alignment": plx.weak_alignment,
    "guarantee": lambda m: plx.guarantee(m, TOGETHER, 0.01),
    "payoffs": lambda m: plx.payoffs(m, TOGETHER, None, _profile(m)),
    "silent_profile": lambda m: plx.play.silent_profile(m, APART),
    "informative_profile": lambda m: plx.play.informative_profile(m, APART),
    "recommending_profile": lambda m: plx.play.recommending_profile(m.user_value[:, None] * 0 + 0.5, PROVIDERS),
    "in_one_round": lambda m: plx.play.in_one_round(_profile(m)),
    "observed_market": lambda m: plx.observed_market(m.user_value, m.provider_value),
    "gradient_subsidy": lambda m: plx.tuning.gradient_subsidy(m, TOGETHER, 0.1, steps=3),
    "gradient_policies": lambda m: plx.play.gradient_policies(
        m, TOGETHER, plx.Conversation(signals=2), jr.key(0), annealing=SHORT
    ),
}
DEAR = {
    "soft_equilibrium": lambda m: plx.tuning.soft_equilibrium(
        m, TOGETHER, plx.Conversation(signals=2), plx.Logit(0.5, 0.5, 0.5), 0.5, steps=3
    ),
    "strong_alignment": lambda m: plx.strong_alignment(m, "free"),
    "segment_alignment": lambda m: plx.segment_alignment(m, TOGETHER, "hull", "state"),
    "persuasion": plx.persuasion,
    "worst_equilibrium, personalized": lambda m: plx.worst_equilibrium(m, plx.personalized(2)),
    "frontier_curve": lambda m: plx.frontier_curve(m, [0.0, 0.5]),
    "worst_value": plx.tuning.worst_value,
    "silence": lambda m: plx.silence(m, TOGETHER),
    "deviation": lambda m: plx.deviation(m, TOGETHER, _profile(m)),
    "best_response": lambda m: plx.best_response(
        m, TOGETHER, plx.Conversation(signals=2), _profile(m), starts=2, annealing=SHORT
    ),
    "best_response_play": lambda m: plx.play.best_response_play(m, APART, rounds=1),
    "equilibrium": lambda m: plx.equilibrium(m, APART, starts=2, rounds=1, annealing=SHORT),
    "worst_equilibrium": lambda m: plx.worst_equilibrium(m, plx.anonymous(2), budget=0),
    "coverage": plx.robust.coverage,
    "robustness": plx.robust.robustness,
    "robust_alignment": lambda m: plx.robust_alignment(m, 1),
    "robust_coverage": lambda m: plx.robust.robust_coverage(m, 1),
    "robust_guarantee": lambda m: plx.robust.robust_guarantee(m, TOGETHER, 1),
    "robust_worst_equilibrium": lambda m: plx.robust.robust_worst_equilibrium(m, 1),
    "one_sided_slopes": lambda m: plx.tuning.one_sided_slopes(lambda n: plx.benchmarks(n).aligned, m, m),
}
QUESTIONS = CHEAP | DEAR
# Loops of as many steps as an argument says: their derivatives go forward, whatever the switch says.
FORWARD_ONLY = frozenset(["gradient_policies", "gradient_subsidy"])
# What needs numbers, files or a host: not part of anybody's traced programme.
ON_HOST = frozenset(
    (
        "anonymous",
        "audit",
        "personalized",
        "certify",
        "certify_rule",
        "confidence_sequence",
        "default_config",
        *(each for each in plx.plot.__all__ if each != "frontier_curve"),
        # These take programmes, which are arrays as they come.
        "highs",
        "simplex",
        "simplex_in_kernel",
        "conclusion",
        "least_subsidy",
        "load_market",
        "load_named_market",
        "load_profile",
        "markets_needed",
        "open_scan",
        "save_market",
        "save_profile",
        "scan",
        "study",
        "tune",
    )
)


def reals(answer):
    """The numbers of an answer that derivatives are about."""
    return [leaf for leaf in jax.tree.leaves(answer) if jnp.issubdtype(leaf.dtype, jnp.floating)]


def total(question):
    """A sum over an answer; JAX rounds it to float32 here, and derivatives come back through that."""
    return lambda market: sum((jnp.sum(leaf) for leaf in reals(question(market))), jnp.zeros(()))


def scanned(question):
    return lambda markets: jax.lax.scan(lambda carry, m: (carry + jnp.int32(1), question(m)), jnp.int32(0), markets)[1]


BATCHED = {
    "vmap": jax.vmap,
    "jit vmap": lambda f: jax.jit(jax.vmap(f)),
    "vmap jit": lambda f: jax.vmap(jax.jit(f)),
    "vmap checkpoint": lambda f: jax.vmap(jax.checkpoint(f)),
    "map": lambda f: lambda markets: jax.lax.map(f, markets),
    "map in two": lambda f: lambda markets: jax.lax.map(f, markets, batch_size=2),
    "scan": scanned,
    "jit scan jit": lambda f: jax.jit(scanned(jax.jit(f))),
    "filter_vmap filter_jit": lambda f: eqx.filter_vmap(eqx.filter_jit(f)),
    "filter_jit vmap": lambda f: eqx.filter_jit(jax.vmap(f)),
}
SLOPES = {
    "grad": jax.grad,
    "jit grad": lambda f: jax.jit(jax.grad(f)),
    "grad jit": lambda f: jax.grad(jax.jit(f)),
    "grad checkpoint": lambda f: jax.grad(jax.checkpoint(f)),
    "grad checkpoint jit": lambda f: jax.grad(jax.checkpoint(jax.jit(f))),
    "filter_grad filter_jit": lambda f: eqx.filter_grad(eqx.filter_jit(f)),
    "vmap grad jit": lambda f: lambda m: _first(jax.vmap(jax.grad(jax.jit(f)))(_one_row(m))),
    "jit grad vmap": lambda f: jax.jit(
        lambda m: _first(jax.grad(lambda rows: jax.vmap(f)(rows)[0])(_one_row(m))),
    ),
    "transpose linearize": lambda f: (
        lambda m: jax.linear_transpose(jax.linearize(jax.jit(f), m)[1], m)(jnp.ones(()))[0]
    ),
    "jvp vmap": lambda f: lambda m: jax.jvp(jax.vmap(jax.jit(f)), (_one_row(m),), (_one_row(m),)),
}


# How compositions nest does not hang on the question: those that take long to trace are asked in these, which reach
# each rule of a call in float64 once.
FOR_DEAR = frozenset(["vmap jit", "jit scan jit", "grad jit", "jvp vmap"])


def _one_row(market):
    return jax.tree.map(lambda leaf: leaf[None], market)


def _first(tree):
    return jax.tree.map(lambda leaf: leaf[0], tree)


def test_every_public_function_is_in_the_matrix():
    functions = {name.rpartition(".")[2] for name, each in public_names().items() if inspect.isfunction(each)}
    assert functions - ON_HOST == {name.partition(",")[0] for name in QUESTIONS}


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in DEAR]


@pytest.mark.parametrize("name", [*CHEAP, *SLOW])
def test_every_composition_is_in_double_precision(name):
    """Traced and not run: a composition that leaves the scope mixes types, or ends in others."""
    asked = FOR_DEAR if name in DEAR else {*BATCHED, *SLOPES}
    check_types(name, *({how: made for how, made in each.items() if how in asked} for each in (BATCHED, SLOPES)))


def test_so_is_the_worst_equilibrium():
    check_types("worst_equilibrium, personalized", {"vmap jit": BATCHED["vmap jit"]}, {"grad jit": SLOPES["grad jit"]})


def check_types(name, batched, slopes):
    question = QUESTIONS[name]
    wanted = [(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(jax.eval_shape(question, ONE))]
    for made in batched.values():
        found = jax.tree.leaves(jax.eval_shape(made(question), MARKETS))
        assert [(leaf.shape, leaf.dtype) for leaf in found] == [((ROWS, *shape), dtype) for shape, dtype in wanted]
    if not reals(jax.eval_shape(question, ONE)):
        return
    for how, made in slopes.items():
        if how == "jvp vmap":
            jax.eval_shape(made(total(question)), ONE)
        elif name in FORWARD_ONLY:
            with pytest.raises(ValueError, match="Reverse-mode differentiation does not work"):
                jax.eval_shape(made(total(question)), ONE)
        else:
            found = jax.tree.leaves(jax.eval_shape(made(total(question)), ONE))
            assert {leaf.dtype for leaf in found} == {np.dtype(np.float64)}, how


def same(found, wanted, tolerance=1e-12):
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=tolerance, atol=tolerance)


# The others ask the same questions of several markets, or in several steps, and take a minute each to compile twice.
_COMPILED = ["soft_equilibrium", "strong_alignment", "segment_alignment", "persuasion", "deviation", "coverage"]


@pytest.mark.parametrize("name", [*CHEAP, *(pytest.param(name, marks=pytest.mark.slow) for name in _COMPILED)])
def test_values_are_those_under_the_switch(name):
    question = QUESTIONS[name]
    found = jax.vmap(jax.jit(question))(MARKETS)
    with jax.enable_x64(True):
        wanted = jax.jit(jax.vmap(question))(MARKETS)
    same(found, wanted)


@pytest.mark.parametrize("how", ["grad jit", "grad checkpoint jit", "vmap grad jit"])
@pytest.mark.parametrize("name", ["weak_alignment", "guarantee"])
def test_derivatives_are_those_under_the_switch(name, how):
    question = lambda market: total(CHEAP[name])(market)
    found = SLOPES[how](question)(ONE)
    with jax.enable_x64(True):
        wanted = jax.jit(jax.grad(question))(ONE)
    # The sum is rounded, its derivative of one is not.
    same(found, wanted)


@pytest.mark.slow
def test_second_derivatives_go_through():
    square = lambda value: plx.tuning.soft_equilibrium(
        plx.Market(ONE.prior, value, ONE.provider_value, ONE.mass),
        TOGETHER,
        plx.Conversation(signals=2),
        plx.Logit(0.5, 0.5, 0.5),
        0.5,
        steps=3,
    ).user_value[0]
    for made in (jax.hessian(jax.jit(square)), jax.jacrev(jax.jacfwd(square)), jax.jacfwd(jax.jit(jax.jacrev(square)))):
        found = jax.eval_shape(made, ONE.user_value)
        assert (found.shape, found.dtype) == ((*ONE.user_value.shape, *ONE.user_value.shape), np.float64)


def test_what_a_function_closes_over_may_be_traced():
    seen = lambda scale: (
        plx.tuning.one_sided_slopes(lambda market: plx.benchmarks(market).aligned * scale, ONE, ONE).ahead
    )
    with jax.enable_x64(True):
        scales, wanted = jnp.asarray([1.0, 2.0]), jax.vmap(seen)(jnp.asarray([1.0, 2.0]))
    for made in (jax.vmap(seen), jax.vmap(jax.jit(seen))):
        same(made(scales), wanted)


def test_other_than_arrays_may_come_and_go():
    # None, strings and numbers are part of the programme; NumPy arrays keep their precision under a caller's `jit`.
    tenth = np.full((1, 2, 2), 0.1)
    asked = jax.jit(lambda: plx.weak_alignment(plx.observed_market(tenth, 3 * tenth[None]), "hull", offset="state"))
    assert asked().offset.dtype == np.float64
    exact = jax.jit(lambda: plx.observed_market(tenth, tenth[None]).user_value)()
    assert np.array_equal(np.asarray(exact), tenth)
    profile = jax.jit(lambda market: plx.play.silent_profile(market, APART))(ONE)
    assert isinstance(profile, plx.Profile)
    assert profile.choice is None


def test_a_scope_of_the_callers_changes_nothing(x64):
    """What is traced there is traced as ever, without the one operation, so that scans stay what they were."""
    assert "float64_call" not in str(jax.make_jaxpr(jax.vmap(plx.weak_alignment))(MARKETS))
    assert "float64_call" not in str(jax.make_jaxpr(lambda key: plx.families.gaussian()(key))(jr.key(0)))
