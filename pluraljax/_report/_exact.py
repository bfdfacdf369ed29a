"""Probabilities of weak alignment that theory knows, for reference lines."""

import math

from ._summary import CellSummary

# Parameters that the probability for random signs follows from.
_OF_SIGNS = {"positive", "providers", "users"}


def wendel(providers: int, dimension: int) -> float:
    """Probability that the centre lies in the hull of points drawn from a symmetric cloud (Wendel 1962)."""
    return 1.0 - sum(math.comb(providers - 1, i) for i in range(dimension)) / 2.0 ** (providers - 1)


def exact_weak_alignment(cell: CellSummary) -> float | None:
    """The probability that every user is weakly aligned with error 0, or None where no closed form is known.

    - `spatial`: Wendel's, when a user's ideal point is the centre of the providers' points for her: with relative
      biases, which are then the same for all users, or with all users at the centre.
    - `opposed` with random signs: every user has a friend, `(1 - (1 - positive)^providers)^users`.
    """
    values = cell.parameters
    if (
        cell.family == "spatial"
        and {"providers", "dimension"} <= values.keys()
        and (values.get("bias") == "relative" or values.get("user_spread") == 0)
    ):
        is_cloud = values.get("provider_spread", 1.0) > 0
        return wendel(values["providers"], values["dimension"]) if is_cloud else None
    if cell.family == "opposed" and values.get("scales") is None and values.keys() >= _OF_SIGNS:
        return (1.0 - (1.0 - values["positive"]) ** values["providers"]) ** values["users"]
    return None
