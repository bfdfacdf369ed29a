"""One chunk of markets as device programmes: draw the markets of a cell, measure conditions, measure equilibria.

Every device runs its own loop over tiles of a constant number of rows, so that a market goes through the same
instructions, and gets the same digits, whatever the chunk size and the number of devices.
"""

import functools
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ..._compiling._traced import compile_with, lower
from ..._families import Family
from ..._families._drawn import drawn_shapes
from ..._interruption import check, result
from ..._market import Market
from ..config._config import ScanConfig
from ..config._plan import Block
from ..measure import _conditions_rows, _equilibria_rows, _found_rows, _robust_rows, _searched_rows
from ..measure._exits import Exits
from ..measure._search import Search

# Rows that a CPU takes through its loops together: few enough to stay in its cache, and to not wait for a straggler.
_CPU_TILE = 32

# Every device has a thread of its own: threads within an operation would only get into each other's way.
# Compilation is most of a small scan. XLA's newer way to emit fused loops makes linear programmes, which are nearly all
# of the conditions, up to one and a half times as fast; what users make of policies, most of the equilibria, it takes
# half as long again to compile, and runs no faster. A cell's draws run for a moment only, so that full optimisation,
# twice as long again, wins nothing.
_CONDITION_OPTIONS: Any = {"xla_cpu_multi_thread_eigen": False}
_EQUILIBRIA_OPTIONS: Any = _CONDITION_OPTIONS | {"xla_cpu_use_fusion_emitters": False}
_DRAW_OPTIONS: Any = _EQUILIBRIA_OPTIONS | {"xla_backend_optimization_level": 1}

_PRNG = "threefry2x32"
# What a market's key is folded with for the starts of play, apart from the draws of the market itself.
_PLAY = 0x504C4159
_ROWS = PartitionSpec("market")

# Axes and type of each array of a market, in the order of `Market`'s arguments.
Shape = tuple[Any, ...]


@dataclass(frozen=True)
class Layout:
    """How a chunk lies on the devices: `tiles` tiles of `tile` rows on each."""

    devices: tuple[Any, ...]
    tile: int
    tiles: int

    @classmethod
    def of(cls, chunk: int, devices: Sequence[Any]) -> "Layout":
        """Spreads a chunk over as many of the devices as it has tiles for."""
        tile = _CPU_TILE if devices[0].platform == "cpu" else -(-chunk // len(devices))
        tiles = -(-chunk // tile)
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


def _arrays(market: Market) -> tuple[Any, Any, Any, Any]:
    return market.prior, market.user_value, market.provider_value, market.mass


def _widen(market: Market, providers: int) -> Market:
    """Repeats providers until there are so many.

    A twin takes nothing away and adds nothing: whatever two weights on it can do, one can, so no condition, guarantee
    or sum of weights changes. Markets with few providers thus share the programme of those with many.
    """
    turns = jnp.arange(providers, dtype=jnp.int32) % jnp.int32(market.provider_value.shape[0])
    return Market(market.prior, market.user_value, market.provider_value[turns], market.mass)


# What is compiled is kept, so that a second scan in one session starts at once; of a cell's draws, so many.
MOST_DRAWS = 256


def _structure(family: Any) -> Any:
    """What the shapes of a family's markets can follow from: all of its parameters but the real numbers.

    What a user's own makes of real numbers nobody knows.
    """
    if not isinstance(family, Family):
        return family
    values = (getattr(family, each.name) for each in fields(family))  # pyright: ignore[reportArgumentType]
    return type(family), tuple(value for value in values if not isinstance(value, float))


def _shape_of(family: Any, name: str) -> Shape:
    if not isinstance(family, Family):
        return drawn_shapes(family, name)
    with jax.enable_x64(True):
        market = jax.eval_shape(family, jr.key(0, impl=_PRNG))
    return tuple((leaf.shape, leaf.dtype.name) for leaf in _arrays(market))


def _num_providers(shape: Shape) -> int:
    return shape[2][0][0]


def _widen_shape(shape: Shape, providers: int) -> Shape:
    prior, user_value, ((_, *rest), dtype), mass = shape
    return prior, user_value, ((providers, *rest), dtype), mass


@functools.lru_cache(maxsize=MOST_DRAWS)
def _compile_draw(layout: Layout, family: Any, providers: int) -> Any:
    def draw(root, index):
        key = jr.fold_in(jr.wrap_key_data(root, impl=_PRNG), index)
        return _arrays(_widen(family(key), providers))

    with jax.enable_x64(True):
        root = jax.ShapeDtypeStruct((2,), jnp.uint32)
        indices = layout.spec((layout.size,), jnp.uint32)
        lowered = lower(tiled(layout, draw), (root, indices, layout.counts), "draw", layout.tile, family, providers)
        return _compile(layout, lowered, _DRAW_OPTIONS)


@functools.lru_cache(maxsize=256)
def _compile_measure(layout: Layout, shape: Shape, delta: float, measure: Callable[..., Any]) -> Any:
    program = functools.partial(tiled(layout, lambda _, arrays: measure(Market(*arrays), delta)), None)
    with jax.enable_x64(True):
        arguments = (_markets(layout, shape), layout.counts)
        return _compile(layout, lower(program, arguments, layout.tile, delta, measure), _CONDITION_OPTIONS)


@functools.lru_cache(maxsize=256)
def _compile_equilibria(layout: Layout, shape: Shape, delta: float, measure: Callable[..., Any]) -> Any:
    def row(_, rows):
        arrays, alone, known = rows
        return measure(Market(*arrays), delta, alone, known)

    program = functools.partial(tiled(layout, row), None)
    (users, *_), _ = shape[1]
    with jax.enable_x64(True):
        known = {name: layout.spec((layout.size, users), jnp.float64) for name in _equilibria_rows.KNOWN}
        arguments = ((_markets(layout, shape), layout.spec((layout.size,), bool), known), layout.counts)
        return _compile(layout, lower(program, arguments, layout.tile, delta, measure), _EQUILIBRIA_OPTIONS)


@functools.lru_cache(maxsize=256)
def _compile_found(layout: Layout, wide: Shape, own: Shape, delta: float, search: Search, measure: Any) -> Any:
    """Play needs the providers as they are: twins compete with each other."""
    providers = _num_providers(own)

    def row(root, rows):
        (prior, user_value, provider_value, mass), index, proved = rows
        market = Market(prior, user_value, provider_value[:providers], mass)
        key = jr.fold_in(jr.fold_in(jr.wrap_key_data(root, impl=_PRNG), index), _PLAY)
        return measure(market, delta, key, proved, search)

    (users, *_), _ = own[1]
    with jax.enable_x64(True):
        proved = {name: layout.spec((layout.size, users), jnp.float64) for name in _found_rows.PROVED}
        rows = (_markets(layout, wide), layout.spec((layout.size,), jnp.uint32), proved)
        arguments = (jax.ShapeDtypeStruct((2,), jnp.uint32), rows, layout.counts)
        key = (layout.tile, providers, delta, measure, search)
        return _compile(layout, lower(tiled(layout, row), arguments, *key), _EQUILIBRIA_OPTIONS)


@functools.lru_cache(maxsize=256)
def _compile_robust(layout: Layout, wide: Shape, own: Shape, exits: Exits, measure: Any) -> Any:
    """Exits, too, are of the providers as they are."""
    providers = _num_providers(own)

    def row(_, arrays):
        prior, user_value, provider_value, mass = arrays
        return measure(Market(prior, user_value, provider_value[:providers], mass), exits)

    program = functools.partial(tiled(layout, row), None)
    with jax.enable_x64(True):
        arguments = (_markets(layout, wide), layout.counts)
        lowered = lower(program, arguments, layout.tile, providers, exits, measure)
        return _compile(layout, lowered, _CONDITION_OPTIONS)


def _markets(layout: Layout, shape: Shape) -> tuple[jax.ShapeDtypeStruct, ...]:
    return tuple(layout.spec((layout.size, *axes), dtype) for axes, dtype in shape)


def _compile(layout: Layout, lowered: Any, options: Any) -> Any:
    return compile_with(lowered, options if layout.on_cpu else {})


@dataclass(frozen=True)
class Launched:
    """A chunk on its way through the devices.

    `providers` says how many its markets have without twins, and `searched` how many of its rows, the first ones, are
    to be searched on the host.
    """

    block: Block
    arrays: tuple[jax.Array, ...]
    providers: int
    searched: int
    conditions: dict[str, jax.Array]
    equilibria: dict[str, jax.Array] | None
    found: dict[str, jax.Array] | None
    robust: dict[str, jax.Array] | None
    places: np.ndarray

    def rows(self) -> dict[str, np.ndarray]:
        """Waits, and returns the measured rows in the order of the block; what was not asked for is undefined."""
        take = lambda measured: {name: np.asarray(value)[self.places] for name, value in measured.items()}
        rows = take(self.conditions)
        shape = rows["aligned"].shape
        played = _found_rows.undefined(shape) if self.found is None else take(self.found)
        played |= _robust_rows.undefined(shape) if self.robust is None else take(self.robust)
        played |= _searched_rows.undefined(shape)
        if self.equilibria is None:
            return rows | _equilibria_rows.undefined(shape) | played
        found = take(self.equilibria)
        return rows | found | played | {"status": np.maximum(rows["status"], found["status"])}

    def status_of_conditions(self, row: int) -> int:
        """The status of the first programme's question alone."""
        return int(np.asarray(self.conditions["status"])[self.places[row]])

    def market(self, row: int) -> Market:
        """The market of one row, as it was measured: with twins of its providers."""
        return Market(*(np.asarray(each)[self.places[row]] for each in self.arrays))

    def to_search(self) -> Market | None:
        """The markets to search as a batch, without twins of their providers; None where there are none."""
        if not self.searched:
            return None
        first = self.places[: self.searched]
        prior, user_value, provider_value, mass = (np.asarray(each)[first] for each in self.arrays)
        alike = (prior, user_value, provider_value[:, : self.providers], mass)
        return jax.tree.map(lambda *leaves: np.stack(leaves), *map(Market, *alike))


class Programs:
    """Compiles the programmes of a scan ahead of need, and runs blocks through them; close it when done.

    Drawing has a programme per cell, measuring one or two per array shape, not counting providers, and looking for
    equilibria by play one per array shape.
    """

    def __init__(self, config: ScanConfig, chunk: int, devices: Sequence[Any]):
        self._config = config
        self._families = config.families
        self._layout = Layout.of(chunk, devices)
        self._root = np.asarray(jr.key_data(jr.key(config.seed, impl=_PRNG)))
        self._pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="compile")
        self._draw: dict[int, Future[Any]] = {}
        self._conditions: dict[Shape, Future[Any]] = {}
        self._equilibria: dict[Shape, Future[Any]] = {}
        self._found: dict[Shape, Future[Any]] = {}
        self._robust: dict[Shape, Future[Any]] = {}
        own, shapes = [], {}
        for family, cell in zip(self._families, config.cells, strict=True):
            if (structure := _structure(family)) not in shapes:
                check()
                shapes[structure] = _shape_of(family, cell.family)
            own.append(shapes[structure])
        most: dict[Shape, int] = {}
        for shape in own:
            # Over all cells, not only those left to do: a resumed scan has to go through the same programme.
            alike = _widen_shape(shape, 0)
            most[alike] = max(most.get(alike, 0), _num_providers(shape))
        self._own = own
        self._shapes = [_widen_shape(shape, most[_widen_shape(shape, 0)]) for shape in own]

    def prepare(self, cells: Sequence[int]) -> None:
        """Starts to compile what these cells need, in this order."""
        for index in dict.fromkeys(cells):
            family, shape = self._families[index], self._shapes[index]
            if shape not in self._conditions:
                arguments = (self._layout, shape, self._config.delta)
                self._conditions[shape] = self._pool.submit(_compile_measure, *arguments, _conditions_rows.measure)
                if self._config.equilibria:
                    again = (*arguments, _equilibria_rows.measure_equilibria)
                    self._equilibria[shape] = self._pool.submit(_compile_equilibria, *again)
            self._prepare_play(index)
            self._prepare_exits(index)
            if index in self._draw:
                self._draw[index] = self._draw.pop(index)
            else:
                while len(self._draw) >= MOST_DRAWS:
                    # The one that was asked for the longest time ago; should it be again, the cache has it.
                    self._draw.pop(next(iter(self._draw)))
                self._draw[index] = self._pool.submit(_compile_draw, self._layout, family, _num_providers(shape))

    def _prepare_play(self, cell: int) -> None:
        own, search = self._own[cell], self._config.equilibria
        if isinstance(search, Search) and own not in self._found:
            arguments = (self._layout, self._shapes[cell], own, self._config.delta, search, _found_rows.measure_found)
            self._found[own] = self._pool.submit(_compile_found, *arguments)

    def _prepare_exits(self, cell: int) -> None:
        own, exits = self._own[cell], self._config.robust
        if exits is not None and own not in self._robust:
            arguments = (self._layout, self._shapes[cell], own, exits, _robust_rows.measure_robust)
            self._robust[own] = self._pool.submit(_compile_robust, *arguments)

    @property
    def num_compiled(self) -> int:
        """How many measuring programmes there are."""
        return len(self._conditions) + len(self._equilibria) + len(self._found) + len(self._robust)

    def launch(self, block: Block) -> Launched:
        """Starts to draw and measure a block; returns before it is done, once its programmes are compiled."""
        draw = result(self._draw[block.cell])
        shape, providers = self._shapes[block.cell], _num_providers(self._own[block.cell])
        measure = result(self._conditions[shape])
        indices, counts, places = self._layout.deal(block.markets(len(self._families)))
        put = lambda array: jax.device_put(array, self._layout.sharding)
        counts = put(counts)
        arrays = draw(self._root, put(indices), counts)
        conditions, equilibria, found, robust = measure(arrays, counts), None, None, None
        if shape in self._equilibria:
            known = {name: conditions[name] for name in _equilibria_rows.KNOWN}
            rows = (arrays, put(np.full(self._layout.size, providers == 1)), known)
            equilibria = result(self._equilibria[shape])(rows, counts)
        if self._own[block.cell] in self._found:
            known = conditions | (equilibria or {})
            rows = (arrays, put(indices), {name: known[name] for name in _found_rows.PROVED})
            found = result(self._found[self._own[block.cell]])(self._root, rows, counts)
        if self._own[block.cell] in self._robust:
            robust = result(self._robust[self._own[block.cell]])(arrays, counts)
        searched = 0 if self._config.search is None else self._config.search.searched(block.start, block.stop)
        return Launched(block, arrays, providers, searched, conditions, equilibria, found, robust, places)

    def close(self) -> None:
        """Drops what is not being compiled yet."""
        self._pool.shutdown(wait=False, cancel_futures=True)
