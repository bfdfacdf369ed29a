"""Outcomes that miss the floors of a guarantee by rounding, where full information has nothing to spare either."""

from fractions import Fraction

import cases
import numpy as np
import pytest

from pluraljax._certify._guarantee._ends import guarantee_above, guarantee_below, segment_of
from pluraljax._certify._market import exact_market
from pluraljax._inner import inner_outcome
from pluraljax._proposals import _inner

# What a solver found for the third of them: the floor of the first provider is missed by 1e-13.
SHARE = 5 / 9 - 3.4e-13
FOUND = [[0, 2, 0], [0, 2, 0], [3, 3, 1], [None, 2, 0], [1, 0, 0]]


def found():
    outcome = np.zeros((5, 1, 3, 4))
    for member, evidence in np.ndindex(5, 3):
        action = FOUND[member][evidence]
        outcome[member, 0, evidence, slice(None) if action is None else action] = 1
    outcome[3, 0, 0] = [0, SHARE, 0, 1 - SHARE]
    return outcome


def test_an_outcome_that_clears_all_floors_makes_up_for_what_another_misses():
    given = cases.investors()
    segment = segment_of(exact_market(given), list(range(5)), Fraction(0))
    below = guarantee_below(segment, 2, np.zeros(3)).bound
    assert float(below) == pytest.approx(-0.515)
    # Full information meets the floors and no more, so that all of it would have to take the outcome's place.
    alone, _ = guarantee_above(segment, 2, found())
    assert float(alone) == pytest.approx(5.32)
    inner = _inner(given, list(range(5)), 0.0)
    above, outcome = guarantee_above(segment, 2, found(), inner)
    assert 0 <= above - below < Fraction(1, 10**9)
    for floor, values in zip(segment.floors, segment.provider, strict=True):
        assert sum((segment.mass[m] * (values[m] * outcome[m]).sum() for m in range(5)), Fraction(0)) >= floor
    # One that clears nothing is not taken for one that does.
    assert guarantee_above(segment, 2, found(), np.ones((5, 1, 3, 4)))[0] == alone


def test_the_inner_outcome_is_the_clearest_of_all():
    """By duality: with no weights of providers does any outcome bring more above the floors than their mixture says."""
    generator = np.random.default_rng(0)
    brings = generator.normal(size=(3, 4, 3))
    floors = brings.mean(axis=2).sum(axis=1)
    outcome = inner_outcome(brings, floors)
    assert outcome is not None
    np.testing.assert_allclose(outcome.sum(axis=1), 1, atol=1e-9)
    size = np.abs(brings).sum(axis=(1, 2))
    room = ((np.einsum("iga,ga->i", brings, outcome) - floors) / size).min()
    assert room > 0
    grid = [np.array([a, b, 1 - a - b]) for a in np.linspace(0, 1, 101) for b in np.linspace(0, 1 - a, 101)]
    most = min(np.einsum("i,iga->ga", w / size, brings).max(axis=1).sum() - w @ (floors / size) for w in grid)
    assert room <= most + 1e-9 <= room + 0.01
    # Opposed providers leave no room at all, and no provider at stake needs any.
    assert inner_outcome(np.stack([brings[0], -brings[0]]), np.array([floors[0], -floors[0]])) is None
    assert inner_outcome(np.zeros((2, 4, 3)), np.zeros(2)) is None
