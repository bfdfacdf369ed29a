"""What the studies share: the markets of the three theorem experiments, proportions and means with intervals, options."""

import argparse
import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np
import xarray as xr
from manifest import write_manifest
from matplotlib.figure import Figure
from scipy.stats import binomtest, norm

import pluraljax as plx

# Told apart in greyscale by marker and line, in colour by a palette that the colour-blind can read.
STYLES = (("o", "-", "#0072B2"), ("s", "--", "#D55E00"), ("^", ":", "#009E73"), ("D", "-.", "#CC79A7"))
# Losses below this share of a user's payoff range are rounding.
NOTHING = 1e-6

C = TypeVar("C")


@dataclasses.dataclass(frozen=True)
class Theorems:
    """What defines the markets of the three theorem experiments: they all look at the same ones."""

    markets: int = 8_000
    seed: int = 0
    users: int = 2
    providers: int = 3
    biases: tuple[float, ...] = (0.1, 0.25, 0.5, 1.0, 2.0)
    perturbations: tuple[float, ...] = (0.0, 0.1, 0.2, 0.4)
    confidence: float = 0.95


def theorem_markets(config: Theorems) -> xr.Dataset:
    """Scans `gaussian` markets (biases) and `conic` ones (residuals of known size), with equilibria found by play."""
    sizes = {"providers": config.providers, "users": config.users, "actions": 3, "states": 3}
    grid = (
        plx.FamilyGrid("gaussian", sizes | {"idiosyncratic": list(config.biases)}),
        plx.FamilyGrid("conic", sizes | {"perturbation": list(config.perturbations)}),
    )
    search = plx.Search(starts=4, method="best_response", rounds=3)
    rows = plx.scan(plx.ScanConfig(grid, markets=config.markets, seed=config.seed, equilibria=search))
    good = np.asarray(rows.status) < plx.Status.NOT_FINITE
    return rows.sel(market=rows.market[good]) if not good.all() else rows


def proportion(yes: int, total: int, confidence: float = 0.95) -> tuple[float, float, float]:
    """A share with its Clopper-Pearson interval; NaN of nothing."""
    if not total:
        return (float("nan"),) * 3
    interval = binomtest(int(yes), int(total)).proportion_ci(confidence)
    return yes / total, float(interval.low), float(interval.high)


def mean(values: Any, confidence: float = 0.95) -> tuple[float, float, float]:
    """A mean over markets with its normal interval; NaN of nothing."""
    values = np.asarray(values, float)
    values = values[np.isfinite(values)]
    if not len(values):
        return (float("nan"),) * 3
    half = norm.ppf((1 + confidence) / 2) * values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else np.inf
    return float(values.mean()), float(values.mean() - half), float(values.mean() + half)


def bins_of(x: np.ndarray, edges: Sequence[float]) -> list[np.ndarray]:
    """Which entries fall between two edges each, the lower one included."""
    return [(x >= low) & (x < high) for low, high in zip(edges[:-1], edges[1:], strict=True)]


def options(kind: type[C], name: str, doc: str | None, *small: str) -> tuple[C, Path]:
    """Reads `--markets`, `--seed`, `--out` and further fields named in `small`; returns a config and the folder."""
    parser = argparse.ArgumentParser(description=(doc or "").split("\n")[0])
    known = {field.name: field.default for field in dataclasses.fields(kind)}  # pyright: ignore[reportArgumentType]
    for field in ("markets", "seed", *small):
        default: Any = known[field]
        many = isinstance(default, tuple)
        each = type(default[0]) if many else type(default)
        parser.add_argument(f"--{field.replace('_', '-')}", type=each, default=default, nargs="+" if many else None)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "output" / name)
    given = vars(parser.parse_args())
    out = given.pop("out")
    jax.config.update("jax_num_cpu_devices", os.cpu_count() or 1)
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}), out


def panels(count: int, **sizes: Any) -> tuple[Figure, Any]:
    """A figure with panels side by side, without the frames that say nothing."""
    figure = Figure(figsize=(4.2 * count, 3.6), layout="constrained")
    axes = figure.subplots(1, count, squeeze=False, **sizes)[0]
    for each in axes:
        each.spines[["top", "right"]].set_visible(False)
    return figure, axes


def finish(figure: Figure, out: Path, name: str, config: Any, results: list[Any]) -> None:
    """Writes the picture and the manifest."""
    out.mkdir(parents=True, exist_ok=True)
    for end in ("png", "svg"):
        figure.savefig(out / f"{name}.{end}", dpi=150)
    write_manifest(out, config, results)
    print(f"figure in {out}")
