"""Archives that no honest programme writes: `.npz` files whose directory, headers or data are false."""

import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np


def npy(array: Any) -> bytes:
    """The bytes of an `.npy` file."""
    content = io.BytesIO()
    np.lib.format.write_array(content, np.asarray(array))
    return content.getvalue()


def header(shape: Any, descr: str = "<f8", fortran: bool = False) -> bytes:
    """The head of an `.npy` file that says whatever it is told to, a text for a shape as it is."""
    text = f"{{'descr': {descr!r}, 'fortran_order': {fortran}, 'shape': {shape}}}\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


def archive(path: Path, members: list[tuple[str, bytes]], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    """An archive of members, which may share a name."""
    with zipfile.ZipFile(path, "w", compression) as made:
        for name, content in members:
            # Names may repeat, and `writestr` would warn.
            made.NameToInfo.pop(name, None)
            made.writestr(name, content)
    return path


def directory_of(path: Path, **fields: Any) -> Path:
    """Rewrites fields of every entry of an archive's directory: `flags`, `method`, `size`, `packed`."""
    places = {"flags": (8, "<H"), "method": (10, "<H"), "packed": (20, "<I"), "size": (24, "<I")}
    data = bytearray(path.read_bytes())
    at = data.find(b"PK\x01\x02")
    while at >= 0:
        for name, value in fields.items():
            place, form = places[name]
            struct.pack_into(form, data, at + place, value)
        at = data.find(b"PK\x01\x02", at + 4)
    path.write_bytes(bytes(data))
    return path
