"""How the rows of a chunk lie on the devices, and how a function of one row runs over all of them.

Every device runs its own loop over tiles of a constant number of rows, so that a market goes through the same
instructions, and gets the same digits, whatever the chunk size and the number of devices.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

# Rows that a CPU takes through its loops together: few enough to stay in its cache, and to not wait for a straggler.
_CPU_TILE = 32

_ROWS = PartitionSpec("market")


@dataclass(frozen=True)
class Layout:
    """How a chunk lies on the devices: `tiles` tiles of `tile` rows on each."""

    devices: tuple[Any, ...]
    tile: int
    tiles: int

    @classmethod
    def of(cls, chunk: int, devices: Sequence[Any], room: int = 0) -> "Layout":
        """Spreads a chunk over as many of the devices as it has tiles for.

        On a CPU there is room for at least so many rows: tiles without rows are skipped, so that they cost next to
        nothing, and scans of few markets share the programmes of those of many.
        """
        on_cpu = devices[0].platform == "cpu"
        tile = _CPU_TILE if on_cpu else -(-chunk // len(devices))
        tiles = -(-(max(chunk, room) if on_cpu else chunk) // tile)
        devices = tuple(devices[:tiles])
        return cls(devices, tile, -(-tiles // len(devices)))

    @property
    def size(self) -> int:
        """Rows of a padded chunk."""
        return len(self.devices) * self.tiles * self.tile

    @property
    def mesh(self) -> Mesh:
        return Mesh(np.array(self.devices), ("market",))

    @property
    def sharding(self) -> NamedSharding:
        return NamedSharding(self.mesh, _ROWS)

    @property
    def on_cpu(self) -> bool:
        return self.devices[0].platform == "cpu"

    def spec(self, shape: tuple[int, ...], dtype: Any) -> jax.ShapeDtypeStruct:
        """An array whose leading axis is spread over the devices."""
        return jax.ShapeDtypeStruct(shape, dtype, sharding=self.sharding)

    @property
    def counts(self) -> jax.ShapeDtypeStruct:
        """The number of tiles that each device is to work on."""
        return self.spec((len(self.devices),), jnp.int32)

    def deal(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Deals tiles out to the devices in turn; returns padded indices, tiles per device, and each row's place."""
        num = len(self.devices)
        row = np.arange(len(indices))
        turn, device = np.divmod(row // self.tile, num)
        places = (device * self.tiles + turn) * self.tile + row % self.tile
        padded = np.full(self.size, indices[-1], np.uint32)
        padded[places] = indices
        used = -(-len(indices) // self.tile)
        counts = np.array([len(range(start, used, num)) for start in range(num)], np.int32)
        return padded, counts, places


def tiled(layout: Layout, function: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """Maps `function(shared, row)` over rows, tile by tile, each device on its own; skips tiles beyond `counts`."""
    tile = layout.tile

    def loop(shared, rows, counts):
        def cut(start):
            return jax.tree.map(lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, start, tile), rows)

        # A function of its own only while it is traced, so that this is done once and not for `part` and `step` each.
        @functools.partial(jax.jit, inline=True)
        def run(part):
            return jax.vmap(lambda row: function(shared, row))(part)

        def step(turn, done):
            start = turn * jnp.int32(tile)
            paste = functools.partial(jax.lax.dynamic_update_slice_in_dim, start_index=start, axis=0)
            return jax.tree.map(paste, done, run(cut(start)))

        size = layout.tiles * tile
        part = jax.eval_shape(run, jax.eval_shape(cut, jnp.int32(0)))
        empty = jax.tree.map(lambda leaf: jnp.zeros((size, *leaf.shape[1:]), leaf.dtype), part)
        return jax.lax.fori_loop(jnp.int32(0), counts[0], step, empty)

    return jax.shard_map(
        loop, mesh=layout.mesh, in_specs=(PartitionSpec(), _ROWS, _ROWS), out_specs=_ROWS, check_vma=False
    )
