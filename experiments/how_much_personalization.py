"""How much personalization does alignment need: into how many segments must users be split, and does it matter how?

For each number of segments the script asks how often every segment has one mixture of providers that all its users
agree with (segment alignment error at most a `near` share of the largest payoff range), for a random split into
segments of equal size and for the best split, and what the guarantee leaves open to the user who can lose most (0
none, 1 silent, also where the guarantee is vacuous). Best splits are exact: the error and the loss of each of the 2^m
sets of users are computed, and the split whose largest error, or loss, is least follows by dynamic programming over
sets. Fewer users are the first ones of the same markets.

    python experiments/how_much_personalization.py [--markets 1000] [--users 4 8]
"""

from collections.abc import Iterator
from dataclasses import dataclass

import jax
import numpy as np
from matplotlib.figure import Figure
from splits import best_splits, of_splits
from study import Estimate, bars, draw_markets, in_tiles, mean, on_scale, panels, payoff_range, run_study, share

import pluraljax as plx


@dataclass(frozen=True)
class Config:
    """What defines the numbers; users of 3 actions and 3 states; m up to 8 users."""

    markets: int = 1000
    seed: int = 0
    users: tuple[int, ...] = (4, 8)
    providers: int = 3
    families: tuple[str, ...] = ("opposed", "gaussian")
    near: float = 0.1


@dataclass(frozen=True)
class Result:
    """One family, number of users, and of segments g; `open` counts sets of users of undecided alignment.

    `random` and `best` are shares of markets that a split into g segments aligns, `least` of those that g align
    and no fewer. `loss_best` is the loss of the split that is best for the error, `loss_least` that of the best for it.
    """

    family: str
    users: int
    segments: int
    random: Estimate
    best: Estimate
    least: Estimate
    loss_random: Estimate
    loss_best: Estimate
    loss_least: Estimate
    open: int


@jax.jit
@jax.vmap
def program(market: plx.Market, present: jax.Array):
    """Error and guarantee of a set of users. The others are there with payoffs of 0, which asks nothing of anybody."""
    here = present[:, None, None].astype(float)
    inside = plx.Market(market.prior, market.user_value * here, market.provider_value * here[None], market.mass)
    sure = plx.guarantee(inside, plx.anonymous(here.shape[0])).lower
    return plx.strong_alignment(inside).value, sure, plx.benchmarks(inside)


def every_set(markets: plx.Market, users: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Error, from below and above, and loss of every set of users: [market set], the set's code being place plus 1."""
    count, sets = len(markets.mass), 2**users - 1
    present = np.tile(np.arange(1, sets + 1)[:, None] >> np.arange(users) & 1 == 1, (count, 1))
    repeated = jax.tree.map(lambda leaf: np.repeat(np.asarray(leaf), sets, axis=0), markets)
    error, sure, base = in_tiles(program, count * sets, repeated, present, tile=128)
    lost = 1 - on_scale(np.maximum(sure, base.silent), base)
    lost = np.nan_to_num(lost).max(axis=1)  # NaN: there is nothing to lose
    return tuple(values.reshape(count, sets) for values in (error.lower, error.upper, lost))


def measure(config: Config) -> Iterator[Result]:
    n, most = config.markets, max(config.users)
    for name in config.families:
        settings = {"positive": 0.75} if name == "opposed" else {"idiosyncratic": 0.5}
        family = getattr(plx.families, name)(providers=config.providers, users=most, **settings)
        markets = draw_markets(family, n, config.seed)
        lower, upper, loss = every_set(markets, most)
        order = np.argsort(np.random.default_rng(config.seed).random((n, most)), axis=1)
        for m in config.users:
            sets = 2**m - 1  # those of the first m users come first; equal up to rounding is equal
            (least, labels), (least_loss, _) = (best_splits(table[:, :sets].round(9)) for table in (upper, loss))
            near = config.near * payoff_range(markets)[:, :m].max(axis=1)
            unknown = (lower[:, :sets] <= near[:, None]) & (upper[:, :sets] > near[:, None])
            needed = (least > near[:, None]).sum(axis=1) + 1
            shuffled = order[order < m].reshape(n, m)
            for g in range(1, m + 1):
                random = np.take_along_axis(np.tile(np.arange(m) % g, (n, 1)), shuffled, axis=1)
                yield Result(
                    family=name,
                    users=m,
                    segments=g,
                    random=share(of_splits(upper, random) <= near),
                    best=share(needed <= g),
                    least=share(needed == g),
                    loss_random=mean(of_splits(loss, random)),
                    loss_best=mean(of_splits(loss, labels[:, g - 1])),
                    loss_least=mean(least_loss[:, g - 1]),
                    open=int(unknown.sum()),
                )


def draw(results: list[Result], config: Config) -> Figure:
    figure, axes = panels(2 * len(config.families), sharey=True)
    few, many = min(config.users), max(config.users)
    lines = {"best": "best split", "random": "random split"}
    losses = {"loss_best": "best split for the error", "loss_random": "random split", "loss_least": "best for the loss"}
    for at, name in enumerate(config.families):
        for panel, keys in zip(axes[2 * at :], (lines, losses), strict=False):
            rows = [row for row in results if (row.family, row.users) == (name, many)]
            for style, (key, label) in enumerate(keys.items()):
                bars(panel, [row.segments for row in rows], [getattr(row, key) for row in rows], style, label)
            if keys is lines:
                x, needed = [row.segments for row in rows], [row.least.value for row in rows]
                panel.bar(x, needed, color="0.85", label="least number that aligns")
                rows = [row for row in results if (row.family, row.users) == (name, few) and few < many]
                x, best = [row.segments for row in rows], [row.best for row in rows]
                bars(panel, x, best, 3, f"best split of {few} users")
            panel.set(xlabel=f"segments of {many} users", xticks=range(1, many + 1), title=name, ylim=(-0.03, 1.03))
            panel.legend(frameon=False, fontsize=8)
        axes[2 * at].set(ylabel="P(every segment aligned)")
        axes[2 * at + 1].set(ylabel="largest loss not excluded\n(0 aligned, 1 silent)")
    figure.suptitle(f"{config.markets:,} markets, 95 % intervals; aligned: error ≤ {config.near:.0%}", fontsize=9)
    return figure


if __name__ == "__main__":
    run_study("how_much_personalization", __doc__, Config, measure, draw)
