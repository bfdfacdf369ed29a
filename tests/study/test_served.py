"""Whom competition serves: the definition that scans, reports and studies share, on numbers worked by hand."""

import numpy as np
import pytest

from pluraljax._served import NO, SERVED, UNDECIDED, YES, everybody, intersected, is_served, served_level


def test_served_is_99_percent_of_the_way():
    silent, aligned = np.array([0.0, 1.0, 2.0]), np.array([1.0, 3.0, 2.0])
    level = served_level(silent, aligned, np.array([1.0, 10.0, 0.0]))
    # A hair less than 99 %, by which brackets may miss it; no way at all is all of it.
    assert level == pytest.approx([0.99, 2.98, 2.0], abs=2e-7)
    assert level[1] < 2.98
    assert is_served(aligned, aligned, level).tolist() == [YES] * 3
    assert is_served(silent, silent, level).tolist() == [NO, NO, YES]
    assert is_served(silent, aligned, level).tolist() == [UNDECIDED, UNDECIDED, YES]
    assert pytest.approx(0.99) == SERVED


def test_one_who_is_not_served_decides_for_everybody():
    served = np.array([[YES, YES], [YES, NO], [UNDECIDED, NO], [UNDECIDED, YES]])
    assert everybody(served).tolist() == [YES, NO, NO, UNDECIDED]


def test_brackets_that_contradict_each_other_say_nothing():
    one, other = np.array([[0.0, 0.5, 0.9], [0.6, 1.0, 1.0]]), np.array([[0.2, 0.0, 0.0], [1.0, 0.7, 0.8]])
    lower, upper = intersected(one, other, np.ones(3))
    assert lower.tolist() == [0.2, 0.5, -np.inf]
    assert upper.tolist() == [0.6, 0.7, np.inf]
    # By rounding they may.
    lower, upper = intersected(np.array([[0.5], [1.0]]), np.array([[0.0], [0.5 - 1e-7]]), np.ones(1))
    assert lower > upper
    assert np.isfinite([lower, upper]).all()
    # What is not known at one end is taken from the other bracket.
    assert intersected(np.array([[np.nan], [0.5]]), np.array([[0.1], [np.nan]]), np.ones(1)).tolist() == [[0.1], [0.5]]
