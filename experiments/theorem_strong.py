"""With one policy for all users, is the loss in equilibrium at most twice the strong alignment error?

The theorem bounds a sum over users: sum_j mass_j (aligned_j - u_j) <= 2 sum_j mass_j eps_j in every equilibrium. For
any profile of policies whatever, its proof gives 2 sum_j mass_j eps_j + sum_i w_i gain_i, where gain_i is what provider
i gains by its best deviation and w the weights that align all users. Checked, in every market: the second, where all
are silent and where providers talk at random; the first, where these are equilibria; and that one user's part of the
sum is no more, in her worst certified equilibrium and in what the guarantee leaves open (nobody loses less than 0).
Markets are `conic` with weights common to all users and a residual that makes the strong error equal to the
perturbation, and `gaussian` ones, whose strong error is what it is.

    python experiments/theorem_strong.py [--markets 200] [--seed 0] [--out experiments/output/theorem_strong]
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import jax
import numpy as np
from matplotlib.figure import Figure
from study import Estimate, draw_markets, in_tiles, mean, panels, payoff_range, run_study, share

import pluraljax as plx

PROVIDERS = USERS = 2
# Of three lightnesses, so that thousands of points survive greyscale.
MARKS = (("#0072B2", "o"), ("#E69F00", "s"), ("#000000", "^"))


@dataclass(frozen=True)
class Config:
    """What defines the numbers; the market has 2 providers, 2 users of equal mass, 3 actions and 3 states."""

    markets: int = 200
    seed: int = 0
    budget: int = 32  # parts that the search for worst equilibria looks at
    perturbations: tuple[float, ...] = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0)
    biases: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0)


@dataclass(frozen=True)
class Result:
    """One family and parameter; the market is the unit.

    `violations` counts markets in which something exceeds its bound. Errors and losses are averages over users as
    shares of the payoff range; `worst` is one user's share of that in her worst certified equilibrium. `silent` and
    `random` are what is lost when all are silent, or talk at random, as a share of the bound for that profile.
    """

    family: str
    parameter: float
    violations: int
    error: Estimate
    bound: Estimate
    worst: Estimate
    silence: Estimate
    silent: Estimate
    random: Estimate
    points: dict[str, list[tuple[float, float]]] = field(repr=False)


@jax.jit
@jax.vmap
def program(market: plx.Market, policies: jax.Array):
    together = plx.anonymous(USERS)
    strong, base = plx.strong_alignment(market), plx.benchmarks(market)
    found = jax.vmap(lambda policy: plx.deviation(market, together, plx.Profile(policy)))(policies)
    sure = plx.guarantee(market, together).lower
    return strong, base, (found.value.upper, found.user_value, found.is_equilibrium), sure


def policies_of(count: int, seed: int) -> np.ndarray:
    """Silence, and random kernels: [market profile provider segment evidence query signal]."""
    shape = (count, 1, PROVIDERS, 1, 3, 1)
    random = np.random.default_rng(seed).dirichlet(np.full(3, 0.5), shape)
    return np.concatenate([np.full_like(random, 1 / 3), random], axis=1)


def measure_one(config: Config, name: str, parameter: float, family) -> Result:
    markets = draw_markets(family, config.markets, config.seed)
    policies = policies_of(config.markets, config.seed)
    strong, base, (gain, value, stable), sure = in_tiles(program, config.markets, markets, policies)
    worst = np.asarray(plx.worst_equilibrium(markets, plx.anonymous(USERS), budget=config.budget).value.upper)
    size = payoff_range(markets).mean(axis=1)
    average = lambda values: values.mean(axis=-1)  # users have equal mass
    bound = 2 * average(strong.user_error) / size
    # [market profile]
    lost = average(base.aligned[:, None] - value) / size[:, None]
    allowed = bound[:, None] + np.einsum("mi,mpi->mp", strong.weights, np.maximum(gain, 0)) / size[:, None]
    own, left = ((base.aligned - end).max(axis=1) / USERS / size for end in (worst, sure))
    wrong = (lost > allowed + 1e-6) | (stable & (lost > bound[:, None] + 1e-6))
    wrong = wrong.any(axis=1) | (own > bound + 1e-6) | (left > bound + 1e-6)
    part = np.divide(lost, allowed, where=allowed > 1e-9, out=np.full_like(lost, np.nan))
    pairs = {
        "all silent": (allowed[:, 0], lost[:, 0]),
        "random talk": (allowed[:, 1], lost[:, 1]),
        "worst equilibrium (one user's part)": (bound, own),
    }
    return Result(
        family=name,
        parameter=parameter,
        violations=int(wrong.sum()),
        error=mean(bound / 2),
        bound=mean(bound),
        worst=mean(own),
        silence=share(stable[:, 0]),
        silent=mean(part[:, 0]),
        random=mean(part[:, 1]),
        points={label: list(zip(x.tolist()[:200], y.tolist()[:200], strict=True)) for label, (x, y) in pairs.items()},
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
        rows = [row for row in results if row.family == name]
        for label, (color, marker) in zip(rows[0].points, MARKS, strict=True):
            points = np.array([point for row in rows for point in row.points[label]])
            panel.scatter(points[:, 0], points[:, 1], s=5, color=color, marker=marker, label=label, alpha=0.7)
        end = panel.get_xlim()[1]
        panel.plot([0, end], [0, end], "k--", linewidth=1, label="theorem: not above", zorder=3)
        top = max(y for row in rows for pairs in row.points.values() for _, y in pairs)
        panel.set(xlabel="bound (share of payoff range)", title=name, ylim=(-0.02, 1.1 * top + 0.02))
    axes[0].set(ylabel="mean loss of users (same unit)")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncol=4, frameon=False, fontsize=8)
    figure.suptitle(f"One policy for two users; {config.markets:,} markets a parameter", fontsize=9)
    return figure


if __name__ == "__main__":
    run_study("theorem_strong", __doc__, Config, measure, draw)
