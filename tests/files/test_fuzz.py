"""Whatever a file holds, it is read right or refused by an error that names it; `benchmarks/fuzz.py` tries more."""

import pytest
from fuzzing import KINDS, fuzz


@pytest.mark.parametrize("kind", KINDS)
def test_files_are_read_right_or_refused(kind, tmp_path):
    tally = fuzz(kind, 200, tmp_path)
    assert tally.faults == [], str(tally)
    # Both ways have been taken.
    assert 0 < tally.taken < tally.inputs
