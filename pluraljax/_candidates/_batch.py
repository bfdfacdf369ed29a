"""One operation over a batch, in whatever nest of `vmap`s, which is laid out for the platform that it is lowered for.

What is best side by side differs between a CPU and an accelerator, and while JAX traces nobody knows which of them
will run it: a programme may be lowered for a platform that this machine lacks, or for the CPU of one that has a GPU. So
the operation stays whole until it is lowered, and is traced only then, for that platform.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import ShapedArray, eval_jaxpr
from jax.extend.core import Primitive
from jax.interpreters import batching, mlir

# How many forms of a function are kept once they are traced.
_KEPT = 256


class Batch:
    """A function from trees of arrays to a tree of arrays, all with one leading axis, the same; compared by identity.

    `run(on_cpu, *args)` computes it, and `shapes(*args)` says what comes out, as `jax.eval_shape` does. Both are only
    ever traced in the float64 scope. What is computed is a constant to whoever differentiates.
    """

    def __init__(self, run: Callable[..., Any], shapes: Callable[..., Any]):
        self._run, self._shapes = run, shapes
        self._results: dict[Any, tuple[list[Any], Any]] = {}

    def __call__(self, *args: Any) -> Any:
        leaves, tree = jax.tree.flatten(args)
        found = _primitive.bind(*leaves, batch=self, tree=tree)
        return jax.tree.unflatten(self._result(leaves, tree)[1], found)

    def types(self, leaves: Sequence[Any], tree: Any) -> list[ShapedArray]:
        """What comes out for arguments of such types."""
        (count, *_), *_ = (leaf.shape for leaf in leaves)
        return [ShapedArray((count, *row), dtype) for row, dtype in self._result(leaves, tree)[0]]

    def flat(self, on_cpu: bool, tree: Any) -> Callable[..., list[Any]]:
        """The function from arrays to arrays that is traced for a platform."""
        return lambda *leaves: jax.tree.leaves(self._run(on_cpu, *jax.tree.unflatten(tree, leaves)))

    def _result(self, leaves: Sequence[Any], tree: Any) -> tuple[list[Any], Any]:
        """Types of single rows of the results, and their tree; they do not follow from how many rows there are."""
        key = tree, tuple((leaf.shape[1:], leaf.dtype) for leaf in leaves)
        if key not in self._results:
            with jax.enable_x64(True):
                structs = [jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves]
                found, out = jax.tree.flatten(self._shapes(*jax.tree.unflatten(tree, structs)))
            self._results[key] = [(leaf.shape[1:], leaf.dtype) for leaf in found], out
        return self._results[key]


def traced_once(function: Callable[..., Any]) -> Callable[..., Any]:
    """Makes a function that is traced once for arguments of the same types, also between tracing and lowering.

    Given types it gives types, as `jax.eval_shape` does. Call it in the float64 scope.
    """

    @functools.lru_cache(maxsize=_KEPT)
    def traced(tree: Any, types: Any, mesh: Any) -> tuple[Any, Any]:
        structs = jax.tree.unflatten(tree, [jax.ShapeDtypeStruct(*each) for each in types])
        return jax.make_jaxpr(function, return_shape=True)(*structs)

    def call(*args: Any) -> Any:
        leaves, tree = jax.tree.flatten(args)
        types = tuple((leaf.shape, leaf.dtype) for leaf in leaves)
        # Inside and outside of a `shard_map` types are not the same.
        closed, result = traced(tree, types, jax.sharding.get_abstract_mesh())
        if isinstance(leaves[0], jax.ShapeDtypeStruct):
            return result
        return jax.tree.unflatten(jax.tree.structure(result), eval_jaxpr(closed.jaxpr, closed.consts, *leaves))

    return call


def _abstract(*leaves: ShapedArray, batch: Batch, tree: Any) -> list[ShapedArray]:
    return batch.types(leaves, tree)


@functools.lru_cache(maxsize=_KEPT)
def _compiled(batch: Batch, tree: Any) -> Callable[..., list[Any]]:
    return jax.jit(lambda *leaves: _primitive.bind(*leaves, batch=batch, tree=tree))


def _run(*leaves: Any, batch: Batch, tree: Any) -> list[Any]:
    with jax.enable_x64(True), jax.disable_jit(False):
        return _compiled(batch, tree)(*leaves)


def _merge(
    leaves: Sequence[Any], axes: Sequence[int | None], *, batch: Batch, tree: Any
) -> tuple[list[Any], list[int]]:
    """Takes one more `vmap` as a longer batch."""
    (size,) = {leaf.shape[axis] for leaf, axis in zip(leaves, axes, strict=True) if axis is not None}

    def merged(leaf: Any, axis: int | None) -> Any:
        leaf = jnp.broadcast_to(leaf, (size, *leaf.shape)) if axis is None else jnp.moveaxis(leaf, axis, 0)
        return leaf.reshape(size * leaf.shape[1], *leaf.shape[2:])

    results = _primitive.bind(*map(merged, leaves, axes), batch=batch, tree=tree)
    return [each.reshape(size, each.shape[0] // size, *each.shape[1:]) for each in results], [0] * len(results)


def _lower(on_cpu: bool, ctx: Any, *args: Any, batch: Batch, tree: Any, **_unused: Any) -> Any:
    with jax.enable_x64(True):
        return mlir.lower_fun(batch.flat(on_cpu, tree), multiple_results=True)(ctx, *args)


_primitive = Primitive("batch")
_primitive.multiple_results = True
_primitive.def_abstract_eval(_abstract)
_primitive.def_impl(_run)
batching.primitive_batchers[_primitive] = _merge
mlir.register_lowering(_primitive, functools.partial(_lower, False))
mlir.register_lowering(_primitive, functools.partial(_lower, True), platform="cpu")
