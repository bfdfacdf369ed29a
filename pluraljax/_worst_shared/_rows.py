"""The columns of linear programmes about several policies: what each of their signals costs users and brings providers.

A column is the weight of one signal of one policy. Everything that is linear in the policies is a row over all columns,
so that inequalities are built by a few products, however many there are.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from .._signals import Crowd


class Columns:
    """The signals of some policies; `hearers` are the users whose actions matter, policy by policy.

    `lost[policy]` and `earned[policy]` say what users lose by a policy, and what providers get from them by it, counted
    from users who are told the evidence. They are zero at the columns of other policies.
    """

    def __init__(self, crowd: Crowd, hearers: Sequence[tuple[int, ...]]):
        self.crowd = crowd
        self.signals = [crowd.distinct(heard) for heard in hearers]
        ends = np.cumsum([0, *map(len, self.signals)])
        evidences, policies, width = crowd.num_evidences, len(hearers), int(ends[-1])
        self.belief: Float[np.ndarray, "column evidence"] = np.concatenate(
            [crowd.signal_belief[signals] for signals in self.signals]
        )
        self.policy: Int[np.ndarray, " column"] = np.repeat(np.arange(policies), np.diff(ends))
        self.used = np.zeros((policies * evidences, width))
        self.lost = np.zeros((policies, crowd.num_users, width))
        self.earned = np.zeros((policies, crowd.num_providers, crowd.num_users, width))
        self._own = [slice(start, end) for start, end in itertools.pairwise(ends)]
        for policy, (signals, own) in enumerate(zip(self.signals, self._own, strict=True)):
            self.used[policy * evidences : (policy + 1) * evidences, own] = self.belief[own].T
            self.lost[policy, :, own] = crowd.signal_lost[signals].T
            self.earned[policy, :, :, own] = crowd.signal_earned[:, :, signals]


class Laid(NamedTuple):
    """What compiled loops know of columns that users hear."""

    used: Float[np.ndarray, "row column"]
    envy: Float[np.ndarray, "rival column"]
    lost: Float[np.ndarray, "user column"]
    earned: Float[np.ndarray, "provider user column"]
    belief: Float[np.ndarray, "column evidence"]
    policy: Int[np.ndarray, " column"]


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
        earned = np.moveaxis(self.columns.earned[own, :, users], 0, 1)
        self.earned: Float[np.ndarray, "provider user column"] = np.ascontiguousarray(earned)
        self.rivals = [
            (int(user), other) for user in np.flatnonzero(crowd.cares) for other in policies if other != heard[user]
        ]
        envy = [self.lost[user] - self.columns.lost[other, user] for user, other in self.rivals]
        self.envy: Float[np.ndarray, "row column"] = np.array(envy).reshape(-1, self.lost.shape[1])
        columns = self.columns
        self.laid_out = Laid(columns.used, self.envy, self.lost, self.earned, columns.belief, columns.policy)
