"""Inequalities on what several policies cost users and bring providers, and the programme that they make."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from .._bounds import outcomes_upper
from .._candidates import Answer, Programme
from .._signals import Crowd


class Rows:
    """Inequalities `sum(lost * losses) + sum(earned * earnings) <= limit` on some policies, and a goal to maximise.

    Losses are those of every user by every policy, earnings what every provider gets from every user by it, counted
    from users who are told the evidence. `hearers` are the users whose earnings matter, policy by policy.
    """

    def __init__(self, crowd: Crowd, hearers: Sequence[tuple[int, ...]]):
        self.crowd, self.policies = crowd, len(hearers)
        self._signals = [crowd.distinct(heard) for heard in hearers]
        self._lost: list[np.ndarray] = []
        self._earned: list[np.ndarray] = []
        self._limit: list[float] = []
        self._matrix: list[np.ndarray] = []

    def blank(self) -> tuple[Float[np.ndarray, "policy user"], Float[np.ndarray, "policy provider user"]]:
        shape = (self.policies, self.crowd.num_users)
        return np.zeros(shape), np.zeros((self.policies, self.crowd.num_providers, self.crowd.num_users))

    def add(self, lost: np.ndarray, earned: np.ndarray | None, limit: float) -> None:
        if earned is None:
            earned = self.blank()[1]
        self._lost.append(lost)
        self._earned.append(earned)
        self._limit.append(limit)
        self._matrix.append(self._columns(lost, earned))

    def _columns(self, lost: np.ndarray, earned: np.ndarray) -> Float[np.ndarray, " column"]:
        parts = []
        for policy, signals in enumerate(self._signals):
            part = self.crowd.signal_lost[signals] @ lost[policy]
            for provider, user in zip(*np.nonzero(earned[policy]), strict=True):
                part = part + earned[policy, provider, user] * self.crowd.signal_earned[provider, user, signals]
            parts.append(part)
        return np.concatenate(parts)

    def pose(self, goal: Float[np.ndarray, "policy user"]) -> Programme:
        """The programme: probabilities of every policy's signals, then the inequalities."""
        evidences = self.crowd.num_evidences
        used = np.zeros((self.policies * evidences, sum(map(len, self._signals))))
        start = 0
        for policy, signals in enumerate(self._signals):
            rows = slice(policy * evidences, (policy + 1) * evidences)
            used[rows, start : start + len(signals)] = self.crowd.signal_belief[signals].T
            start += len(signals)
        matrix = np.vstack([used, *self._matrix])
        limit = np.concatenate([np.ones(self.policies * evidences), self._limit])
        return Programme(matrix, limit, self._columns(goal, self.blank()[1]))

    def upper(self, goal: Float[np.ndarray, "policy user"], answer: Answer) -> float:
        """Bounds the goal from above by the multipliers of an answer; below zero for no goal if nothing meets all."""
        evidences = self.crowd.num_evidences
        price, dual = np.split(answer.dual, [self.policies * evidences])
        lost, earned = self.blank()
        return outcomes_upper(
            self.crowd,
            goal if answer.feasible else 0.0 * goal,
            np.array(self._lost).reshape(-1, *lost.shape),
            np.array(self._earned).reshape(-1, *earned.shape),
            np.array(self._limit),
            dual,
            price.reshape(self.policies, evidences),
        )

    def weights(self, answer: Answer) -> Float[np.ndarray, "policy signal"]:
        weight, start = np.zeros((self.policies, len(self.crowd.signal_belief))), 0
        for policy, signals in enumerate(self._signals):
            weight[policy, signals] = answer.primal[start : start + len(signals)]
            start += len(signals)
        return weight
