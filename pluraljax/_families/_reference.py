"""Finds what a user's code is named by: a module or a file, which is run unless that was done. Imports no JAX."""

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from .._files._place import refuse_folder
from .._printable import printable, quoted
from ._family import unknown
from ._source import is_installed, module_name

MAIN = "__main__"

# Modules whose own name is taken by another one are loaded under this.
OTHERWISE = "_pluraljax_family_"


def load(reference: str, folder: Path | None, what: str = "family") -> tuple[ModuleType, str, Any]:
    """Runs the module or the file that a reference names, unless that was done, and looks its name up there.

    **Arguments:**

    - `reference`: `"module:Name"` or `"file.py:Name"`.
    - `folder`: what files are relative to, and where modules are looked for, too; default the current one.
    - `what`: what it is a reference to, for errors.

    **Returns:** the module, the name, and what it stands for. Raises `ValueError` where there is no such thing.
    """
    place, _, name = reference.rpartition(":")
    if not place or not all(part.isidentifier() for part in name.split(".")):
        raise ValueError(f'{what} must be named like "module:Name" or "file.py:Name", got {quoted(reference)}.')
    is_file = place.endswith(".py")
    module = _from_file(place, folder, what) if is_file else _from_module(place, folder, what)
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            known = [n for n, each in vars(module).items() if getattr(each, "__module__", "") == module.__name__]
            raise unknown("name", part, known, f" in {printable(place, None)}")
        found = getattr(found, part)
    return module, name, found


def _from_file(place: str, folder: Path | None, what: str) -> ModuleType:
    path = ((folder or Path.cwd()) / Path(place).expanduser()).resolve()
    refuse_folder(path, f"a Python file with a {what}")
    if not path.is_file():
        raise ValueError(f"{path} holds no {what}: there is no such file.")
    dotted, root = module_name(path)
    for known in (dotted, MAIN):
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
    name = f"{OTHERWISE}{path.stem}_{abs(hash(str(path))):x}"
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


def _from_module(place: str, folder: Path | None, what: str) -> ModuleType:
    if place == MAIN:
        raise ValueError(
            f"the {what} was defined in a notebook or at the prompt, where nobody else finds it: go on there, by the "
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
