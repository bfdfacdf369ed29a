"""Runs iterative work in small groups of lanes instead of one wide batch.

Under `vmap` a `while_loop` runs until its slowest row ends, and a wide batch leaves the cache. Here a batch of any
size, and any nest of `vmap`s, becomes one leading axis that is mapped over in groups; each group has a loop of its own.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from ._batch import Batch, traced_once

# Measured on two CPU cores: 16 to 32 lanes are best there; an accelerator wants far wider groups.
LANES_ON_CPU = 32
LANES_ON_ACCELERATOR = 4096


def in_lanes(
    group_function: Callable[..., Any], lanes_on_cpu: int | Callable[..., int] = LANES_ON_CPU
) -> Callable[..., Any]:
    """Makes a function over any batch out of one over a group; `lanes_on_cpu` may be a function of the arguments.

    `group_function` maps trees of arrays with a leading lane axis to trees with the same leading axis, lane by lane. It
    may branch on the whole group (a real `cond`, because groups are mapped and not vmapped).
    """
    on_group = traced_once(group_function)

    def lanes_of(on_cpu: bool, *args: Any) -> tuple[int, int]:
        """How many rows there are, and how many of them are taken together."""
        batch = jax.tree.leaves(args)[0].shape[0]
        most_on_cpu = lanes_on_cpu(*args) if callable(lanes_on_cpu) else lanes_on_cpu
        return batch, min(batch, most_on_cpu if on_cpu else LANES_ON_ACCELERATOR)

    def shapes(*args: Any) -> Any:
        # Of a group as a CPU would have it: most programmes are lowered for one, and need not be traced again.
        _, lanes = lanes_of(True, *args)
        return on_group(*jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((lanes, *leaf.shape[1:]), leaf.dtype), args))

    def run(on_cpu: bool, *args: Any) -> Any:
        batch, lanes = lanes_of(on_cpu, *args)
        groups = -(-batch // lanes)
        if groups == 1:
            return on_group(*args)

        def solve_group(group, results):
            # The last group reaches back, so that nothing has to be copied for padding.
            start = jnp.minimum(group * jnp.int32(lanes), jnp.int32(batch - lanes))
            take = lambda leaf: lax.dynamic_slice_in_dim(leaf, start, lanes)
            put = lambda old, new: lax.dynamic_update_slice_in_dim(old, new, start, 0)
            return jax.tree.map(put, results, on_group(*jax.tree.map(take, args)))

        group = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((lanes, *leaf.shape[1:]), leaf.dtype), args)
        blank = jax.tree.map(lambda leaf: jnp.zeros((batch, *leaf.shape[1:]), leaf.dtype), on_group(*group))
        return lax.fori_loop(jnp.int32(0), jnp.int32(groups), solve_group, blank)

    return Batch(run, shapes)
