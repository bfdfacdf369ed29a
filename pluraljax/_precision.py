"""Float64 in a scope: certificates are computed in double precision without touching JAX's global switch."""

import functools
import sys
from collections.abc import Callable
from typing import Any, TypeVar, overload

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer, eval_jaxpr

from ._compiling._eager import Step, run_step
from ._float64_call import KEPT, Call, types_of
from ._warnings import ANSWERS, warn_once

F = TypeVar("F", bound=Callable[..., Any])


def in_scope() -> bool:
    """Whether JAX computes in float64 here: in a scope of ours, or because a user says so."""
    return jax.config.jax_enable_x64  # pyright: ignore[reportAttributeAccessIssue]


def to_float64(tree: Any) -> Any:
    """Casts every floating array of a tree to float64; call it inside a float64 scope."""

    def cast(leaf):
        if eqx.is_array(leaf) and jnp.issubdtype(leaf.dtype, jnp.floating):
            if isinstance(leaf, np.generic):
                return np.float64(leaf)
            return jax.lax.convert_element_type(leaf, jnp.float64)
        return leaf

    return jax.tree.map(cast, tree)


def float64_scope(function: F) -> F:
    """Runs `function` in a float64 scope on arguments cast to float64, whatever the caller's setting.

    With concrete arguments it runs as it is, so that it may look at values between compiled steps (each of which is
    itself `in_float64`). Where a caller's transformation traces it, it becomes one operation of the caller's programme,
    which can be batched, differentiated and compiled outside the scope. Arrays are then traced, everything else
    (strings, numbers, tuples of labels) is static. Inside a float64 scope there is nothing to do.
    """

    @functools.wraps(function)
    def scoped(*args, **kwargs):
        if in_scope():
            return function(*to_float64(args), **to_float64(kwargs))
        warn_once(ANSWERS)
        leaves, tree = jax.tree.flatten((args, kwargs))
        if any(isinstance(leaf, Tracer) for leaf in leaves) or _is_traced():
            return _as_one_operation(function, leaves, tree)
        with jax.enable_x64(True):
            return function(*to_float64(args), **to_float64(kwargs))

    return scoped  # pyright: ignore[reportReturnType]


@overload
def in_float64(function: F, *, optimised: bool = ..., key: tuple[Any, ...] | None = ...) -> F: ...
@overload
def in_float64(*, optimised: bool = ..., key: tuple[Any, ...] | None = ...) -> Callable[[F], F]: ...
def in_float64(function: Any = None, *, optimised: bool = False, key: tuple[Any, ...] | None = None) -> Any:
    """Compiles `function` and runs it in float64, whatever the caller's setting, also under `jit`, `vmap` and `grad`.

    Array arguments are traced, everything else (strings, tuples of labels) is static. With concrete arguments of one
    market it is compiled as cheaply as can be, unless it is a loop that pays for being `optimised`. What was compiled
    is kept for other processes where it is known what the function follows from: a function under its own name in a
    module, or anything with a `key` that says so.
    """
    if function is None:
        return functools.partial(in_float64, optimised=optimised, key=key)
    compiled = eqx.filter_jit(function)

    @functools.wraps(function)
    def run(*args, **kwargs):
        leaves = jax.tree.leaves((args, kwargs))
        if any(isinstance(leaf, Tracer) for leaf in leaves) or _is_traced():
            return compiled(*args, **kwargs)
        done, result = run_step(step(), args, kwargs)
        return result if done else compiled(*args, **kwargs)

    scoped = float64_scope(run)

    @functools.cache
    def step() -> Step:
        named = (function,) if _finds(function, scoped) else None
        return Step(function, named if key is None else key, optimised)

    return scoped


def _finds(function: Any, scoped: Any) -> bool:
    """Whether a function's name, in its module, stands for what was made of it, or for that with its checks."""
    module = sys.modules.get(getattr(function, "__module__", None) or "")
    found = getattr(module, getattr(function, "__qualname__", ""), None)
    while found is not None and found is not scoped:
        found = getattr(found, "__wrapped__", None)
    return found is scoped


def _is_traced() -> bool:
    """Whether a caller's `jit` records what is computed here, even from concrete arrays."""
    return isinstance(jnp.zeros(()), Tracer)


def _as_one_operation(function: Callable[..., Any], leaves: list[Any], tree: Any) -> Any:
    arrays = [_as_jax_array(leaf) for leaf in leaves if eqx.is_array(leaf)]
    # With types: 1, 1.0 and True are equal, and hash alike.
    static = tuple(None if eqx.is_array(leaf) else (type(leaf), leaf) for leaf in leaves)
    call = _flat(function, tree, static)
    jaxpr, _ = call.trace(arrays)
    hidden = [each for each in jaxpr.consts if isinstance(each, Tracer)]
    if hidden:
        # The function closes over values that are traced: they are arguments, too.
        consts = [None if isinstance(each, Tracer) else each for each in jaxpr.consts]

        def lifted(*arguments):
            given = iter(arguments)
            known = [next(given) if each is None else each for each in consts]
            return eval_jaxpr(jaxpr.jaxpr, known, *given)

        return call.assemble(arrays, Call(lifted)(*hidden, *arrays))
    return call.assemble(arrays, call(*arrays))


class _Flat(Call):
    """A function of trees, as one from arrays to arrays."""

    def __init__(self, function: Callable[..., Any], tree: Any, static: tuple[Any, ...]):
        self._forms: dict[Any, tuple[Any, list[Any]]] = {}

        def flat(*arrays):
            given = iter(arrays)
            args, kwargs = jax.tree.unflatten(tree, [next(given) if each is None else each[1] for each in static])
            leaves, out_tree = jax.tree.flatten(function(*to_float64(args), **to_float64(kwargs)))
            self._forms[types_of(arrays)] = (out_tree, [None if eqx.is_array(leaf) else (leaf,) for leaf in leaves])
            return [leaf for leaf in leaves if eqx.is_array(leaf)]

        super().__init__(functools.wraps(function)(flat))

    def assemble(self, arrays: list[Any], results: list[Any]) -> Any:
        """The tree that the function returned at arrays of such types, with the results as its arrays."""
        tree, static = self._forms[types_of(arrays)]
        found = iter(results)
        return jax.tree.unflatten(tree, [next(found) if each is None else each[0] for each in static])


@functools.lru_cache(maxsize=KEPT)
def _flat(function: Callable[..., Any], tree: Any, static: tuple[Any, ...]) -> _Flat:
    return _Flat(function, tree, static)


def _as_jax_array(leaf: Any) -> jax.Array:
    """A NumPy array in double precision; outside the scope JAX would round it on its way in."""
    if isinstance(leaf, jax.Array):
        return leaf
    with jax.ensure_compile_time_eval(), jax.enable_x64(True):
        return jnp.asarray(leaf)
