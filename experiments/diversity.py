"""Where does adding providers stop helping?

Markets are `gaussian`: a provider's payoff is the user's, plus a bias that all providers share, plus a bias of its own.
Own biases average out as providers k are added, the shared one stays. For every k, own bias and shared bias the script
measures the share of users whose weak alignment error is at most a tenth of their payoff range, and what a user gets in
her worst personalized equilibrium (silent = 0, aligned = 1).

    python experiments/diversity.py [--markets 64] [--seed 0] [--out experiments/output/diversity]
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax
from matplotlib.figure import Figure
from study import Estimate, draw_markets, in_tiles, mean, on_scale, payoff_range, run_study, share

import pluraljax as plx


@dataclass(frozen=True)
class Config:
    """What defines the numbers; the market has 1 user, 3 actions and 3 states."""

    markets: int = 64
    seed: int = 0
    providers: tuple[int, ...] = (1, 2, 3, 4)
    idiosyncratic: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0)
    shared: tuple[float, ...] = (0.0, 0.5)
    near: float = 0.1


@dataclass(frozen=True)
class Result:
    """One cell; `open` counts users whose worst equilibrium is bracketed to more than 1e-6."""

    providers: int
    idiosyncratic: float
    shared: float
    aligned: Estimate
    worst: Estimate
    open: int


@jax.jit
@jax.vmap
def program(market: plx.Market):
    return plx.weak_alignment(market).error, plx.benchmarks(market), plx.frontier(market)


def measure(config: Config) -> Iterator[Result]:
    for providers in config.providers:
        for own in config.idiosyncratic:
            for shared in config.shared:
                family = plx.families.gaussian(providers=providers, users=1, idiosyncratic=own, shared=shared)
                markets = draw_markets(family, config.markets, config.seed)
                weak, base, found = in_tiles(program, config.markets, markets)
                yield Result(
                    providers=providers,
                    idiosyncratic=own,
                    shared=shared,
                    aligned=share(weak.upper <= config.near * payoff_range(markets)),
                    worst=mean(on_scale(found.worst.lower, base.silent, base.aligned)[:, 0]),
                    open=int((found.status == int(plx.Status.OPEN)).sum()),
                )


def draw(results: list[Result], config: Config) -> Figure:
    figure = Figure(figsize=(3.4 * len(config.shared), 5.6), layout="constrained")
    axes = figure.subplots(2, len(config.shared), squeeze=False, sharex=True, sharey=True)
    cells = {(row.providers, row.idiosyncratic, row.shared): row for row in results}
    names = {
        "aligned": f"P(weak error ≤ {config.near:.0%} of range)",
        "worst": "worst equilibrium (0 silent, 1 aligned)",
    }
    picture: Any = None
    for line, (name, label) in zip(axes, names.items(), strict=True):
        for panel, shared in zip(line, config.shared, strict=True):
            table = [
                [getattr(cells[k, own, shared], name).value for k in config.providers] for own in config.idiosyncratic
            ]
            picture = panel.imshow(table, vmin=0, vmax=1, cmap="cividis", aspect="auto", origin="lower")
            for row, values in enumerate(table):
                for column, value in enumerate(values):
                    ink = "white" if value < 0.5 else "black"
                    panel.text(column, row, f"{value:.2f}", ha="center", va="center", color=ink, fontsize=7)
            panel.set_title(f"shared bias {shared:g}", fontsize=9)
            panel.set_xticks(range(len(config.providers)), [str(k) for k in config.providers])
            panel.set_yticks(range(len(config.idiosyncratic)), [f"{own:g}" for own in config.idiosyncratic])
        line[0].set_ylabel("own bias (s.d., user's payoff = 1)")
        figure.colorbar(picture, ax=line.tolist(), label=label)
    for panel in axes[-1]:
        panel.set_xlabel("providers k")
    figure.suptitle(f"One user of k providers; {config.markets:,} markets a cell", fontsize=9)
    return figure


if __name__ == "__main__":
    run_study("diversity", __doc__, Config, measure, draw)
