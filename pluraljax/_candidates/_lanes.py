"""Runs iterative work in small groups of lanes instead of one wide batch.

Under `vmap` a `while_loop` runs until its slowest row ends, and a wide batch leaves the cache. Here a batch of any
size, and any nest of `vmap`s, becomes one leading axis that is mapped over in groups; each group has a loop of its own.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap

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

    @custom_vmap
    def batched(*args):
        leaves = jax.tree.leaves(args)
        batch = leaves[0].shape[0]
        on_cpu = lanes_on_cpu(*args) if callable(lanes_on_cpu) else lanes_on_cpu
        lanes = min(batch, on_cpu if jax.default_backend() == "cpu" else LANES_ON_ACCELERATOR)
        groups = -(-batch // lanes)
        if groups == 1:
            return group_function(*args)

        def solve_group(group, results):
            # The last group reaches back, so that nothing has to be copied for padding.
            start = jnp.minimum(group * jnp.int32(lanes), jnp.int32(batch - lanes))
            take = lambda leaf: lax.dynamic_slice_in_dim(leaf, start, lanes)
            put = lambda old, new: lax.dynamic_update_slice_in_dim(old, new, start, 0)
            return jax.tree.map(put, results, group_function(*jax.tree.map(take, args)))

        group = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((lanes, *leaf.shape[1:]), leaf.dtype), args)
        shapes = jax.eval_shape(group_function, *group)
        blank = jax.tree.map(lambda leaf: jnp.zeros((batch, *leaf.shape[1:]), leaf.dtype), shapes)
        return lax.fori_loop(jnp.int32(0), jnp.int32(groups), solve_group, blank)

    merge_batches(batched)
    return batched


def merge_batches(batched: custom_vmap) -> None:
    """Makes a function over a leading axis take any nest of `vmap`s as one longer axis."""

    @batched.def_vmap
    def merge_axes(axis_size, in_batched, *args):
        def merge(leaf, is_batched):
            leaf = leaf if is_batched else jnp.broadcast_to(leaf, (axis_size, *leaf.shape))
            return leaf.reshape(axis_size * leaf.shape[1], *leaf.shape[2:])

        results = batched(*jax.tree.map(merge, args, tuple(in_batched)))
        results = jax.tree.map(
            lambda leaf: leaf.reshape(axis_size, leaf.shape[0] // axis_size, *leaf.shape[1:]), results
        )
        return results, jax.tree.map(lambda _: True, results)
