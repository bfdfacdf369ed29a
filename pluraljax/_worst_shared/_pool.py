"""Runs many searches together: their linear programmes are solved in common batches, on the host."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from .._candidates import Programme, solve_programmes
from ._curves import Steps

Result = TypeVar("Result")

# Searches that are under way at a time, so that memory is bounded whatever the number of markets.
_UNDER_WAY = 128


def run_together(searches: Sequence[Steps[Result]], progress: Callable[[int, int], None] | None = None) -> list[Result]:
    """Runs searches to their ends. What one finds does not depend on which others are in the pool.

    `progress` is called with the number of searches that have ended, and of all.
    """
    results: dict[int, Result] = {}
    waiting: Iterator[tuple[int, Steps[Result]]] = iter(enumerate(searches))
    active: list[tuple[int, Steps[Result], list[Programme]]] = []
    while True:
        for place, one in waiting:
            _advance(active, results, place, one, None)
            if len(active) >= _UNDER_WAY:
                break
        if not active:
            break
        answers = iter(solve_programmes([programme for _, _, asked in active for programme in asked]))
        before, under_way = len(results), active
        active = []
        for place, one, asked in under_way:
            _advance(active, results, place, one, [next(answers) for _ in asked])
        if progress is not None and len(results) > before:
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
