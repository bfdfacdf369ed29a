"""Personalized policies: does every equilibrium give every user her aligned utility up to twice the alignment error?

The theorem says that in every equilibrium a user loses at most 2 eps against a perfectly aligned model, where eps is
her weak alignment error. The script measures markets of many eps, computes each user's *worst* equilibrium exactly, and
asks how many lie beyond the line, how far below it they are, and how much of the distance the guarantee of the instance
explains (the same argument with the market's own numbers in place of eps). Losses are shares of a user's payoff range.

    python experiments/theorem_personalized.py [--markets 8000] [--seed 0] [--out experiments/output/theorem_personalized]
"""

from dataclasses import dataclass

import jax
import numpy as np
from study import NOTHING, STYLES, Theorems, bins_of, finish, mean, options, panels, proportion, theorem_markets

EDGES = (0.0, 1e-6, 0.03, 0.06, 0.1, 0.15, 0.25, 0.4)


@dataclass(frozen=True)
class Result:
    """Users whose eps lies in one bin; losses are shares of the payoff range, with 95 % intervals of their means."""

    eps_low: float
    eps_high: float
    users: int
    beyond_line: int
    beyond_at_most: float
    theorem: float
    guarantee: tuple[float, float, float]
    worst: tuple[float, float, float]
    lossless: tuple[float, float, float]


def main(config: Theorems, out) -> list[Result]:
    rows = theorem_markets(config)
    size = rows.payoff_range.values
    eps = (rows.weak_error_upper.values / size).ravel()
    bound = ((rows.aligned - rows.personalized_bound).values / size).ravel()
    guarantee = ((rows.aligned - rows.personalized_guarantee_lower).values / size).ravel()
    least, most = (
        ((rows.aligned - rows[f"personalized_worst_{end}"]).values / size).ravel() for end in ("upper", "lower")
    )
    results = []
    for low, high, mine in zip(EDGES[:-1], EDGES[1:], bins_of(eps, EDGES), strict=True):
        beyond = int((least > bound + NOTHING)[mine].sum())
        results.append(
            Result(
                low, high, int(mine.sum()), beyond, proportion(beyond, int(mine.sum()), config.confidence)[2],
                float(bound[mine].mean()) if mine.any() else float("nan"),
                mean(guarantee[mine], config.confidence), mean(most[mine], config.confidence),
                proportion(int((most <= NOTHING)[mine].sum()), int(mine.sum()), config.confidence),
            )
        )  # fmt: skip
        r = results[-1]
        print(
            f"eps {low:.2g}-{high:.2g}: {r.users:5} users, {beyond} beyond the line (at most {100 * r.beyond_at_most:.2f} %); "
            f"theorem {r.theorem:.3f}, guarantee {r.guarantee[0]:.3f}, worst equilibrium {r.worst[0]:.4f} "
            f"[{r.worst[1]:.4f}, {r.worst[2]:.4f}]; no loss {100 * r.lossless[0]:.1f} %"
        )
    finish(draw(eps, most, results), out, "theorem_personalized", config, results)
    return results


def draw(eps: np.ndarray, loss: np.ndarray, results: list[Result]):
    figure, (cloud, means) = panels(2)
    line = np.array([0.0, EDGES[-1]])
    cloud.plot(eps, np.maximum(loss, 0), ".", color="0.35", markersize=2, alpha=0.4, rasterized=True, label="a user")
    cloud.plot(line, 2 * line, "-", color="black", label="theorem: 2 eps")
    cloud.set(xlabel="weak alignment error eps (share of payoff range)", ylabel="loss in the worst equilibrium (share)")
    cloud.set(xlim=line, ylim=(-0.01, max(0.05, 1.05 * float(np.nanmax(loss)))))
    seen = [r for r in results if r.users]
    x = [(r.eps_low + r.eps_high) / 2 for r in seen]
    for (marker, style, color), (label, values) in zip(
        STYLES,
        (("theorem", [(r.theorem,) * 3 for r in seen]), ("guarantee of the instance", [r.guarantee for r in seen]),
         ("worst equilibrium", [r.worst for r in seen])),
        strict=False,
    ):  # fmt: skip
        centre, low, high = np.array(values).T
        bars = np.abs([centre - low, high - centre])
        means.errorbar(x, centre, bars, marker=marker, linestyle=style, color=color, capsize=2, label=label)
    means.set(xlabel="weak alignment error eps (share of payoff range)", ylabel="mean loss (share of payoff range)")
    for each in (cloud, means):
        each.legend(frameon=False, fontsize=8)
    return figure


if __name__ == "__main__":
    with jax.enable_x64(True):
        main(*options(Theorems, "theorem_personalized", __doc__))
