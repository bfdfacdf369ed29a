"""The shape of a conversation: how many rounds, and how much can be asked and said in each."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._market import Market
from .._segments import as_labels


@dataclass(frozen=True)
class Conversation:
    """A conversation of several rounds: in each the user sends a query and the provider answers with a signal.

    One round with one query is Bayesian persuasion. One round with as many queries as a user has types is a menu that
    she reports into, which for one user is as much as any number of rounds can do (the revelation principle).

    **Arguments:**

    - `rounds`: how often a query is sent and answered; >= 1.
    - `queries`: how many different queries there are in a round; >= 1, where 1 means that there is nothing to ask.
    - `signals`: how many different answers there are in a round; >= 1. Default: as many as the market has actions or
      evidences, whichever are more, so that an answer can recommend any action, and tell all.

    Raises `ValueError` for anything else.
    """

    rounds: int = 1
    queries: int = 1
    signals: int | None = None

    def __post_init__(self):
        for name in ("rounds", "queries", "signals"):
            value = getattr(self, name)
            if name == "signals" and value is None:
                continue
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"Conversation.{name} must be a whole number of at least 1, got {value!r}.")

    def num_signals(self, market: Market) -> int:
        """How many answers there are in a round with this market."""
        if self.signals is not None:
            return self.signals
        return max(market.user_value.shape[-2], market.prior.shape[-2])

    def kernel_shapes(self, market: Market, segments: Any) -> list[tuple[int, ...]]:
        """The shape of each round's kernel: provider, segment, evidence, then query and signal of every round so far.

        Raises `ValueError` where the segments are traced: their number is an axis.
        """
        labels = as_labels(segments, market.user_value.shape[-3])
        if not isinstance(labels, tuple):
            raise ValueError("The segments of a profile to be made must be known: their number is an axis of it.")
        lead = (market.provider_value.shape[-4], len(set(labels)), market.prior.shape[-2])
        asked = (self.queries, self.num_signals(market))
        return [(*lead, *asked * (turn + 1)) for turn in range(self.rounds)]

    def informative(self, market: Market, segments: Any) -> list[np.ndarray]:
        """Kernels that spell out the evidence, a digit a round (leading digits are lost where they are too many)."""
        kernels = []
        rest = np.arange(market.prior.shape[-2])
        signals = self.num_signals(market)
        for shape in self.kernel_shapes(market, segments):
            rest, digit = np.divmod(rest, signals)
            told = np.eye(signals)[digit].reshape(shape[2], *(1,) * (len(shape) - 4), signals)
            kernels.append(np.broadcast_to(told, shape))
        return kernels

    def silent(self, market: Market, segments: Any) -> list[np.ndarray]:
        """Kernels that always send the first signal."""
        return [np.broadcast_to(np.eye(shape[-1])[0], shape).copy() for shape in self.kernel_shapes(market, segments)]
