"""The smallest scan with several cells: one array shape, so that it compiles once."""

from pluraljax._scan import FamilyGrid, ScanConfig

SIZES = {"providers": 2, "users": 2, "actions": 3, "states": 3}


def tiny(**changes) -> ScanConfig:
    grid = (FamilyGrid("gaussian", SIZES | {"shared": [0.0, 1.0]}), FamilyGrid("opposed", SIZES))
    return ScanConfig(**{"grid": grid, "markets": 400, "chunk": 48} | changes)
