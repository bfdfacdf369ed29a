"""Programmes that run a few times only: compiled once per shape, as cheaply as can be."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from ._traced import compile_with

# Unoptimised code takes a fifth of the time to compile; what it runs for is mostly spent in the host solver.
QUICKLY: Any = {"xla_cpu_use_fusion_emitters": False, "xla_backend_optimization_level": 0}


def run_rarely(function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls a function on the CPU with arrays and numbers, compiled for their shapes; in float64."""
    arguments = jax.tree.map(np.asarray, arguments)
    leaves, tree = jax.tree.flatten(arguments)
    shapes = tuple((leaf.shape, leaf.dtype.name) for leaf in leaves)
    with jax.enable_x64(True):
        return _compile(function, tree, shapes)(*arguments)


@functools.lru_cache(maxsize=64)
def _compile(function: Callable[..., Any], tree: Any, shapes: tuple[Any, ...]) -> Any:
    blank = jax.tree.unflatten(tree, [np.zeros(shape, dtype) for shape, dtype in shapes])
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        return compile_with(jax.jit(function).lower(*blank), QUICKLY)
