"""A cheap measure in place of the real one, for tests of what happens around it: chunks, files, kills."""

import signal

import jax
import jax.numpy as jnp
import numpy as np

from pluraljax._market import Market, benchmarks
from pluraljax._precision import float64_scope
from pluraljax._scan.measure._columns import COLUMNS, CONDITIONS, EQUILIBRIA, FOUND
from pluraljax._scan.measure._conditions import Conditions
from pluraljax._scan.measure._equilibria import Equilibria
from pluraljax._scan.measure._found import Found
from pluraljax._status import Status


@float64_scope
def measure(market: Market, delta: float) -> dict:
    """Puts numbers that depend on every payoff of the market into every column."""
    row = _numbers(market, delta)
    return {column.name: row[column.name] for column in CONDITIONS}


@float64_scope
def measure_equilibria(market: Market, delta: float, alone, known) -> dict:
    """The same for the columns of equilibria, shifted for a provider that is alone, and by what is known."""
    row = _numbers(market, delta + jnp.where(alone, 1.0, 0.0) + known["personalized_bound"][0])
    return {column.name: row[column.name] for column in EQUILIBRIA} | {"status": jnp.int8(Status.OK)}


@float64_scope
def measure_found(market: Market, delta: float, key, proved, search) -> dict:
    """The same for the columns of what play finds, shifted by the key, what is proved, and the starts."""
    shift = jax.random.bits(key, (), jnp.uint32).astype(jnp.float64) * 2.0**-32
    row = _numbers(market, delta + shift + proved["personalized_worst_lower"][0] + search.starts)
    return {column.name: row[column.name] for column in FOUND}


def _numbers(market, delta):
    bench = benchmarks(market)
    mean = market.provider_value.mean(axis=(0, 2, 3)) + delta
    values = {"aligned": bench.aligned, "silent": bench.silent}
    row = {}
    for number, column in enumerate(COLUMNS):
        if column.kind == "value":
            value = values.get(column.name, mean * (number + 1.0))
            row[column.name] = value if column.axis == "user" else value[0]
        elif column.kind == "event":
            row[column.name] = (mean[0] > 0).astype(jnp.int8)
        else:
            row[column.name] = jnp.where(mean[0] > 0.3, Status.OPEN, Status.OK).astype(jnp.int8)
    return row


def measure_again(market: Market, delta: float) -> dict:
    """The second pass: marks the row as rescued, and puts a number of the market's there."""
    return {"status": np.int8(Status.RESCUED), "weak_weight": np.asarray(market.user_value)[:, 0, 0] + delta}


def measure_equilibria_again(market: Market, delta: float, alone: bool, known: dict) -> dict:
    """Nothing to add to what the first programme found."""
    return {"status": np.int8(Status.OK)}


def as_conditions(self, market, given):
    return measure(market, given.delta)


def as_equilibria(self, market, given):
    return measure_equilibria(market, given.delta, given.alone, given.known)


def as_found(self, market, given):
    return measure_found(market, given.delta, given.key, given.known, self.search)


def conditions_again(self, market, given):
    return measure_again(market, given.delta)


def equilibria_again(self, market, given):
    return measure_equilibria_again(market, given.delta, given.alone, given.known)


def functions() -> list:
    """What the scan calls, as (class of a measurement, name of its method, function of this module)."""
    return [
        (Conditions, "measure", as_conditions),
        (Equilibria, "measure", as_equilibria),
        (Found, "measure", as_found),
        (Conditions, "measure_again", conditions_again),
        (Equilibria, "measure_again", equilibria_again),
    ]


def install() -> None:
    """Makes the scan use this module's functions; for processes that a test starts."""
    for kind, name, function in functions():
        setattr(kind, name, function)


def signal_in_a_callback(number: int) -> None:
    """Has the third chunk send its process a signal from a callback that discards what is raised in it."""
    from pluraljax._scan.engine._batch import Programs

    launch, calls = Programs.launch, []

    class Going:
        def __del__(self):
            signal.raise_signal(number)

    def launched(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            Going()
        return launch(*arguments)

    Programs.launch = launched


def dask_setup(worker) -> None:
    """Called by a dask worker that was told to preload this module."""
    install()
