"""Numbers of arrays as text: the same wherever an answer is printed."""

from typing import Any

import jax
import numpy as np
from jax.core import Tracer

# Numbers of an array that are all shown.
MOST_SHOWN = 12


def is_concrete(tree: Any) -> bool:
    """Whether all leaves are arrays whose numbers are known."""
    leaves = jax.tree.leaves(tree)
    return not any(isinstance(leaf, Tracer | jax.ShapeDtypeStruct) or not hasattr(leaf, "dtype") for leaf in leaves)


def shown(leaf: Any) -> str:
    """The numbers of a small array to six digits, and shape and range of a large one."""
    array = np.asarray(leaf)
    if array.size <= MOST_SHOWN:
        return np.array2string(array, precision=6, separator=", ", max_line_width=10**6).replace("\n", "")
    axes = " x ".join(map(str, array.shape))
    if array.dtype == bool:
        return f"{axes} truth values, {int(array.sum()):,} true"
    if np.isnan(array).all():
        return f"{axes} NaN"
    return f"{axes} numbers from {np.nanmin(array):.6g} to {np.nanmax(array):.6g}"
