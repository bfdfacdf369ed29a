"""Plans: every market once, numbered the same whatever the chunk size and the number of markets."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import tiny

from pluraljax._scan import FamilyGrid
from pluraljax._scan.config._plan import Block, missing_blocks, parameter_types, replicates

NUM_CELLS = 3


def planned(markets, chunk, covered=None):
    return list(missing_blocks(tiny(markets=markets), chunk, covered or {}))


def numbers(blocks):
    return np.concatenate([block.markets(NUM_CELLS) for block in blocks] or [np.empty(0, int)])


@given(st.integers(1, 500), st.integers(1, 90))
def test_every_market_is_planned_once(markets, chunk):
    blocks = planned(markets, chunk)
    assert sorted(numbers(blocks)) == list(range(markets))
    assert max(map(len, blocks)) <= chunk
    counts = [replicates(markets, NUM_CELLS, cell) for cell in range(NUM_CELLS)]
    assert sum(counts) == markets
    assert max(counts) - min(counts) <= 1


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 60), st.integers(1, 60))
def test_an_extension_plans_what_is_new_and_nothing_else(few, more, chunk, other):
    covered = {}
    for block in planned(few, chunk):
        covered.setdefault(block.cell, []).append((block.start, block.stop))
    new = numbers(planned(few + more, other, covered))
    assert sorted(new) == list(range(few, few + more))
    assert planned(few, other, covered) == []


@given(st.data())
def test_lost_chunks_are_planned_as_they_were(data):
    blocks = planned(400, 48)
    kept = [block for block in blocks if data.draw(st.booleans())]
    covered = {}
    for block in kept:
        covered.setdefault(block.cell, []).append((block.start, block.stop))
    assert planned(400, 48, covered) == [block for block in blocks if block not in kept]


def test_all_cells_start_before_any_goes_on():
    assert [block.cell for block in planned(400, 48)] == [0, 1, 2] * 3
    assert planned(400, 48)[0] == Block(0, 0, 48)


def test_parameters_of_all_families_have_column_types():
    config = tiny(grid=(FamilyGrid("opposed", {"scales": [[[1, -1], [-1, 1]]]}), FamilyGrid("spatial")))
    types = parameter_types(config.cells)
    kinds = {"providers": "int64", "common_decision": "bool", "user_spread": "float64", "bias": "string"}
    assert kinds.items() <= types.items()
    assert types["scales"] == "string"
    assert "scales" not in parameter_types(tiny().cells)


@pytest.mark.parametrize("cell", range(NUM_CELLS))
def test_a_cell_beyond_the_markets_is_empty(cell):
    assert replicates(1, NUM_CELLS, cell) == (cell == 0)
