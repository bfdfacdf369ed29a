"""One chunk of markets as device programmes: draw the markets of a cell, then measure whatever the scan asks for.

Which measurements there are, and what they compute, is not known here: each says what it takes and what it gives.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from ..._compiling._programmes import programme
from ..._families import Family
from ..._families._drawn import drawn_shapes
from ..._interruption import check, result
from ..._market import Market
from ..._progress import Compiled
from ..._status import Status
from ..config._config import ScanConfig
from ..config._plan import Block
from ..measure._columns import BUILT_IN
from ..measure._measurement import Column, Given, Measurement, blank
from ._layout import Layout, tiled

# Every device has a thread of its own: threads within an operation would only get into each other's way.
# Compilation is most of a small scan. XLA's newer way to emit fused loops makes linear programmes, which are nearly all
# of the conditions, up to one and a half times as fast; what users make of policies, most of the equilibria, it takes
# half as long again to compile, and runs no faster. A cell's draws run for a moment only, so that full optimisation,
# twice as long again, wins nothing.
_LINEAR_OPTIONS: Any = {"xla_cpu_multi_thread_eigen": False}
_OPTIONS: Any = _LINEAR_OPTIONS | {"xla_cpu_use_fusion_emitters": False}
_DRAW_OPTIONS: Any = _OPTIONS | {"xla_backend_optimization_level": 1}

PRNG = "threefry2x32"
_DTYPES = {"value": jnp.float64, "event": jnp.int8, "status": jnp.int8}

# Axes and type of each array of a market, in the order of `Market`'s arguments.
Shape = tuple[Any, ...]


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
        market = jax.eval_shape(family, jr.key(0, impl=PRNG))
    return tuple((leaf.shape, leaf.dtype.name) for leaf in _arrays(market))


def _num_providers(shape: Shape) -> int:
    return shape[2][0][0]


def _widen_shape(shape: Shape, providers: int) -> Shape:
    prior, user_value, ((_, *rest), dtype), mass = shape
    return prior, user_value, ((providers, *rest), dtype), mass


@functools.lru_cache(maxsize=MOST_DRAWS)
def _compile_draw(layout: Layout, family: Any, providers: int) -> Any:
    def draw(root, index):
        key = jr.fold_in(jr.wrap_key_data(root, impl=PRNG), index)
        return _arrays(_widen(family(key), providers))

    with jax.enable_x64(True):
        root = jax.ShapeDtypeStruct((2,), jnp.uint32)
        indices = layout.spec((layout.size,), jnp.uint32)
        arguments, key = (root, indices, layout.counts), ("draw", layout.tile, family, providers)
        return _compile(layout, tiled(layout, draw), arguments, key, _DRAW_OPTIONS)


@functools.lru_cache(maxsize=1024)
def _compile_measurement(
    layout: Layout,
    wide: Shape,
    own: Shape | None,
    delta: float,
    measurement: Measurement,
    needed: tuple[Column, ...],
    function: Callable[..., Any],
) -> Any:
    """Compiles `function`, the method `measure` of a measurement; of markets of shape `own`, or else with their twins.

    The function is an argument for the sake of the cache.
    """
    providers = None if own is None else _num_providers(own)

    def row(root, rows):
        (prior, user_value, provider_value, mass), alone, index, known = rows
        market = Market(prior, user_value, provider_value if own is None else provider_value[:providers], mass)
        key = None if index is None else _key_of(root, index, measurement)
        given = Given(delta, {} if known is None else known, key, False if alone is None else alone)
        return _settled(measurement, function(measurement, market, given), market.num_users)

    with jax.enable_x64(True):
        program, arguments = tiled(layout, row), arguments_of(layout, wide, measurement, needed)
        if not measurement.draws:
            program = functools.partial(program, None)
        key = (layout.tile, providers, delta, measurement, function)
        return _compile(layout, program, arguments, key, _LINEAR_OPTIONS if measurement.linear else _OPTIONS)


def arguments_of(layout: Layout, wide: Shape, measurement: Measurement, needed: tuple[Column, ...]) -> tuple[Any, ...]:
    """The shapes of what a measuring programme takes; plain tuples, which JAX can write down to keep the programme.

    The root of random numbers where it draws; for each row its market, whether all providers are one, its index and
    what is known of it, each None where the measurement has no use for it; and the number of tiles.
    """
    (users, *_), _ = wide[1]
    rows = (
        tuple(layout.spec((layout.size, *axes), dtype) for axes, dtype in wide),
        layout.spec((layout.size,), bool) if measurement.twins else None,
        layout.spec((layout.size,), jnp.uint32) if measurement.draws else None,
        {each.name: _spec(layout, each, users) for each in needed} or None,
    )
    return (*([jax.ShapeDtypeStruct((2,), jnp.uint32)] if measurement.draws else []), rows, layout.counts)


def _key_of(root: Any, index: Any, measurement: Measurement) -> Any:
    """The PRNG key of a measurement for one market, apart from the draws of the market itself."""
    return jr.fold_in(jr.fold_in(jr.wrap_key_data(root, impl=PRNG), index), measurement.stream)


def _settled(measurement: Measurement, rows: Mapping[str, Any], users: int) -> dict[str, Any]:
    """What a measurement returned, in the types of its columns; raises `ValueError` for anything else."""
    wanted, name = {column.name: column for column in measurement.columns}, type(measurement).__name__
    if missing := wanted.keys() - rows.keys() or rows.keys() - wanted.keys() - {"status"}:
        raise ValueError(
            f"{name}.measure must return an array for each of {', '.join(wanted)}; see {', '.join(sorted(missing))}."
        )
    settled = {}
    for key, value in rows.items():
        column, array = wanted.get(key), jnp.asarray(value)
        shape, kind = ((users,) if column and column.axis == "user" else ()), column.kind if column else "status"
        if array.shape != shape:
            raise ValueError(f"{name}.measure must return {key} of shape {shape}, got {array.shape}.")
        settled[key] = array if array.dtype == _DTYPES[kind] else array.astype(_DTYPES[kind])
    return settled


def _spec(layout: Layout, column: Column, users: int) -> jax.ShapeDtypeStruct:
    axes = (layout.size, users) if column.axis == "user" else (layout.size,)
    return layout.spec(axes, _DTYPES[column.kind])


def _compile(layout: Layout, program: Any, arguments: tuple[Any, ...], key: tuple[Any, ...], options: Any) -> Any:
    return programme(program, arguments, key, layout.devices, options if layout.on_cpu else {})


@dataclass(frozen=True)
class Launched:
    """A chunk on its way through the devices.

    `providers` says how many its markets have without twins; `measured` are the rows of each measurement on devices,
    and `on_host` those that are made there, of so many rows, the first ones.
    """

    block: Block
    arrays: tuple[jax.Array, ...]
    providers: int
    measured: tuple[tuple[Measurement, dict[str, jax.Array]], ...]
    on_host: tuple[tuple[Measurement, int], ...]
    places: np.ndarray
    root: np.ndarray
    indices: np.ndarray

    def rows(self) -> dict[str, np.ndarray]:
        """Waits, and returns the measured rows in the order of the block; what was not asked for is undefined."""
        taken = [{name: np.asarray(value)[self.places] for name, value in rows.items()} for _, rows in self.measured]
        shape = (len(self.places), self.arrays[1].shape[1])
        rows: dict[str, np.ndarray] = {}
        for kind in (*BUILT_IN, *(type(each) for each, _ in self.on_host)):
            rows |= kind.undefined(shape)
        for each in taken:
            rows |= each
        statuses = [each["status"] for each in taken if "status" in each]
        rows["status"] = functools.reduce(np.maximum, statuses)
        return self._without_invalid(rows, shape)

    def _without_invalid(self, rows: dict[str, np.ndarray], shape: tuple[int, int]) -> dict[str, np.ndarray]:
        """The same with nothing in the rows of invalid markets, of which a user's own measurement knows nothing."""
        invalid = rows["status"] >= Status.NOT_FINITE
        for measurement, _ in self.measured if invalid.any() else ():
            for column in measurement.columns if type(measurement) not in BUILT_IN else ():
                rows[column.name][invalid] = blank(column, shape)[invalid]
        return rows

    def statuses(self, row: int) -> dict[int, int]:
        """The status of a row by each measurement that has one, by the place of the measurement."""
        return {
            place: int(np.asarray(rows["status"])[self.places[row]])
            for place, (_, rows) in enumerate(self.measured)
            if "status" in rows
        }

    def market(self, row: int) -> Market:
        """The market of one row, as it was drawn: with twins of its providers."""
        return Market(*(np.asarray(each)[self.places[row]] for each in self.arrays))

    def key(self, row: int, measurement: Measurement) -> Any:
        """The PRNG key that a measurement had for a row."""
        with jax.enable_x64(True):
            return _key_of(self.root, self.indices[self.places[row]], measurement)

    def first(self, count: int) -> Market:
        """The markets of the first rows as a batch, without twins of their providers."""
        prior, user_value, provider_value, mass = (np.asarray(each)[self.places[:count]] for each in self.arrays)
        alike = (prior, user_value, provider_value[:, : self.providers], mass)
        return jax.tree.map(lambda *leaves: np.stack(leaves), *map(Market, *alike))


class Programs:
    """Compiles the programmes of a scan ahead of need, and runs blocks through them; close it when done.

    Drawing has a programme per cell, a measurement one per array shape; not counting providers where it takes twins.
    """

    def __init__(self, config: ScanConfig, chunk: int, devices: Sequence[Any]):
        self._config = config
        self._families = config.families
        self._layout = Layout.of(chunk, devices, config.room)
        self._root = np.asarray(jr.key_data(jr.key(config.seed, impl=PRNG)))
        self._pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="compile")
        self._draw: dict[int, Future[Any]] = {}
        self._measure: dict[tuple[Measurement, Shape], Future[Any]] = {}
        self._on_devices = [each for each in config.asked if not each.on_host]
        self._on_host = [each for each in config.asked if each.on_host]
        columns = {column.name: column for column in config.columns}
        self._needed = {each: tuple(columns[name] for name in each.needs) for each in self._on_devices}
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

    def _shape(self, measurement: Measurement, cell: int) -> Shape:
        """What a measurement's programme for a cell is kept under."""
        return self._shapes[cell] if measurement.twins else self._own[cell]

    def prepare(self, cells: Sequence[int]) -> None:
        """Starts to compile what these cells need, in this order."""
        for index in dict.fromkeys(cells):
            family, wide = self._families[index], self._shapes[index]
            for each in self._on_devices:
                if (place := (each, self._shape(each, index))) not in self._measure:
                    own = None if each.twins else self._own[index]
                    arguments = (self._layout, wide, own, self._config.delta, each, self._needed[each])
                    self._measure[place] = self._pool.submit(_compile_measurement, *arguments, type(each).measure)
            if index in self._draw:
                self._draw[index] = self._draw.pop(index)
            else:
                while len(self._draw) >= MOST_DRAWS:
                    # The one that was asked for the longest time ago; should it be again, the cache has it.
                    self._draw.pop(next(iter(self._draw)))
                self._draw[index] = self._pool.submit(_compile_draw, self._layout, family, _num_providers(wide))

    @property
    def state(self) -> Compiled:
        """How many programmes are there already, how many there are to be, and which are being compiled."""
        wanted = [*self._measure.values(), *self._draw.values()]
        now = [type(each).__name__ for (each, _), future in self._measure.items() if future.running()]
        now += [f"draws of cell {cell}" for cell, future in self._draw.items() if future.running()]
        return Compiled(sum(each.done() for each in wanted), len(wanted), " and ".join(dict.fromkeys(now)) or "waiting")

    @property
    def num_compiled(self) -> int:
        """How many measuring programmes there are."""
        return len(self._measure)

    def compiled(self, cell: int) -> None:
        """Waits until a cell's programmes are compiled."""
        for future in (self._draw[cell], *(self._measure[each, self._shape(each, cell)] for each in self._on_devices)):
            result(future)

    def launch(self, block: Block) -> Launched:
        """Starts to draw and measure a block; returns before it is done, once its programmes are compiled."""
        draw = result(self._draw[block.cell])
        providers = _num_providers(self._own[block.cell])
        indices, counts, places = self._layout.deal(block.markets(len(self._families)))
        put = lambda array: jax.device_put(array, self._layout.sharding)
        counts, dealt = put(counts), put(indices)
        arrays = draw(self._root, dealt, counts)
        measured, known = [], {}
        for each in self._on_devices:
            program = result(self._measure[each, self._shape(each, block.cell)])
            rows = (
                arrays,
                put(np.full(self._layout.size, providers == 1)) if each.twins else None,
                dealt if each.draws else None,
                {name: known[name] for name in each.needs} or None,
            )
            found = program(self._root, rows, counts) if each.draws else program(rows, counts)
            known |= found
            measured.append((each, found))
        on_host = tuple((each, each.first(block.start, block.stop)) for each in self._on_host)
        return Launched(block, arrays, providers, tuple(measured), on_host, places, self._root, indices)

    def close(self) -> None:
        """Drops what is not being compiled yet."""
        self._pool.shutdown(wait=False, cancel_futures=True)
