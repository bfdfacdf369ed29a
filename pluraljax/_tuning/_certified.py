"""Certifies a rule on a set of markets, in chunks of one compiled shape."""

import functools
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._alignment import segment_alignment, weak_alignment
from .._arguments import checked, instance_of
from .._frontier import frontier
from .._guarantee import guarantee
from .._market import Market, benchmarks, slack
from .._precision import float64_scope
from ._instruments import Instrument

CHUNK = 128


@dataclass(frozen=True)
class Certified:
    """Certified numbers of every market, `[market user]`, in units of utility.

    `weak_error` and `segment_error` are the brackets' upper ends; `guarantee` is a lower bound in every equilibrium
    with these segments; `worst_lower` and `worst_upper` bracket the worst personalized equilibrium. `aligned` and
    `silent` are the benchmarks. `status` is the largest `Status` code of a market's questions, `[market]`.
    """

    weak_error: np.ndarray
    segment_error: np.ndarray
    guarantee: np.ndarray
    worst_lower: np.ndarray
    worst_upper: np.ndarray
    aligned: np.ndarray
    silent: np.ndarray
    status: np.ndarray


@functools.cache
def _questions():
    """One programme for all rules, segments and slacks of a shape."""

    def ask(market: Market, segments: Any, delta: Any) -> dict[str, Any]:
        weak, shared = weak_alignment(market), segment_alignment(market, segments)
        bound, worst, marks = guarantee(market, segments, delta), frontier(market, delta), benchmarks(market)
        statuses = [jnp.max(each.status) for each in (weak, shared, bound, worst)]
        return {
            "weak_error": weak.value.upper,
            "segment_error": shared.value.upper,
            "guarantee": bound.lower,
            "worst_lower": worst.value.lower,
            "worst_upper": worst.value.upper,
            "aligned": marks.aligned,
            "silent": marks.silent,
            "status": jnp.stack([jnp.asarray(each, jnp.int32) for each in statuses]).max(),
        }

    return jax.jit(jax.vmap(ask, in_axes=(0, 0, None)))


@checked(markets=instance_of(Market), delta=slack)
@float64_scope
def certify_rule(
    instrument: Instrument | None,
    parameters: Any,
    markets: Market,
    labels: tuple[int, ...],
    delta: float = 0.0,
    shared: bool = True,
) -> Certified:
    """Measures every market under a rule (none where `instrument` is `None`), with the questions that a scan asks.

    Memory is bounded by a chunk of 128 markets, whatever their number.

    **Arguments:**

    - `parameters`: of the instrument, one for all markets, or with a market axis where `shared` is false.
    - `markets`: a batch, leading axis `market`.
    - `labels`, `delta`: segments and slack, as for `guarantee`.

    Example::

        families = plx.families.gaussian(providers=2, users=2)
        markets = jax.vmap(families)(jax.random.split(jax.random.key(0), 4))
        plx.tuning.certify_rule(None, None, markets, (0, 0)).weak_error  # without any rule
    """
    count, users = markets.mass.shape
    segments = np.broadcast_to(np.asarray(labels, np.int32), (count, users))
    if instrument is not None:
        axes = (None if shared else 0, 0)
        chosen = jax.vmap(instrument.segments, in_axes=axes)(parameters, markets)
        segments = segments if chosen is None else np.asarray(chosen)
        markets = jax.vmap(instrument.apply, in_axes=axes)(parameters, markets)
    size, slack, pieces = min(CHUNK, count), jnp.asarray(delta, jnp.float64), []
    for first in range(0, count, size):
        # The last chunk is filled up with the last market, so that one programme serves all.
        rows = np.minimum(np.arange(first, first + size), count - 1)
        chunk = jax.tree.map(lambda leaf, rows=rows: jnp.asarray(np.asarray(leaf)[rows]), markets)
        found = _questions()(chunk, jnp.asarray(segments[rows]), slack)
        pieces.append({name: np.asarray(column)[: count - first] for name, column in found.items()})
    return Certified(**{name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]})
