"""The benchmark that is to be run on a GPU: what it counts, what it finds wrong, and that it runs at all."""

import importlib.util
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "gpu.py"
MARKETS = 8


@pytest.fixture(scope="module")
def gpu():
    spec = importlib.util.spec_from_file_location("gpu_benchmark", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_counts_what_is_launched_and_what_is_in_loops(gpu):
    text = """HloModule some, entry_computation_layout={(f64[3]{0})->f64[3]{0}}

%inside (p.1: f64[3]) -> f64[3] {
  %p.1 = f64[3]{0} parameter(0)
  ROOT %sine.1 = f64[3]{0} sine(%p.1)
}

%body (p.2: (f64[3], s32[])) -> (f64[3], s32[]) {
  %p.2 = (f64[3]{0}, s32[]) parameter(0)
  %x.1 = f64[3]{0} get-tuple-element(%p.2), index=0
  %fusion.1 = f64[3]{0} fusion(%x.1), kind=kLoop, calls=%inside
  %cond.1 = f64[3]{0} conditional(%c, %x.1, %x.1), branch_computations={%inside, %other}
  ROOT %t.1 = (f64[3]{0}, /*index=1*/s32[]) tuple(%cond.1, %n)
}

%other (p.3: f64[3]) -> f64[3] {
  ROOT %p.3 = f64[3]{0} parameter(0)
}

%test (p.4: (f64[3], s32[])) -> pred[] {
  %p.4 = (f64[3]{0}, s32[]) parameter(0)
  ROOT %less.1 = pred[] compare(%p.4, %p.4), direction=LT
}

ENTRY %main (p.5: f64[3]) -> f64[3] {
  %p.5 = f64[3]{0} parameter(0)
  %copy.1 = f64[3]{0} copy(%p.5)
  %call.1 = f64[3]{0} call(%copy.1), to_apply=%inside
  %t.2 = (f64[3]{0}, /*index=1*/s32[]) tuple(%call.1, %n)
  %while.1 = (f64[3]{0}, /*index=1*/s32[]) while(%t.2), condition=%test, body=%body
  ROOT %out.1 = f64[3]{0} get-tuple-element(%while.1), index=0
}
"""
    # The copy and a sine; in the loop a fusion, a sine of one branch, and the test.
    assert gpu.launches(text) == (5, 3)
    looped = jax.jit(lambda x: jax.lax.fori_loop(0, 5, lambda _, y: jnp.sin(y) @ y * y, x))
    total, inside = gpu.launches(looped.lower(jnp.ones(300)).compile().as_text())
    assert total >= inside >= 1


def test_a_bracket_that_misses_the_other_one_is_apart(gpu):
    cpu = np.array([0.0, 1.0, 2.0]), np.array([0.5, 1.0, 2.0])
    near = np.array([0.5, 1.0 + 1e-12, 2.0]), np.array([0.5, 1.0 + 1e-12, 2.0])
    off = np.array([0.0, 1.0 + 1e-6, 2.0]), np.array([0.5, 1.0 + 1e-6, 2.0])
    assert gpu.compare(near, cpu) == {"apart": 0, "far": 0.5}
    assert gpu.compare(off, cpu)["apart"] == gpu.compare(cpu, off)["apart"] == 1


@pytest.mark.slow
def test_it_runs_on_a_cpu(gpu, capsys, monkeypatch):
    monkeypatch.setattr(
        sys, "argv", ["gpu", "--markets", str(MARKETS), "--repeats", "1", "--scan", "64", "programmes", "weak"]
    )
    gpu.main()
    about, _, *rows, scanned = capsys.readouterr().out.splitlines()
    assert f'"markets": {MARKETS}' in about
    table = {name: dict(zip(gpu.HEADINGS, map(float, values), strict=False)) for name, *values in map(str.split, rows)}
    assert list(table) == ["programmes", "weak"]
    for row in table.values():
        assert row["kernels"] > row["looped"] > 0
    assert '"what": "scan"' in scanned
