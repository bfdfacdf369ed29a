"""Does picking the best AI, again and again, bring users to what an aligned one would give them?

Users evaluate every provider and pick one; providers start silent and play exact best replies, in turn the one that
gains most, each mixed with a share `raise_by` of full information if it still gains then. Markets are `gaussian`
(payoffs are the user's plus biases of the providers' own, whose size sets the weak alignment error) and `conic`, where
the hull condition of "Emergent Alignment via Competition" (arXiv 2509.15090) holds exactly at perturbation 0 and fails
by exactly the perturbation above. Every market is played three times, with one policy for all users, with two segments,
and with a policy for each. The script follows what users get (silent = 0, aligned = 1) reply by reply, says how often
play reaches a certified equilibrium and what users have there, and in how many markets everyone ends nearly aligned.

    python experiments/best_ai_selection.py [--markets 64] [--rounds 48] [--raise-by 0.1]
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import jax
import numpy as np
from matplotlib.figure import Figure
from study import STYLES, Estimate, draw_markets, in_tiles, mean, on_scale, payoff_range, run_study, share

import pluraljax as plx


@dataclass(frozen=True)
class Config:
    """What defines the numbers; the market has 4 users, 3 actions and 3 states."""

    markets: int = 64
    rounds: int = 48
    seed: int = 0
    providers: int = 3
    biases: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0)
    perturbations: tuple[float, ...] = (0.0, 0.5, 1.0, 2.0)
    raise_by: float = 0.1


# How users share policies: one for all, pairs, or one each.
SEGMENTS = {"anonymous": (0, 0, 0, 0), "two segments": (0, 0, 1, 1), "personalized": (0, 1, 2, 3)}


@dataclass(frozen=True)
class Result:
    """What play came to under one scheme in one family; `parameter` is its bias or perturbation.

    Errors are shares of the payoff range. `served`: every user ends within 5 % of aligned utility, on the scale from
    silent. `reached` is what users have where play came to rest, `path` what they have after each reply, on average.
    """

    scheme: str
    family: str
    parameter: float
    weak_error: Estimate
    hull_error: Estimate
    converged: Estimate
    served: Estimate
    reached: Estimate
    path: tuple[float, ...] = field(repr=False)


errors = jax.jit(jax.vmap(lambda market: (plx.weak_alignment(market).value, plx.weak_alignment(market, "hull").value)))
benchmarks = jax.jit(jax.vmap(plx.benchmarks))


def measure(config: Config) -> Iterator[Result]:
    cells = [("gaussian", bias) for bias in config.biases] + [("conic", size) for size in config.perturbations]
    for scheme, labels in SEGMENTS.items():
        segments, settings = np.array(labels), {"rounds": config.rounds, "raise_by": config.raise_by}
        # Compiled once per scheme: families share shapes.
        play = lambda market, segments=segments, settings=settings: plx.play.best_response_play(
            market, segments, **settings
        )
        program = jax.jit(jax.vmap(play))
        for name, parameter in cells:
            own = (
                {"perturbation": parameter, "residual": "extremal"} if name == "conic" else {"idiosyncratic": parameter}
            )
            family = getattr(plx.families, name)(providers=config.providers, users=4, **own)
            markets = draw_markets(family, config.markets, config.seed)
            run, base = in_tiles(program, config.markets, markets), in_tiles(benchmarks, config.markets, markets)
            weak, hull = in_tiles(errors, config.markets, markets)
            each = on_scale(run.user_value, base)
            value, size = np.nanmean(each, axis=2), payoff_range(markets)
            yield Result(
                scheme=scheme,
                family=name,
                parameter=parameter,
                weak_error=mean((weak.upper / size).mean(axis=1)),
                hull_error=mean((hull.upper / size).mean(axis=1)),
                converged=share(run.converged),
                served=share(np.nanmin(each[:, -1], axis=1) >= 0.95),
                reached=mean(value[run.converged, -1]),
                path=tuple(np.nanmean(value, axis=0).tolist()),
            )


def draw(results: list[Result], config: Config) -> Figure:
    cells = list(dict.fromkeys((row.family, row.parameter) for row in results))
    columns = max(len(config.biases), len(config.perturbations))
    figure = Figure(figsize=(2.6 * columns, 5.6), layout="constrained")
    axes = figure.subplots(2, columns, sharex=True, sharey=True, squeeze=False)
    for line, name in zip(axes, ("gaussian", "conic"), strict=True):
        mine = [parameter for family, parameter in cells if family == name]
        for panel, parameter in zip(line, mine, strict=False):
            rows = [row for row in results if (row.family, row.parameter) == (name, parameter)]
            for row, (color, marker, style) in zip(rows, STYLES, strict=False):
                panel.plot(row.path, style, color=color, marker=marker, markevery=8, markersize=4, label=row.scheme)
            panel.axhline(1.0, color="0.7", linewidth=0.8)
            panel.set_title(f"{name} {parameter:g}, hull error {rows[0].hull_error.value:.2f}", fontsize=9)
        line[0].set_ylabel("users' value (0 silent, 1 aligned)")
    for panel in axes[-1]:
        panel.set_xlabel("replies")
    axes[0, 0].legend(frameon=False, fontsize=8, loc="lower right")
    figure.suptitle(f"Best-AI selection from silence; means of {config.markets:,} markets", fontsize=9)
    return figure


if __name__ == "__main__":
    run_study("best_ai_selection", __doc__, Config, measure, draw)
