"""One opaque operation that computes in float64, whatever the switch says when JAX takes it apart.

A `jit` that was traced inside `jax.enable_x64(True)` keeps its types only until somebody takes it apart: `jax.vmap` and
`jax.grad` of a caller's `jit`, and `jax.checkpoint`, trace it again outside that scope. Here the computation is one
primitive, and each of its rules enters the scope itself.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.core import ShapedArray, Tracer, eval_jaxpr
from jax.extend.core import Primitive, jaxpr_as_fun
from jax.interpreters import ad, batching, mlir

# How many forms of computations (batched, differentiated, transposed) are kept, with what they compiled to.
KEPT = 1024


class Call:
    """A function from arrays to a list of arrays; compared by identity, because compiled programmes hang on it.

    It is only ever traced in the float64 scope, once for arguments of the same types.
    """

    def __init__(self, function: Callable[..., list[Any]]):
        self.run = jax.jit(function)
        self._traced: dict[Any, tuple[Any, list[jax.ShapeDtypeStruct]]] = {}

    def trace(self, arguments: Sequence[Any]) -> tuple[Any, list[jax.ShapeDtypeStruct]]:
        """The jaxpr for arguments of such types, and the types of the results.

        Kept here, because JAX's own memory of it does not reach from tracing to lowering.
        """
        types = types_of(arguments)
        if types in self._traced:
            return self._traced[types]
        with jax.enable_x64(True):
            traced = jax.make_jaxpr(self.run, return_shape=True)(*[jax.ShapeDtypeStruct(*each) for each in types])
        if not any(isinstance(each, Tracer) for each in traced[0].consts):
            self._traced[types] = traced
        return traced

    def __call__(self, *arguments: Any) -> list[Any]:
        return _primitive.bind(*arguments, call=self)


class Linearized(Call):
    """Results, followed by what their derivative needs."""

    def __init__(self, call: Call, moving: tuple[bool, ...]):
        self._derivatives: dict[Any, tuple[int, Call]] = {}

        def function(*primals):
            moved, fixed = _split(moving, primals)

            def of_moved(*moved):
                results = call.run(*_merge(moving, moved, fixed))
                return [each for each in results if _is_real(each)], results

            _, derivative, results = jax.linearize(of_moved, *moved, has_aux=True)
            linear = jax.make_jaxpr(derivative)(*moved)
            dtypes = [each.dtype for each in moved]

            def push(*arguments):
                needed, tangents = arguments[: len(linear.consts)], arguments[len(linear.consts) :]
                return eval_jaxpr(linear.jaxpr, needed, *_cast(tangents, dtypes))

            self._derivatives[types_of(primals)] = len(results), Call(push)
            return [*results, *linear.consts]

        super().__init__(function)

    def derivative(self, primals: Sequence[Any]) -> tuple[int, Call]:
        """How many results there are, and the linear function from what it needs and tangents to their tangents."""
        self.trace(primals)
        return self._derivatives[types_of(primals)]


@functools.lru_cache(maxsize=KEPT)
def _linearized(call: Call, moving: tuple[bool, ...]) -> Linearized:
    return Linearized(call, moving)


@functools.lru_cache(maxsize=KEPT)
def _batched(call: Call, axes: tuple[int | None, ...]) -> Call:
    return Call(jax.vmap(call.run, in_axes=axes))


@functools.lru_cache(maxsize=KEPT)
def _transposed(call: Call, linear: tuple[bool, ...], known: tuple[bool, ...], types: tuple[Any, ...]) -> Call:
    """From the arguments that are not linear, and the known cotangents, to the cotangents of the linear ones."""
    structs = [jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in types]

    def pull(*arguments):
        fixed, cotangents = arguments[: linear.count(False)], arguments[linear.count(False) :]

        def of_linear(*moved):
            return _split(known, call.run(*_merge(linear, moved, fixed)))[0]

        back = jax.linear_transpose(of_linear, *structs)
        results = jax.eval_shape(of_linear, *structs)
        return list(back(_cast(cotangents, [each.dtype for each in results])))

    return Call(pull)


def _abstract(*arguments: ShapedArray, call: Call) -> list[ShapedArray]:
    return [ShapedArray(each.shape, each.dtype) for each in call.trace(arguments)[1]]


def _run(*arguments: Any, call: Call) -> list[Any]:
    with jax.enable_x64(True):
        return call.run(*arguments)


def _lower(ctx: Any, *args: Any, call: Call, **_unused: Any) -> Any:
    jaxpr, _ = call.trace(ctx.avals_in)
    with jax.enable_x64(True):
        return mlir.lower_fun(jaxpr_as_fun(jaxpr), multiple_results=True)(ctx, *args)


def _batch(arguments: Sequence[Any], axes: Sequence[int | None], *, call: Call) -> tuple[list[Any], tuple[int, ...]]:
    results = _batched(call, tuple(axes))(*arguments)
    return results, (0,) * len(results)


def _differentiate(primals: Sequence[Any], tangents: Sequence[Any], *, call: Call) -> tuple[list[Any], list[Any]]:
    moving = tuple(not isinstance(each, ad.Zero) for each in tangents)
    forward = _linearized(call, moving)
    count, push = forward.derivative(primals)
    results, needed = (every := forward(*primals))[:count], every[count:]
    moved = iter(push(*needed, *_split(moving, tangents)[0]))
    return results, [next(moved) if _is_real(each) else ad.Zero(jax.typeof(each).to_tangent_aval()) for each in results]


def _transpose(cotangents: Sequence[Any], *arguments: Any, call: Call) -> list[Any]:
    linear = tuple(ad.is_undefined_primal(each) for each in arguments)
    known = tuple(not isinstance(each, ad.Zero) for each in cotangents)
    unknown, fixed = _split(linear, arguments)
    back = _transposed(call, linear, known, types_of([each.aval for each in unknown]))
    pulled = back(*fixed, *_split(known, cotangents)[0])
    return _merge(linear, pulled, [None] * len(fixed))


def _split(chosen: Sequence[bool], values: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    pairs = list(zip(chosen, values, strict=True))
    return [value for mark, value in pairs if mark], [value for mark, value in pairs if not mark]


def _merge(chosen: Sequence[bool], these: Sequence[Any], others: Sequence[Any]) -> list[Any]:
    first, second = iter(these), iter(others)
    return [next(first) if mark else next(second) for mark in chosen]


def _is_real(value: Any) -> bool:
    return jax.numpy.issubdtype(value.dtype, jax.numpy.inexact)


def _cast(values: Sequence[Any], dtypes: Sequence[Any]) -> list[Any]:
    """Arithmetic outside the scope may have made float32 of tangents and cotangents."""
    return [jax.lax.convert_element_type(value, dtype) for value, dtype in zip(values, dtypes, strict=True)]


def types_of(values: Sequence[Any]) -> tuple[Any, ...]:
    """What a computation is traced for."""
    # The literals that JAX makes of Python numbers have no shape of their own.
    return tuple((getattr(each, "shape", ()), each.dtype) for each in values)


_primitive = Primitive("float64_call")
_primitive.multiple_results = True
_primitive.def_abstract_eval(_abstract)
_primitive.def_impl(_run)
batching.primitive_batchers[_primitive] = _batch
ad.primitive_jvps[_primitive] = _differentiate
ad.primitive_transposes[_primitive] = _transpose
mlir.register_lowering(_primitive, _lower)
