"""Goes through a score table prompt by prompt, and counts what survives the loss of how many models."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from .._arguments import described
from .._printable import quoted
from .._progress import Progress, Silent
from .._statistics._intervals import CONFIDENCE, check_confidence, clopper_pearson
from ._least import MOST_RAYS, least_removal, num_rays
from ._mixtures import survival
from ._prompt import Prompt
from ._table import BEST, open_table

# Progress is told of so many prompts at once.
_STEP = 50


@dataclass(frozen=True)
class Finding:
    """What one prompt survives: the loss of between `lower` and `upper` models, whoever they are; -1 is none at all.

    `removed` marks models of a worst removal, `upper + 1` of them: without them the prompt is not covered. Nobody is
    marked where no removal was found. Where `mixture` is there, the other answers in these shares, whole numbers, are
    to all other models at least as good as the baseline.
    """

    name: str
    answers: int
    lower: int
    upper: int
    removed: Bool[np.ndarray, " model"]
    mixture: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Share:
    """How many prompts are covered after the loss of any so many models, with the exact interval of their share.

    `open` counts prompts that are not decided; the interval holds whichever way they would be.
    """

    removed: int
    covered: int
    open: int
    prompts: int
    lower: float
    upper: float


@dataclass(frozen=True)
class Audit:
    """What a score table says: how many prompts are covered for sure, and which models that hangs on.

    `lower[prompt]` and `upper[prompt]` bracket how many models each survives the loss of. `pivotal[model]` counts the
    worst removals that a model is in, of the prompts that are covered with everybody there and survive the loss of
    fewer than the largest number in `removed`; `narrow` is how many prompts these are.
    """

    models: tuple[str, ...]
    removed: tuple[int, ...]
    confidence: float
    lower: Int[np.ndarray, " prompt"]
    upper: Int[np.ndarray, " prompt"]
    pivotal: Int[np.ndarray, " model"]
    narrow: int
    kept: dict[str, Prompt] = field(default_factory=dict, repr=False)

    @property
    def shares(self) -> list[Share]:
        """The share of prompts that are covered, for every number of models in `removed`."""
        return [self.share(number) for number in self.removed]

    def share(self, removed: int) -> Share:
        """The share of prompts that are covered after the loss of any `removed` models."""
        prompts = len(self.lower)
        covered, possible = int((self.lower >= removed).sum()), int((self.upper >= removed).sum())
        low = float(clopper_pearson(covered, prompts, self.confidence)[0])
        high = float(clopper_pearson(possible, prompts, self.confidence)[1])
        return Share(removed, covered, possible - covered, prompts, low, high)


def find(prompt: Prompt, most: int) -> Finding:
    """How many models a prompt survives the loss of: exact with few answers, else as far as `most` models."""
    models, answers = prompt.scores.shape
    if num_rays(models, answers - 1) <= MOST_RAYS:
        least = least_removal(prompt)
        number = min(least.number - 1, models)
        return Finding(prompt.name, answers, number, number, least.removed, least.mixture)
    found = survival(prompt, most)
    return Finding(prompt.name, answers, found.lower, found.upper, found.removed)


def audit(
    path: Any,
    removed: Sequence[int] = (0, 1, 2),
    *,
    baseline: str = BEST,
    confidence: float = CONFIDENCE,
    keep: Sequence[str] = (),
    each: Any = None,
    progress: Progress | None = None,
) -> Audit:
    """Audits a table of models' scores: how many prompts stay covered by the others after the loss of any k models.

    A prompt is a market of one state: its answers are actions, models are providers, and a score is what a model gets
    from an answer. A prompt is covered when some non-negative weights on models make up for whatever the user loses by
    another answer than the baseline (`plx.robust.coverage`). With k models gone at the worst, this is k-robust
    coalitional alignment, which "Delegating Authorization to Misaligned Agents" (Collina, Goel, Roth, Sengupta) asks of
    reward models. The table is read as it is gone through; an `.npz` is read at once.

    **Arguments:**

    - `path`: a table (docs/audit.md): `.csv` or `.parquet` with a row per answer, or `.npz`.
    - `removed`: numbers of models that may leave.
    - `baseline`: `"best"`, the first of the answers that the user likes best, or the column that marks it.
    - `confidence`: of the intervals over prompts.
    - `keep`: names of prompts to keep for `certificate`.
    - `each`: called with every `Finding`, in the order of the table.
    - `progress`: what is told how far it is.

    **Returns:** an `Audit`. Raises `ValueError`, with the path, where the table makes no sense.

    Example::

        found = plx.audit("scores.csv", removed=(0, 1, 5))
        [share.covered for share in found.shares]
    """
    numbers = _numbers(removed)
    check_confidence(confidence)
    table = open_table(path, baseline)
    wanted, kept = set(keep), {}
    lower, upper, narrow = [], [], 0
    pivotal = np.zeros(len(table.models), np.int64)
    progress = Silent() if progress is None else progress
    progress.start(table.count or 0, 0)
    try:
        for prompt, found in _findings(table.prompts, max(numbers)):
            lower.append(found.lower)
            upper.append(found.upper)
            if 0 <= found.upper < max(numbers) and found.removed.any():
                pivotal += found.removed
                narrow += 1
            if prompt.name in wanted:
                kept[prompt.name] = prompt
            if each is not None:
                each(found)
            if len(lower) % _STEP == 0:
                progress.advance(_STEP)
        progress.advance(len(lower) % _STEP)
    finally:
        progress.close()
    if missing := wanted - kept.keys():
        raise ValueError(f"{Path(path)} has no prompt {quoted(sorted(missing)[0])}.")
    ends = np.array(lower, np.int64), np.array(upper, np.int64)
    return Audit(table.models, numbers, confidence, *ends, pivotal, narrow, kept)


def _findings(prompts: Iterator[Prompt], most: int) -> Iterator[tuple[Prompt, Finding]]:
    for prompt in prompts:
        yield prompt, find(prompt, most)


def _numbers(removed: Any) -> tuple[int, ...]:
    numbers = sorted(set(removed)) if isinstance(removed, list | tuple | range) else []
    if not numbers or any(isinstance(each, bool) or not isinstance(each, int) or each < 0 for each in numbers):
        raise ValueError(f"removed must hold whole numbers of models, at least one, got {described(removed)}.")
    return tuple(numbers)
