"""Does every personalized equilibrium give each user her aligned utility less twice her weak alignment error?

The theorem says so for every market. Markets are `gaussian`, whose biases set the error. For each user the script
compares three losses, all counted from her aligned utility: that of her worst equilibrium (certified: an equilibrium
loses so much), the most that the guarantee of this one market leaves open, and the theorem's 2 eps. No loss may be
larger than the next.

    python experiments/theorem_personalized.py [--markets 1000] [--seed 0]
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import jax
import numpy as np
from matplotlib.figure import Figure
from study import STYLES, Estimate, draw_markets, in_tiles, mean, panels, payoff_range, run_study, share

import pluraljax as plx

USERS = 2


@dataclass(frozen=True)
class Config:
    """What defines the numbers; the market has 2 users, 3 actions and 3 states."""

    markets: int = 1000
    seed: int = 0
    providers: int = 3
    biases: tuple[float, ...] = (0.125, 0.25, 0.5, 1.0, 2.0)


@dataclass(frozen=True)
class Result:
    """One bias. Losses are means over users of a market; `violations` counts users; `vacuous`: 2 eps says nothing."""

    bias: float
    violations: int
    open: int
    error_of_range: Estimate
    loss_of_bound: Estimate
    guarantee_of_bound: Estimate
    vacuous: Estimate
    points: tuple[tuple[float, float, float], ...] = field(repr=False)


@jax.jit
@jax.vmap
def program(market: plx.Market):
    everyone = plx.personalized(USERS)
    weak, base = plx.weak_alignment(market).value, plx.benchmarks(market)
    return weak, base, plx.worst_equilibrium(market, everyone), plx.guarantee(market, everyone)


def measure(config: Config) -> Iterator[Result]:
    for bias in config.biases:
        family = plx.families.gaussian(providers=config.providers, users=USERS, idiosyncratic=bias)
        markets = draw_markets(family, config.markets, config.seed)
        weak, base, worst, sure = in_tiles(program, config.markets, markets)
        size = payoff_range(markets)
        bound = 2 * weak.upper
        loss = base.aligned - worst.upper
        left_open = base.aligned - sure.lower
        # What certificates may be off by: the least delta they are read with, and rounding.
        near = 1e-6 * size
        wrong = (loss > bound + near) | (loss > left_open + near) | (left_open > bound + near)
        ratio = lambda part, bound=bound: (part / bound).mean(axis=1)
        kept = np.stack([bound / size, loss / size, left_open / size], axis=-1).reshape(-1, 3)[:400]
        yield Result(
            bias=bias,
            violations=int(wrong.sum()),
            open=int((worst.status == int(plx.Status.OPEN)).sum()),
            error_of_range=mean((weak.upper / size).mean(axis=1)),
            loss_of_bound=mean(ratio(loss)),
            guarantee_of_bound=mean(ratio(left_open)),
            vacuous=share((base.aligned - bound <= base.silent).all(axis=1)),
            points=tuple((float(x), float(y), float(z)) for x, y, z in kept),
        )


def draw(results: list[Result], config: Config) -> Figure:
    figure, (cloud, curve) = panels(2)
    points = np.array([point for row in results for point in row.points])
    cloud.scatter(points[:, 0], points[:, 2], s=7, marker="x", color="0.6", label="guarantee of this market")
    cloud.scatter(points[:, 0], points[:, 1], s=7, color=STYLES[0][0], label="worst equilibrium")
    top = points[:, 0].max()
    cloud.plot([0, top], [0, top], "k--", linewidth=1, label="theorem: 2 eps")
    cloud.set(xlabel="2 eps (share of the user's payoff range)", ylabel="loss against aligned (same unit)")
    x = [row.error_of_range.value for row in results]
    for at, (name, label) in enumerate(
        {"loss_of_bound": "worst equilibrium", "guarantee_of_bound": "guarantee"}.items()
    ):
        color, marker, line = STYLES[at]
        rows = [getattr(row, name) for row in results]
        ends = [[e.value - e.low for e in rows], [e.high - e.value for e in rows]]
        curve.errorbar(
            x, [e.value for e in rows], ends, color=color, marker=marker, linestyle=line, capsize=3, label=label
        )
    curve.axhline(1.0, color="0.4", linewidth=0.8)
    curve.set(xlabel="mean weak error (share of payoff range)", ylabel="loss / (2 eps)", ylim=(0, 1.05))
    for panel in (cloud, curve):
        panel.legend(frameon=False, fontsize=8)
    figure.suptitle(f"Personalized equilibria; {config.markets:,} markets a bias, 95 % intervals", fontsize=9)
    return figure


if __name__ == "__main__":
    run_study("theorem_personalized", __doc__, Config, measure, draw)
