"""With one policy for all users, is the loss in equilibrium at most twice the strong alignment error?

The theorem bounds the average over users: sum_j mass_j (aligned_j - u_j) <= 2 sum_j mass_j eps_j in every equilibrium.
Markets are `conic` with weights common to all users and a residual that makes the strong error equal to the
perturbation, and `gaussian` ones, whose strong error is what it is. Checked: the average loss in silence where silence
is an equilibrium, the loss of a single user in her worst certified equilibrium (at most `users` times the average
allowed, since no one loses less than nothing), and the guarantee, which must never be weaker than the theorem.

    python experiments/theorem_strong.py [--markets 64] [--seed 0] [--out experiments/output/theorem_strong]
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import jax
import numpy as np
from matplotlib.figure import Figure
from study import STYLES, Estimate, draw_markets, in_tiles, mean, panels, payoff_range, run_study, share

import pluraljax as plx

PROVIDERS = USERS = 2


@dataclass(frozen=True)
class Config:
    """What defines the numbers; the market has 2 providers, 2 users of equal mass, 3 actions and 3 states."""

    markets: int = 64
    seed: int = 0
    perturbations: tuple[float, ...] = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0)
    biases: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0)


@dataclass(frozen=True)
class Result:
    """One family and parameter. Errors and losses are shares of the payoff range; violations count markets."""

    family: str
    parameter: float
    violations: int
    error: Estimate
    loss: Estimate
    bound: Estimate
    silence: Estimate
    points: tuple[tuple[float, float], ...] = field(repr=False)


@jax.jit
@jax.vmap
def program(market: plx.Market):
    together = plx.anonymous(USERS)
    strong, base = plx.strong_alignment(market), plx.benchmarks(market)
    silence, worst = plx.silence(market, together).is_equilibrium, plx.anonymous_frontier(market, budget=8).worst
    return strong.user_error, base, silence, worst, plx.guarantee(market, together).lower


def measure_one(config: Config, name: str, parameter: float, family) -> Result:
    markets = draw_markets(family, config.markets, config.seed)
    errors, base, silence, worst, sure = in_tiles(program, config.markets, markets)
    size = payoff_range(markets).mean(axis=1)
    bound = 2 * errors.mean(axis=1)
    loss = base.aligned - worst.upper
    near = 1e-6 * size
    average = (base.aligned - base.silent).mean(axis=1)
    wrong = (loss.max(axis=1) > USERS * bound + near) | (silence & (average > bound + near))
    wrong |= (base.aligned - sure).max(axis=1) > USERS * bound + near
    return Result(
        family=name,
        parameter=parameter,
        violations=int(wrong.sum()),
        error=mean(bound / 2 / size),
        loss=mean(loss.max(axis=1) / size),
        bound=mean(USERS * bound / size),
        silence=share(silence),
        points=tuple(zip((USERS * bound / size).tolist()[:200], (loss.max(axis=1) / size).tolist()[:200], strict=True)),
    )


def measure(config: Config) -> Iterator[Result]:
    for part in config.perturbations:
        settings = {"perturbation": part, "residual": "extremal", "weights": "common"}
        yield measure_one(config, "conic", part, plx.families.conic(providers=PROVIDERS, users=USERS, **settings))
    for bias in config.biases:
        family = plx.families.gaussian(providers=PROVIDERS, users=USERS, idiosyncratic=bias)
        yield measure_one(config, "gaussian", bias, family)


def draw(results: list[Result], config: Config) -> Figure:
    figure, axes = panels(2, sharey=True)
    for panel, name in zip(axes, ("conic", "gaussian"), strict=True):
        points = np.array([point for row in results if row.family == name for point in row.points])
        color, marker, _ = STYLES[0 if name == "conic" else 1]
        panel.scatter(points[:, 0], points[:, 1], s=7, color=color, marker=marker, label="user who can lose most")
        panel.plot([0, points[:, 0].max()], [0, points[:, 0].max()], "k--", linewidth=1, label="theorem")
        panel.set(xlabel=f"{USERS} x 2 eps (share of payoff range)", title=name, ylim=(-0.02, None))
        panel.legend(frameon=False, fontsize=8)
    axes[0].set(ylabel="certified loss against aligned (same unit)")
    figure.suptitle(f"One policy for two users; {config.markets:,} markets a parameter", fontsize=9)
    return figure


if __name__ == "__main__":
    run_study("theorem_strong", __doc__, Config, measure, draw)
