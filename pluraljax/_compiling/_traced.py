"""Lowers and compiles programmes, and keeps what tracing them gave beside JAX's compilation cache.

JAX keeps compiled code, but finds it by the text of a programme, and to write that text by tracing takes longer than to
load the code. The text is kept under a name that says all that it follows from.
"""

import functools
import gc
import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
from jax import export

from ._kept import Kept

try:
    import fcntl
except ImportError:  # no such thing on Windows
    fcntl = None

_PACKAGE = Path(__file__).parents[1]
_FOLDER, _LOCKS = "pluraljax-traced", "pluraljax-locks"
# Seconds that one process waits for what another one compiles, and between two looks.
_PATIENCE, _LOOK = 900.0, 0.1


def lower(program: Callable[..., Any], arguments: tuple[Any, ...], *key: Any) -> Any:
    """Lowers a programme for arguments of the given shapes.

    The text is kept, if JAX has a local folder for compiled code, and taken from there the next time. `key` is all that
    the programme follows from besides this package, as values whose `repr` says what they are. Functions and types may
    be in it; with one from outside this package nothing is kept, as its source is not known.
    """
    folder, text = _folder(), text_of(key, arguments)
    kept = None if folder is None or text is None else _Place(Kept(folder), text)
    if kept is not None and (lowered := kept.lowered(arguments)) is not None:
        return lowered
    try:
        with _uncollected():
            exported = export.export(jax.jit(program))(*arguments)
    except ValueError:  # a device of which not all operations can be written down
        return jax.jit(program).lower(*arguments)
    if kept is not None:
        kept.write(exported)
    # What is kept and what is new take the same way, so that both end in the same instructions.
    return jax.jit(exported.call).lower(*arguments)


@contextmanager
def one_after_another(arguments: tuple[Any, ...], *key: Any) -> Iterator[None]:
    """Has processes that are about to compile the same programme do so one after another, so that all but one find it.

    Takes what `lower` takes. Nobody waits where nothing is kept, and nobody for longer than `_PATIENCE` seconds: what
    holds a lock may have been stopped.
    """
    folder, text = _folder(), text_of(key, arguments)
    if fcntl is None or folder is None or text is None:
        yield
        return
    with ExitStack() as stack:
        with suppress(OSError):
            locks = folder.parent / _LOCKS
            locks.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = stack.enter_context(open(locks / lock_of(text), "ab"))
            deadline = time.monotonic() + _PATIENCE
            while not _is_ours(lock) and time.monotonic() < deadline:
                time.sleep(_LOOK)
        yield


def lock_of(text: str) -> str:
    """The name of a programme's lock: one of 256, which never have to be tidied up, and which programmes may share."""
    return hashlib.sha256(text.encode()).hexdigest()[:2]


def _is_ours(lock: Any) -> bool:
    """Takes a file's lock, unless another process has it."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _uncollected() -> Iterator[None]:
    """Keeps the garbage collector away: tracing makes millions of objects that stay, and it looks at all of them."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@dataclass(frozen=True)
class _Place:
    """Where the text of one programme is kept, under a name that is the hash of its key."""

    kept: Kept
    key: str

    @property
    def name(self) -> str:
        return hashlib.sha256(self.key.encode()).hexdigest()

    def lowered(self, arguments: tuple[Any, ...]) -> Any:
        """What is kept, lowered; None where there is nothing, or nothing that takes such arguments."""
        content = self.kept.read(self.name, self.key)
        if content is None:
            return None
        try:
            return jax.jit(export.deserialize(bytearray(content)).call).lower(*arguments)
        except Exception as error:
            # Sealed, and yet no such programme: forged, or written by libraries that lie about their version.
            self.kept.drop(self.name, f"no programme can be made of it ({type(error).__name__})")
            return None

    def write(self, exported: Any) -> None:
        """A scan goes on without: a full disk stops it where it stores its rows, with a message that says so."""
        self.kept.write(self.name, self.key, bytes(exported.serialize()))


# Unoptimised code takes a fifth of the time to compile.
QUICKLY: Any = {"xla_cpu_use_fusion_emitters": False, "xla_backend_optimization_level": 0}


def compile_with(lowered: Any, options: dict[str, Any]) -> Any:
    """Compiles with those of XLA's options that its version knows; none of them is needed."""
    for dropped in ((), ("xla_cpu_use_fusion_emitters",)):
        with suppress(jax.errors.JaxRuntimeError):
            return lowered.compile(compiler_options={k: v for k, v in options.items() if k not in dropped})
    return lowered.compile()


def _folder() -> Path | None:
    folder = jax.config.jax_compilation_cache_dir  # pyright: ignore[reportAttributeAccessIssue]
    if not folder or "://" in folder or not jax.config.jax_enable_compilation_cache:  # pyright: ignore[reportAttributeAccessIssue]
        return None
    return Path(folder) / _FOLDER


def text_of(key: tuple[Any, ...], arguments: Any, on_one_cpu: bool = False) -> str | None:
    """All that a programme follows from; None where that cannot be said.

    One that runs on a single CPU, in a float64 scope, is the same whatever else the process has or is set to.
    """
    names = []
    for part in key:
        owner = part if hasattr(part, "__qualname__") else type(part)
        module = str(owner.__module__)  # what is made by `exec` may have none
        if not (module == "builtins" or module.partition(".")[0] == __name__.partition(".")[0]):
            return None
        if owner is part and "<" in part.__qualname__:  # one of many of this name
            return None
        names.append(f"{module}.{owner.__qualname__}" if owner is part else repr(part))
    text = repr(
        (_identity(), _settings(on_one_cpu), names, jax.tree.map(str, arguments), str(jax.tree.structure(arguments)))
    )
    # An address says nothing in another process.
    return None if " at 0x" in text else text


@functools.cache
def _identity() -> tuple[str, ...]:
    """This package's source, and the libraries that a programme is made with."""
    source = hashlib.sha256()
    for file in sorted(_PACKAGE.rglob("*.py")):
        source.update(file.relative_to(_PACKAGE).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return source.hexdigest(), *(version(name) for name in ("jax", "jaxlib", "equinox", "numpy"))


def _settings(on_one_cpu: bool) -> tuple[str, ...]:
    """Devices, and JAX's settings that may change what it traces: all but those on where to keep and what to log."""
    devices = [] if on_one_cpu else [(device.platform, device.device_kind) for device in jax.local_devices()]
    values = {name: str(value) for name, value in jax.config.values.items() if not ("cache" in name or "log" in name)}
    # How many devices were asked for, which says no more than the devices; and on one CPU, where a float64 scope
    # follows, how wide numbers are outside of it.
    left_out = {f"jax_{name}" for name in (("num_cpu_devices", "enable_x64") if on_one_cpu else ("num_cpu_devices",))}
    return (str(devices), *(f"{name}={value}" for name, value in sorted(values.items()) if name not in left_out))
