"""What is lowered for a GPU on a machine without one: no call to the host, and a GPU's lanes instead of a CPU's."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pluraljax as plx
from pluraljax._candidates import in_lanes
from pluraljax._candidates._batch import Batch
from pluraljax._candidates._queue import in_queue
from pluraljax._scan import FamilyGrid, ScanConfig
from pluraljax._scan.engine import _batch, _layout
from pluraljax._scan.measure._search import Search

# A chunk as a GPU takes it, all of it in one tile: more than a CPU's lanes.
CHUNK = 37
TALK = plx.Conversation()
SINGLE = plx.play.Annealing(steps=3, precision="float32")
QUESTIONS = {
    "robust": lambda market: plx.robust_alignment(market, 1),
    "persuasion": plx.persuasion,
    "curve": lambda market: plx.frontier_curve(market, [0.5]),
}
LONG = {
    "reply": lambda market: plx.best_response(market, (0,), TALK, plx.play.silent_profile(market, (0,), TALK)),
    "equilibrium": lambda market: plx.equilibrium(market, (0,), TALK, starts=1, annealing=SINGLE),
}
PLAYED = {
    method: lambda market, method=method: plx.play.gradient_policies(
        market, (0,), TALK, jax.random.key(0), method=method, annealing=SINGLE
    )
    for method in ("simultaneous", "alternating", "logit")
}


def lowered(program, *arguments, platform="cuda"):
    """The text of a programme for a platform that need not be here."""
    return jax.jit(program).trace(*arguments).lower(lowering_platforms=(platform,)).as_text()


def market_types():
    """Types of a batch of markets."""
    family = plx.families.gaussian(providers=2, users=1, actions=2, states=2)
    return jax.eval_shape(jax.vmap(family), jax.random.split(jax.random.key(0), CHUNK))


@pytest.fixture
def laid_out(monkeypatch):
    """Lists, for each batch that is lowered, whether that is for a CPU."""
    seen, flat = [], Batch.flat

    def spy(batch, on_cpu, tree):
        seen.append(on_cpu)
        return flat(batch, on_cpu, tree)

    monkeypatch.setattr(Batch, "flat", spy)
    return seen


def test_lanes_are_those_of_the_platform_that_is_lowered_for():
    values = jax.ShapeDtypeStruct((100,), jnp.float32)
    squares = jax.vmap(lambda value: in_lanes(lambda lanes: lanes * lanes, 16)(value[None])[0])
    assert "tensor<16xf32>" in lowered(squares, values, platform="cpu")
    assert "stablehlo.while" not in lowered(squares, values)
    assert "tensor<16xf32>" not in lowered(squares, values)


def test_queues_are_those_of_the_platform_that_is_lowered_for():
    values = jax.ShapeDtypeStruct((100,), jnp.float32)
    halved = in_queue(lambda task, again: task, lambda _, now: now / 2, lambda _, now: now < 1, lanes_on_cpu=16)
    halve = jax.vmap(lambda value: halved(value[None])[0])
    assert "tensor<16xf32>" in lowered(halve, values, platform="cpu")
    assert "tensor<16xf32>" not in lowered(halve, values)
    found = jax.jit(halve)(jnp.arange(100, dtype=jnp.float32))
    assert ((found >= 0.5) & (found < 1))[1:].all()
    np.testing.assert_array_equal(found[64:], 2.0**-7 * np.arange(64, 100))


def test_one_programme_for_two_platforms_has_the_lanes_of_both(laid_out, x64):
    program = jax.jit(jax.vmap(plx.weak_alignment))
    text = program.trace(market_types()).lower(lowering_platforms=("cpu", "cuda")).as_text()
    assert "callback" not in text
    assert set(laid_out) == {True, False}


def test_a_question_to_the_host_is_not_lowered_for_a_gpu_that_is_not_here():
    with pytest.raises(ValueError, match="lowering platform cuda"):
        lowered(jax.vmap(lambda market: plx.weak_alignment(market, solver=plx.solvers.highs)), market_types())


@pytest.mark.parametrize("name", [*QUESTIONS, *(pytest.param(each, marks=pytest.mark.slow) for each in LONG)])
def test_questions_are_lowered_for_a_gpu(name, laid_out):
    assert "callback" not in lowered(jax.vmap((QUESTIONS | LONG)[name]), market_types())
    assert laid_out
    assert not any(laid_out)


@pytest.mark.parametrize("method", PLAYED)
def test_play_is_lowered_for_a_gpu_in_single_precision(method):
    text = lowered(jax.vmap(PLAYED[method]), market_types())
    assert "callback" not in text
    loop = text.split("} do {")[1].split("stablehlo.return")[0]
    assert loop.count("stablehlo.") > 50
    # Constants apart, which are scalars.
    assert re.search(r"tensor<[\dx]+xf32>", loop)
    assert not re.search(r"tensor<[\dx]+xf64>", loop)


@pytest.mark.parametrize("equilibria", [False, pytest.param(Search(starts=1), marks=pytest.mark.slow)])
def test_programmes_of_a_scan_are_lowered_for_a_gpu(equilibria, monkeypatch, laid_out):
    texts = {}

    def lower(program, arguments, key, devices, options):
        texts[key[0] if isinstance(key[0], str) else type(key[3]).__name__] = lowered(program, *arguments)

    monkeypatch.setattr(_batch, "programme", lower)
    monkeypatch.setattr(_layout, "_CPU_TILE", CHUNK)
    for name in ("_compile_draw", "_compile_measurement"):  # what other tests compiled is theirs
        monkeypatch.setattr(_batch, name, getattr(_batch, name).__wrapped__)
    sizes = {"providers": 2, "users": 2 if equilibria else 1, "actions": 2, "states": 2}
    config = ScanConfig(grid=(FamilyGrid("gaussian", sizes),), markets=CHUNK, equilibria=equilibria)
    programs = _batch.Programs(config, CHUNK, jax.local_devices()[:1])
    programs.prepare([0])
    programs.compiled(0)
    programs.close()
    measured = {type(each).__name__ for each in config.asked if not each.on_host}
    assert texts.keys() == {"draw"} | measured
    assert measured == {"Conditions"} | ({"Equilibria", "Found"} if equilibria else set())
    assert not any("callback" in text for text in texts.values())
    assert laid_out
    assert not any(laid_out)
