"""Exact arithmetic: nothing is rounded except what is shown, and that to the side that is asked for."""

from fractions import Fraction

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from pluraljax._certify._claims import Bound, Claim, as_plain
from pluraljax._certify._rational import candidate, exact, multipliers, nearby_solution, rounded, written
from pluraljax._certify._repair import repaired

fractions = st.fractions(min_value=-(10**9), max_value=10**9)


@hypothesis.given(fractions | st.floats(allow_nan=False, allow_infinity=False).map(Fraction))
def test_decimals_are_rounded_outward_and_are_close(value):
    below, above = Fraction(rounded(value, up=False)), Fraction(rounded(value, up=True))
    assert below <= value <= above
    assert above - below <= abs(value) * Fraction(1, 10**10)


@pytest.mark.parametrize(
    ("value", "below", "above"),
    [
        (Fraction(3, 5), "0.6", "0.6"),
        (Fraction(1, 3), "0.333333333333", "0.333333333334"),
        (-Fraction(1, 3), "-0.333333333334", "-0.333333333333"),
        (Fraction(0), "0", "0"),
        (Fraction(1000), "1000", "1000"),
        (1 - Fraction(1, 10**30), "0.999999999999", "1"),
        (-1 + Fraction(1, 10**30), "-1", "-0.999999999999"),
        (Fraction(2 * 10**30), "2e+30", "2e+30"),
    ],
)
def test_decimals_of_known_numbers(value, below, above):
    assert Fraction(rounded(value, up=False)) == Fraction(below)
    assert Fraction(rounded(value, up=True)) == Fraction(above)
    assert rounded(value, up=False) == below or "e" in below


def test_floats_are_read_as_they_are():
    assert exact([0.1])[0] == Fraction(3602879701896397, 2**55)
    assert written(exact([0.25])[0]) == "1/4"
    assert exact(np.array([2**53 + 1]))[0] == 2**53 + 1
    assert exact(np.array([np.longdouble(1) + np.finfo(np.longdouble).eps]))[0] > 1
    with pytest.raises(ValueError, match="not rational"):
        exact([np.nan])
    assert candidate([np.nan, np.inf, 2.0]).tolist() == [0, 0, 2]
    assert multipliers([-1.0, np.nan, 0.5]).tolist() == [0, 0, Fraction(1, 2)]
    assert as_plain({"a": [Fraction(1, 3), exact([0.5])]}) == {"a": ["1/3", ["1/2"]]}


def test_equations_are_solved_near_a_point():
    third = exact([1.0, 3.0, 0.0])
    point = np.array([0.1, 0.3 + 1e-13, 0.6])
    solution = nearby_solution(point, [(exact([1.0, 1.0, 1.0]), Fraction(1)), (third, Fraction(1))], [0, 1, 2])
    assert sum(solution) == 1
    assert solution[0] + 3 * solution[1] == 1
    assert np.abs(np.array(solution, float) - point).max() < 1e-12


def test_an_outcome_is_repaired_and_only_as_much_as_it_takes():
    """Three probabilities, the first of which has to be at least a third."""
    constraint = (exact([3.0, 0.0, 0.0]), Fraction(1))
    safe = exact([1.0, 0.0, 0.0])
    repair = lambda outcome: repaired(np.array(outcome), [np.arange(3)], lambda _: [constraint], safe)
    near = repair([1 / 3 - 1e-13, 2 / 3, 1e-14])
    assert near.tolist() == [Fraction(1, 3), Fraction(2, 3), 0]
    far = repair([0.0, 0.5, 0.5])
    assert far.tolist() == [Fraction(1, 3), Fraction(1, 3), Fraction(1, 3)]
    assert repair([np.nan, 0.0, 0.0]).tolist() == safe.tolist()
    impossible = repaired(
        np.array([0.2, 0.8, 0.0]), [np.arange(3)], lambda _: [(exact([1.0, 0, 0]), Fraction(1))], safe
    )
    assert impossible.tolist() == safe.tolist()


def test_constraints_that_are_the_same_up_to_rounding_are_met_together():
    rows = [(exact([0.1, -0.2, 0.0]), Fraction(0)), (exact([0.3, -0.1 * 3 * 2, 0.0]), Fraction(0))]
    found = repaired(np.array([0.5, 0.25, 0.25]), [np.arange(3)], lambda _: rows, exact([1.0, 0.0, 0.0]))
    assert all((row * found).sum() >= bound for row, bound in rows)
    assert np.abs(np.array(found, float) - [0.5, 0.25, 0.25]).max() < 1e-9


def test_a_claim_is_open_for_the_reason_that_it_is():
    def claim(lower, upper, reported_lower, reported_upper):
        allowed = Fraction(1, 10**9)
        ends = [
            Bound("lower", Fraction(lower), reported_lower, allowed, ["because"]),
            Bound("upper", Fraction(upper), reported_upper, allowed, ["because"]),
        ]
        return Claim("key", "x", ends, Fraction(1))

    assert claim(0.5, 0.5, 0.5, 0.5).verdict == "PROVED"
    assert claim(0.5, 0.5, 0.4, 0.6).verdict == "PROVED"
    assert claim(0.5, 0.5, 0.5 + 1e-10, 0.5 - 1e-10).verdict == "PROVED"
    assert "lower end" in claim(0.5, 0.5, 0.5 + 1e-8, 0.5).reason
    assert "upper end" in claim(0.5, 0.5, 0.5, 0.5 - 1e-8).reason
    assert "apart" in claim(0.5, 0.6, 0.5, 0.6).reason
    assert claim(0.5, 0.5, np.nan, 0.5).verdict == "OPEN"
    assert claim(1 / 3, 0.5, 0.3, 0.6).statement == "0.333333333333 <= x <= 0.5"
