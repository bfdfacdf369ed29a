"""Runs many searches together: their linear programmes are solved in common batches, on the host."""

from collections.abc import Callable, Generator, Iterator, Sequence
from typing import TypeAlias, TypeVar

from .._candidates import Answers, Programmes, solve_programmes

Result = TypeVar("Result")
# A search in steps: programmes go out, their answers come back.
Steps: TypeAlias = Generator[list[Programmes], Sequence[Answers], Result]

# Searches that are under way at a time, so that memory is bounded whatever the number of markets.
_UNDER_WAY = 128


def run_together(searches: Sequence[Steps[Result]], progress: Callable[[int, int], None] | None = None) -> list[Result]:
    """Runs searches to their ends. What one finds does not depend on which others are in the pool.

    `progress` is called after every step with the number of searches that have ended, and of all; what it raises ends
    them.
    """
    steps = _lockstep(searches, _UNDER_WAY, progress)
    try:
        asked = next(steps)
        while True:
            asked = steps.send(solve_programmes(asked))
    except StopIteration as end:
        return end.value


def together(searches: Sequence[Steps[Result]]) -> Steps[list[Result]]:
    """Makes one search of several, whose programmes go out together."""
    return _lockstep(searches, len(searches), None)


def _lockstep(
    searches: Sequence[Steps[Result]], most: int, progress: Callable[[int, int], None] | None
) -> Steps[list[Result]]:
    results: dict[int, Result] = {}
    waiting: Iterator[tuple[int, Steps[Result]]] = iter(enumerate(searches))
    active: list[tuple[int, Steps[Result], list[Programmes]]] = []
    while True:
        while len(active) < most and (new := next(waiting, None)) is not None:
            _advance(active, results, *new, None)
        if not active:
            break
        answers = iter((yield [programmes for _, _, asked in active for programmes in asked]))
        under_way = active
        active = []
        for place, one, asked in under_way:
            _advance(active, results, place, one, [next(answers) for _ in asked])
        if progress is not None:
            progress(len(results), len(searches))
    return [results[place] for place in range(len(searches))]


def _advance(active: list, results: dict, place: int, one: Steps, answers: list | None) -> None:
    """Takes a search to its next request, or to its end."""
    try:
        asked = next(one) if answers is None else one.send(answers)
    except StopIteration as end:
        results[place] = end.value
        return
    active.append((place, one, asked))
