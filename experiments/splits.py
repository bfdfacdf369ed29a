"""Splits of users into segments: the best ones, exactly, and what a split comes to."""

import numpy as np


def best_splits(error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The least largest error of a split into at most g sets, for g = 1 to m, and such a split's labels.

    `error` is [market set], the set's code being its place plus one. Returns [market g] and [market g user].
    """
    markets, sets = error.shape
    users = sets.bit_length()
    least = [np.concatenate([np.full((markets, 1), -np.inf), error], axis=1)]
    chosen = [np.tile(np.arange(sets + 1), (markets, 1))]
    for _ in range(users - 1):
        value, first = least[-1].copy(), chosen[-1] * 0
        for code in range(1, sets + 1):
            # Every subset that holds the lowest member, so that each split is looked at once; the finer first, as of
            # equal splits guarantees only gain from that.
            options = [p for p in range(1, code + 1) if p & code == p and p & code & -code]
            tried = np.stack([np.maximum(error[:, p - 1], least[-1][:, code ^ p]) for p in options])
            at = tried.argmin(axis=0)
            value[:, code], first[:, code] = tried[at, np.arange(markets)], np.array(options)[at]
        least.append(value)
        chosen.append(first)
    labels = np.zeros((markets, users, users), np.int32)
    for g in range(users):
        rest = np.full(markets, sets)
        for segment in range(g + 1):
            piece = chosen[g - segment][np.arange(markets), rest]
            labels[:, g] += segment * (piece[:, None] >> np.arange(users) & 1)
            rest ^= piece
    return np.stack([value[:, -1] for value in least], axis=1), labels


def of_splits(table: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The largest number of a split's sets: [market]; `table` is [market set], `labels` [market user]."""
    users, rows = labels.shape[1], np.arange(len(table))
    codes = [((labels == segment) << np.arange(users)).sum(axis=1) for segment in range(users)]
    return np.max([np.where(code > 0, table[rows, code - 1], -np.inf) for code in codes], axis=0)
