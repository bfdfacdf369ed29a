"""The text that a user's family is written in, as hashes: by these a scan that goes on knows that nothing has changed.

Of a family in a file they are of that file and of those beside it that it imports, and so on; of one from a notebook,
of its own definition and of what that names. Versions of installed packages are not among them. Imports no JAX.
"""

import ast
import builtins
import hashlib
import inspect
import json
import linecache
import sys
import sysconfig
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from ._loaded import differs, is_older
from ._registry import is_built_in

# SHA-256 by file, relative to the folder that Python looks in, or by name in a notebook.
Source = Mapping[str, str]

# Files of a family: more than anybody writes beside one.
_MOST_FILES = 1000


def module_name(file: Path) -> tuple[str, Path]:
    """The dotted name by which a file is imported, and the folder in which Python has to look for it."""
    parts, folder = [] if file.stem == "__init__" else [file.stem], file.parent
    while (folder / "__init__.py").exists() and folder != folder.parent:
        parts.insert(0, folder.name)
        folder = folder.parent
    return ".".join(parts), folder


def is_installed(file: Path) -> bool:
    """Whether a file belongs to Python, or to a package that was installed, also by way of a link."""
    folders = {Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "purelib", "platlib")}
    return any(folder in {*file.parents, *file.resolve().parents} for folder in folders)


# What a module's text was when it was first asked for, and the load that this belongs to.
_SEEN: dict[str, tuple[Any, Source | None]] = {}


def source_of_module(module: ModuleType, file: Path) -> Source | None:
    """The hashes of what a module was loaded from; raises `ValueError` where that has changed since."""
    now, spec = source_of_file(file), module.__spec__
    loaded, then = _SEEN.get(module.__name__, (None, None))
    if module.__name__ not in _SEEN or loaded is not spec:
        then = now
        _SEEN[module.__name__] = spec, now
    changed = {name for name in {*(then or {}), *(now or {})} if (then or {}).get(name) != (now or {}).get(name)}
    if is_older(module, file):
        changed.add(file.name)
    changed |= {label for label, loaded in _loaded_from(now or {}, file) if differs(loaded, Path(str(loaded.__file__)))}
    if changed:
        raise ValueError(
            f"{', '.join(sorted(changed))} has changed since it was loaded: start anew, or importlib.reload "
            f"{module.__name__} after what it imports, so that what runs is what the scan says of itself."
        )
    return now


def _loaded_from(source: Source, file: Path) -> Iterator[tuple[str, ModuleType]]:
    """The modules that were loaded from the files of a source, which are named from the folder of `file`."""
    _, root = module_name(file)
    labels = {str(root / label): label for label in source}
    for module in list(sys.modules.values()):
        if isinstance(module, ModuleType) and isinstance(origin := getattr(module, "__file__", None), str):
            with suppress(OSError):
                if (label := labels.get(origin) or labels.get(str(Path(origin).resolve()))) is not None:
                    yield label, module


def source_of_file(file: Path) -> Source | None:
    """The hashes of a file and of the files beside it that it imports; None where one of them cannot be read."""
    name, root = module_name(file)
    # In a folder of installed packages everything lies beside everything.
    inside = name.partition(".")[0] if is_installed(file) else None
    found: dict[str, str] = {}
    waiting = [file]
    while waiting:
        each = waiting.pop()
        label = each.relative_to(root).as_posix()
        if label in found:
            continue
        try:
            text = each.read_bytes().replace(b"\r\n", b"\n")
            tree = ast.parse(text)
        except (OSError, ValueError, SyntaxError, RecursionError):
            return None
        found[label] = hashlib.sha256(text).hexdigest()
        if len(found) > _MOST_FILES:
            return None
        for module in _imported(tree, each, root):
            if inside is None or module.partition(".")[0] == inside:
                waiting += _files_of(module, root)
    return dict(sorted(found.items()))


def _imported(tree: ast.Module, file: Path, root: Path) -> Iterator[str]:
    """The dotted names that a file imports, wherever in it."""
    package = file.parent.relative_to(root).parts
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            origin = ".".join([*above, *filter(None, [node.module])])
            yield origin
            yield from (f"{origin}.{alias.name}".strip(".") for alias in node.names)


def _files_of(module: str, root: Path) -> Iterator[Path]:
    """The files below a folder that run when a module is imported: its own, and those of the packages around it."""
    parts = module.split(".")
    if not module or parts[0] == __name__.partition(".")[0]:  # this package: its version is part of every scan
        return
    for length in range(1, len(parts) + 1):
        place = root.joinpath(*parts[:length])
        yield from (file for file in (place.with_name(f"{place.name}.py"), place / "__init__.py") if file.is_file())


def source_in_notebook(module: ModuleType, name: str) -> Source | None:
    """The hashes of a definition in a notebook, or at the prompt, and of whatever in there it names.

    None where the text of one of them cannot be had, or what is named is no plain data and has no text.
    """
    found: dict[str, str] = {}
    waiting = [name]
    while waiting:
        each = waiting.pop()
        if each in found:
            continue
        value = getattr(module, each)
        is_code = inspect.isfunction(value) or inspect.isclass(value)
        if isinstance(value, ModuleType) or is_built_in(value) or (is_code and value.__module__ != module.__name__):
            continue
        try:
            text = _definition(value) if is_code else _spelled(value)
            if is_code:
                waiting += [used for used in _names(ast.parse(text)) if hasattr(module, used)]
        except (OSError, TypeError, ValueError, SyntaxError, RecursionError):
            return None
        found[each] = hashlib.sha256(text.encode()).hexdigest()
    return dict(sorted(found.items())) or None


def _definition(value: Any) -> str:
    """The text of a function or a class; of classes Python knows it in files only, so that a method has to tell."""
    if inspect.isfunction(value):
        return textwrap.dedent(inspect.getsource(value))
    for method in filter(inspect.isfunction, vars(value).values()):
        lines = linecache.getlines(method.__code__.co_filename)
        for node in ast.walk(ast.parse("".join(lines))):
            if isinstance(node, ast.ClassDef) and node.name == value.__name__:
                first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
                if first <= method.__code__.co_firstlineno <= (node.end_lineno or 0):
                    return textwrap.dedent("".join(lines[first - 1 : node.end_lineno]))
    raise OSError("no method of the class has a text")


def _names(tree: ast.Module) -> set[str]:
    named = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return {name for name in named if not hasattr(builtins, name)}


def _spelled(value: Any) -> str:
    """Plain data, or an array of numbers, as text; raises `TypeError` or `ValueError` for anything else."""
    if hasattr(value, "dtype") and hasattr(value, "tobytes"):
        return f"{value.dtype} {value.shape} {hashlib.sha256(value.tobytes()).hexdigest()}"
    return json.dumps(value, sort_keys=True)
