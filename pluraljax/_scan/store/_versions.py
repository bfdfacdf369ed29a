"""The versions of what measures: which take part in a scan, and which may not be mixed in one. Imports no JAX."""

import importlib.metadata
from collections.abc import Mapping, Sequence

Versions = dict[str, str]

# Whose versions rows can depend on in their last digits.
_RECORDED = ("pluraljax", "jax", "jaxlib", "numpy", "scipy")
# What draws markets and compiles what measures them: another version may draw other markets under the same index.
_DECISIVE = ("jax", "jaxlib")


def versions() -> Versions:
    """The versions in this process."""
    return {name: importlib.metadata.version(name) for name in _RECORDED}


def mixture(there: Sequence[Mapping[str, str]], here: Mapping[str, str]) -> str | None:
    """Says which versions would be mixed, such as `jax 0.9.2 there, 0.11.1 here`; None where rows may go together."""
    phrases = []
    for name in _DECISIVE:
        known = list(dict.fromkeys(each.get(name, "unknown") for each in there))
        if known and known != [here.get(name, "unknown")]:
            phrases.append(f"{name} {' and '.join(known)} there, {here.get(name, 'unknown')} here")
    return "; ".join(phrases) or None


def spelled(made: Sequence[Mapping[str, str]]) -> str:
    """All versions that took part, such as `pluraljax 0.1.0, jax 0.9.2 and 0.11.1`."""
    names = dict.fromkeys(name for each in made for name in each)
    listed = {name: list(dict.fromkeys(each[name] for each in made if name in each)) for name in names}
    return ", ".join(f"{name} {' and '.join(found)}" for name, found in listed.items())
