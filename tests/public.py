"""Every public name: those of the package, and those of its namespaces with the namespace in front."""

from types import ModuleType
from typing import Any

import pluraljax as plx


def public_names() -> dict[str, Any]:
    """What each name stands for; families are a namespace of functions and have tests of their own."""
    names: dict[str, Any] = {}
    for name in plx.__all__:
        item = getattr(plx, name)
        if isinstance(item, ModuleType) and name != "families":
            names |= {f"{name}.{each}": getattr(item, each) for each in item.__all__}
        if name != "__version__":
            names[name] = item
    return names
