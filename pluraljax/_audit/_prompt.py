"""One prompt as the question that an audit asks of it."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class Prompt:
    """The scores of one prompt's answers, and what the user wants.

    `scores[model answer]` are what models make of answers, `wanted[answer]` what the user makes of them (1 for a
    correct answer and 0 for a wrong one, where she wants a correct one), and `baseline` is the answer that deviations
    start from. She is *covered* by the models of a set K when some weights w >= 0 on K make
    `wanted[baseline] - wanted[a] <= sum_i w_i (scores[i, baseline] - scores[i, a])` for every answer a.
    """

    name: str
    scores: Float[np.ndarray, "model answer"]
    wanted: Float[np.ndarray, " answer"]
    baseline: int

    @cached_property
    def others(self) -> np.ndarray:
        """The answers that she may deviate to."""
        return np.delete(np.arange(self.scores.shape[1]), self.baseline)

    @cached_property
    def losses(self) -> Float[np.ndarray, "model other"]:
        """What each model loses when she leaves the baseline, as rounded by float64."""
        return self.scores[:, self.baseline, None] - self.scores[:, self.others]

    @cached_property
    def stakes(self) -> Float[np.ndarray, " other"]:
        """What she loses when she leaves the baseline, as rounded by float64."""
        return self.wanted[self.baseline] - self.wanted[self.others]

    def exact(self) -> "tuple[np.ndarray, np.ndarray]":
        """`losses` and `stakes` without any rounding: whole numbers, as objects, in two units of their own."""
        scores, wanted = _whole(self.scores), _whole(self.wanted)
        return scores[:, self.baseline, None] - scores[:, self.others], wanted[self.baseline] - wanted[self.others]


def _whole(values: np.ndarray) -> np.ndarray:
    """Floats as whole numbers of Python in one unit, a power of two."""
    pairs = [float(value).as_integer_ratio() for value in values.ravel()]
    unit = max((below for _, below in pairs), default=1)
    whole = np.empty(len(pairs), object)
    whole[:] = [above * (unit // below) for above, below in pairs]
    return whole.reshape(values.shape)


def bits(values: np.ndarray) -> int:
    """How many binary digits there are between the largest and the last one of some floats; 0 where all are zero."""
    values = values[values != 0]
    if values.size == 0:
        return 0
    mantissa, exponent = np.frexp(values)
    whole = np.abs(mantissa * 2.0**53).astype(np.int64)
    last = np.log2((whole & -whole).astype(np.float64)).astype(int) - 53 + exponent
    return int(exponent.max() - last.min())
