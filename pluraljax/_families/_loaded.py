"""Whether a module that is loaded is what its file says now: files change after they are read. Imports no JAX."""

import ast
import importlib.machinery
import importlib.util
import inspect
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any


def is_older(module: ModuleType, file: Path) -> bool:
    """Whether Python compiled a file before it was changed, as far as the compiled file beside it tells."""
    if not _is_plain(module) or sys.dont_write_bytecode:
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


def differs(module: ModuleType, file: Path) -> bool:
    """Whether functions or constants of a loaded module are not those that its file defines.

    Compared are functions and methods as Python compiles them, with the lines they are on, and names that the file
    gives a literal value once. What decorators and loops make of them is not seen, and neither is what an import hook
    has rewritten.
    """
    if not _is_plain(module):
        return False
    try:
        text = file.read_bytes()
        tree, code = ast.parse(text), compile(text, str(file), "exec", dont_inherit=True)
    except (OSError, ValueError, SyntaxError, RecursionError):
        return False  # said where the file is hashed
    written: dict[str, list[CodeType]] = {}
    for each in _codes(code):
        written.setdefault(each.co_qualname, []).append(each)
    return any(each not in written.get(each.co_qualname, ()) for each in _defined(module, file)) or any(
        name not in vars(module) or not _is_same(vars(module)[name], value) for name, value in _constants(tree)
    )


def _is_plain(module: ModuleType) -> bool:
    """Whether Python itself loaded a module, as it is written."""
    return type(module.__loader__) is importlib.machinery.SourceFileLoader


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from _codes(const)


def _defined(module: ModuleType, file: Path) -> Iterator[CodeType]:
    """The code of a module's functions, and of its classes' methods, that was compiled from its file."""
    waiting, seen = list(vars(module).values()), set()
    while waiting:
        value = waiting.pop()
        value = getattr(value, "__func__", value)  # class methods and static ones
        if id(value) in seen or getattr(value, "__module__", None) != module.__name__:
            continue
        seen.add(id(value))
        if inspect.isfunction(value) and Path(value.__code__.co_filename) == file:
            yield value.__code__
        elif inspect.isclass(value):
            waiting += [getter for each in vars(value).values() for getter in (each, getattr(each, "fget", None))]


def _constants(tree: ast.Module) -> Iterator[tuple[str, Any]]:
    """Names that get one value in a file, and a literal one."""
    times = Counter(
        name
        for node in ast.walk(tree)
        for name in (
            [node.id] if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)
            else node.names if isinstance(node, ast.Global)
            else []
        )
    )  # fmt: skip
    for node in tree.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            [target] = node.targets
        elif isinstance(node, ast.AnnAssign):
            target = node.target
        else:
            continue
        if isinstance(target, ast.Name) and node.value is not None and times[target.id] == 1:
            try:
                yield target.id, ast.literal_eval(node.value)
            except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
                continue


def _is_same(value: Any, literal: Any) -> bool:
    """Equal as they are written, so that 1 is not 1.0."""
    return type(value) is type(literal) and repr(value) == repr(literal)
