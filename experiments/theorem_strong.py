"""One anonymous policy: does the strong alignment error bound what users lose in every equilibrium?

The theorem says that on average over users, by mass, an anonymous equilibrium loses at most 2 eps, where eps is the
strong alignment error: one mixture of providers has to stand for all users. The script looks at the markets of
`theorem_personalized.py` again: for each, the worst certified anonymous equilibrium that is known (silence, or one that
best-response play found), what is proved of every anonymous equilibrium, and the bound.

    python experiments/theorem_strong.py [--markets 8000] [--seed 0] [--out experiments/output/theorem_strong]
"""

from dataclasses import dataclass

import jax
import numpy as np
from study import NOTHING, STYLES, Theorems, bins_of, finish, mean, options, panels, proportion, theorem_markets

EDGES = (0.0, 1e-6, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5)


@dataclass(frozen=True)
class Result:
    """Markets whose strong error lies in one bin; losses are shares of payoff ranges, averaged over users."""

    eps_low: float
    eps_high: float
    markets: int
    beyond: int
    beyond_at_most: float
    bound: float
    proved: tuple[float, float, float]
    found: tuple[float, float, float]
    lossless: tuple[float, float, float]


def main(config: Theorems, out) -> list[Result]:
    rows = theorem_markets(config)
    # Users of these families have the same mass; in the units of the market's mean payoff range.
    size = rows.payoff_range.values.mean(axis=1)
    eps = rows.strong_error_upper.values / size
    loss = lambda value: (rows.aligned.values - value).mean(axis=1) / size
    silent = np.where(rows.anonymous_silence.values == 1, loss(rows.silent.values), 0.0)
    worst = np.fmax(silent, np.maximum(loss(rows.anonymous_found.values), 0.0))
    proved = loss(rows.anonymous_guarantee_lower.values)
    results = []
    for low, high, mine in zip(EDGES[:-1], EDGES[1:], bins_of(eps, EDGES), strict=True):
        beyond = int((worst > 2 * eps + NOTHING)[mine].sum())
        results.append(
            Result(
                low, high, int(mine.sum()), beyond, proportion(beyond, int(mine.sum()), config.confidence)[2],
                float(2 * eps[mine].mean()) if mine.any() else float("nan"),
                mean(proved[mine], config.confidence), mean(worst[mine], config.confidence),
                proportion(int((worst <= NOTHING)[mine].sum()), int(mine.sum()), config.confidence),
            )
        )  # fmt: skip
        r = results[-1]
        print(
            f"strong eps {low:.2g}-{high:.2g}: {r.markets:5} markets, {beyond} beyond the bound (at most "
            f"{100 * r.beyond_at_most:.2f} %); bound {r.bound:.3f}, proved {r.proved[0]:.3f}, worst found "
            f"{r.found[0]:.4f} [{r.found[1]:.4f}, {r.found[2]:.4f}]; none found below aligned {100 * r.lossless[0]:.1f} %"
        )
    finish(draw(eps, worst, results), out, "theorem_strong", config, results)
    return results


def draw(eps: np.ndarray, worst: np.ndarray, results: list[Result]):
    figure, (cloud, means) = panels(2)
    line = np.array([0.0, EDGES[-1]])
    cloud.plot(eps, worst, ".", color="0.35", markersize=3, alpha=0.5, rasterized=True, label="a market")
    cloud.plot(line, 2 * line, "-", color="black", label="theorem: 2 eps")
    cloud.set(xlabel="strong alignment error eps (share of payoff range)", ylabel="mean loss in the worst one found")
    cloud.set(xlim=line, ylim=(-0.01, max(0.05, 1.05 * float(np.nanmax(worst)))))
    seen = [r for r in results if r.markets]
    x = [(r.eps_low + r.eps_high) / 2 for r in seen]
    for (marker, style, color), (label, values) in zip(
        STYLES,
        (("theorem", [(r.bound,) * 3 for r in seen]), ("proved of every equilibrium", [r.proved for r in seen]),
         ("worst equilibrium found", [r.found for r in seen])),
        strict=False,
    ):  # fmt: skip
        centre, low, high = np.array(values).T
        bars = np.abs([centre - low, high - centre])
        means.errorbar(x, centre, bars, marker=marker, linestyle=style, color=color, capsize=2, label=label)
    means.set(xlabel="strong alignment error eps (share of payoff range)", ylabel="mean loss (share of payoff range)")
    for each in (cloud, means):
        each.legend(frameon=False, fontsize=8)
    return figure


if __name__ == "__main__":
    with jax.enable_x64(True):
        main(*options(Theorems, "theorem_strong", __doc__))
