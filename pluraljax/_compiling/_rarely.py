"""Programmes that run a few times only: on the host, compiled once per shape, as cheaply as can be."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from ._eager import Step, run_step


def run_rarely(function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls a function of this package on the CPU with arrays and numbers, in float64.

    It follows from nothing but the shapes of its arguments.
    """
    arguments = jax.tree.map(np.asarray, arguments)
    with jax.enable_x64(True), jax.default_device(jax.local_devices(backend="cpu")[0]):
        done, result = run_step(Step(function, (function,), False), arguments, {})
        return result if done else function(*arguments)
