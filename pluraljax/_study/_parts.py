"""What a study is made of: the numbers of a scheme, and the row of a user."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from .._served import NO, YES, everybody


@dataclass(frozen=True, eq=False)
class Scheme:
    """What every equilibrium gives each user, if policies are personalized or if they are anonymous.

    `guarantee` is the bound of `plx.guarantee`, which `weights[user, provider]` prove. `lower` and `upper` bracket the
    worst equilibrium. All are in expected utility. `served` is 1 where every equilibrium gives her 99 % of the way from
    silent to aligned, 0 where one does not, and -1 where neither is proved. `silence` says whether silence is an
    equilibrium, and is None where that is not known.
    """

    guarantee: Float[np.ndarray, " user"]
    weights: Float[np.ndarray, "user provider"]
    lower: Float[np.ndarray, " user"]
    upper: Float[np.ndarray, " user"]
    served: Int[np.ndarray, " user"]
    silence: bool | None

    @property
    def everybody(self) -> bool | None:
        """Whether every user is served; None where that is undecided."""
        return as_truth(int(everybody(self.served)))


@dataclass(frozen=True)
class UserAnswer:
    """One user's row: numbers in expected utility, shares of the way from silent (0) to aligned (1), and a sentence.

    Shares are NaN where silent and aligned coincide: no conversation is worth anything to her then. `served` are None
    where that is undecided. `weak_weights` are those of weak alignment, by provider, and the others prove the
    guarantees. `reasons` say why, first for personalized policies and then for anonymous ones.
    """

    name: str
    silent: float
    aligned: float
    weak_error: tuple[float, float]
    weak_weights: dict[str, float]
    personalized_guarantee: float
    personalized_weights: dict[str, float]
    personalized_worst: tuple[float, float]
    personalized_share: tuple[float, float]
    personalized_served: bool | None
    anonymous_guarantee: float
    anonymous_weights: dict[str, float]
    anonymous_worst: tuple[float, float]
    anonymous_share: tuple[float, float]
    anonymous_served: bool | None
    sentence: str
    reasons: tuple[str, ...]


def as_truth(event: int) -> bool | None:
    """An event as a truth value; None where it is undecided."""
    return {YES: True, NO: False}.get(event)
