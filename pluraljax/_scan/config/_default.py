"""The scan that runs when no config is given."""

from ..measure._worst_search import WorstSearch
from ._config import ScanConfig
from ._grid import FamilyGrid

# One array shape for all, because each is compiled.
_PROVIDERS = list(range(1, 9))
_SMALL = {"providers": _PROVIDERS, "users": 3, "actions": 4, "states": 4}
_LINE = {"providers": _PROVIDERS, "users": 3, "dimension": 1, "actions_per_side": 4, "states_per_side": 4}


def default_config() -> ScanConfig:
    """All four families with 1 to 8 providers and 3 users: 48 cells of 512 markets, 64 of which are searched.

    Example::

        config = plx.scans.default_config().replace(markets=64)
        print(config.to_toml())
    """
    return ScanConfig(
        grid=(
            FamilyGrid("spatial", _LINE | {"bias": ["absolute", "relative"]}),
            FamilyGrid("gaussian", _SMALL | {"shared": [0.0, 1.0]}),
            FamilyGrid("opposed", _SMALL),
            FamilyGrid("conic", _SMALL | {"perturbation": 0.1}),
        ),
        markets=48 * 512,
        search=WorstSearch(markets=64, budget=100),
    )
