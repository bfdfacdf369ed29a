"""Families by name, for configurations. Imports no JAX."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from .._printable import quoted
from ._family import unknown

FAMILIES: dict[str, Callable[..., Any]] = {}

# Every module of this package, and none of a user's, is below this name.
_PACKAGE = __name__.partition(".")[0]

T = TypeVar("T")


def register(name: str) -> Callable[[T], T]:
    """Gives a family a name, by which grids and scans in this process find it; use it as a decorator.

    The families of this package are registered in the same way.

    ```python
    @plx.families.register("recommend")
    @dataclass(frozen=True)
    class Recommend: ...


    plx.scans.FamilyGrid("recommend", {"noise": [0.0, 0.5]})
    ```

    **Arguments:**

    - `name`: letters, digits, `_` and `-`. A name that is taken is refused, unless by what is defined again under the
      same qualified name, as when a module or the cell of a notebook is run a second time.

    **Returns:** a decorator for a dataclass whose objects map a key to a market, or for a function that does. Stores
    and configs spell such a family `module:Name`, so that processes that register nothing find it, too.
    """
    if not isinstance(name, str) or not name.replace("_", "").replace("-", "").isalnum():
        raise ValueError(f"a family's name consists of letters, digits, _ and -, got {quoted(name)}.")

    def put(family: T) -> T:
        if not callable(family):
            raise ValueError(f"register decorates a class or a function, got {quoted(family)}.")
        if name in FAMILIES and _home(FAMILIES[name]) != _home(family):
            raise ValueError(f"there is a family {name!r} already: {_home(FAMILIES[name])}.")
        FAMILIES[name] = family
        return family

    return put


def _home(family: Any) -> str:
    return f"{getattr(family, '__module__', '')}:{getattr(family, '__qualname__', type(family).__qualname__)}"


def is_built_in(family: Any) -> bool:
    """Whether this package brings the family, a class or one of its objects, so that its version says what it is."""
    kind = family if isinstance(family, type) else type(family)
    return kind.__module__.partition(".")[0] == _PACKAGE


def parameter_names(family: str) -> tuple[str, ...]:
    """Lists the parameters of a family in their documented order; raises `ValueError` on an unknown family."""
    return parameters_of(named(family))


def named(family: str) -> Callable[..., Any]:
    """What is registered under a name; raises `ValueError` where that is nothing."""
    if family not in FAMILIES:
        error = unknown("family", family, FAMILIES)
        raise ValueError(f'{error} A family of your own is named "module:Name" or "file.py:Name".')
    return FAMILIES[family]


def parameters_of(family: Callable[..., Any]) -> tuple[str, ...]:
    """The parameters of a class of families; a function has none."""
    if not (isinstance(family, type) and dataclasses.is_dataclass(family)):
        return ()
    return tuple(field.name for field in dataclasses.fields(family) if field.init)


def make_family(name: str, parameters: Mapping[str, Any]) -> Any:
    """Makes a family from its registered name and plain values, as a configuration file holds them.

    Raises `ValueError` on an unknown family or parameter, with the nearest known one, and on a value out of range.
    """
    known = parameter_names(name)
    for parameter in parameters:
        if parameter not in known:
            raise unknown("parameter", parameter, known, where=f" of family {name!r}")
    family = named(name)
    return family(**parameters) if isinstance(family, type) else family
