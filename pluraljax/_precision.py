"""Float64 in a scope: certificates are computed in double precision without touching JAX's global switch."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp

F = TypeVar("F", bound=Callable[..., Any])


def to_float64(tree: Any) -> Any:
    """Casts every floating array of a tree to float64; call it inside a float64 scope."""

    def cast(leaf):
        if eqx.is_array(leaf) and jnp.issubdtype(leaf.dtype, jnp.floating):
            return jax.lax.convert_element_type(leaf, jnp.float64)
        return leaf

    return jax.tree.map(cast, tree)


def float64_scope(function: F) -> F:
    """Runs `function` in a float64 scope on arguments cast to float64, without compiling it.

    For functions that look at concrete values between compiled steps; each step of theirs is itself `in_float64`.
    """

    @functools.wraps(function)
    def scoped(*args, **kwargs):
        with jax.enable_x64(True):
            return function(*to_float64(args), **to_float64(kwargs))

    return scoped  # pyright: ignore[reportReturnType]


def in_float64(function: F) -> F:
    """Compiles `function` and runs it in float64, whatever the caller's setting, also under `jit`, `vmap` and `grad`.

    Array arguments are traced, everything else (strings, tuples of labels) is static. The inner `jit` matters: traced
    inside the scope, its program keeps its types when a caller's own `jit` lowers it outside the scope.
    """
    return functools.wraps(function)(float64_scope(eqx.filter_jit(function)))  # pyright: ignore[reportReturnType]
