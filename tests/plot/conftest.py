"""A scan that was never measured: numbers that follow from the index of a market."""

import numpy as np
import pytest

from pluraljax._scan import FamilyGrid, ScanConfig
from pluraljax._scan.config._plan import missing_blocks
from pluraljax._scan.measure._columns import COLUMNS
from pluraljax._scan.store._store import Store

MARKETS, USERS = 96, 2
SERVED = [(1, 1), (1, 1), (1, 0), (0, 1), (0, 0), (-1, 0), (1, -1), (0, 0)]


def _rows(markets):
    """Numbers that follow from a market's index: in every eight markets of a cell the same."""
    turn, rows = np.arange(len(markets)) % 8, {}
    personalized, anonymous = np.array(SERVED)[turn].T
    events = {
        "weakly_aligned": np.where(turn < 6, 1, 0),
        "strongly_aligned": np.where(turn < 1, 1, np.where(turn < 3, -1, 0)),
        "personalized_served": personalized,
        "anonymous_served": anonymous,
    }
    utilities = {"aligned": 3.0, "silent": 1.0, "payoff_range": 4.0, "anonymous_worst_lower": 1.5}
    for column in COLUMNS:
        if column.kind != "value":
            rows[column.name] = np.asarray(events.get(column.name, np.zeros(len(turn))), np.int8)
            continue
        value = np.full(len(turn), utilities.get(column.name, 2.0))
        rows[column.name] = np.repeat(value[:, None], USERS, axis=1) if column.axis == "user" else value
    return rows


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Two panels, `shared` 0 and 1, with cells of 1, 2 and 3 providers and sixteen markets each."""
    path = tmp_path_factory.mktemp("plot") / "scan"
    grid = (FamilyGrid("gaussian", {"providers": [1, 2, 3], "users": USERS, "shared": [0.0, 1.0]}),)
    config = ScanConfig(grid=grid, markets=MARKETS, chunk=16)
    with Store(path, config) as opened:
        for block in missing_blocks(config, 16, {}):
            opened.write(block, _rows(block))
    return path
