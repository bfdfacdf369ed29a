"""The programmes of a scan, compiled, and kept for the next process, whether a command or Python runs there.

The command has JAX keep what it compiles. That is a setting of the whole process, and so none that a library changes.
So that one finds what the other has compiled, both write a scan's programmes down here, apart from JAX.
"""

import os
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from ._cache import jax_keeps, set_aside
from ._kept import Kept, processor, user_folder
from ._serialized import can_be_kept, counting_hits, keep, kept
from ._traced import compile_with, lower, one_after_another, text_of

FOLDER = "pluraljax-programmes"


def programme(
    program: Callable[..., Any], arguments: tuple[Any, ...], key: tuple[Any, ...], devices: Sequence[Any], options: Any
) -> Any:
    """Compiles a programme for arguments of the given shapes, unless it is kept.

    **Arguments:**

    - `program`, `arguments`, `key`: as `lower` takes them.
    - `devices`: what it runs on.
    - `options`: XLA's, of which those are left out that its version does not know.
    """
    with one_after_another(arguments, *key):
        text = _key(arguments, key, devices, options)
        folder = None if text is None else user_folder(FOLDER)
        if text is None or folder is None:
            return compile_with(lower(program, arguments, *key), options)
        place = Kept(folder)
        # Of no tiles: it does next to nothing.
        blank = jax.tree.map(lambda each: jax.device_put(np.zeros(each.shape, each.dtype), each.sharding), arguments)
        if (found := kept(place, text, devices, blank)) is not None:
            return found[0]
        lowered = lower(program, arguments, *key)
        with counting_hits() as hits, set_aside():
            compiled = compile_with(lowered, options)
        if can_be_kept(lowered, hits):
            keep(place, text, compiled)
        return compiled


def _key(arguments: tuple[Any, ...], key: tuple[Any, ...], devices: Sequence[Any], options: Any) -> str | None:
    """All that compiled code follows from; None where that cannot be said, or JAX keeps it by itself."""
    if jax_keeps() or devices[0].platform != "cpu":
        return None
    machine = (processor(), os.environ.get("XLA_FLAGS", ""), tuple(device.id for device in devices))
    return text_of((*key, machine, tuple(sorted(options.items()))), arguments)
