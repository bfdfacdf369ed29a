"""Do the intervals of scans that stop by themselves cover the truth as often as they say?

One user stands at the centre of a symmetric cloud of k providers on a line (`spatial`, `user_spread=0`): weak alignment
with error 0 has probability 1 - 2^-(k-1) (Wendel 1962, dimension 1). A thousand adaptive scans, each with its own seed,
run `until = {event = "weakly_aligned", half_width = 0.05}` through the whole engine. The script counts how often the
interval at which a cell stopped covers the formula, and how many scans would have been wrong at *some* moment, had
somebody looked every ten markets: with the intervals that hold at any time, and with those of Clopper and Pearson.

    python experiments/adaptive.py [--scans 1000] [--half-width 0.05] [--out experiments/output/adaptive]
"""

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
from manifest import write_manifest
from matplotlib.figure import Figure
from scipy.stats import beta

import pluraljax as plx


@dataclass(frozen=True)
class Config:
    """What defines the numbers: how many scans, their seeds, and what they wait for."""

    scans: int = 1000
    first_seed: int = 0
    half_width: float = 0.05
    confidence: float = 0.95
    most: int = 4000
    providers: tuple[int, ...] = (2, 3, 4, 6)
    every: int = 10


@dataclass(frozen=True)
class Result:
    """What the scans of one number of providers show; the two last say who would ever have been wrong."""

    providers: int
    formula: float
    covered: float
    capped: float
    markets: float
    markets_if_fixed: int
    ever_wrong: float
    ever_wrong_peeking: float


def clopper_pearson(successes: np.ndarray, trials: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """The interval for a number of trials that was fixed beforehand."""
    tail, failures = (1 - confidence) / 2, trials - successes
    lower = np.where(successes > 0, beta.ppf(tail, np.maximum(successes, 1), failures + 1), 0.0)
    return lower, np.where(failures > 0, beta.isf(tail, successes + 1, np.maximum(failures, 1)), 1.0)


def run_scans(config: Config) -> list[list[np.ndarray]]:
    """Runs the scans; returns the event in the markets of each cell, in order, scan by scan."""
    sizes = {"users": 1, "dimension": 1, "actions_per_side": 3, "states_per_side": 3, "user_spread": 0.0}
    scan = plx.scans.ScanConfig(
        grid=(plx.scans.FamilyGrid("spatial", {"providers": list(config.providers), **sizes}),),
        equilibria=False,
        until=plx.scans.Until("weakly_aligned", config.half_width, config.confidence, config.most),
    )
    found = []
    for seed in range(config.first_seed, config.first_seed + config.scans):
        rows = plx.scan(scan, seed=seed, progress=False)
        event, cell = rows.weakly_aligned.values, rows.cell.values
        found.append([event[cell == number] for number in range(len(config.providers))])
    return found


def ever_wrong(config: Config, scans: list[np.ndarray], truth: float, interval) -> np.ndarray:
    """For each look, the share of scans that missed the truth at it or before; stopped ones stay as they are."""
    looks = np.arange(config.every, config.most + 1, config.every)
    wrong = np.zeros((len(scans), len(looks)), bool)
    for line, event in zip(wrong, scans, strict=True):
        mine = looks[looks <= len(event)]
        lower, upper = interval(np.cumsum(event == 1)[mine - 1], mine, config.confidence)
        line[: len(mine)] = (lower > truth) | (upper < truth)
    return np.maximum.accumulate(wrong, axis=1).mean(axis=0)


def draw(config: Config, curves: dict[int, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Draws how the share of scans that were ever wrong grows with the looks."""
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    looks = np.arange(config.every, config.most + 1, config.every)
    for (providers, (anytime, peeking)), color in zip(curves.items(), ("C0", "C1", "C2", "C3"), strict=False):
        axes.step(looks, peeking, color=color, linestyle="--", linewidth=1)
        axes.step(looks, anytime, color=color, label=f"k = {providers}")
    axes.axhline(1 - config.confidence, color="0.5", linewidth=0.8, linestyle=":")
    axes.set(xscale="log", xlabel="markets looked at", ylabel="share of scans that were ever wrong", ylim=(0, None))
    axes.set_title(f"{config.scans:,} scans. Solid: at any time. Dashed: Clopper-Pearson, peeked at", fontsize=9)
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def main(config: Config, out: Path) -> list[Result]:
    """Runs the scans, prints the table, and writes the picture and the manifest."""
    scans, results, curves = run_scans(config), [], {}
    for number, providers in enumerate(config.providers):
        events, truth = [scan[number] for scan in scans], 1 - 2.0 ** -(providers - 1)
        yes, trials = np.array([(event == 1).sum() for event in events]), np.array([len(event) for event in events])
        unsure = np.array([np.isnan(event).sum() for event in events])
        lower, _ = plx.statistics.confidence_sequence(yes, trials, config.confidence)
        _, upper = plx.statistics.confidence_sequence(yes + unsure, trials, config.confidence)
        curves[providers] = tuple(
            ever_wrong(config, events, truth, each) for each in (plx.statistics.confidence_sequence, clopper_pearson)
        )
        results.append(
            Result(
                providers,
                truth,
                covered=float(((lower <= truth) & (truth <= upper)).mean()),
                capped=float((upper - lower > 2 * config.half_width).mean()),
                markets=float(trials.mean()),
                markets_if_fixed=plx.statistics.markets_needed(truth, config.half_width, config.confidence),
                ever_wrong=float(curves[providers][0][-1]),
                ever_wrong_peeking=float(curves[providers][1][-1]),
            )
        )
        print(results[-1], flush=True)
    out.mkdir(parents=True, exist_ok=True)
    for suffix in ("png", "svg"):
        draw(config, curves).savefig(out / f"adaptive.{suffix}", dpi=160)
    write_manifest(out, config, results)
    return results


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scans", type=int, default=Config.scans)
    parser.add_argument("--half-width", type=float, default=Config.half_width)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "output" / "adaptive")
    arguments = parser.parse_args()
    jax.config.update("jax_num_cpu_devices", os.cpu_count() or 1)
    main(Config(scans=arguments.scans, half_width=arguments.half_width), arguments.out)
