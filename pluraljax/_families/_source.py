"""The text that a user's family is written in, as hashes: by these a scan that goes on knows that nothing has changed.

Of a family in a file they are of that file and of those beside it that it imports, and so on; of one from a notebook,
of its own definition and of what that names. Versions of installed packages are not among them. Imports no JAX.
"""

import ast
import builtins
import hashlib
import importlib.machinery
import importlib.util
import inspect
import json
import linecache
import os
import sys
import sysconfig
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

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
    """Whether a file belongs to Python, or to a package that was installed."""
    folders = {Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "purelib", "platlib")}
    return any(folder in file.parents for folder in folders)


# What a module's text was when it was first asked for, and the load that this belongs to.
_SEEN: dict[str, tuple[Any, Source | None]] = {}


def source_of_module(module: ModuleType, file: Path) -> Source | None:
    """The hashes of what a module was loaded from; raises `ValueError` where that has changed since."""
    now, spec = source_of_file(file), module.__spec__
    loaded, then = _SEEN.get(module.__name__, (None, None))
    if module.__name__ not in _SEEN or loaded is not spec:
        then = now
        _SEEN[module.__name__] = spec, now
    if then != now or _is_older(module, file):
        changed = sorted(
            name for name in {*(then or {}), *(now or {})} if (then or {}).get(name) != (now or {}).get(name)
        )
        raise ValueError(
            f"{', '.join(changed) or file.name} has changed since it was loaded: start anew, or importlib.reload "
            f"{module.__name__} after what it imports, so that what runs is what the scan says of itself."
        )
    return now


def _is_older(module: ModuleType, file: Path) -> bool:
    """Whether Python compiled a file before it was changed, as far as the compiled file beside it tells."""
    if type(module.__loader__) is not importlib.machinery.SourceFileLoader or sys.dont_write_bytecode:
        return False
    try:
        compiled = Path(importlib.util.cache_from_source(str(file)))
        head, found = compiled.read_bytes()[:16], file.stat()
        is_kept = os.access(compiled.parent, os.W_OK)
    except (OSError, NotImplementedError):
        return False
    made, size = (int.from_bytes(head[place : place + 4], "little") for place in (8, 12))
    by_time = head[4:8] == bytes(4) and len(head) == 16
    now = int(found.st_mtime) & 0xFFFFFFFF, found.st_size & 0xFFFFFFFF
    return is_kept and by_time and (made, size) != now


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
