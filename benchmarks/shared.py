"""How many brackets of the worst equilibrium with shared policies close in the default scan's cells, and what it costs.

    python benchmarks/shared.py [--markets 16] [--budget 300] [--providers 1 2 4 8] [--users 3]

For every family and number of providers: the share of users whose bracket is narrower than 1e-3 of the way from silent
to aligned utility, the share of markets in which it is decided whether every equilibrium serves every user (99 % of
that way), in how many it does, the mean width of the brackets, and milliseconds of one core per market when warm. Then
the means over families, for each number of providers and in all.
"""

import argparse
import time

import jax
import jax.random as jr
import numpy as np

import pluraljax as plx

SERVED = 0.99


def families(providers: int, users: int):
    small = {"providers": providers, "users": users, "actions": 4, "states": 4}
    line = {"providers": providers, "users": users, "dimension": 1, "actions_per_side": 4, "states_per_side": 4}
    yield "gaussian, shared 0", plx.families.gaussian(**small, shared=0.0)
    yield "gaussian, shared 1", plx.families.gaussian(**small, shared=1.0)
    yield "opposed", plx.families.opposed(**small)
    yield "conic", plx.families.conic(**small, perturbation=0.1)
    yield "spatial, absolute", plx.families.spatial(**line, bias="absolute")
    yield "spatial, relative", plx.families.spatial(**line, bias="relative")


def measure(family, markets: int, budget: int) -> dict[str, float]:
    batch = jax.vmap(family)(jax.vmap(lambda i: jr.fold_in(jr.key(0), i))(np.arange(markets)))
    base = jax.vmap(plx.benchmarks)(batch)
    plx.worst_equilibrium(batch, plx.anonymous(batch.num_users), budget=1)
    start = time.process_time()
    found = plx.worst_equilibrium(batch, plx.anonymous(batch.num_users), budget=budget)
    cost = time.process_time() - start
    place = base.share(found)
    # To whom conversation is worth nothing, nothing is lost.
    lower, upper = (np.nan_to_num(end, nan=1.0) for end in (place.lower, place.upper))
    always, sometimes_not = (lower >= SERVED).all(axis=1), (upper < SERVED).any(axis=1)
    return {
        "closed": float((np.asarray(found.status) == plx.Status.OK).mean()),
        "decided": float((always | sometimes_not).mean()),
        "served": float(always.mean()),
        "width": float((upper - lower).mean()),
        "ms": cost / markets * 1e3,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--markets", type=int, default=16)
    parser.add_argument("--budget", type=int, default=300)
    parser.add_argument("--providers", type=int, nargs="+", default=list(range(1, 9)))
    parser.add_argument("--users", type=int, default=3)
    asked = parser.parse_args()
    print(f"{'family':20} {'k':>2} {'closed':>7} {'decided':>8} {'served':>7} {'width':>7} {'ms':>7}")
    means = []
    for providers in asked.providers:
        rows = []
        for name, family in families(providers, asked.users):
            rows.append(measure(family, asked.markets, asked.budget))
            show(name, f"{providers}", rows[-1])
        means.append(mean(rows))
    for providers, row in zip(asked.providers, means, strict=True):
        show("all families", f"{providers}", row)
    show("all", "", mean(means))


def mean(rows: list[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def show(name: str, providers: str, row: dict[str, float]) -> None:
    shares = f"{row['closed']:7.0%} {row['decided']:8.0%} {row['served']:7.0%}"
    print(f"{name:20} {providers:>2} {shares} {row['width']:7.3f} {row['ms']:7.0f}", flush=True)


if __name__ == "__main__":
    main()
