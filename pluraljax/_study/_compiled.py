"""Programmes that one market is asked with: compiled as cheaply as can be, and kept for others of its shape."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from .._compiling._rarely import QUICKLY
from .._compiling._traced import compile_with, lower


def run(function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls a function of arrays, on the CPU and in float64; returns its results in NumPy.

    The function is one of this package, and follows from nothing but the shapes of its arguments.
    """
    arguments = tuple(jax.tree.map(np.asarray, argument) for argument in arguments)
    leaves, tree = jax.tree.flatten(arguments)
    with jax.enable_x64(True), jax.default_device(jax.local_devices(backend="cpu")[0]):
        compiled = _compile(function, tree, tuple((leaf.shape, leaf.dtype.name) for leaf in leaves))
        return jax.tree.map(np.asarray, compiled(*arguments))


@functools.lru_cache(maxsize=64)
def _compile(function: Callable[..., Any], tree: Any, shapes: tuple[Any, ...]) -> Any:
    blank = jax.tree.unflatten(tree, [np.zeros(shape, dtype) for shape, dtype in shapes])
    # What is kept is a programme for JAX's own device, which may be an accelerator.
    on_cpu = jax.default_backend() == "cpu"
    lowered = lower(function, blank, function) if on_cpu else jax.jit(function).lower(*blank)
    return compile_with(lowered, QUICKLY)
