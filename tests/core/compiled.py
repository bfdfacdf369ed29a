"""Compiles the package's questions for batches, once per test run and cheaply."""

import contextlib
import functools

import cases
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import pluraljax as plx
from pluraljax._candidates import simplex
from pluraljax._scan.measure import _conditions_rows

# Half the time to compile, for the price of a slower run; the package's own instructions are the same.
CHEAP = {"xla_backend_optimization_level": 0}
# All tests ask about this many markets at a time, and `measured` about markets of one shape: a programme serves many.
ROWS = 60
MEASURED = cases.Shape(providers=3, users=2)


def float64(values):
    with jax.enable_x64(True):
        return jnp.asarray(np.asarray(values), jnp.float64)


@functools.cache
def alignment(weights="cone", offset="constant", scale="unit"):
    """Batched `segment_alignment(market, segments)`; labels are traced, so that one programme serves all segments."""
    return _compile(lambda market, labels: plx.segment_alignment(market, labels, weights, offset, scale))


@functools.cache
def guarantee():
    """Batched `guarantee(market, segments, delta)`, labels traced."""
    return _compile(lambda market, labels, delta: plx.guarantee(market, labels, delta))


def measured(markets, delta=0.0, error_share=1.0):
    """Every column of a scan for up to `ROWS` markets of shape `MEASURED`, with alignment errors scaled by a share."""
    rows = [market for _, market in zip(range(ROWS), _forever(markets), strict=False)]
    assert len(markets) <= ROWS
    found = _measure_batch()(cases.stack(rows), float64(delta), float64(error_share))
    return {name: np.asarray(column)[: len(markets)] for name, column in found.items()}


def _forever(markets):
    while True:
        yield from markets


@functools.cache
def _measure_batch():
    def question(market, delta, share):
        with _scaled_errors(share):
            return _conditions_rows.measure(market, delta)

    return jax.jit(jax.vmap(question, in_axes=(0, None, None)), compiler_options=CHEAP)


@contextlib.contextmanager
def _scaled_errors(share):
    """While it is traced, `measure` sees alignment errors times `share`."""

    def scaled(question):
        def ask(market, *args, solver=simplex, **options):
            found = question(market, *args, solver=solver, **options)
            times = lambda tree: jax.tree.map(lambda leaf: leaf * share, tree)
            return eqx.tree_at(lambda f: (f.value, f.user_error), found, (times(found.value), times(found.user_error)))

        return ask

    questions = {name: getattr(_conditions_rows, name) for name in ("weak_alignment", "strong_alignment")}
    for name, question in questions.items():
        setattr(_conditions_rows, name, scaled(question))
    try:
        yield
    finally:
        for name, question in questions.items():
            setattr(_conditions_rows, name, question)


def _compile(question):
    return jax.jit(jax.vmap(question), compiler_options=CHEAP)
