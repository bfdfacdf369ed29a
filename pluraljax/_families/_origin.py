"""Where a family comes from: a registered name, a class, a function, or a file of the user's. Imports no JAX."""

import dataclasses
import importlib
import importlib.util
import inspect
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from numbers import Integral, Real
from pathlib import Path
from types import ModuleType
from typing import Any

from .._printable import printable, quoted
from ._family import unknown
from ._registry import FAMILIES, is_built_in, make_family, named, parameters_of
from ._source import Source, is_installed, module_name, source_in_notebook, source_of_module

_MAIN = "__main__"
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
            made = self.target(**{name: _as_tuples(value) for name, value in values.items()})
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
                found[name] = _plain(getattr(family, name))
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
        module, name, found = _load(family, folder)
        if not callable(found):
            raise ValueError(f"{printable(family, None)} is no family: it must be {_WANTED}.")
        origin, values = _described(found)
        # What cannot be found by what it says of itself, such as a lambda, was found all the same.
        return (_located(found, module, name), {}) if origin.obstacle else (origin, values)
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
        return _found(family), None
    family = _usable(family, _spelled(family))
    if not dataclasses.is_dataclass(family):
        return _found(family), {}
    origin = _found(kind)
    try:
        values = origin.values_of(family)
        again = origin.make(values)
    except ValueError as error:
        return dataclasses.replace(_found(family), obstacle=str(error)), {}
    if type(family).__eq__ is not object.__eq__ and again != family:
        why = f"{origin.name} made of its parameters is not equal to what was given"
        return dataclasses.replace(_found(family), obstacle=why), {}
    return origin, values


def _found(target: Any) -> Origin:
    """The origin of a class or a function, by the module that it says it is from."""
    module, name = sys.modules.get(getattr(target, "__module__", "")), getattr(target, "__qualname__", "")
    if module is None or not name or not _is_there(module, name, target):
        why = (
            "only a function or a dataclass at the top level of a module can be found again (not a lambda, nor what is "
            "made inside of a function)"
        )
        return Origin(target, _spelled(target), "", None, why)
    return _located(target, module, name)


def _located(target: Any, module: ModuleType, name: str) -> Origin:
    """The origin of what a module holds under a name."""
    file = getattr(module, "__file__", None)
    if file is None or not file.endswith(".py") or not Path(file).is_file():
        # The prompt and notebooks have no file, unlike the module that `python FILE` runs.
        in_notebook = module.__name__ == _MAIN and file is None and "." not in name
        source = source_in_notebook(module, name) if in_notebook else None
        return Origin(target, f"{module.__name__}:{name}", f"{module.__name__}:{name}", source)
    path = Path(file).resolve()
    dotted, _ = module_name(path)
    renamed = module.__name__ == _MAIN or module.__name__.startswith(_OTHERWISE)
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


def _plain(value: Any) -> Any:
    """Numbers, texts, truth and tuples of these, in Python's own types; raises `ValueError` for anything else."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, Integral) and -(2**63) <= int(value) < 2**63:
        return int(value)
    if isinstance(value, Real) and not isinstance(value, Integral) and math.isfinite(float(value)):
        return float(value)
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    if type(value).__module__ == "numpy" and type(value).__name__ == "bool":
        return bool(value)
    raise ValueError


def _as_tuples(value: Any) -> Any:
    return tuple(_as_tuples(each) for each in value) if isinstance(value, list | tuple) else value


# Modules whose own name is taken by another one are loaded under this.
_OTHERWISE = "_pluraljax_family_"


def _load(reference: str, folder: Path | None) -> tuple[ModuleType, str, Any]:
    """Runs the module or the file that a reference names, unless that was done, and looks its name up there."""
    place, _, name = reference.rpartition(":")
    if not place or not all(part.isidentifier() for part in name.split(".")):
        raise ValueError(f'family must be named like "module:Name" or "file.py:Name", got {quoted(reference)}.')
    is_file = place.endswith(".py")
    module = _from_file(place, folder) if is_file else _from_module(place, folder)
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            known = [n for n, each in vars(module).items() if getattr(each, "__module__", "") == module.__name__]
            raise unknown("name", part, known, f" in {printable(place, None)}")
        found = getattr(found, part)
    return module, name, found


def _from_file(place: str, folder: Path | None) -> ModuleType:
    path = ((folder or Path.cwd()) / Path(place).expanduser()).resolve()
    if not path.is_file():
        raise ValueError(f"{path} holds no family: there is no such file.")
    dotted, root = module_name(path)
    for known in (dotted, _MAIN):
        module = sys.modules.get(known)
        file = getattr(module, "__file__", None)
        if module is not None and file and Path(file).resolve() == path:
            return module
    _look_in(root)
    with_name = _running(path, lambda: importlib.util.find_spec(dotted))
    if with_name is not None and with_name.origin and Path(with_name.origin).resolve() == path:
        return _running(path, lambda: importlib.import_module(dotted))
    return _running(path, lambda: _under_another_name(path))


def _under_another_name(path: Path) -> ModuleType:
    """Loads a file whose name something else has already, such as `random.py`."""
    name = f"{_OTHERWISE}{path.stem}_{abs(hash(str(path))):x}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise ImportError("Python cannot load it")
        sys.modules[name] = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(sys.modules[name])
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]


def _from_module(place: str, folder: Path | None) -> ModuleType:
    if place == _MAIN:
        raise ValueError(
            "the family was defined in a notebook or at the prompt, where nobody else finds it: go on there, by the "
            "same call, or put it into a file."
        )
    if folder is not None:
        _look_in(folder.resolve())
    try:
        return _running(place, lambda: importlib.import_module(place))
    except ValueError as error:
        if isinstance(error.__cause__, ModuleNotFoundError) and error.__cause__.name in (place, place.split(".")[0]):
            beside = "" if folder is None else f" in {folder.resolve()}, and"
            raise ValueError(
                f"there is no module {quoted(place)}; it is looked for{beside} where Python looks (PYTHONPATH)."
            ) from None
        raise


def _look_in(folder: Path) -> None:
    """Has Python look in a folder, too: last, so that nothing there takes the place of what is installed."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
        importlib.invalidate_caches()


def _running(place: Any, load: Callable[[], Any]) -> Any:
    """Runs a user's file; what goes wrong there is one `ValueError` that says where, with the error as its cause."""
    try:
        return load()
    except (Exception, SystemExit) as error:
        raise ValueError(f"{place} cannot be loaded: {said_by(error)}") from error


def said_by(error: BaseException) -> str:
    """What somebody else's code raised, and in which line of which file, in one line."""
    frames = inspect.getinnerframes(error.__traceback__, context=0) if error.__traceback__ else []
    inside = [frame for frame in frames if not is_installed(Path(frame.filename)) and _PACKAGE not in frame.filename]
    inside = [frame for frame in inside if not frame.filename.startswith("<frozen")]
    where = f" ({Path(inside[-1].filename).name}, line {inside[-1].lineno})" if inside else ""
    first = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {printable(first, 300)}{where}"


_PACKAGE = str(Path(__file__).resolve().parent.parent)
