"""Does the engine reproduce a probability that is known exactly?

One user stands at the centre of a symmetric cloud of k providers in d dimensions (`spatial`, `user_spread=0`). Weak
alignment with error 0 holds exactly when the centre lies in the convex hull of the providers' ideal points, which has
probability 1 - 2^-(k-1) sum_{i<d} C(k-1, i) (Wendel 1962). The script measures the share of random markets whose
bracket proves alignment, and asks whether the 99.9 % Clopper-Pearson interval of every point covers the formula.

    python experiments/wendel.py [--markets 20000] [--seed 0] [--out experiments/output/wendel]
"""

import argparse
import os
from dataclasses import dataclass
from math import comb
from pathlib import Path

import jax
import jax.random as jr
import numpy as np
from manifest import write_manifest
from matplotlib.figure import Figure
from scipy.stats import binomtest

import pluraljax as plx


@dataclass(frozen=True)
class Config:
    """What defines the numbers: how many markets a point has, and the seed."""

    markets: int = 20_000
    seed: int = 0
    dimensions: tuple[int, ...] = (2, 3)
    providers: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8)
    confidence: float = 0.999


@dataclass(frozen=True)
class Point:
    """One point of the curve; `open` counts markets whose bracket leaves the question undecided."""

    dimension: int
    providers: int
    aligned: int
    open: int
    markets: int
    lower: float
    upper: float

    @property
    def formula(self) -> float:
        return wendel(self.dimension, self.providers)

    @property
    def covered(self) -> bool:
        return self.lower <= self.formula <= self.upper


def wendel(dimension: int, providers: int) -> float:
    """Probability that the centre lies in the hull of points drawn from a symmetric law (Wendel 1962)."""
    return 1 - 2.0 ** -(providers - 1) * sum(comb(providers - 1, i) for i in range(dimension))


def count_aligned(config: Config, dimension: int, providers: int) -> tuple[int, int]:
    """Counts markets proved aligned with error 0, and markets left open, out of `config.markets`."""
    family = plx.families.spatial(providers=providers, dimension=dimension, user_spread=0.0)
    devices = jax.local_devices()
    tile = 512 * len(devices)
    mesh = jax.sharding.Mesh(np.array(devices), ("market",))
    rows = jax.sharding.PartitionSpec("market")

    def measure(index):
        key = jr.fold_in(jr.fold_in(jr.key(config.seed), 100 * dimension + providers), index)
        market = family(key)
        error = plx.weak_alignment(market).value
        return error.lower[0], error.upper[0], market.user_value.max() - market.user_value.min()

    # One loop per device, without a collective in its predicate.
    batch = jax.jit(jax.shard_map(jax.vmap(measure), mesh=mesh, in_specs=rows, out_specs=rows, check_vma=False))
    found = [batch(np.arange(start, start + tile, dtype=np.uint32)) for start in range(0, config.markets, tile)]
    lower, upper, size = (np.concatenate([np.asarray(part[i]) for part in found])[: config.markets] for i in range(3))
    aligned, not_aligned = upper <= 1e-8 * size, lower > 1e-8 * size
    return int(aligned.sum()), int((~aligned & ~not_aligned).sum())


def measure_point(config: Config, dimension: int, providers: int) -> Point:
    """Measures one point; its interval holds however the open markets would be decided."""
    aligned, still_open = count_aligned(config, dimension, providers)
    low, high = (
        binomtest(successes, config.markets).proportion_ci(config.confidence)
        for successes in (aligned, aligned + still_open)
    )
    return Point(dimension, providers, aligned, still_open, config.markets, low.low, high.high)


def draw(points: list[Point], confidence: float) -> Figure:
    """Draws the formula as lines and the measured shares as points with their intervals."""
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    for dimension, marker, style in zip(sorted({p.dimension for p in points}), "os^", ("-", "--", ":"), strict=False):
        mine = [p for p in points if p.dimension == dimension]
        x = [p.providers for p in mine]
        share = np.array([p.aligned / p.markets for p in mine])
        bars = [share - [p.lower for p in mine], [p.upper for p in mine] - share]
        (line,) = axes.plot(x, [p.formula for p in mine], style, color="0.45", linewidth=1)
        color = {2: "#0072B2", 3: "#D55E00"}.get(dimension, "#009E73")
        axes.errorbar(x, share, np.abs(bars), fmt=marker, color=color, capsize=3, label=f"d = {dimension}, measured")
        line.set_label(f"d = {dimension}, Wendel's formula")
    axes.set(xlabel="providers k", ylabel="P(weak alignment with error 0)", ylim=(-0.03, 1.03))
    title = f"User at the centre of k providers; n = {points[0].markets:,} markets a point, {confidence:.1%} intervals"
    axes.set_title(title, fontsize=9)
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def main(config: Config, out: Path) -> list[Point]:
    """Measures every point, prints the table, and writes the picture and the manifest."""
    points = []
    for dimension in config.dimensions:
        for providers in config.providers:
            p = measure_point(config, dimension, providers)
            points.append(p)
            print(
                f"d={dimension} k={providers}: {p.aligned / p.markets:.4f} [{p.lower:.4f}, {p.upper:.4f}]  "
                f"formula {p.formula:.4f}  {'covered' if p.covered else 'MISSED'}  open {p.open}",
                flush=True,
            )
    out.mkdir(parents=True, exist_ok=True)
    for suffix in ("png", "svg"):
        draw(points, config.confidence).savefig(out / f"wendel.{suffix}", dpi=160)
    write_manifest(out, config, points)
    print(f"{sum(p.covered for p in points)} of {len(points)} intervals cover the formula; figure in {out}")
    return points


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--markets", type=int, default=Config.markets)
    parser.add_argument("--seed", type=int, default=Config.seed)
    parser.add_argument("--dimensions", type=int, nargs="+", default=Config.dimensions)
    parser.add_argument("--providers", type=int, nargs="+", default=Config.providers)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "output" / "wendel")
    arguments = parser.parse_args()
    jax.config.update("jax_num_cpu_devices", os.cpu_count() or 1)
    with jax.enable_x64(True):
        sizes = tuple(arguments.dimensions), tuple(arguments.providers)
        main(Config(arguments.markets, arguments.seed, *sizes), arguments.out)
