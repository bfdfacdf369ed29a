"""The fewest models whose removal leaves a prompt uncovered: exact, for all numbers at once, where answers are few.

By duality the models of a set K do not cover a prompt exactly when some mixture `mu >= 0` of the other answers is at
least as good as the baseline for all of them, and worse for the user: `<mu, losses_i> <= 0` for i in K, and
`<mu, stakes> > 0`. So the fewest models to remove are the fewest with `<mu, losses_i> > 0`, over all such mu. Each K
has a cone of such mu; if one of them is worse for the user, so is an extreme ray of the cone, and those lie on d - 1
independent ones of the planes `<mu, losses_i> = 0` and `mu_a = 0`, with d other answers. All of them are looked at.

Signs are those of sums of products: computed in float64, with a bound on their rounding, and in whole numbers wherever
that leaves something open that matters. No tie is decided by rounding.
"""

import itertools
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Bool

from ._prompt import Prompt, bits

# Rays of one prompt that are looked at; and as many at once as fit into memory.
MOST_RAYS = 50_000
_EPSILON = 2.0**-52


@dataclass(frozen=True)
class Least:
    """The fewest models to remove, and what shows it.

    `number` is one more than there are models where no removal does it. `removed` marks the models, and `mixture` the
    other answers that are at least as good for all the others, in whole numbers; None where there are none.
    """

    number: int
    removed: Bool[np.ndarray, " model"]
    mixture: tuple[int, ...] | None


def num_rays(models: int, others: int) -> int:
    """How many rays there are to look at."""
    return math.comb(models + others, others - 1)


def least_removal(prompt: Prompt) -> Least:
    """Finds the fewest models whose removal leaves the prompt uncovered."""
    losses, stakes = prompt.losses, prompt.stakes
    models = len(losses)
    nothing = Least(models + 1, np.zeros(models, bool), None)
    if not (prompt.wanted[prompt.baseline] > prompt.wanted[prompt.others]).any():
        return nothing
    distinct, kind, times = np.unique(losses, axis=0, return_inverse=True, return_counts=True)
    if _differences_round(prompt):
        # What float64 makes equal may not be.
        distinct, kind, times = losses, np.arange(models), np.ones(models, int)
    rays = _Rays(distinct, stakes, times, _is_exact(prompt))
    best, best_number, found = None, models + 1, None
    order = np.argsort(rays.least, kind="stable")
    sure = rays.most.min(initial=models + 1)
    for place in order:
        if rays.least[place] >= best_number:
            break
        if rays.least[place] > sure:
            break
        number, mixture = _exact_count(prompt, kind, rays.planes[place], found := found or prompt.exact())
        if number is not None and number < best_number:
            best, best_number = mixture, number
    if best is None or found is None:
        return nothing
    return Least(best_number, _positive(found[0], best), tuple(int(each) for each in best))


def _positive(losses: np.ndarray, mixture: np.ndarray) -> np.ndarray:
    return np.array([sum(m * x for m, x in zip(mixture, row, strict=True)) > 0 for row in losses.tolist()], bool)


def _is_exact(prompt: Prompt) -> bool:
    """Whether float64 rounds none of the sums: numbers with few binary digits, such as small whole ones."""
    others = len(prompt.others)
    own, wanted = bits(prompt.scores) + 1, bits(prompt.wanted) + 1
    return others * max(own, wanted) + math.ceil(math.log2(math.factorial(others))) + 1 <= 53


def _differences_round(prompt: Prompt) -> bool:
    return bits(prompt.scores) + 1 > 53 and bool((_error(prompt) != 0).any())


def _error(prompt: Prompt) -> np.ndarray:
    """The rounding error of each difference of scores, itself a float (Knuth, TAOCP 2, 4.2.2)."""
    own, other, difference = prompt.scores[:, prompt.baseline, None], prompt.scores[:, prompt.others], prompt.losses
    shadow = own - difference
    return (shadow - other) + (own - (difference + shadow))


@lru_cache(maxsize=64)
def _planes(models: int, others: int) -> np.ndarray:
    """The sets of d - 1 planes, `[ray plane]`; the last `others` planes are those of coordinates."""
    sets = list(itertools.combinations(range(models + others), others - 1))
    return np.array(sets, np.int32).reshape(len(sets), others - 1)


class _Rays:
    """Rays that may be mixtures, and the least and most models that each may need removed, as float64 tells."""

    def __init__(self, losses: np.ndarray, stakes: np.ndarray, times: np.ndarray, is_exact: bool):
        models, others = losses.shape
        self.planes = _planes(models, others)
        normals = np.concatenate([losses, np.eye(others)])[self.planes]
        ray, size = normal(normals), normal(np.abs(normals), minus=1)
        slack = 0.0 if is_exact else 4.0 * (math.factorial(others) + 3 * others) * _EPSILON
        may_be = np.stack([(ray >= -slack * size).all(axis=1), (ray <= slack * size).all(axis=1)])
        keep = np.asarray(may_be.any(axis=0) & (size > 0).any(axis=1))
        ray, size, self.planes = ray[keep], size[keep], self.planes[keep]
        signs = np.where(may_be[0, keep], 1.0, -1.0)
        # Where neither sign is refuted all entries are in doubt: whatever it is, it is looked at exactly.
        vague = np.asarray(may_be.all(axis=0))[keep]
        ray = ray * signs[:, None]
        value, doubt = ray @ losses.T, slack * (size @ np.abs(losses).T)
        on = np.zeros(value.shape, bool)
        rows, columns = np.nonzero(self.planes < models)
        on[rows, self.planes[rows, columns]] = True
        surely, maybe = (value > doubt) & ~on, (value > -doubt) & ~on
        if is_exact:
            maybe = surely
        gain, unsure = ray @ stakes, slack * (size @ np.abs(stakes))
        refuted = (gain <= 0) if is_exact else (gain < -unsure)
        sound = (gain > unsure) & (ray >= np.where(ray == 0, 0.0, slack * size)).all(axis=1) & ~vague
        self.least = np.where(vague, 0, surely @ times)
        # A ray is surely a mixture where nothing about it is in doubt.
        self.most = np.where(sound, maybe @ times, np.iinfo(np.int64).max)
        kept = ~refuted | vague
        self.planes, self.least, self.most = self.planes[kept], self.least[kept], self.most[kept]


def normal(rows: np.ndarray, minus: int = -1) -> np.ndarray:
    """The vector at right angles to d - 1 vectors in d dimensions, `[ray plane axis]` to `[ray axis]`: their minors.

    With `minus=1` all products are added up, which is what rounding is relative to if entries are absolute values.
    """
    count = rows.shape[-1]
    sign = [1 if axis % 2 == 0 else minus for axis in range(count)]
    minors = [
        sign[axis] * determinant(rows[..., [other for other in range(count) if other != axis]], minus)
        for axis in range(count)
    ]
    return np.stack(minors, axis=-1)


def determinant(matrix: np.ndarray, minus: int = -1) -> np.ndarray:
    """The determinant of small matrices by expansion along their first rows; also of whole numbers of Python."""
    size = matrix.shape[-1]
    if size == 0:
        return np.ones(matrix.shape[:-2], matrix.dtype)
    if size == 1:
        return matrix[..., 0, 0]
    total: np.ndarray = np.zeros(matrix.shape[:-2], matrix.dtype)
    for axis in range(size):
        rest = matrix[..., 1:, :][..., [other for other in range(size) if other != axis]]
        term = matrix[..., 0, axis] * determinant(rest, minus)
        total = total + (term if axis % 2 == 0 else minus * term)
    return total


def _exact_count(prompt: Prompt, kind: np.ndarray, planes: np.ndarray, exact: tuple[np.ndarray, np.ndarray]):
    """How many models a ray needs removed, in whole numbers, and the ray; nothing where it is no such mixture."""
    losses, stakes = exact
    others = len(stakes)
    first = {int(each): place for place, each in reversed(list(enumerate(kind)))}
    distinct = len(first)
    rows = [losses[first[int(plane)]] if plane < distinct else _axis(others, int(plane) - distinct) for plane in planes]
    ray = normal(np.array(rows, object).reshape(1, others - 1, others))[0]
    if all(entry <= 0 for entry in ray):
        ray = -ray
    if any(entry < 0 for entry in ray) or not any(ray) or not (ray * stakes).sum() > 0:
        return None, None
    common = math.gcd(*(int(entry) for entry in ray))
    ray = np.array([int(entry) // common for entry in ray], object)
    return int(_positive(losses, ray).sum()), ray


def _axis(others: int, place: int) -> np.ndarray:
    return np.array([int(axis == place) for axis in range(others)], object)
