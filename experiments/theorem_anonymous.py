"""One anonymous policy: under the condition that aligns personalized markets, which equilibria are there?

The theorem says that with one policy for all users even markets with weak alignment error 0 have uninformative
equilibria. The script looks at the markets of `theorem_personalized.py` again, and asks how often silence is an
equilibrium, and how often *some* certified equilibrium (silence, or one that best-response play found) leaves a user
below her aligned utility, by weak error. A second panel is the family in which the boundary is known: two users with
the same decision problem, two providers that love one and hate the other K times as much (`opposed`, scales
[[1, -K], [-K, 1]]). Weak alignment has error 0 for K > 0 but K = 1, and silence is an equilibrium exactly for K >= 1.

    python experiments/theorem_anonymous.py [--markets 8000] [--seed 0] [--out experiments/output/theorem_anonymous]
"""

from dataclasses import dataclass

import jax
import numpy as np
from study import NOTHING, STYLES, Theorems, bins_of, finish, options, panels, proportion, theorem_markets

import pluraljax as plx

EDGES = (0.0, 1e-6, 0.03, 0.06, 0.1, 0.15, 0.25, 0.4)
BOUNDARY = (0.25, 0.5, 0.75, 0.9, 0.99, 1.0, 1.01, 1.1, 1.5, 2.0, 4.0)


@dataclass(frozen=True)
class Bin:
    """Markets whose largest weak error lies in one bin: shares with intervals; `undecided` are open for silence."""

    eps_low: float
    eps_high: float
    markets: int
    silence: tuple[float, float, float]
    undecided: int
    below: tuple[float, float, float]


@dataclass(frozen=True)
class Boundary:
    """Markets of the two-user family at one K."""

    strength: float
    markets: int
    silence: tuple[float, float, float]
    undecided: int
    weakly_aligned: float
    agrees: bool


def by_error(config: Theorems) -> list[Bin]:
    rows = theorem_markets(config)
    size = rows.payoff_range.values
    eps = (rows.weak_error_upper.values / size).max(axis=1)
    silence = rows.anonymous_silence.values
    below = lambda value: ((rows.aligned.values - value) / size > NOTHING).any(axis=1)
    found = np.isfinite(rows.anonymous_found.values).all(axis=1) & below(rows.anonymous_found.values)
    some = ((silence == 1) & below(rows.silent.values)) | found
    return [
        Bin(
            low, high, int(mine.sum()), proportion(int((silence[mine] == 1).sum()), int(mine.sum())),
            int((silence[mine] == -1).sum()), proportion(int(some[mine].sum()), int(mine.sum())),
        )
        for low, high, mine in zip(EDGES[:-1], EDGES[1:], bins_of(eps, EDGES), strict=True)
    ]  # fmt: skip


def boundary(config: Theorems) -> list[Boundary]:
    scales = [[[1.0, -k], [-k, 1.0]] for k in BOUNDARY]
    sizes = {"providers": 2, "users": 2, "actions": 3, "states": 3, "common_decision": True, "scales": scales}
    markets = max(len(scales), config.markets // 4)
    rows = plx.scan(plx.ScanConfig((plx.FamilyGrid("opposed", sizes),), markets=markets, seed=config.seed))
    results = []
    for cell, strength in enumerate(BOUNDARY):
        mine = rows.cell.values == cell
        silence = rows.anonymous_silence.values[mine]
        decided = silence != -1
        results.append(
            Boundary(
                strength, int(mine.sum()), proportion(int((silence == 1).sum()), int(decided.sum())),
                int((~decided).sum()), float((rows.weakly_aligned.values[mine] == 1).mean()),
                bool((silence[decided] == (strength >= 1)).all()),
            )
        )  # fmt: skip
    return results


def main(config: Theorems, out) -> list[Bin | Boundary]:
    bins, edge = by_error(config), boundary(config)
    show = lambda share: f"{100 * share[0]:.1f} % [{100 * share[1]:.1f}, {100 * share[2]:.1f}]"
    for r in bins:
        print(
            f"eps {r.eps_low:.2g}-{r.eps_high:.2g}: {r.markets:5} markets, silence is one in {show(r.silence)} "
            f"({r.undecided} undecided), some equilibrium below aligned in {show(r.below)}"
        )
    for r in edge:
        print(
            f"K {r.strength:g}: silence is an equilibrium in {show(r.silence)} of {r.markets} ({r.undecided} undecided), "
            f"weak error 0 in {100 * r.weakly_aligned:.0f} %; {'as' if r.agrees else 'NOT as'} the closed form says"
        )
    finish(draw(bins, edge), out, "theorem_anonymous", config, [*bins, *edge])
    return [*bins, *edge]


def draw(bins: list[Bin], edge: list[Boundary]):
    figure, (left, right) = panels(2, sharey=True)
    seen = [r for r in bins if r.markets]
    x = [(r.eps_low + r.eps_high) / 2 for r in seen]
    for name, label, (marker, style, color) in (
        ("silence", "silence is an equilibrium", STYLES[0]),
        ("below", "some certified equilibrium\nis below aligned", STYLES[1]),
    ):
        centre, low, high = np.array([getattr(r, name) for r in seen]).T
        bars = [centre - low, high - centre]
        left.errorbar(x, centre, bars, marker=marker, linestyle=style, color=color, capsize=2, label=label)
    left.set(
        xlabel="largest weak alignment error (share of payoff range)", ylabel="share of markets", ylim=(-0.03, 1.03)
    )
    right.step([BOUNDARY[0], 1.0, BOUNDARY[-1]], [0, 1, 1], where="post", color="0.5", label="closed form: K >= 1")
    x, centre = [r.strength for r in edge], np.array([r.silence for r in edge])
    bars = np.abs([centre[:, 0] - centre[:, 1], centre[:, 2] - centre[:, 0]])
    right.errorbar(x, centre[:, 0], bars, fmt="D", color=STYLES[0][2], capsize=2, label="silence, measured")
    right.set(xscale="log", xlabel="K: how much each provider hates the other user")
    for each in (left, right):
        each.legend(frameon=False, fontsize=8)
    return figure


if __name__ == "__main__":
    with jax.enable_x64(True):
        main(*options(Theorems, "theorem_anonymous", __doc__))
