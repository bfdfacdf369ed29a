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

        def split(leaf):
            # Repeats the last row, so that padding is as easy to solve as what stands before it.
            padding = [(0, groups * lanes - batch)] + [(0, 0)] * (leaf.ndim - 1)
            return jnp.pad(leaf, padding, mode="edge").reshape(groups, lanes, *leaf.shape[1:])

        results = lax.map(lambda group: group_function(*group), jax.tree.map(split, args))
        return jax.tree.map(lambda leaf: leaf.reshape(groups * lanes, *leaf.shape[2:])[:batch], results)

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
