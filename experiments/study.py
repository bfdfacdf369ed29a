"""What the studies share: a command line from a config, batches of markets, intervals, and how figures look."""

import argparse
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

import jax
import jax.random as jr
import numpy as np
from manifest import write_manifest
from matplotlib.figure import Figure
from scipy.stats import binomtest

import pluraljax as plx

# Okabe and Ito's colours; markers and lines differ as well, so that figures survive greyscale.
STYLES = (("#0072B2", "o", "-"), ("#D55E00", "s", "--"), ("#009E73", "^", ":"), ("#000000", "D", "-."))
# Markets that a compiled programme takes at once: small, so that a small run compiles what a full one does.
TILE = 16


@dataclass(frozen=True)
class Estimate:
    """A share or a mean with its 95 % interval, and how many things it is of."""

    value: float
    low: float
    high: float
    count: int

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


def share(events: np.ndarray) -> Estimate:
    """The share of markets in which something happens, with its Clopper-Pearson interval."""
    events = np.asarray(events).ravel()
    interval = binomtest(int(events.sum()), events.size).proportion_ci(0.95)
    return Estimate(float(events.mean()), float(interval.low), float(interval.high), events.size)


def mean(values: np.ndarray) -> Estimate:
    """The mean of one number per market, with the normal interval; markets without one (NaN) are left out."""
    values = np.asarray(values)[np.isfinite(values)]
    if values.size < 2:
        return Estimate(float("nan"), float("nan"), float("nan"), values.size)
    wide = 1.96 * values.std(ddof=1) / values.size**0.5
    middle = float(values.mean())
    return Estimate(middle, float(middle - wide), float(middle + wide), values.size)


def draw_markets(family: Any, count: int, seed: int) -> Any:
    """Draws a batch of markets; market i depends on the seed and i alone."""
    one = lambda index: family(jr.fold_in(jr.key(seed), index))
    return jax.jit(jax.vmap(one))(np.arange(count, dtype=np.uint32))


def in_tiles(program: Callable, count: int, *batches: Any, tile: int = TILE) -> Any:
    """Runs a compiled batch programme on tiles of one size and puts its results together as NumPy arrays."""
    parts = []
    for start in range(0, count, tile):
        rows = np.minimum(np.arange(start, start + tile), count - 1)
        found = program(*jax.tree.map(lambda leaf, rows=rows: np.asarray(leaf)[rows], batches))
        parts.append(jax.tree.map(lambda leaf: np.asarray(leaf), found))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves)[:count], *parts)


def payoff_range(markets: Any) -> np.ndarray:
    """The range of each user's payoffs: [market user]."""
    return np.ptp(np.asarray(markets.user_value), axis=(2, 3))


def on_scale(value: np.ndarray, marks: Any) -> np.ndarray:
    """Puts utilities `[market ... user]` on the scale where silent is 0 and aligned is 1; NaN where they coincide."""
    between = tuple(range(1, 1 + value.ndim - marks.silent.ndim))
    # In NumPy: `jax.vmap` would round what comes in to JAX's own precision.
    spread: Any = lambda each: np.broadcast_to(np.expand_dims(each, between), value.shape)
    aligned, silent, ranges = spread(marks.aligned), spread(marks.silent), spread(marks.payoff_range)
    return np.asarray(plx.answers.Benchmarks(aligned, silent, ranges, marks.status).share(value))


def panels(columns: int, **settings: Any) -> tuple[Figure, np.ndarray]:
    """An empty figure with panels side by side."""
    figure = Figure(figsize=(4.2 * columns, 3.6), layout="constrained")
    axes = figure.subplots(1, columns, squeeze=False, **settings)[0]
    for panel in axes:
        panel.spines[["top", "right"]].set_visible(False)
    return figure, axes


def bars(panel: Any, x: Any, estimates: list[Estimate], style: int, label: str) -> None:
    """Draws estimates with their intervals."""
    color, marker, line = STYLES[style % len(STYLES)]
    middle = np.array([e.value for e in estimates])
    low, high = np.array([e.low for e in estimates]), np.array([e.high for e in estimates])
    ends = np.abs([middle - low, high - middle])
    panel.errorbar(x, middle, ends, color=color, marker=marker, linestyle=line, capsize=3, markersize=4, label=label)


def run_study(
    study: str,
    doc: str | None,
    config: Any,
    measure: Callable,
    draw: Callable,
    table: tuple[str, Callable] | None = None,
) -> None:
    """Reads a config of the command line, measures, prints a line per result, and writes figure and manifest.

    A `table` is its heading, and what makes a line of a result; without one a line has all names and numbers.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    for field in fields(config):
        default = field.default
        if default is MISSING:
            raise ValueError(f"{config.__name__}.{field.name} needs a default.")
        many = isinstance(default, tuple)
        kind = type(default[0] if many else default)
        flag = f"--{field.name.replace('_', '-')}"
        parser.add_argument(flag, type=kind, default=default, nargs="+" if many else None)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "output" / study)
    given = vars(parser.parse_args())
    out = given.pop("out")
    chosen = config(**{key: tuple(value) if isinstance(value, list) else value for key, value in given.items()})
    out.mkdir(parents=True, exist_ok=True)
    results = []
    if table is not None:
        print(table[0], flush=True)
    # Payoffs in double precision: what holds exactly in a family would otherwise hold up to their rounding only.
    with jax.enable_x64(True):
        for result in measure(chosen):
            results.append(result)
            named = (f"{field.name} {getattr(result, field.name)}" for field in fields(result) if field.repr)
            print("  ".join(named) if table is None else table[1](result), flush=True)
    figure = draw(results, chosen)
    for end in ("png", "svg"):
        figure.savefig(out / f"{study}.{end}", dpi=110)
    write_manifest(out, chosen, results)
    print(f"figure in {out}")
