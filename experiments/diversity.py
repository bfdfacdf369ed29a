"""Where does adding providers stop helping?

Markets are `gaussian`: a provider's payoff is the user's, plus a bias that all providers share, plus a bias of its own.
Own biases average out as providers k are added, the shared one stays. For every k, own bias and shared bias the script
measures the share of users whose weak alignment error is at most a tenth of their payoff range, and what a user gets in
her worst personalized equilibrium (silent = 0, aligned = 1). Every market draws the largest k, and a smaller number is
its first providers: so what the next number adds is compared in the same markets. Neither can fall from k = 2 on.
Adding stops helping at the first k from which on no such paired gain has a 95 % interval above 0.

    python experiments/diversity.py [--markets 1000] [--seed 0] [--out experiments/output/diversity]
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure
from study import Estimate, draw_markets, in_tiles, mean, on_scale, payoff_range, run_study, share

import pluraljax as plx


@dataclass(frozen=True)
class Config:
    """What defines the numbers; the market has 1 user, 3 actions and 3 states."""

    markets: int = 1000
    seed: int = 0
    providers: tuple[int, ...] = (1, 2, 3, 4, 6, 8)
    idiosyncratic: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0)
    shared: tuple[float, ...] = (0.0, 0.5)
    near: float = 0.1


@dataclass(frozen=True)
class Result:
    """One cell; `more_` is what the next number of providers adds in the same markets, `open` counts open brackets.

    `aligned_stops` and `worst_stops` mark the first k from which on providers add nothing that is seen.
    """

    idiosyncratic: float
    shared: float
    providers: int
    aligned: Estimate
    more_aligned: Estimate | None
    worst: Estimate
    more_worst: Estimate | None
    aligned_stops: bool
    worst_stops: bool
    open: int


@jax.jit
@jax.vmap
def program(market: plx.Market, chosen: jax.Array):
    """The market of the chosen providers. Twins of two or more change nothing, and spare compilations."""
    part = plx.Market(market.prior, market.user_value, market.provider_value[chosen], market.mass)
    return (
        plx.weak_alignment(part).value,
        plx.benchmarks(part),
        plx.worst_equilibrium(part, plx.personalized(part.num_users)),
    )


def first_quiet(gains: list[Estimate]) -> int:
    """The first place from which on no gain has an interval above 0."""
    return max((at + 1 for at, gain in enumerate(gains) if gain.low > 0), default=0)


def measure_one(config: Config, own: float, shared: float) -> Iterator[Result]:
    most, count = max(config.providers), config.markets
    family = plx.families.gaussian(providers=most, users=1, idiosyncratic=own, shared=shared)
    markets, aligned, worst, unknown = draw_markets(family, count, config.seed), [], [], []
    for k in config.providers:
        chosen = np.arange(most if k > 1 else 1, dtype=np.int32) % k
        weak, base, found = in_tiles(program, count, markets, np.tile(chosen, (count, 1)))
        aligned.append((weak.upper <= config.near * payoff_range(markets))[:, 0])
        worst.append(on_scale(found.lower, base)[:, 0])
        unknown.append(int((found.status == int(plx.Status.OPEN)).sum()))
    gains = [[mean(1.0 * more - less) for less, more in pairwise(values)] for values in (aligned, worst)]
    for at, k in enumerate(config.providers):
        yield Result(
            idiosyncratic=own,
            shared=shared,
            providers=k,
            aligned=share(aligned[at]),
            more_aligned=gains[0][at] if at < len(gains[0]) else None,
            worst=mean(worst[at]),
            more_worst=gains[1][at] if at < len(gains[1]) else None,
            aligned_stops=at == first_quiet(gains[0]) < len(gains[0]),
            worst_stops=at == first_quiet(gains[1]) < len(gains[1]),
            open=unknown[at],
        )


def measure(config: Config) -> Iterator[Result]:
    for own in config.idiosyncratic:
        for shared in config.shared:
            yield from measure_one(config, own, shared)


def draw(results: list[Result], config: Config) -> Figure:
    figure = Figure(figsize=(4.2 * len(config.shared), 5.8), layout="constrained")
    axes = figure.subplots(2, len(config.shared), squeeze=False, sharex=True, sharey=True)
    names = {
        "aligned": f"P(weak error ≤ {config.near:.0%} of range)",
        "worst": "worst equilibrium (0 silent, 1 aligned)",
    }
    picture: Any = None
    for line, (name, label) in zip(axes, names.items(), strict=True):
        for panel, shared in zip(line, config.shared, strict=True):
            cells = [row for row in results if row.shared == shared]
            table = np.array([getattr(row, name).value for row in cells]).reshape(len(config.idiosyncratic), -1)
            picture = panel.imshow(table, vmin=0, vmax=1, cmap="cividis", aspect="auto", origin="lower")
            for row, (height, column) in zip(cells, np.ndindex(table.shape), strict=True):
                value, stops = table[height, column], getattr(row, f"{name}_stops")
                look: Any = {"color": "white" if value < 0.5 else "black", "fontsize": 8}
                frame = {"edgecolor": look["color"], "facecolor": "none", "boxstyle": "round", "linewidth": 1.2}
                panel.text(
                    column, height, f"{value:.2f}", ha="center", va="center", bbox=frame if stops else None, **look
                )
            panel.set_title(f"shared bias {shared:g}", fontsize=9)
            panel.set_xticks(range(len(config.providers)), [str(k) for k in config.providers])
            panel.set_yticks(range(len(config.idiosyncratic)), [f"{own:g}" for own in config.idiosyncratic])
        line[0].set_ylabel("own bias (s.d., user's payoff = 1)")
        figure.colorbar(picture, ax=line.tolist(), label=label)
    for panel in axes[-1]:
        panel.set_xlabel("providers k")
    title = f"One user of k providers; {config.markets:,} markets a cell; framed: from here on no gain is seen"
    figure.suptitle(title, fontsize=9)
    return figure


if __name__ == "__main__":
    run_study("diversity", __doc__, Config, measure, draw)
