"""With one policy for all users, how often does an equilibrium leave a weakly aligned user below aligned?

First, `conic` markets whose perturbation is exactly every user's weak alignment error: how often silence is an
equilibrium, and how often some certified equilibrium gives some user less than aligned utility by more than 1 % of the
distance from silent. Then the two-user family v = [[1, -K], [-K, 1]] u, in which weak error is 0 for every K, and in
which silence is an equilibrium exactly when K >= 1: telling both users something that raises u by g changes the
objective of the provider who tells it by (1 - K) g.

    python experiments/theorem_anonymous.py [--markets 200] [--seed 0] [--out experiments/output/theorem_anonymous]
"""

from collections.abc import Iterator
from dataclasses import dataclass

import jax
import numpy as np
from matplotlib.figure import Figure
from study import Estimate, bars, draw_markets, in_tiles, mean, panels, payoff_range, run_study, share

import pluraljax as plx

PROVIDERS = USERS = 2


@dataclass(frozen=True)
class Config:
    """What defines the numbers; the market has 2 providers, 2 users, 3 actions and 3 states."""

    markets: int = 200
    seed: int = 0
    budget: int = 300  # parts that the search for worst equilibria looks at
    perturbations: tuple[float, ...] = (0.0, 0.25, 0.5, 1.0, 2.0)
    factors: tuple[float, ...] = (0.0, 0.5, 0.9, 0.99, 1.0, 1.01, 1.1, 1.5, 2.0)


@dataclass(frozen=True)
class Result:
    """One perturbation, or one K (`family` says which). `disagree` counts markets that contradict the closed form."""

    family: str
    parameter: float
    weak_error_of_range: Estimate
    silence: Estimate
    below: Estimate
    below_or_open: Estimate
    disagree: int


@jax.jit
@jax.vmap
def program(market: plx.Market):
    weak, base = plx.weak_alignment(market).value, plx.benchmarks(market)
    return weak, base, plx.silence(market, plx.anonymous(USERS)).is_equilibrium


def measure_one(config: Config, name: str, parameter: float, family) -> Result:
    markets = draw_markets(family, config.markets, config.seed)
    weak, base, silence = in_tiles(program, config.markets, markets)
    worst = jax.tree.map(np.asarray, plx.worst_equilibrium(markets, plx.anonymous(USERS), budget=config.budget).value)
    span = base.aligned - base.silent
    # A certified equilibrium gives her at most worst.upper; none gives her less than worst.lower.
    below = ((base.aligned - worst.upper > 0.01 * span) & (span > 1e-9)).any(axis=1)
    perhaps = ((base.aligned - worst.lower > 0.01 * span) & (span > 1e-9)).any(axis=1)
    wanted = parameter >= 1 if name == "opposed" else None
    return Result(
        family=name,
        parameter=parameter,
        weak_error_of_range=mean((weak.upper / payoff_range(markets)).mean(axis=1)),
        silence=share(silence),
        below=share(below),
        below_or_open=share(perhaps),
        # Where silence already gives aligned utility there is nothing to tell, and silence is an equilibrium anyway.
        disagree=0 if wanted is None else int(((silence != wanted) & (span > 1e-9).any(axis=1)).sum()),
    )


def measure(config: Config) -> Iterator[Result]:
    for size in config.perturbations:
        family = plx.families.conic(providers=PROVIDERS, users=USERS, perturbation=size, residual="extremal")
        yield measure_one(config, "conic", size, family)
    for factor in config.factors:
        scales = [[1.0, -factor], [-factor, 1.0]]
        family = plx.families.opposed(providers=PROVIDERS, users=USERS, scales=scales, common_decision=True)
        yield measure_one(config, "opposed", factor, family)


def draw(results: list[Result], config: Config) -> Figure:
    figure, (conic, opposed) = panels(2, sharey=True)
    rows = [row for row in results if row.family == "conic"]
    x = [row.weak_error_of_range.value for row in rows]
    bars(conic, x, [row.below for row in rows], 0, "some equilibrium leaves a user\nbelow aligned (certified)")
    bars(conic, x, [row.below_or_open for row in rows], 2, "... or that is not excluded")
    bars(conic, x, [row.silence for row in rows], 1, "silence is an equilibrium")
    conic.set(xlabel="weak error (share of payoff range)", ylabel="share of markets", ylim=(-0.03, 1.03))
    rows = [row for row in results if row.family == "opposed"]
    bars(opposed, [row.parameter for row in rows], [row.silence for row in rows], 1, "silence is an equilibrium")
    opposed.step([0, 1, max(2, *config.factors)], [0, 0, 1], color="0.3", linewidth=0.8, label="closed form: K ≥ 1")
    opposed.set(xlabel="K: how much each provider opposes the other's friend", title="weak error 0 for every K")
    for panel in (conic, opposed):
        panel.legend(frameon=False, fontsize=7)
    figure.suptitle(f"One policy for two users; {config.markets:,} markets a point, 95 % intervals", fontsize=9)
    return figure


if __name__ == "__main__":
    run_study("theorem_anonymous", __doc__, Config, measure, draw)
