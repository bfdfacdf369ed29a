"""Named arrays in `.npz` files: written once, never overwritten, and read without running anything."""

import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np


def write_archive(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes arrays to a new file, whole or not at all; raises `FileExistsError` when there is one."""
    try:
        with path.open("xb") as file:
            try:
                np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]
            except BaseException:
                path.unlink(missing_ok=True)
                raise
    except FileExistsError:
        raise FileExistsError(f"{path} exists already, and nothing is overwritten. Choose another name.") from None


def read_archive(path: Path, names: Iterable[str], what: str, allow_nan: bool = False) -> dict[str, np.ndarray]:
    """Reads real arrays, all of whose names are known; errors name the file and what it should be."""
    names = tuple(names)
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file.")
    try:
        # NumPy leaves a file open that it cannot read, unless it is ours.
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("it is a single array")
            unknown = sorted(set(archive.files) - set(names))
            if unknown:
                raise ValueError(f"it holds {listed(unknown)}, which a {what} does not have: {listed(names)}")
            arrays = {name: archive[name] for name in archive.files}
    except (ValueError, EOFError, zipfile.BadZipFile, TypeError) as error:
        raise ValueError(f"{path} is not an .npz archive of a {what}: {error}.") from None
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf":
            raise ValueError(f"{path}: {name!r} holds {array.dtype} instead of real numbers.")
        if (np.isinf(array) if allow_nan else ~np.isfinite(array)).any():
            raise ValueError(f"{path}: {name!r} holds {'' if allow_nan else 'NaN or '}infinity.")
    return arrays


def listed(names: Iterable[str]) -> str:
    """Lists names for an error."""
    return ", ".join(map(repr, names)) or "nothing"
