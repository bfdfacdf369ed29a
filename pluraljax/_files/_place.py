"""What is at a path: says which file is wanted where there is a folder, and what would do instead."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from .._printable import listed

# Of a folder, so many entries are looked at for a suggestion.
_MOST_ENTRIES = 1000


def refuse_folder(path: Path, wanted: str, endings: Sequence[str] = ()) -> None:
    """Raises `ValueError` where a path is a folder; names the files in it that have one of the endings.

    **Arguments:**

    - `path`: what was given.
    - `wanted`: what should have been, such as `a market's file`.
    - `endings`: of such files, in small letters.
    """
    if not path.is_dir():
        return
    found = [each.name for each in entries(path) if each.suffix.lower() in endings and each.is_file()]
    instead = f" In it there are {listed(found)}." if len(found) > 1 else f" In it there is {listed(found)}."
    raise ValueError(f"{path} is a folder, and {wanted} is wanted.{instead if found else ''}")


def entries(folder: Path) -> list[Path]:
    """What is in a folder, sorted by name; of very many some, and nothing where it cannot be read."""
    found: list[Path] = []
    with suppress(OSError):
        for each in folder.iterdir():
            found.append(each)
            if len(found) == _MOST_ENTRIES:
                break
    return sorted(found)
