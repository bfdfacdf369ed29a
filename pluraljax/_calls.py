"""How the same is asked again: a command that a shell takes as it stands, or a call in Python."""

import shlex
from collections.abc import Mapping
from typing import Any


def asked_again(what: str, file: str | None, options: Mapping[str, Any], *, has_names: bool = False) -> str:
    """Writes a command for the file of a market, or a call where it is in none.

    **Arguments:**

    - `what`: `study` or `certify`.
    - `file`: the file of the market, as it was given; None for a call in Python.
    - `options`: options by their names in Python; tuples are labels, and None, which is the default, is left out.
    - `has_names`: whether names were given in the call; a file has its own.
    """
    given = {name: value for name, value in options.items() if value is not None}
    if file is None:
        named = ["names=names"] * has_names
        spelled = [f"{name}={list(value) if isinstance(value, tuple) else value!r}" for name, value in given.items()]
        return f"plx.{what}({', '.join(['market', *named, *spelled])})"
    # What begins with a dash would be taken for an option.
    words = ["pluraljax", what, f"./{file}" if file.startswith("-") else file]
    for name, value in given.items():
        words += [f"--{name}", ",".join(map(str, value)) if isinstance(value, tuple) else str(value)]
    return shlex.join(words)
