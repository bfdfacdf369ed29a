"""Rational numbers: arrays read exactly, linear equations, and decimals that are rounded to a stated side.

A float is a rational number. Arrays here are NumPy arrays of `fractions.Fraction`, and nothing is ever rounded.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

Rationals = np.ndarray

ZERO, ONE = Fraction(0), Fraction(1)

# Digits of the decimals that are shown.
_DIGITS = 12


def exact(values: Any) -> Rationals:
    """Reads finite numbers of any width, integers too, as the rational numbers that they are."""
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"Rational numbers are read from real ones, got an array of {array.dtype}.")
    if not np.isfinite(array).all():
        raise ValueError("NaN and infinity are not rational numbers.")
    # `longdouble` comes out of `tolist` as it is, and `Fraction` takes it on newer Pythons only.
    return _each(array, lambda value: Fraction(*value.as_integer_ratio()))


def candidate(values: Any) -> Rationals:
    """Reads a candidate's numbers: any will do, so those that are not finite become 0."""
    return exact(np.nan_to_num(np.asarray(values, np.float64), nan=0.0, posinf=0.0, neginf=0.0))


def multipliers(values: Any) -> Rationals:
    """Reads a candidate's multipliers, which must not be negative."""
    return at_least(candidate(values), ZERO)


def at_least(values: Rationals, least: Fraction) -> Rationals:
    """Raises entries to a number."""
    return _each(values, lambda value: max(value, least))


def as_float(value: Any) -> float:
    """The nearest float, for words and for decisions that need not be exact; the largest one beyond its range."""
    try:
        return float(value)
    except OverflowError:
        return float(np.copysign(np.finfo(np.float64).max, 1 if value > 0 else -1))


def floats(values: Any) -> np.ndarray:
    """Rounds rationals to floats, for decisions that need not be exact."""
    return np.asarray(np.frompyfunc(as_float, 1, 1)(values), np.float64)


def zeros(*shape: int) -> Rationals:
    """Makes an array of zeros."""
    return np.full(shape, ZERO, object)


def total(values: Any) -> Fraction:
    """Adds up everything."""
    return sum(np.asarray(values, object).ravel().tolist(), ZERO)


def dot(left: Rationals, right: Rationals) -> Fraction:
    """Adds up products; zeros cost nothing."""
    pairs = zip(left.ravel().tolist(), right.ravel().tolist(), strict=True)
    return sum((a * b for a, b in pairs if a and b), ZERO)


def _each(array: np.ndarray, function: Any) -> Rationals:
    result = np.empty(array.shape, object)
    result.ravel()[:] = [function(value) for value in array.ravel().tolist()]
    return result


def written(value: Fraction) -> str:
    """Writes a fraction as p/q."""
    return f"{value.numerator}/{value.denominator}"


def rounded(value: Fraction, *, up: bool, digits: int = _DIGITS) -> str:
    """Writes a decimal that is not above the value, or with `up` not below it; exact ones stay as they are."""
    if value == 0:
        return "0"
    exponent = _magnitude(abs(value)) - digits + 1
    quantum = Fraction(10) ** exponent
    whole = value / quantum
    count = -((-whole.numerator) // whole.denominator) if up else whole.numerator // whole.denominator
    text = format(Decimal(count).scaleb(exponent), "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return text if len(text) <= 2 * digits + 2 else f"{Decimal(count).scaleb(exponent):e}"


def short_fraction(value: Fraction, *, up: bool, bits: int = 96) -> Fraction:
    """A number of few bits that is not above the value, or with `up` not below it, and nearly equal to it."""
    spare = abs(value.numerator).bit_length() - value.denominator.bit_length() - bits
    unit = Fraction(2) ** spare
    whole = value / unit
    return unit * (-((-whole.numerator) // whole.denominator) if up else whole.numerator // whole.denominator)


def _magnitude(value: Fraction) -> int:
    """The exponent e with 10^e <= value < 10^(e+1)."""
    guess = len(str(value.numerator)) - len(str(value.denominator))
    return guess if Fraction(10) ** guess <= value else guess - 1


def nearby_solution(
    point: np.ndarray,
    equations: Iterable[tuple[Rationals, Fraction]],
    movable: Sequence[int],
    negligible: float = 1e-9,
) -> Rationals:
    """Moves a few coordinates of a point of floats so that linear equations hold exactly.

    The point almost solves them. Each equation is solved for the coordinate that has to move least, as a share of
    itself. Equations that depend on the ones before up to rounding are left out, so that the caller has to check.
    """
    solution = exact(point)
    size = np.abs(point)
    columns = np.asarray(movable, int)
    solved: list[tuple[int, Rationals, Fraction]] = []
    for coefficients, value in equations:
        row, rest, scale = coefficients.copy(), value, np.abs(floats(coefficients)).max(initial=0.0)
        for pivot, other, other_rest in solved:
            if row[pivot]:
                factor = row[pivot]
                row, rest = row - factor * other, rest - factor * other_rest
        leverage = np.abs(floats(row[columns])) * size[columns]
        if not len(columns) or leverage.max() <= negligible * scale * size.max():
            continue
        pivot = int(columns[leverage.argmax()])
        factor = row[pivot]
        row, rest = row / factor, rest / factor
        # Every pivot is eliminated everywhere, so that each equation gives its own coordinate at once.
        solved = [(p, r - r[pivot] * row, v - r[pivot] * rest) if r[pivot] else (p, r, v) for p, r, v in solved]
        solved.append((pivot, row, rest))
    pivots = [pivot for pivot, _, _ in solved]
    free = solution.copy()
    free[pivots] = ZERO
    for pivot, row, rest in solved:
        solution[pivot] = rest - dot(row, free)
    return solution
