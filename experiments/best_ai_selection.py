"""Does picking the best AI, again and again, bring users to what an aligned one would give them?

Users evaluate every provider and pick one; providers start silent and play exact best replies, in turn the one that
gains most, each mixed with a share `raise_by` of full information if it still gains then. Markets are `gaussian`:
providers' payoffs are the user's plus biases of their own, whose size sets the weak alignment error. Every market is
played three times, with one policy for all users, with two segments, and with a policy for each user. The script
follows what users get (silent = 0, aligned = 1) round by round, and says how often play reaches a certified
equilibrium, and what users have there.

    python experiments/best_ai_selection.py [--markets 256] [--rounds 48] [--out experiments/output/best_ai_selection]
"""

import argparse
from dataclasses import dataclass
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
    """What defines the numbers."""

    markets: int = 256
    rounds: int = 48
    seed: int = 0
    providers: int = 3
    biases: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0)
    raise_by: float = 0.1


# How users share policies: one for all, pairs, or one each.
SEGMENTS = {"anonymous": (0, 0, 0, 0), "two segments": (0, 0, 1, 1), "personalized": (0, 1, 2, 3)}


@dataclass(frozen=True)
class Result:
    """What play came to in the markets of one bias and one scheme; intervals are 95 %."""

    scheme: str
    bias: float
    weak_error: float
    converged: float
    converged_low: float
    converged_high: float
    rounds: float
    reached: float
    reached_error: float
    path: tuple[float, ...]


def on_scale(value: np.ndarray, marks: plx.Benchmarks) -> np.ndarray:
    """Averages over users of each market, silent = 0 and aligned = 1; users for whom they coincide are left out."""
    silent, aligned = (np.asarray(end)[:, None] for end in (marks.silent, marks.aligned))
    wide = np.broadcast_to(aligned - silent > 1e-9, value.shape)
    share = np.divide(value - silent, aligned - silent, where=wide, out=np.full(value.shape, np.nan))
    return np.nanmean(share, axis=-1)


def measure(config: Config, scheme: str, bias: float) -> Result:
    family = plx.families.gaussian(
        providers=config.providers, users=4, actions=3, states=3, alignment=1.0, idiosyncratic=bias
    )
    markets = jax.vmap(family)(jr.split(jr.key(config.seed), config.markets))
    segments = np.array(SEGMENTS[scheme])
    play = lambda market: plx.best_response_play(market, segments, rounds=config.rounds, raise_by=config.raise_by)
    run = PROGRAMS.setdefault((scheme, config), jax.jit(jax.vmap(play)))(markets)
    marks = jax.jit(jax.vmap(plx.benchmarks))(markets)
    error = jax.jit(jax.vmap(plx.weak_alignment))(markets).error.upper
    scale = np.ptp(np.asarray(markets.user_value), axis=(2, 3))
    converged = np.asarray(run.converged)
    share = on_scale(np.asarray(run.user_value), marks)
    interval = binomtest(int(converged.sum()), config.markets).proportion_ci(0.95)
    last = share[converged, -1]
    return Result(
        scheme=scheme,
        bias=bias,
        weak_error=float((np.asarray(error) / scale).mean()),
        converged=float(converged.mean()),
        converged_low=float(interval.low),
        converged_high=float(interval.high),
        rounds=float(np.asarray(run.ended)[converged].mean()) if converged.any() else float("nan"),
        reached=float(last.mean()) if len(last) else float("nan"),
        reached_error=float(last.std(ddof=1) / len(last) ** 0.5) if len(last) > 1 else float("nan"),
        path=tuple(float(x) for x in np.nanmean(share, axis=0)),
    )


# Compiled once per scheme: biases share shapes.
PROGRAMS = {}


def draw(results: list[Result], config: Config, out: Path) -> None:
    figure = Figure(figsize=(3.0 * len(config.biases), 3.2), layout="constrained")
    panels = figure.subplots(1, len(config.biases), sharey=True, squeeze=False)[0]
    for panel, bias in zip(panels, config.biases, strict=True):
        rows = [row for row in results if row.bias == bias]
        for row in rows:
            panel.plot(row.path, marker=".", label=row.scheme)
        panel.axhline(1.0, color="0.7", linewidth=0.8)
        panel.set(title=f"bias {bias:g}, weak error {rows[0].weak_error:.2f}", xlabel="replies")
    panels[0].set(ylabel="users' value (silent = 0, aligned = 1)")
    panels[-1].legend(frameon=False, fontsize=8)
    for end in ("png", "svg"):
        figure.savefig(out / f"best_ai_selection.{end}", dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--markets", type=int, default=Config.markets)
    parser.add_argument("--rounds", type=int, default=Config.rounds)
    parser.add_argument("--seed", type=int, default=Config.seed)
    parser.add_argument("--raise-by", type=float, default=Config.raise_by)
    parser.add_argument("--biases", type=float, nargs="+", default=Config.biases)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "output" / "best_ai_selection")
    given = parser.parse_args()
    config = Config(given.markets, given.rounds, given.seed, biases=tuple(given.biases), raise_by=given.raise_by)
    given.out.mkdir(parents=True, exist_ok=True)
    results = []
    for scheme in SEGMENTS:
        for bias in config.biases:
            row = measure(config, scheme, bias)
            results.append(row)
            low, high = 100 * row.converged_low, 100 * row.converged_high
            print(
                f"{scheme:12} bias {bias:<4g} weak error {row.weak_error:.3f}: equilibrium in "
                f"{100 * row.converged:5.1f} % [{low:.1f}, {high:.1f}] after {row.rounds:.1f} replies, where users "
                f"have {row.reached:.3f} ± {row.reached_error:.3f}; all markets at the end {row.path[-1]:.3f}",
                flush=True,
            )
    draw(results, config, given.out)
    write_manifest(given.out, config, results)
    print(f"figure in {given.out}")


if __name__ == "__main__":
    main()
