"""Steps of eager calls: compiled once for their shapes, as cheaply as can be, and kept for the next process.

Whoever asks about one market waits for tracing and compiling far longer than for numbers. So a step is compiled
without optimisation, which takes a fifth of the time, and what came of it is written down, which saves tracing, too.
Where nothing can be said of what a step follows from (its source is not known, or it calls back into Python), it is
compiled for this process only.
"""

import functools
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._activity import told_as_part
from ._kept import Kept, processor, user_folder
from ._serialized import can_be_kept, counting_hits, keep, kept, name_of
from ._traced import QUICKLY, compile_with, text_of

FOLDER = "pluraljax-steps"
# How many steps are held in memory.
_MOST_HELD = 1024
# Elements of the arguments from which on a step may run for so long that optimised code pays.
_MOST_ELEMENTS = 10_000
_COMPILING = (
    "compiling for a market of this shape (users, providers, actions, states), which takes up to half a minute of one "
    "core the first time, and seconds the next"
)


class Step(NamedTuple):
    """A function that is run step by step: what it follows from, if that is known, and whether it is a long loop."""

    function: Callable[..., Any]
    key: tuple[Any, ...] | None
    optimised: bool


class _Type(NamedTuple):
    """Of an array that goes in: `key` names what kind of random key it is made into there, if it is one."""

    shape: tuple[int, ...]
    dtype: str
    key: str | None

    def made(self, array: Any) -> Any:
        return array if self.key is None else jax.random.wrap_key_data(array, impl=self.key)


class _Place(NamedTuple):
    """Stands for the n-th array of a result."""

    number: int


class _Compiled(NamedTuple):
    """Compiled code, from arrays to arrays, and the result that they are put into."""

    run: Any
    result: Any

    def __call__(self, arrays: list[Any]) -> Any:
        found = self.run(*arrays)
        fill = lambda leaf: found[leaf.number] if isinstance(leaf, _Place) else leaf
        return jax.tree.map(fill, self.result, is_leaf=lambda leaf: isinstance(leaf, _Place))


def run_step(step: Step, args: Any, kwargs: Any) -> tuple[bool, Any]:
    """Runs a step on concrete arguments, in a float64 scope; not where devices or settings ask for JAX's own way."""
    leaves, tree = jax.tree.flatten((args, kwargs))
    given = [leaf for leaf in leaves if eqx.is_array(leaf)]
    device = _device_of(given)
    if device is None:
        return False, None
    # With types: 1, 1.0 and True are equal, and hash alike.
    static = tuple(None if eqx.is_array(leaf) else (type(leaf), leaf) for leaf in leaves)
    # Keys go in as the numbers that they are made of: what is compiled for keys could not be written down.
    made_of = tuple(str(jax.random.key_impl(leaf)) if _is_key(leaf) else None for leaf in given)
    arrays = [leaf if how is None else jax.random.key_data(leaf) for leaf, how in zip(given, made_of, strict=True)]
    types = tuple(_Type(leaf.shape, leaf.dtype.name, how) for leaf, how in zip(arrays, made_of, strict=True))
    try:
        hash(static)
    except TypeError:
        return False, None
    return True, _compiled(step, tree, static, types, device, _settings())(arrays)


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def forget_steps() -> None:
    """Lets go of what is held in memory."""
    _compiled.cache_clear()


def _device_of(arrays: list[Any]) -> Any:
    """The CPU that all arrays are on, or would be put on; None where it is another device, or several."""
    config: Any = jax.config
    device = config.jax_default_device
    device = jax.local_devices()[0] if device is None else device
    if config.jax_disable_jit or getattr(device, "platform", None) != "cpu":
        return None
    if any(jnp.issubdtype(leaf.dtype, jax.dtypes.extended) and not _is_key(leaf) for leaf in arrays):
        return None
    elsewhere = (isinstance(leaf, jax.Array) and leaf.sharding.device_set != {device} for leaf in arrays)
    return None if any(elsewhere) else device


def _settings() -> tuple[Any, ...]:
    """What of JAX's settings a programme may follow from, or be run by, and may change between two calls."""
    names = ("threefry_partitionable", "default_prng_impl", "default_matmul_precision", "debug_nans", "debug_infs")
    return tuple(getattr(jax.config, f"jax_{name}") for name in names)


@functools.lru_cache(maxsize=_MOST_HELD)
def _compiled(step: Step, tree: Any, static: Any, types: Any, device: Any, settings: Any) -> _Compiled:
    blank = [np.zeros(each.shape, each.dtype) for each in types]
    values = [None if each is None else each[1] for each in static]
    quickly = not step.optimised and sum(array.size for array in blank) <= _MOST_ELEMENTS
    key = _key(step, tree, static, types, (device.id, device.device_kind, quickly, *settings))
    folder = None if key is None else user_folder(FOLDER)
    with jax.default_device(device):
        if key is None or folder is None:
            return _compile(step.function, tree, values, types, quickly, getattr(step.function, "__name__", "step"))[0]
        place = Kept(folder)
        if (found := kept(place, key, [device], blank)) is not None:
            return _Compiled(*found)
        made, makes_sense = _compile(step.function, tree, values, types, quickly, f"step_{name_of(key)}")
        if makes_sense:
            keep(place, key, made.run, made.result)
        return made


def _key(step: Step, tree: Any, static: Any, types: Any, others: Any) -> str | None:
    """All that a step follows from; None where that is not known, or of no use to another process."""
    if step.key is None:
        return None
    values = tuple(each[1] for each in static if each is not None)
    kinds = tuple(each is None for each in static)
    machine = (processor(), os.environ.get("XLA_FLAGS", ""))
    return text_of((*step.key, *values), (str(tree), kinds, types, machine, others), on_one_cpu=True)


def _compile(
    function: Callable[..., Any], tree: Any, values: list[Any], types: tuple[_Type, ...], quickly: bool, name: str
) -> tuple[_Compiled, bool]:
    """Compiles a function, and says whether what came of it makes sense elsewhere."""
    shape: list[Any] = []

    def flat(*arrays):
        given = (each.made(array) for each, array in zip(types, arrays, strict=True))
        whole = iter(values)
        filled = [next(given) if is_array else value for is_array, value in zip(is_arrays, whole, strict=True)]
        args, kwargs = jax.tree.unflatten(tree, filled)
        leaves, out = jax.tree.flatten(function(*args, **kwargs))
        places = iter(range(len(leaves)))
        shape[:] = [jax.tree.unflatten(out, [_Place(next(places)) if eqx.is_array(x) else x for x in leaves])]
        return [leaf for leaf in leaves if eqx.is_array(leaf)]

    is_arrays = [value is None for value in values]
    # JAX's own cache goes by names, too: this one follows from all that the code does.
    flat.__name__ = flat.__qualname__ = name
    with told_as_part(_COMPILING), counting_hits() as hits:
        lowered = jax.jit(flat).lower(*(jax.ShapeDtypeStruct(each.shape, each.dtype) for each in types))
        compiled = compile_with(lowered, QUICKLY) if quickly else lowered.compile()
    return _Compiled(compiled, shape[0]), can_be_kept(lowered, hits)
