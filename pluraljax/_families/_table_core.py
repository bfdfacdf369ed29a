"""What the `table` family draws from: drops what is rated too rarely, fills what is missing, and counts both.

Imports no JAX. Files are read once per process, as long as their bytes stay the same.
"""

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .._files._place import refuse_folder
from .._printable import listed, quoted
from ._table_file import RATINGS, SCORES, Grid, Words, read_grid

# Rounds of backfitting; in dense tables the effects have settled to rounding long before.
_ROUNDS = 200


@dataclass(frozen=True)
class TableCounts:
    """What a file offers once raters and items that are too rarely rated were dropped.

    `entries` is raters * items * contexts, of which `missing` were filled in; `score_entries` and `missing_scores` are
    the same for providers' scores, 0 where providers are raters. `contexts` is 0 where the file has no contexts.
    """

    raters: int
    items: int
    contexts: int
    providers: int
    entries: int
    missing: int
    score_entries: int
    missing_scores: int
    dropped_raters: int
    dropped_items: int


@dataclass(frozen=True)
class Core:
    """Full arrays `[rater item context]` and `[provider item context]`, and where each was filled in."""

    ratings: np.ndarray
    rating_filled: np.ndarray
    scores: np.ndarray | None
    score_filled: np.ndarray | None
    counts: TableCounts


def digest_of(path: str, scores: str | None) -> str:
    """The first 16 digits of the SHA-256 of the files' bytes."""
    digest = hashlib.sha256()
    for name in (path, scores):
        if name is None:
            continue
        refuse_folder(Path(name), "a table of ratings (.csv, .parquet or .npz)", (".csv", ".parquet", ".npz"))
        try:
            with open(name, "rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise ValueError(f"table: {name} cannot be read ({error.strerror or error}).") from None
    return digest.hexdigest()[:16]


def load(family: Any) -> Core:
    """The arrays of a family; its files are read again only if another process asks, or more families than a few."""
    return _load(family.path, family.scores, family.source, family.missing, family.least_share, family.digest)


@functools.lru_cache(maxsize=8)
def _load(path: str, scores: str | None, source: str, missing: str, least_share: float, digest: str) -> Core:
    if digest_of(path, scores) != digest:
        raise ValueError(f"table: {path if scores is None else f'{path} or {scores}'} changed while it was in use.")
    rated = _read(path, RATINGS)
    scored = _scores(path, scores, source)
    total = rated.values.shape
    if scored is not None:
        rated, scored = _same_items(rated, scored, path, scores or path)
    rows, columns = _dense(rated.values, least_share, path)
    values = rated.values[rows][:, columns]
    ratings, rating_filled = _complete(values, missing, path, [rated.raters[row] for row in rows], RATINGS)
    score_values, score_filled = None, None
    if scored is not None:
        kept = scored.values[:, columns]
        if (silent := np.isnan(kept).all(axis=(1, 2))).any():
            provider = scored.raters[int(silent.argmax())]
            raise ValueError(
                f"table: {scores or path} has no score of provider {quoted(provider)} for any item that is kept."
            )
        score_values, score_filled = _complete(kept, missing, scores or path, scored.raters, SCORES)
    counts = TableCounts(
        raters=len(rows),
        items=len(columns),
        contexts=len(rated.contexts),
        providers=0 if score_values is None else len(score_values),
        entries=ratings.size,
        missing=int(rating_filled.sum()),
        score_entries=0 if score_values is None else score_values.size,
        missing_scores=0 if score_filled is None else int(score_filled.sum()),
        dropped_raters=total[0] - len(rows),
        dropped_items=total[1] - len(columns),
    )
    return Core(ratings, rating_filled, score_values, score_filled, counts)


def check_sizes(family: Any) -> None:
    """Raises `ValueError` when the files cannot fill one market of the family."""
    counts = load(family).counts
    if family.group > 1 and counts.providers:
        raise ValueError(
            f"table: group must be 1 where providers have scores of their own, got {family.group}; "
            'source="raters" makes providers of raters.'
        )
    raters = family.users + (0 if counts.providers else family.providers * family.group)
    wanted = [("raters", raters, counts.raters)]
    if counts.providers:
        wanted.append(("providers with scores", family.providers, counts.providers))
    if counts.contexts:
        wanted += [("items", family.actions, counts.items), ("contexts", family.states, counts.contexts)]
    else:
        wanted.append(("items (actions * states)", family.actions * family.states, counts.items))
    for what, needed, there in wanted:
        if needed > there:
            dropped = counts.dropped_raters if what == "raters" else counts.dropped_items if "items" in what else 0
            after = f" ({dropped} more were dropped)" if dropped else ""
            raise ValueError(f"table: {family.path} has {there} {what}{after}, but a market needs {needed}.")


def _read(path: str, words: Words) -> Grid:
    grid = read_grid(path, words)
    if grid is None:
        raise ValueError(f"{path} has no array {words.array!r}.")
    return grid


def _scores(path: str, scores: str | None, source: str) -> Grid | None:
    """Reads providers' scores from where they are; None where providers are raters."""
    if source == "raters":
        if scores is not None:
            raise ValueError(f'table: source="raters" has no use for the scores in {scores}.')
        return None
    if scores is not None:
        return _read(scores, SCORES)
    grid = read_grid(path, SCORES) if path.lower().endswith(".npz") else None
    if grid is None and source == "scores":
        raise ValueError(f'table: source="scores" needs a file of scores; {path} has none.')
    return grid


def _same_items(rated: Grid, scored: Grid, path: str, scores: str) -> tuple[Grid, Grid]:
    """Keeps the items that both have; contexts have to be the same, or the scores have none."""
    place, rated_place = ({item: n for n, item in enumerate(each.items)} for each in (scored, rated))
    common = [item for item in rated.items if item in place]
    if not common:
        raise ValueError(f"table: {path} and {scores} have no item in common.")
    values = scored.values[:, [place[item] for item in common]]
    if not scored.contexts:
        values = np.broadcast_to(values, (*values.shape[:2], max(1, len(rated.contexts))))
    elif set(scored.contexts) == set(rated.contexts):
        values = values[:, :, [scored.contexts.index(context) for context in rated.contexts]]
    else:
        raise ValueError(
            f"table: contexts differ: {scores} has {listed(sorted(scored.contexts))}, "
            f"{path} has {listed(sorted(rated.contexts))}."
        )
    kept = rated.values[:, [rated_place[item] for item in common]]
    return (
        Grid(rated.raters, tuple(common), rated.contexts, kept),
        Grid(scored.raters, tuple(common), rated.contexts, values),
    )


def _dense(values: np.ndarray, least_share: float, path: str) -> tuple[np.ndarray, np.ndarray]:
    """Drops the emptiest rater or item until all that are left have the share; returns the rows and columns kept."""
    seen = (~np.isnan(values)).sum(axis=2)
    contexts, rows, columns = values.shape[2], np.ones(seen.shape[0], bool), np.ones(seen.shape[1], bool)
    by_row, by_column = seen.sum(axis=1), seen.sum(axis=0)
    while rows.any() and columns.any():
        # A rater without any rating is never kept: nothing is known of her.
        row_share = np.where(rows, by_row / (columns.sum() * contexts), np.inf)
        column_share = np.where(columns, by_column / (rows.sum() * contexts), np.inf)
        row, column = int(row_share.argmin()), int(column_share.argmin())
        least = min(row_share[row], column_share[column])
        if least > 0 and least >= least_share:
            return np.flatnonzero(rows), np.flatnonzero(columns)
        if row_share[row] <= column_share[column]:
            rows[row] = False
            by_column = by_column - seen[row]
        else:
            columns[column] = False
            by_row = by_row - seen[:, column]
    raise ValueError(f"table: {path} has nothing left in which every rater and item has a share of {least_share:g}.")


def _complete(
    values: np.ndarray, missing: str, path: str, raters: list[str] | tuple[str, ...], words: Words
) -> tuple[np.ndarray, np.ndarray]:
    """Fills what is missing by the additive fit, within the range of what is there; says where."""
    absent = np.isnan(values)
    if missing == "refuse" and absent.any():
        rater = raters[int(absent.any(axis=(1, 2)).argmax())]
        raise ValueError(
            f'{path}: {int(absent.sum())} of {absent.size} {words.array} are missing, and missing="refuse"; the first '
            f"{words.rater} that lacks some is {quoted(rater)}."
        )
    if not absent.any():
        return values, absent
    fit = np.clip(_additive(values, ~absent), np.nanmin(values), np.nanmax(values))
    return np.where(absent, fit, values), absent


def _additive(values: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Fits a mean and an effect per rater, item and context to the entries that are there, by least squares.

    Backfitting: each axis in turn takes the mean of what the others leave. An item that nobody scored keeps effect 0.
    """
    known = np.where(seen, values, 0.0)
    fit = np.full(values.shape, known.sum() / seen.sum())
    for _ in range(_ROUNDS):
        moved = 0.0
        for axis in range(3):
            others = tuple(other for other in range(3) if other != axis)
            number = seen.sum(axis=others, keepdims=True)
            left = np.where(seen, values - fit, 0.0).sum(axis=others, keepdims=True)
            step = np.divide(left, number, where=number > 0, out=np.zeros(left.shape))
            fit, moved = fit + step, max(moved, float(np.abs(step).max()))
        if moved <= 1e-12 * float(np.abs(known).max()):
            break
    return fit
