"""Whether numbers came out of a file as they are stored in it: a certificate is for what the file says."""

from pathlib import Path

import numpy as np


def check_exact_copy(path: Path, name: str, stored: np.ndarray, read: np.ndarray) -> None:
    """Raises `ValueError` with the file's name where an array that was read holds other numbers than the stored one.

    Integers above 2**53 and wider floats need not be float64 numbers, and integers need not be int32 ones.
    """
    read = np.asarray(read)
    # As Python's own numbers, and NumPy's wide floats, which compare exactly with all others.
    differ = np.asarray(stored.astype(object) != read.astype(object), bool)
    if differ.any():
        place = tuple(int(axis) for axis in np.argwhere(differ)[0])
        raise ValueError(
            f"{path}: {name!r} holds {stored[place]!s} at {list(place)} as {stored.dtype}, "
            f"which is no {read.dtype} number. Store {read.dtype} numbers."
        )
