"""What a pivot of the batched simplex costs, beside what this machine can do at best, measured in the same run.

A pivot reads and writes a condensed tableau, `rows + 1` by `columns + 2` float64, and changes each entry by two
products and a difference: 3 flops and 16 bytes an entry, counted here; what is padded, compared and copied comes on
top. The time of a pivot is a slope: of two programmes of one kind, one with few pivots and one with many, copies of
each are solved, which take the same number in every lane. What a solve costs besides (starting, reading, checking) is
the rest.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import pluraljax as plx

from .solvers import KINDS, all_posed
from .speed import clock

COLUMNS = ["what", "pivots", "us", "flops", "bytes", "GF/s", "GB/s", "of GB/s, %"]
_FLOPS, _BYTES = 3, 16  # an entry
_COPIES, _LANES = 256, 8  # XLA counts a group of so few, which is one for every solver
_CACHE, _MEMORY = 2**14, 2**23  # numbers in each of the three arrays of a triad


def matmul_rate(size: int) -> float:
    """Flops a second of a float64 matrix product."""
    matrix = jnp.asarray(np.random.default_rng(0).normal(size=(size, size)))
    _, seconds, _ = clock(jax.jit(jnp.matmul), matrix, matrix)
    return 2 * size**3 / seconds


def triad_rate(numbers: int) -> float:
    """Bytes a second of `a = b + 3 c`, over again until it takes long enough to be timed."""
    turns = max(1, 2**24 // numbers)
    first, second, result = np.ones(numbers), np.ones(numbers), np.empty(numbers)

    def triad():
        for _ in range(turns):
            np.multiply(second, 3.0, out=result)
            np.add(result, first, out=result)

    # Two passes of NumPy: the product is read and written, then the sum is, which reads one array more.
    _, seconds, _ = clock(triad)
    return 5 * 8 * numbers * turns / seconds


def copies(programs: plx.solvers.LinearProgram, place: int) -> plx.solvers.LinearProgram:
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf[place], (_COPIES, *leaf.shape[1:])), programs)


def pivot(programs: plx.solvers.LinearProgram) -> dict[str, float]:
    """Seconds a pivot and its entries; seconds a programme besides; pivots on average."""
    solve = jax.jit(plx.solvers.simplex)
    pivots = np.asarray(solve(programs).pivots)
    few, many = int(pivots.argmin()), int(pivots.argmax())
    seconds = [clock(solve, copies(programs, place), repeats=40)[1] / _COPIES for place in (few, many)]
    each = (seconds[1] - seconds[0]) / max(int(pivots[many]) - int(pivots[few]), 1)
    rows, columns = programs.matrix.shape[-2:]
    entries = (rows + 1) * (columns + 2)
    return {
        "seconds": each,
        "besides": seconds[0] - each * int(pivots[few]),
        "entries": entries,
        "pivots": float(pivots.mean()),
    }


def counted_by_xla(programs: plx.solvers.LinearProgram) -> tuple[float, float]:
    """Flops and bytes that XLA counts in solving a programme, where it has every loop turn once."""
    few = jax.tree.map(lambda leaf: leaf[:_LANES], programs)
    counts: Any = jax.jit(plx.solvers.simplex).lower(few).compile().cost_analysis()
    return counts["flops"] / _LANES, counts["bytes accessed"] / _LANES


def measure(quick: bool) -> dict[str, Any]:
    product, cache, memory = matmul_rate(256 if quick else 1024), triad_rate(_CACHE), triad_rate(_MEMORY)
    rows: list[list[Any]] = [
        ["matrix product", None, None, None, None, product / 1e9, None, None],
        ["triad in cache", None, None, None, None, None, cache / 1e9, 100.0],
        ["triad in memory", None, None, None, None, None, memory / 1e9, 100 * memory / cache],
    ]
    for name, posed in list(zip(KINDS, all_posed(64 if quick else 256), strict=True))[: 1 if quick else None]:
        programs = plx.solvers.LinearProgram(*map(jnp.asarray, posed.batch))
        found, (flops, moved) = pivot(programs), counted_by_xla(programs)
        seconds, entries = found["seconds"], found["entries"]
        rate = _BYTES * entries / seconds
        rows.append(
            [
                f"{name}, a pivot",
                found["pivots"],
                1e6 * seconds,
                _FLOPS * entries,
                _BYTES * entries,
                _FLOPS * entries / seconds / 1e9,
                rate / 1e9,
                100 * rate / cache,
            ]
        )
        rows.append([" besides", None, 1e6 * found["besides"], None, None, None, None, None])
        rows.append([" XLA, loops once", None, None, round(flops), round(moved), None, None, None])
    return {"columns": COLUMNS, "rows": rows, "notes": []}
