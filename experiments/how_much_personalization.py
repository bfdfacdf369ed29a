"""How much personalization does alignment need: into how many segments must users be split, and does it matter how?

For each number of segments the script asks how often every segment has one mixture of providers that all its users
agree with (segment alignment error at most a `near` share of the largest payoff range), for a random split into
segments of equal size and for the best split. The best is exact: the error of each of the 2^m sets of users is computed
once, and the least number of aligned sets that cover all users follows by dynamic programming over sets. The loss is
what the guarantee leaves open to the user who can lose most (0 none, 1 silent, also where the guarantee is vacuous).

    python experiments/how_much_personalization.py [--markets 192] [--users 4]
"""

from collections.abc import Iterator
from dataclasses import dataclass

import jax
import numpy as np
from matplotlib.figure import Figure
from study import Estimate, bars, draw_markets, in_tiles, mean, on_scale, panels, payoff_range, run_study, share

import pluraljax as plx


@dataclass(frozen=True)
class Config:
    """What defines the numbers; users of 3 actions and 3 states; m up to 8 users."""

    markets: int = 192
    seed: int = 0
    users: int = 4
    providers: int = 3
    families: tuple[str, ...] = ("opposed", "gaussian")
    near: float = 0.1


@dataclass(frozen=True)
class Result:
    """One family and number of segments; `open` counts sets of users whose bracket does not decide alignment."""

    family: str
    segments: int
    random: Estimate
    best: Estimate
    loss_random: Estimate
    loss_best: Estimate
    open: int


@jax.jit
@jax.vmap
def set_error(market: plx.Market, members: jax.Array):
    """The alignment error of a set of users; a set of fewer than all is filled up with copies of a member."""
    m = market
    part = plx.Market(m.prior[members], m.user_value[members], m.provider_value[:, members], m.mass[members])
    return plx.strong_alignment(part).error


bounds = jax.jit(jax.vmap(lambda market, labels: (plx.guarantee(market, labels).lower, plx.benchmarks(market))))


def members_of(users: int) -> np.ndarray:
    """The members of every set but the empty one, filled up to m: [set m]."""
    every = [[j for j in range(users) if code >> j & 1] for code in range(1, 2**users)]
    return np.array([inside + inside[:1] * (users - len(inside)) for inside in every], np.int32)


def best_splits(error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The least largest error of a split into at most g sets, for g = 1 to m, and such a split's labels.

    `error` is [market set], the set's code being its place plus one. Returns [market g] and [market g user].
    """
    markets, sets = error.shape
    users = sets.bit_length()
    least = [np.concatenate([np.full((markets, 1), -np.inf), error], axis=1)]
    chosen = [np.tile(np.arange(sets + 1), (markets, 1))]
    for _ in range(users - 1):
        value, first = least[-1].copy(), chosen[-1] * 0
        for code in range(1, sets + 1):
            low, part = code & -code, code
            options = []  # every subset that holds the lowest member, so that each split is looked at once
            while part:
                if part & low:
                    options.append(part)
                part = (part - 1) & code
            options.reverse()  # of equal splits the finer: guarantees only gain from that
            tried = np.stack([np.maximum(error[:, p - 1], least[-1][:, code ^ p]) for p in options])
            at = tried.argmin(axis=0)
            value[:, code], first[:, code] = tried[at, np.arange(markets)], np.array(options)[at]
        least.append(value)
        chosen.append(first)
    labels = np.zeros((markets, users, users), np.int32)
    for g in range(users):
        rest = np.full(markets, sets)
        for segment in range(g + 1):
            part = chosen[g - segment][np.arange(markets), rest]
            labels[:, g] += segment * (part[:, None] >> np.arange(users) & 1)
            rest ^= part
    return np.stack([value[:, -1] for value in least], axis=1), labels


def largest_loss(markets: plx.Market, labels: np.ndarray) -> np.ndarray:
    sure, base = in_tiles(bounds, len(labels), markets, labels)
    return np.nanmax(1 - on_scale(np.maximum(sure, base.silent), base.silent, base.aligned), axis=1)


def measure(config: Config) -> Iterator[Result]:
    m, n, members = config.users, config.markets, members_of(config.users)
    sizes = {"providers": config.providers, "users": m}
    for name in config.families:
        settings = {"positive": 0.75} if name == "opposed" else {"idiosyncratic": 0.5}
        markets = draw_markets(getattr(plx.families, name)(**sizes, **settings), n, config.seed)
        repeated = jax.tree.map(lambda leaf: np.repeat(np.asarray(leaf), len(members), axis=0), markets)
        error = in_tiles(set_error, n * len(members), repeated, np.tile(members, (n, 1)), tile=128)
        upper, lower = error.upper.reshape(n, -1), error.lower.reshape(n, -1)
        near = config.near * payoff_range(markets).max(axis=1)
        least, labels = best_splits(upper.round(9))  # equal up to rounding is equal
        order = np.argsort(np.random.default_rng(config.seed).random((n, m)), axis=1)
        for g in range(1, m + 1):
            random = np.take_along_axis(np.tile(np.arange(m, dtype=np.int32) % g, (n, 1)), order, axis=1)
            codes = [((random == s) << np.arange(m)).sum(axis=1) for s in range(g)]
            worst = np.max([upper[np.arange(n), code - 1] for code in codes], axis=0)
            losses = [mean(largest_loss(markets, split)) for split in (random, labels[:, g - 1])]
            yield Result(
                family=name,
                segments=g,
                random=share(worst <= near),
                best=share(least[:, g - 1] <= near),
                loss_random=losses[0],
                loss_best=losses[1],
                open=int(((lower <= near[:, None]) & (upper > near[:, None])).sum()),
            )


def draw(results: list[Result], config: Config) -> Figure:
    figure, axes = panels(2 * len(config.families), sharey=True)
    for at, name in enumerate(config.families):
        rows = [row for row in results if row.family == name]
        x = [row.segments for row in rows]
        for panel, parts in ((axes[2 * at], ("best", "random")), (axes[2 * at + 1], ("loss_best", "loss_random"))):
            for style, part in enumerate(parts):
                bars(panel, x, [getattr(row, part) for row in rows], style, ("best split", "random split")[style])
            panel.set(xlabel=f"segments of {config.users} users", title=name, ylim=(-0.03, 1.03))
            panel.legend(frameon=False, fontsize=8)
        axes[2 * at].set(ylabel="P(every segment aligned)")
        axes[2 * at + 1].set(ylabel="largest loss not excluded (0 aligned, 1 silent)")
    figure.suptitle(f"{config.markets:,} markets, 95 % intervals; aligned: error ≤ {config.near:.0%}", fontsize=9)
    return figure


if __name__ == "__main__":
    run_study("how_much_personalization", __doc__, Config, measure, draw)
