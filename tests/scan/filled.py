"""Stores filled with rows of our choice, without measuring anything."""

from pathlib import Path

import numpy as np

from pluraljax._scan.config._plan import missing_blocks
from pluraljax._scan.measure._columns import COLUMNS
from pluraljax._scan.store._store import Store

USERS = 2
# Two cells, one of them of a table that is not there any more, of a scan that stopped by itself; made with the last
# version that wrote format 1. `summary.json` is what that version said of it.
FORMAT_1 = Path(__file__).parent / "format-1"
# Rows of `invented` in three cells, as the last version stored them whose columns were one table and no measurement's.
FORMAT_2 = Path(__file__).parent / "format-2"


def invented(block, num_cells, users=USERS):
    """Rows that say which market they are of."""
    markets = block.markets(num_cells).astype(np.float64)
    rows = {}
    for number, column in enumerate(COLUMNS):
        value = markets + number / 100
        if column.axis == "user":
            value = value[:, None] + np.arange(users) / 10
        rows[column.name] = value if column.kind == "value" else np.ones(len(block), np.int8)
    return rows


def fill(path, config, limit=None):
    with Store(path, config) as store:
        covered, aside = store.covered()
        for block in list(missing_blocks(config, store.chunk, covered))[:limit]:
            store.write(block, invented(block, len(config.cells)))
    return aside


def contents(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}
