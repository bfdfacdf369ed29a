"""How much redundancy buys how much robustness against the exit of providers?

At the centre of a symmetric cloud of n providers (`spatial`, `user_spread=0`) weak alignment with error 0 survives
every exit of r of them with a probability that is known exactly in one and two dimensions (docs/mathematics.md, section
13); the script asks whether the 99.9 % Clopper-Pearson interval of each point covers it. In `gaussian` and `conic`
markets it measures, for every n, shared bias (or perturbation) and r, the share of users whose weak error is at most a
tenth of their payoff range after the worst exit of r providers, and the share who are covered then.

    python experiments/exit.py [--markets 1000] [--seed 0] [--out experiments/output/exit]
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from math import comb
from typing import Any

import jax
from matplotlib.figure import Figure
from scipy.stats import binomtest
from study import STYLES, Estimate, draw_markets, in_tiles, panels, payoff_range, run_study, share

import pluraljax as plx


@dataclass(frozen=True)
class Config:
    """What defines the numbers; `gaussian` and `conic` markets have 1 user, 3 actions and 3 states."""

    markets: int = 1000
    seed: int = 0
    dimensions: tuple[int, ...] = (1, 2)
    centre: tuple[int, ...] = (5, 7)
    providers: tuple[int, ...] = (2, 4, 8)
    exits: tuple[int, ...] = (0, 1, 2)
    shared: tuple[float, ...] = (0.0, 0.5)
    perturbation: tuple[float, ...] = (0.0, 0.2)
    near: float = 0.1


@dataclass(frozen=True)
class Result:
    """One cell: `formula` and whether the interval at 99.9 % covers it are known at the centre only."""

    family: str
    parameter: float
    providers: int
    exits: int
    aligned: Estimate
    covered: Estimate | None
    formula: float | None
    agrees: bool | None
    open: int


def survives(dimension: int, providers: int, exits: int) -> float:
    """The probability that the centre stays in the hull after every exit of so many of the points."""
    left = providers - 2 * exits
    if left <= 0:
        return 0.0
    if dimension == 1:
        return 1 - 2.0 ** (1 - providers) * sum(comb(providers, i) for i in range(exits + 1))
    if dimension == 2:
        return 1 - left * 2.0**-providers * sum(comb(providers, i) for i in range(exits % left, providers + 1, left))
    if exits == 0:  # Wendel (1962); with exits the probability depends on the law of the points
        return 1 - 2.0 ** (1 - providers) * sum(comb(providers - 1, i) for i in range(dimension))
    raise ValueError(f"There is no formula for {dimension} dimensions and {exits} exits.")


@cache
def program(exits: int, also_covered: bool) -> Any:
    def one(market: plx.Market):
        weak = plx.robust_alignment(market, exits).value
        return weak, plx.robust.robust_coverage(market, exits).value if also_covered else weak

    return jax.jit(jax.vmap(one))


def measure(config: Config) -> Iterator[Result]:
    for dimension in config.dimensions:
        for n in config.centre:
            family = plx.families.spatial(providers=n, dimension=dimension, user_spread=0.0, users=1)
            for exits in config.exits:
                yield measure_centre(config, family, dimension, n, exits)
    sizes: dict[str, Any] = {"users": 1, "actions": 3, "states": 3}
    for n in config.providers:
        grid = [("gaussian", s, plx.families.gaussian(providers=n, shared=s, **sizes)) for s in config.shared]
        grid += [("conic", p, plx.families.conic(providers=n, perturbation=p, **sizes)) for p in config.perturbation]
        for name, parameter, family in grid:
            markets = draw_markets(family, config.markets, config.seed)
            size = payoff_range(markets)
            for exits in (e for e in config.exits if e < n):
                weak, cover = in_tiles(program(exits, True), config.markets, markets)
                near = share(weak.upper <= config.near * size)
                unknown = ((weak.lower <= config.near * size) & (weak.upper > config.near * size)).sum()
                covered = share(cover.upper <= 1e-8 * size)
                yield Result(name, parameter, n, exits, near, covered, None, None, int(unknown))


def measure_centre(config: Config, family: Any, dimension: int, n: int, exits: int) -> Result:
    markets = draw_markets(family, config.markets, config.seed + 1000 * dimension + n)
    weak, _ = in_tiles(program(exits, False), config.markets, markets)
    limit = 1e-8 * payoff_range(markets)
    yes, unknown = (weak.upper <= limit).sum(), ((weak.upper > limit) & (weak.lower <= limit)).sum()
    low = binomtest(int(yes), config.markets).proportion_ci(0.999).low
    high = binomtest(int(yes + unknown), config.markets).proportion_ci(0.999).high
    exact = survives(dimension, n, exits)
    agrees = bool(low <= exact <= high)
    return Result("spatial", dimension, n, exits, share(weak.upper <= limit), None, exact, agrees, int(unknown))


def draw(results: list[Result], config: Config) -> Figure:
    kinds = list(dict.fromkeys((row.family, row.parameter) for row in results if row.family != "spatial"))
    figure, axes = panels(len(kinds), sharex=True, sharey=True)
    for panel, (family, parameter) in zip(axes, kinds, strict=True):
        for exits, (color, marker, line) in zip(config.exits, STYLES, strict=False):
            rows = [r for r in results if (r.family, r.parameter, r.exits) == (family, parameter, exits)]
            x = [r.providers for r in rows]
            look: Any = {"color": color, "marker": marker}
            panel.plot(x, [r.aligned.value for r in rows], line, label=f"near, any {exits} gone", **look)
            covered = [r.covered.value for r in rows if r.covered is not None]
            panel.plot(x, covered, line, alpha=0.4, label=f"covered, any {exits} gone", **look)
        name = "shared bias" if family == "gaussian" else "perturbation"
        panel.set_title(f"{family}, {name} {parameter:g}", fontsize=9)
        panel.set_xlabel("providers")
        panel.set_xticks(config.providers)
    axes[0].set_ylabel("share of markets")
    axes[0].set_ylim(-0.03, 1.03)
    axes[-1].legend(frameon=False, fontsize=7)
    points = [row for row in results if row.formula is not None]
    agreed = sum(bool(row.agrees) for row in points)
    title = f"{config.markets:,} markets a cell; at the centre {agreed} of {len(points)} intervals cover the formula"
    figure.suptitle(title, fontsize=9)
    return figure


if __name__ == "__main__":
    run_study("exit", __doc__, Config, measure, draw)
