"""Where a family comes from: a registered name, a class, a function, or a file of the user's. Imports no JAX."""

import dataclasses
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Integral, Real
from pathlib import Path
from types import ModuleType
from typing import Any

from .._printable import printable, quoted
from ._family import unknown
from ._reference import MAIN, OTHERWISE, load
from ._registry import FAMILIES, is_built_in, make_family, named, parameters_of
from ._source import Source, is_installed, module_name, source_in_notebook, source_of_module

_WANTED = (
    'a name, "module:Name", "file.py:Name", a dataclass whose objects map a key to a market, or a function that does'
)


@dataclass(frozen=True)
class Origin:
    """What makes the families of a grid.

    - `target`: a dataclass whose objects are families, or a family.
    - `name`: what stores call it: its registered name where this package brings it, else `module:Name`.
    - `reference`: what another process finds it by, as a config holds it.
    - `source`: hashes of its text; None for families of this package, and where the text cannot be had.
    - `obstacle`: why no other process can find or make it, and so no store hold it; "" where nothing is in the way.
    """

    target: Any
    name: str
    reference: str
    source: Source | None = field(default=None, compare=False)
    obstacle: str = ""

    @property
    def is_own(self) -> bool:
        """Whether it is the user's, and not one of this package."""
        return not is_built_in(self.target)

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of its parameters."""
        return parameters_of(self.target)

    def make(self, values: Mapping[str, Any]) -> Any:
        """Makes a family of plain values; raises `ValueError` for a name or a value that it does not take."""
        if not self.is_own:
            return make_family(self.reference, values)
        for name in values:
            if name not in self.parameters:
                if not self.parameters:
                    raise ValueError(f"{self.name} has no parameters, got {quoted(name)}.")
                raise unknown("parameter", name, self.parameters, f" of family {self.name!r}")
        if not isinstance(self.target, type):
            return self.target
        self._check_complete(values)
        try:
            made = self.target(**{name: as_tuples(value) for name, value in values.items()})
        except (TypeError, ValueError, ArithmeticError, LookupError) as error:
            said = ", ".join(f"{name} = {quoted(value)}" for name, value in values.items())
            raise ValueError(f"{self.name} refuses {said or 'its defaults'}: {printable(error, None)}") from error
        return _usable(made, self.name)

    def _check_complete(self, values: Mapping[str, Any]) -> None:
        missing = dataclasses.MISSING
        for each in dataclasses.fields(self.target):
            if each.init and each.name not in values and (each.default, each.default_factory) == (missing, missing):
                raise ValueError(f"{self.name} needs a value of {each.name}, which has no default.")

    def values_of(self, family: Any) -> dict[str, Any]:
        """All parameters of a family that it made, as plain data; raises `ValueError` for what is none."""
        found = {}
        for name in self.parameters:
            try:
                found[name] = plain(getattr(family, name))
            except ValueError:
                raise ValueError(
                    f"{self.name}.{name} must be a number, a text, true, false, or a list of these, "
                    f"got {quoted(getattr(family, name))}."
                ) from None
        return found


def is_reference(family: Any) -> bool:
    """Whether a config's entry names a family of the user's, whose code has to be loaded."""
    return isinstance(family, str) and ":" in family


def origin_of(family: Any, folder: Path | None = None) -> tuple[Origin, dict[str, Any] | None]:
    """Says where a family comes from.

    **Arguments:**

    - `family`: a name, a class, or a family itself. A name with a colon loads a module or a file, which runs it.
    - `folder`: what files are relative to, and where modules are looked for, too; default the current one.

    **Returns:** the origin, and the parameters where `family` is one family and not a class of many. Raises
    `ValueError` for anything else.
    """
    if isinstance(family, str):
        if not is_reference(family):
            target = named(family)
            return (Origin(target, family, family), None) if is_built_in(target) else origin_of(target)
        module, name, found = load(family, folder)
        if not callable(found):
            raise ValueError(f"{printable(family, None)} is no family: it must be {_WANTED}.")
        origin, values = _described(found)
        # What cannot be found by what it says of itself, such as a lambda, was found all the same.
        return (origin_located(found, module, name), {}) if origin.obstacle else (origin, values)
    if not callable(family):
        raise ValueError(f"family must be {_WANTED}, got {quoted(family)}.")
    return _described(family)


def _described(family: Any) -> tuple[Origin, dict[str, Any] | None]:
    kind = family if isinstance(family, type) else type(family)
    if is_built_in(family):
        name = next((name for name, known in FAMILIES.items() if known is kind), None)
        if name is None:
            raise ValueError(f"family must be {_WANTED}, got {quoted(family)}.")
        origin = Origin(kind, name, name)
        return origin, None if family is kind else origin.values_of(family)
    if isinstance(family, type):
        if not (dataclasses.is_dataclass(family) and "__call__" in dir(family)):
            raise ValueError(f"{_spelled(family)} is a class, and so must be a dataclass with a method __call__(key).")
        return origin_found(family), None
    family = _usable(family, _spelled(family))
    if not dataclasses.is_dataclass(family):
        return origin_found(family), {}
    origin = origin_found(kind)
    try:
        values = origin.values_of(family)
        again = origin.make(values)
    except ValueError as error:
        return dataclasses.replace(origin_found(family), obstacle=str(error)), {}
    if type(family).__eq__ is not object.__eq__ and again != family:
        why = f"{origin.name} made of its parameters is not equal to what was given"
        return dataclasses.replace(origin_found(family), obstacle=why), {}
    return origin, values


def origin_found(target: Any) -> Origin:
    """The origin of a class or a function, by the module that it says it is from."""
    module, name = sys.modules.get(getattr(target, "__module__", "")), getattr(target, "__qualname__", "")
    if module is None or not name or not _is_there(module, name, target):
        why = (
            "only a function or a dataclass at the top level of a module can be found again (not a lambda, nor what is "
            "made inside of a function)"
        )
        return Origin(target, _spelled(target), "", None, why)
    return origin_located(target, module, name)


def origin_located(target: Any, module: ModuleType, name: str) -> Origin:
    """The origin of what a module holds under a name."""
    file = getattr(module, "__file__", None)
    if file is None or not file.endswith(".py") or not Path(file).is_file():
        # The prompt and notebooks have no file, unlike the module that `python FILE` runs.
        in_notebook = module.__name__ == MAIN and file is None and "." not in name
        source = source_in_notebook(module, name) if in_notebook else None
        return Origin(target, f"{module.__name__}:{name}", f"{module.__name__}:{name}", source)
    path = Path(file).resolve()
    dotted, _ = module_name(path)
    renamed = module.__name__ == MAIN or module.__name__.startswith(OTHERWISE)
    label = dotted if renamed else module.__name__
    by_file = label == dotted and not is_installed(path)
    return Origin(target, f"{label}:{name}", f"{path if by_file else label}:{name}", source_of_module(module, path))


def _is_there(module: ModuleType, name: str, target: Any) -> bool:
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part, None)
    return found is target


def _spelled(target: Any) -> str:
    """Names something callable for errors, and for scans that are not stored."""
    named_by = target if hasattr(target, "__qualname__") else type(target)
    return f"{getattr(named_by, '__module__', '?')}:{named_by.__qualname__}"


def _usable(family: Any, name: str) -> Any:
    if not callable(family):
        raise ValueError(f"{name} must map a key to a market: give it a method __call__(self, key).")
    try:
        hash(family)
    except TypeError:
        frozen = "make it a frozen dataclass whose fields are numbers, texts and tuples"
        raise ValueError(f"{name} must be hashable, so that it is compiled once: {frozen}.") from None
    return family


def plain(value: Any) -> Any:
    """Numbers, texts, truth and tuples of these, in Python's own types; raises `ValueError` for anything else."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, Integral) and -(2**63) <= int(value) < 2**63:
        return int(value)
    if isinstance(value, Real) and not isinstance(value, Integral) and math.isfinite(float(value)):
        return float(value)
    if isinstance(value, tuple | list):
        return [plain(each) for each in value]
    if type(value).__module__ == "numpy" and type(value).__name__ == "bool":
        return bool(value)
    raise ValueError


def as_tuples(value: Any) -> Any:
    return tuple(as_tuples(each) for each in value) if isinstance(value, list | tuple) else value
