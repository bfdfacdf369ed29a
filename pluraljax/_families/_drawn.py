"""What a family draws, found by tracing it: the shapes of its markets, or in one sentence what is wrong with it."""

import dataclasses
import functools
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from .._arguments import described
from .._market import Market
from .._printable import quoted
from ._family import said_sizes
from ._reference import said_by

# Axes and type of each array of a market, in the order of `Market`'s arguments.
Shapes = tuple[tuple[tuple[int, ...], str], ...]

_PRNG = "threefry2x32"


@functools.lru_cache(maxsize=4096)
def drawn_shapes(family: Any, name: str) -> Shapes:
    """Traces a family of the user's twice, and returns the shapes of a market's arrays, in float64 where it can be.

    Raises `ValueError` where it raises something, returns anything but one market, has shapes that depend on numbers
    that are drawn, or takes random numbers from anywhere but its key. Warns where it makes no use of its key.
    """
    before = _global_state()
    first, shapes = _traced(family, name)
    second, _ = _traced(family, name)
    if _global_state() != before or not _is_equal(first, second):
        raise ValueError(
            f"{name} draws something else when it is asked again with the same key: random numbers have to come from "
            "the key alone (jax.random), not from numpy.random, random or a clock, or markets depend on more than the "
            "scan's seed."
        )
    if not _uses_key(first):
        warnings.warn(f"{name} makes no use of its key, so that all of its markets are the same.", stacklevel=2)
    _, (users, actions, states), (providers, *_), _ = (axes for axes, _ in shapes)
    found = {"providers": providers, "users": users, "actions": actions, "states": states}
    for size, said in said_sizes(family).items():
        if said != found[size]:
            raise ValueError(f"{name} has {size} = {said}, but draws markets with {found[size]}.")
    return shapes


def with_parameters(family: Any) -> str:
    """A family's numbers and words, as in `with click = 0.5`, after a blank; nothing where it is no dataclass."""
    if not dataclasses.is_dataclass(family):
        return ""
    values = {field.name: getattr(family, field.name, None) for field in dataclasses.fields(family)}
    plain = [f"{name} = {quoted(value)}" for name, value in values.items() if isinstance(value, int | float | str)]
    return f" with {', '.join(plain)}" if plain else ""


def _traced(family: Any, name: str) -> tuple[Any, Shapes]:
    def draw(key: Any) -> Market:
        market = family(key)
        if not isinstance(market, Market):
            is_array = isinstance(market, jax.Array | np.ndarray)
            raise _NoMarketError(described(market) if is_array else f"a {type(market).__name__}")
        if market.user_value.ndim != 3:
            raise _NoMarketError(f"a batch of them (user_value has {market.user_value.ndim} axes)")
        return market

    try:
        with jax.enable_x64(True):
            found, market = jax.make_jaxpr(draw, return_shape=True)(jr.key(0, impl=_PRNG))
    except _NoMarketError as error:
        raise ValueError(f"{name} must return one Market for a key (plx.observed_market), got {error}.") from None
    except (jax.errors.ConcretizationTypeError, jax.errors.NonConcreteBooleanIndexError) as error:
        raise ValueError(
            f"{name} cannot be compiled: a shape, an index or a branch depends on numbers that are drawn. Sizes have "
            f"to follow from its parameters; jnp.where chooses between numbers. {said_by(error)}"
        ) from error
    except jax.errors.TracerArrayConversionError as error:
        raise ValueError(f"{name} cannot be compiled: use jax.numpy for what is drawn. {said_by(error)}") from error
    except Exception as error:
        raise ValueError(f"{name} fails on a key{with_parameters(family)}: {said_by(error)}") from error
    arrays = (market.prior, market.user_value, market.provider_value, market.mass)
    return found, tuple((tuple(each.shape), each.dtype.name) for each in arrays)


class _NoMarketError(Exception):
    """What a family returned is no market; the message says what it is."""


def _global_state() -> tuple[Any, ...]:
    """Where NumPy's common random numbers stand: who takes some moves it, also where JAX traces once and remembers.

    Those of `random` are not looked at: type checkers take some of them.
    """
    _, words, place, *_ = np.random.get_state()  # noqa: NPY002
    return np.asarray(words).tobytes(), place


def _is_equal(first: Any, second: Any) -> bool:
    """Whether two traces are the same, constants included."""
    spelled = [[np.asarray(_numbers(const)).tobytes() for const in found.consts] for found in (first, second)]
    return str(first) == str(second) and spelled[0] == spelled[1]


def _numbers(const: Any) -> Any:
    return jr.key_data(const) if jnp.issubdtype(const.dtype, jax.dtypes.prng_key) else const


def _uses_key(found: Any) -> bool:
    [key] = found.jaxpr.invars
    return any(var is key for equation in found.jaxpr.eqns for var in equation.invars)
