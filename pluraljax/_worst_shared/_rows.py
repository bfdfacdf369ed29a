"""The columns of linear programmes about several policies: what each of their signals costs users and brings providers.

A column is the weight of one signal of one policy. Everything that is linear in the policies is a row over all columns,
so that inequalities are built by a few products, however many there are.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from .._bounds import outcomes_upper
from .._candidates import Answers, Programmes
from .._signals import Crowd


class Columns:
    """The signals of some policies; `hearers` are the users whose actions matter, policy by policy.

    `lost[policy]` and `earned[policy]` say what users lose by a policy, and what providers get from them by it, counted
    from users who are told the evidence. They are zero at the columns of other policies.
    """

    def __init__(self, crowd: Crowd, hearers: Sequence[tuple[int, ...]]):
        self.crowd = crowd
        self.signals = [crowd.distinct(heard) for heard in hearers]
        self.beliefs = [crowd.signal_belief[signals] for signals in self.signals]
        ends = np.cumsum([0, *map(len, self.signals)])
        evidences, policies, width = crowd.num_evidences, len(hearers), int(ends[-1])
        self.used = np.zeros((policies * evidences, width))
        self.lost = np.zeros((policies, crowd.num_users, width))
        self.earned = np.zeros((policies, crowd.num_providers, crowd.num_users, width))
        self._own = [slice(start, end) for start, end in itertools.pairwise(ends)]
        for policy, (signals, own) in enumerate(zip(self.signals, self._own, strict=True)):
            self.used[policy * evidences : (policy + 1) * evidences, own] = self.beliefs[policy].T
            self.lost[policy, :, own] = crowd.signal_lost[signals].T
            self.earned[policy, :, :, own] = crowd.signal_earned[:, :, signals]

    def pose(self, rows: Float[np.ndarray, "row column"], limit: Float[np.ndarray, " row"], goal: np.ndarray):
        """One programme: policies, and the rows."""
        matrix = np.concatenate([self.used, rows])
        limit = np.concatenate([np.ones(len(self.used)), limit])
        return Programmes(matrix[None], limit[None], goal[None])

    def upper(self, rows: np.ndarray, limit: np.ndarray, goal: np.ndarray, answer: Answers) -> float:
        """Bounds the goal from above by the multipliers of an answer; below zero for no goal if nothing meets all."""
        price, dual = np.split(answer.dual[0], [len(self.used)])
        goal = goal if answer.feasible[0] else 0.0 * goal
        return outcomes_upper(self.beliefs, goal, rows, limit, dual, price.reshape(len(self.beliefs), -1))

    def weights(self, primal: Float[np.ndarray, " column"]) -> Float[np.ndarray, "policy signal"]:
        """The weight of every signal of the crowd in each policy; no evidence is used up twice."""
        weight = np.zeros((len(self.signals), len(self.crowd.signal_belief)))
        for policy, (signals, own) in enumerate(zip(self.signals, self._own, strict=True)):
            weight[policy, signals] = primal[own]
        used = (weight @ self.crowd.signal_belief).max(axis=1, keepdims=True)
        return weight / np.maximum(used, 1.0)

    def primal(self, weight: Float[np.ndarray, "policy signal"]) -> Float[np.ndarray, " column"]:
        """The columns of policies that are given by all their signals."""
        return np.concatenate([own[signals] for own, signals in zip(weight, self.signals, strict=True)])


class Heard:
    """Columns of policies that users hear: `heard[user]` is the policy of each.

    Each row of `envy` says that a user likes a policy no better than hers: `rivals` names both.
    """

    def __init__(self, crowd: Crowd, heard: tuple[int, ...]):
        policies = range(max(heard) + 1)
        hearers = [tuple(user for user, own in enumerate(heard) if own == one) for one in policies]
        self.columns = Columns(crowd, hearers)
        own, users = np.array(heard), np.arange(len(heard))
        self.lost: Float[np.ndarray, "user column"] = self.columns.lost[own, users]
        self.earned: Float[np.ndarray, "provider user column"] = np.moveaxis(self.columns.earned[own, :, users], 0, 1)
        self.rivals = [
            (int(user), other) for user in np.flatnonzero(crowd.cares) for other in policies if other != heard[user]
        ]
        envy = [self.lost[user] - self.columns.lost[other, user] for user, other in self.rivals]
        self.envy: Float[np.ndarray, "row column"] = np.array(envy).reshape(-1, self.lost.shape[1])


class Posed(NamedTuple):
    """The rows of a programme about what is heard; the last ones are inequalities of the providers and sets in `pairs`.

    `slope` is what each row asks of users' losses, apart from what they bring and whom they envy.
    """

    rows: Float[np.ndarray, "row column"]
    limit: Float[np.ndarray, " row"]
    pairs: Int[np.ndarray, "pair 2"]
    slope: Float[np.ndarray, "row user"]

    def with_more(self, more: "Posed") -> "Posed":
        return Posed(*(np.concatenate(both) for both in zip(self, more, strict=True)))


def inequalities(
    heard: Heard,
    pairs: Int[np.ndarray, "row 2"],
    sets: Bool[np.ndarray, "set user"],
    height: Float[np.ndarray, " row"],
    slope: Float[np.ndarray, "row user"],
) -> tuple[Float[np.ndarray, "row column"], Float[np.ndarray, " row"]]:
    """What some users bring a provider now, and its slack, is no less than an affine function of losses: each pair."""
    crowd, (provider, which) = heard.columns.crowd, pairs.T
    won = sets[which]
    rows = slope @ heard.lost - np.einsum("rj,rjn->rn", won.astype(float), heard.earned[provider])
    limit = np.where(won, crowd.told_first[provider], 0.0).sum(axis=1) - height + crowd.slack[provider]
    return rows, limit
